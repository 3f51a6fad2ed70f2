"""An event: a fact, never changed after it was accepted."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

TYPE_PATTERN: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+){1,9}\Z")
TYPE_MAX: Final = 128
TYPE_EXPECTED: Final = (
    f"expected 2 to 10 parts of a-z, 0-9, _ or - joined by dots, at most {TYPE_MAX} characters, such as contact.created"
)


class Event(NamedTuple):
    """A named tuple, since one is made for every event on the hot path (a frozen dataclass costs four times as much).

    `data` is the JSON object as it was received, byte for byte. `occurred_at` is RFC 3339 as it came.
    `expands` is a JSON object of related records, or None. `accepted_ms` is unix ms. `trace` is the traceparent (W3C)
    that it came with, or None.
    """

    id: int
    account: str
    location_id: str | None
    type: str
    subject: str | None
    occurred_at: str | None
    accepted_ms: int
    data: bytes
    expands: bytes | None = None
    trace: str | None = None


def is_event_type(text: str) -> bool:
    return len(text) <= TYPE_MAX and _fits(text)


# Of each type there are many events.
@lru_cache(maxsize=1024)
def _fits(text: str) -> bool:
    return TYPE_PATTERN.match(text) is not None


def split_type(event_type: str) -> tuple[str, str]:
    """(subject, verb): the verb is what stands after the last dot."""
    subject, _, verb = event_type.rpartition(".")
    return subject, verb
