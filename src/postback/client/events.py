"""What is published: events, their text on the wire, and what the server says of each."""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from postback.client.errors import ClientError, InvalidValue, Refused, TooLarge

EVENTS_MAX: Final = 1_000
"""In one request."""

BATCH_MAX: Final = 16 << 20
"""Bytes of one request."""


def new_key() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. Published again, the same object is the same event: the key was made with it.

    >>> Event("contact.created", {"id": "con_1", "last_name": "Jones"}, location_id="loc_38fwd5z29zw00")
    """

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    location_id: str | None = None
    subject: str | None = None
    idempotency_key: str = field(default_factory=new_key)
    occurred_at: datetime | str | None = None
    deliver_at: datetime | str | None = None
    account: str | None = None


class Published(NamedTuple):
    """An event that is durable. `deliveries` configs get it; of those, `unsayable` have a format that cannot say it."""

    id: str
    type: str
    deliveries: int
    unsayable: int
    idempotency_key: str


Result: TypeAlias = Published | ClientError
AnEvent: TypeAlias = Event | Mapping[str, Any]
"""A mapping has the fields of an event as the API takes them."""


class Line(NamedTuple):
    """An event as it is sent. `place` is its own among those that were given."""

    type: str
    key: str
    text: bytes
    place: int = 0


def all_published(results: Iterable[Result]) -> list[Published]:
    """The results when every event was accepted; an ExceptionGroup of what was wrong with the others otherwise."""
    results = list(results)
    published = [result for result in results if isinstance(result, Published)]
    errors = [result for result in results if isinstance(result, ClientError)]
    if errors:
        raise ExceptionGroup(f"{len(errors):,} of {len(results):,} events were not accepted", errors)
    return published


Took: TypeAlias = Callable[[int, Result], None]
"""Is told once of each event, by its place, what came of it."""


def lines_of(events: Sequence[AnEvent], took: Took) -> Iterator[Line]:
    """The events as they are sent; `took` is told of those that cannot be."""
    for place, event in enumerate(events):
        try:
            line = line_of(event)
        except Refused as error:
            took(place, error)
        else:
            yield line._replace(place=place)


def line_of(event: AnEvent) -> Line:
    """Refuses what is no JSON or longer than any request; everything else is for the server to judge."""
    sent = _fields(event)
    try:
        text = json.dumps(sent, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue({"event": [f"event cannot be said in JSON: {error}"]}) from error
    if len(text) > BATCH_MAX:
        raise TooLarge(f"the event has {len(text):,} bytes; at most {BATCH_MAX:,} are sent")
    return Line(str(sent.get("type")), str(sent["idempotency_key"]), text)


def batches_of(
    lines: Iterable[Line], events_max: int = EVENTS_MAX, bytes_max: int = BATCH_MAX
) -> Iterator[Sequence[Line]]:
    """As many in each as one request takes."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        # Each but the last is followed by a line feed.
        if batch and (len(batch) == events_max or size + len(batch) + len(line.text) > bytes_max):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.text)
    if batch:
        yield batch


def body_of(batch: Sequence[Line]) -> bytes:
    """One event a line: so what is wrong with one cannot make the whole request unreadable."""
    return b"\n".join(line.text for line in batch)


def _fields(event: AnEvent) -> dict[str, Any]:
    given = event if isinstance(event, Mapping) else {one.name: getattr(event, one.name) for one in _FIELDS}
    sent = {name: _time(name, value) for name, value in given.items() if value is not None}
    sent.setdefault("idempotency_key", new_key())
    return sent


def _time(name: str, value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    if value.utcoffset() is None:
        raise InvalidValue({name: [f"{name} is {value}; expected a time with its zone, such as datetime.now(UTC)"]})
    return value.isoformat()


_FIELDS: Final = [one for one in fields(Event) if one.name != "_"]
