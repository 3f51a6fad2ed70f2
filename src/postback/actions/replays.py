"""Many deliveries at once: counting what a filter selects, replaying or cancelling all of it, and how far that is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from postback.actions.cursors import cursor, position
from postback.actions.fields import Errors, Reader, one_of, read, text
from postback.actions.log import Part
from postback.domain.accounts import Actor
from postback.domain.causes import EXPECTED as EXPECTED_CAUSE
from postback.domain.causes import parse_cause
from postback.domain.deliveries import State
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.events import TYPE_MAX
from postback.domain.ids import encode, parse, unix_ms_of
from postback.domain.jobs import SELECTABLE, JobKind
from postback.domain.times import EXPECTED, unix_ms
from postback.ports import Job, Log, LogFilter, Queue
from postback.resources.fields import Refusal, shown

REPLAYS: Final = "replays"
PREFIX: Final = "rpl"

NARROWING: Final = ("postbackconfig_id", "event_type", "location_id", "reason", "since", "until", "search")
"""Of these at least one has to stand in a filter: a state alone is almost everything."""


_FIRST_MS: Final = unix_ms("0001-01-01T00:00:00Z") or 0
_LAST_MS: Final = unix_ms("9999-12-31T23:59:59Z") or 0


class Asked(NamedTuple):
    """What a caller wants done with many deliveries; `is_dry_run` only counts them."""

    narrowed: LogFilter
    is_dry_run: bool


class Counted(NamedTuple):
    """How many deliveries a job would select, of those that were accepted since then (unix ms); None: of all."""

    deliveries: int
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ReplayActions:
    queue: Queue
    log: Log
    ids: Callable[[], int]
    due_now: Callable[[], None]
    """Called when there is a new job."""

    async def asked(self, account: str, kind: JobKind, fields: Mapping[str, object]) -> Asked:
        """What the body of a request asks for; InvalidValue, by field, for anything that could be a slip.

        A name that is mistyped, a variable that is null or a filter that is empty must never become "all of them".
        """
        narrowed, search, is_dry_run = _asked_for(kind, fields)
        if search is None:
            return Asked(narrowed, is_dry_run)
        try:
            return Asked(replace(narrowed, sought=await self.log.sought(account, search)), is_dry_run)
        except InvalidValue as error:
            raise InvalidValue({f"filter.{field}": messages for field, messages in error.errors.items()}) from None

    async def count(self, account: str, kind: JobKind, narrowed: LogFilter, at_most: int | None = None) -> int:
        """How many deliveries a job would select now, up to `at_most`, or else COUNTED_MAX."""
        return await self.queue.count_for_job(account, kind, narrowed, at_most)

    async def counted(self, account: str, kind: JobKind, narrowed: LogFilter, at_most: int, looked_at: int) -> Counted:
        """The same, so far back as a list looks that looks at so many rows: what few fit is not counted to the end."""
        is_cancel = kind is JobKind.CANCEL
        reached = await self.log.reach(account, narrowed, None, looked_at, of_open=is_cancel)
        if reached is None:
            return Counted(await self.count(account, kind, narrowed, at_most))
        # Later than the event that was reached, for of its millisecond there may be more.
        since_ms = unix_ms_of(reached) + 1
        found = await self.count(account, kind, replace(narrowed, since_ms=since_ms), at_most)
        return Counted(found, None if found == at_most else since_ms)

    async def start(self, account: str, kind: JobKind, narrowed: LogFilter, *, by: Actor | None = None) -> Job:
        """Make a job; it is done from now on, by whichever server process lives."""
        job_id = f"{PREFIX}_{encode(self.ids())}"
        job = await self.queue.start_job(account, job_id, kind, narrowed, by=by)
        self.due_now()
        return job

    async def find(self, account: str, job_id: str) -> Job:
        parse(PREFIX, job_id)
        return await self.queue.find_job(account, job_id)

    async def list(self, account: str, after: str | None, size: int) -> Part[Job]:
        """The newest first."""
        before = None if after is None else f"{PREFIX}_{encode(position(account, REPLAYS, after, 1)[0])}"
        found = await self.queue.list_jobs(account, before, size + 1)
        if len(found) <= size:
            return Part(found, None)
        return Part(found[:size], cursor(account, REPLAYS, (parse(PREFIX, found[size - 1].id),)))


def _asked_for(kind: JobKind, fields: Mapping[str, object]) -> tuple[LogFilter, str | None, bool]:
    """The filter but for what is searched for, that text, and whether it is a dry run."""
    errors = Errors()
    sent = _read_all(fields, _FIELDS, errors)
    within = Errors()
    values = _read_all(sent.get("filter", {}), _filter_fields(kind), within)
    for field, messages in within.as_error().errors.items():
        for message in messages:
            errors.add(f"filter.{field}", message)
    is_narrow = any(name in values for name in NARROWING)
    if sent.get("all") and is_narrow:
        errors.add("all", "all stands beside a filter that narrows; leave one of the two out")
    errors.raise_any()
    if not is_narrow and not sent.get("all"):
        expected = f'expected at least one of {", ".join(NARROWING)}, or "all": true beside the filter'
        errors.add("filter", f"filter selects almost everything; {expected}")
    errors.raise_any()
    narrowed = LogFilter(
        state=values.get("state", State.FAILED if kind is JobKind.REPLAY else None),
        config_id=values.get("postbackconfig_id"),
        event_type=values.get("event_type"),
        location_id=values.get("location_id"),
        reason=values.get("reason"),
        since_ms=values.get("since"),
        until_ms=values.get("until"),
    )
    return narrowed, values.get("search"), sent.get("dry_run", False)


def _read_all(fields: Mapping[str, object], readers: Mapping[str, Reader], errors: Errors) -> dict[str, Any]:
    """As `read`, but null is refused: it is what a variable that was never set looks like."""
    for name in readers:
        if name in fields and fields[name] is None:
            errors.add(name, f"{name} is null; leave it out, or say what is meant")
    return read(fields, readers, errors)


def _filter_fields(kind: JobKind) -> Mapping[str, Reader]:
    state = one_of(*SELECTABLE[kind])
    return {
        "state": lambda sent: State(state(sent)),
        "postbackconfig_id": _config_id,
        "event_type": text(TYPE_MAX, 1),
        "location_id": text(minimum=1),
        "reason": _reason,
        "since": _time,
        "until": _time,
        "search": text(minimum=1),
    }


def _config_id(sent: object) -> int:
    try:
        return parse("pbc", sent if isinstance(sent, str) else "")
    except NotFound:
        raise Refusal(f"is {shown(sent)}; expected the id of a postback config") from None


def _reason(sent: object) -> str:
    try:
        return str(parse_cause(sent if isinstance(sent, str) else ""))
    except InvalidValue:
        raise Refusal(f"is {shown(sent)}; {EXPECTED_CAUSE}") from None


def _time(sent: object) -> int:
    ms = unix_ms(sent) if isinstance(sent, str) else None
    if ms is None:
        raise Refusal(f"is {shown(sent)}; {EXPECTED}")
    # An offset leads out of the years that can be shown, and nothing was accepted there.
    return min(max(ms, _FIRST_MS), _LAST_MS)


def _true_or_false(sent: object) -> bool:
    # No "1", and no "no": what only counts and what is done differ by this one value.
    if not isinstance(sent, bool):
        raise Refusal(f"is {shown(sent)}; expected true or false")
    return sent


def _object(sent: object) -> Mapping[str, object]:
    if not isinstance(sent, dict):
        raise Refusal(f"is {shown(sent)}; expected an object")
    return sent


_FIELDS: Final[Mapping[str, Reader]] = {"filter": _object, "all": _true_or_false, "dry_run": _true_or_false}
