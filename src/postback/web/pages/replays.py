"""Many deliveries at once: what a filter selects is counted before it is replayed or cancelled, and how far that is can be
seen."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from postback.actions.replays import Counted
from postback.domain.causes import in_words, parse_cause
from postback.domain.deliveries import State
from postback.domain.jobs import JobKind
from postback.domain.times import rfc3339
from postback.ports import Job
from postback.web.forms import time_ms
from postback.web.pages.log_filter import CURSOR, OF_DELIVERIES, PAGE_SIZE
from postback.web.shown import exact
from postback.web.visit import Visit

COUNTED: Final = 10_000
"""Of more it is enough to know that there are more."""

COUNTED_OF: Final = 40_000
"""Rows that are looked at for them: of what is rare those that were accepted last are counted, and since when is said."""

ALL: Final = "all"


class Many(NamedTuple):
    """What is done with many deliveries, in the words of its pages. `state` is that of those which are meant where nobody
    says so, None for all that it can be done with; `which` is what these are called."""

    kind: JobKind
    path: str
    verb: str
    state: State | None
    which: str
    what_happens: Sequence[str]
    nothing: str
    begun: str


REPLAY: Final = Many(
    kind=JobKind.REPLAY,
    path="/replays/new",
    verb="Replay",
    state=State.FAILED,
    which="failed",
    what_happens=(
        "Each of them is owed again, now, and its attempts are counted anew: a receiver may get what it has had already.",
        "They go in the order of their events, within the limits of their postback configs.",
        "What belongs to a paused postback config is held until it is resumed.",
    ),
    nothing="No delivery that has ended fits this now; tests are not replayed.",
    begun="The replay has begun; it goes on when you leave this page.",
)
CANCEL: Final = Many(
    kind=JobKind.CANCEL,
    path="/replays/cancel",
    verb="Cancel",
    state=None,
    which="open",
    what_happens=(
        "None of them is attempted any more; an attempt that is under way still reaches its receiver.",
        "They stay in the log, and can be replayed later.",
    ),
    nothing="No delivery that is owed fits this now.",
    begun="The cancellation has begun; it goes on when you leave this page.",
)

_NAMES: Final = {
    "state": "state",
    "reason": "reason",
    "type": "event_type",
    "config": "postbackconfig_id",
    "location": "location_id",
    "from": "since",
    "to": "until",
    "search": "search",
}
"""Filters by their names in our addresses → by those that the action takes."""

_WORDS: Final = {
    "state": "State",
    "reason": "Reason",
    "event_type": "Event type",
    "postbackconfig_id": "Postback config",
    "location_id": "Location",
    "since": "Accepted from",
    "until": "Accepted before",
    "search": "Search",
}
_TIMES: Final = ("from", "to")


async def show_list(visit: Visit) -> Response:
    return await visit.page("replays/list.html", **await _listed(visit))


async def list_section(visit: Visit) -> str:
    return visit.section("replays/found.html", **await _listed(visit))


async def show_new(visit: Visit) -> Response:
    return await _ask(visit, REPLAY)


async def start(visit: Visit) -> Response:
    return await _start(visit, REPLAY)


async def show_cancel(visit: Visit) -> Response:
    return await _ask(visit, CANCEL)


async def cancel(visit: Visit) -> Response:
    return await _start(visit, CANCEL)


async def _ask(visit: Visit, many: Many) -> Response:
    """What it would do, and to how many, before anything is done."""
    filters = {name: text for name in OF_DELIVERIES if (text := visit.asked(name))}
    if many.state is not None:
        filters.setdefault("state", many.state)
    is_all = filters.keys() <= {"state"}
    asked = await visit.services.replays.asked(visit.account, many.kind, fields_of(filters, is_all=is_all))
    counted = await visit.services.replays.counted(visit.account, many.kind, asked.narrowed, COUNTED + 1, COUNTED_OF)
    back = "/deliveries?" + urlencode(filters)
    facts = filter_in_words(asked.narrowed.as_asked())
    if counted == Counted(0):
        return await visit.page("replays/nothing.html", many=many, facts=facts, back=back)
    which = filters.get("state", many.which)
    sentences = [f"Nothing narrows this: it is every {which} delivery of the account."] if is_all else []
    return await visit.confirm(
        sentences=[*sentences, *many.what_happens],
        fields={**filters, **({ALL: "1"} if is_all else {})},
        action=many.path,
        kind="primary" if many is REPLAY else "danger",
        back=back,
        back_label="Leave them as they are",
        **_question(many, counted, facts, filters),
    )


async def _start(visit: Visit, many: Many) -> Response:
    form = await visit.form()
    filters = {name: text for name in OF_DELIVERIES if (text := form.text(name).strip())}
    fields = fields_of(filters, is_all=form.is_on(ALL))
    asked = await visit.services.replays.asked(visit.account, many.kind, fields)
    job = await visit.services.replays.start(visit.account, many.kind, asked.narrowed, by=visit.actor)
    return visit.go(f"/replays/{job.id}", many.begun)


async def show(visit: Visit) -> Response:
    return await visit.page("replays/show.html", **await _job(visit))


async def section(visit: Visit) -> str:
    return visit.section("replays/progress.html", **await _job(visit))


def fields_of(filters: Mapping[str, str], *, is_all: bool) -> dict[str, object]:
    """What a program would send for the same."""
    sent: dict[str, object] = {_NAMES[name]: _time(text) if name in _TIMES else text for name, text in filters.items()}
    return {"filter": sent, **({ALL: True} if is_all else {})}


def filter_in_words(asked: Mapping[str, object]) -> dict[str, object]:
    return {_WORDS.get(name, name): _value_in_words(name, value) for name, value in asked.items()}


def _value_in_words(name: str, value: object) -> object:
    if name == "reason":
        return in_words(parse_cause(str(value)))
    ms = time_ms(str(value)) if name in ("since", "until") else None
    return value if ms is None else exact(ms)


def _time(text: str) -> str:
    ms = time_ms(text)
    return text if ms is None else rfc3339(ms)


def _question(many: Many, counted: Counted, facts: Mapping[str, object], filters: Mapping[str, str]) -> dict[str, Any]:
    """With a number that is true: of all, or of those since a time."""
    what = _deliveries(counted.deliveries)
    number = what.rpartition(" ")[0]
    if counted.since_ms is None:
        return {
            "title": f"{many.verb} {what}?",
            "button": f"{many.verb} {what}",
            "facts": {**facts, "Deliveries": number},
        }
    since = exact(counted.since_ms)
    if not counted.deliveries:
        return {
            "title": f"{many.verb} older deliveries that fit?",
            "button": f"{many.verb} all that fit",
            "facts": {**facts, "Deliveries": f"none accepted since {since}; older ones are not counted"},
        }
    narrower = {**filters, "from": rfc3339(counted.since_ms)}
    return {
        "title": f"{many.verb} {what} and older ones that fit?",
        "button": f"{many.verb} all that fit",
        "facts": {**facts, "Deliveries": f"{number} accepted since {since}; older ones are not counted"},
        "links": {f"Only the {what} since then": f"{many.path}?" + urlencode(narrower)},
    }


def _deliveries(count: int) -> str:
    if count > COUNTED:
        return f"more than {COUNTED:,} deliveries"
    return "1 delivery" if count == 1 else f"{count:,} deliveries"


async def _listed(visit: Visit) -> dict[str, Any]:
    part = await visit.services.replays.list(visit.account, visit.asked(CURSOR) or None, PAGE_SIZE)
    older = None if part.next_cursor is None else "?" + urlencode({CURSOR: part.next_cursor})
    return {
        "address": urlencode({CURSOR: visit.asked(CURSOR)}),
        "jobs": [(job, filter_in_words(job.narrowed.as_asked())) for job in part.items],
        "first": "?" if visit.asked(CURSOR) else None,
        "older": older,
    }


async def _job(visit: Visit) -> dict[str, Any]:
    job_id = str(visit.request.path_params.get("replay_id") or visit.asked("id"))
    job = await visit.services.replays.find(visit.account, job_id)
    return {"job": job, "facts": filter_in_words(job.narrowed.as_asked()), "deliveries": _same(job)}


def _same(job: Job) -> str:
    """The list of deliveries by the same filter but for what a replay changes: the state, and the reason of the last
    attempt."""
    asked = job.narrowed.as_asked()
    names = {field: name for name, field in _NAMES.items() if name not in ("state", "reason")}
    return "/deliveries?" + urlencode({names[field]: value for field, value in asked.items() if field in names})
