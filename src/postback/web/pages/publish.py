"""Publishing an event by hand: a type of the catalog, its example filled in, and what the action says of it."""

import hashlib
import json
import secrets
from typing import Final

import msgspec
from starlette.responses import Response

from postback.actions.jsontext import read_events
from postback.actions.publish import Published
from postback.domain.catalog import CATALOG
from postback.domain.errors import InvalidValue, Malformed, PostbackError, TooLarge
from postback.domain.ids import event_text
from postback.web.forms import Form
from postback.web.pages.named import offered_locations
from postback.web.visit import Visit

FIRST: Final = "sms.received"
FIELDS: Final = ("type", "location_id", "subject")
DATA: Final = "data"
ONCE: Final = "once"
"""A text of this form: what is sent twice by it, unchanged, is one event."""

LABELS: Final = {"type": "Event type", "location_id": "Location"}


async def show(visit: Visit) -> Response:
    """With the example of a type: the one that was chosen, or the first."""
    chosen = visit.asked("type") or FIRST
    known = CATALOG.get(chosen)
    example = {} if known is None else known.example
    values = {
        "type": chosen,
        "location_id": visit.asked("location_id"),
        DATA: msgspec.json.format(json.dumps(example, ensure_ascii=False), indent=2),
        ONCE: secrets.token_hex(16),
    }
    return await _page(visit, Form.of(values))


async def publish(visit: Visit) -> Response:
    form = await visit.form()
    try:
        text = event_of(form)
        once = f"{form.text(ONCE)[:64]}.{hashlib.sha256(text).hexdigest()}" if form.text(ONCE) else None
        published = await _published(visit, text, once)
    except InvalidValue as error:
        return await _page(visit, form.wrong(by_field(error)), 422)
    return visit.go(f"/events/{event_text(published.id)}", _said(published))


def event_of(form: Form) -> bytes:
    """The event as a program would send it. InvalidValue (`data`) where what was typed is no JSON: only a value that is
    whole may stand in it as it is."""
    beside = json.dumps(form.filled(*FIELDS)).encode()
    data = form.text(DATA).strip()
    if not data:
        return beside
    try:
        json.loads(data)
    except json.JSONDecodeError as error:
        message = f"data is not JSON: {error.msg}, in line {error.lineno}, column {error.colno}"
        raise InvalidValue.of(DATA, message) from None
    except (RecursionError, ValueError):
        raise InvalidValue.of(DATA, "data is nested too deeply, or has a number of too many digits") from None
    return b'{"data":%b%b' % (data.encode(), b"," + beside[1:] if len(beside) > 2 else b"}")


def by_field(error: InvalidValue) -> InvalidValue:
    """What is wrong within the data is said beside the field that all of it is typed into."""
    errors: dict[str, list[str]] = {}
    for name, messages in error.errors.items():
        errors.setdefault(name.partition(".")[0], []).extend(messages)
    return InvalidValue(errors)


async def _published(visit: Visit, text: bytes, once: str | None) -> Published:
    """Read and taken as the API does; what is wrong with all of it can only be the data."""
    try:
        events = read_events(b'{"event":%b}' % text).events
        [answer] = await visit.services.publishing.publish(visit.principal, events, once)
        if isinstance(answer, PostbackError):
            raise answer
    except (Malformed, TooLarge) as error:
        raise InvalidValue.of(DATA, f"data cannot be taken: {error}") from None
    return answer


def _said(published: Published) -> str:
    if not published.deliveries:
        return "Published. No postback config wants it: look below why."
    what = "1 delivery" if published.deliveries == 1 else f"{published.deliveries:,} deliveries"
    if published.unsayable:
        return f"Published, with {what}; {published.unsayable:,} of them fail, since their format cannot say it."
    return f"Published, with {what}."


async def _page(visit: Visit, form: Form, status: int = 200) -> Response:
    known = CATALOG.get(form.text("type"))
    return await visit.page(
        "events/new.html",
        status,
        form=form,
        labels=LABELS,
        event_types=list(CATALOG),
        sentence=None if known is None else known.sentence,
        offered_locations=await offered_locations(visit),
    )
