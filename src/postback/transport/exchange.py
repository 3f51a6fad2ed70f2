"""One POST under way: how far it is, when it must be further, and what is known for its record."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Final

from postback.domain.destinations import is_header_name, is_header_value
from postback.domain.making import made
from postback.domain.wire import Note, Outcome, Request, Timings

if TYPE_CHECKING:
    import asyncio

    from postback.transport.connection import Connection

_MEDIA_TYPES: Final = 256
"""Different content types that are remembered in bytes: formats have a handful."""


class Phase(IntEnum):
    """How far an exchange is; what a missed deadline means depends on it."""

    RESOLVING = 0
    CONNECTING = 1
    HANDSHAKING = 2
    AWAITING = 3
    """The request is being sent, or was, and the answer's head is not complete."""
    READING = 4
    """The head is complete: the outcome is fixed, and the body is read as far as it is worth it."""


# Looking a member up costs as much as a call; these stand on the way of every request.
RESOLVING: Final = Phase.RESOLVING
AWAITING: Final = Phase.AWAITING
READING: Final = Phase.READING


class Exchange:
    """A request with whoever waits for its outcome. All times are of the loop's clock, in seconds."""

    __slots__ = (
        "_deadline",
        "_waits_since",
        "answered",
        "certificate_ends_ms",
        "connect_s",
        "connection",
        "deadline",
        "dns_s",
        "ends",
        "first_byte",
        "notes",
        "opening",
        "phase",
        "request",
        "sent",
        "started",
        "tls_s",
    )

    def __init__(self, request: Request, answered: Callable[[Outcome], None], now: float) -> None:
        self.request = request
        self.answered = answered
        self.phase = RESOLVING
        self.started = now
        self.ends = self.deadline = now + request.destination.deadlines.total_s
        self.sent: float | None = None
        self.first_byte: float | None = None
        self.dns_s: float | None = None
        self.connect_s: float | None = None
        self.tls_s: float | None = None
        self.certificate_ends_ms: int | None = None
        self.notes: Sequence[Note] = ()
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None

    def open(self, now: float) -> None:
        """A connection is made for it: it has the whole time to connect, within what is left."""
        self.connection = None
        self.certificate_ends_ms = None
        self.phase = RESOLVING
        self.deadline = min(now + self.request.destination.deadlines.connect_s, self.ends)

    def wait(self, now: float) -> None:
        """For its turn among us: that is no time of the receiver's, and no deadline goes on meanwhile."""
        self._waits_since, self._deadline = now, self.deadline
        self.deadline = inf

    def go_on(self, now: float) -> None:
        waited_s = now - self._waits_since
        self.ends += waited_s
        self.deadline = self._deadline + waited_s

    def note(self, note: Note) -> None:
        if note not in self.notes:
            self.notes = (*self.notes, note)

    def timings(self, now: float) -> Timings:
        sent, first_byte = self.sent, self.first_byte
        total_ms = int((now - self.started) * 1000 + 0.5)
        if sent is None:
            return Timings(_ms(self.dns_s), _ms(self.connect_s), _ms(self.tls_s), None, total_ms, None)
        first_byte_ms = None if first_byte is None else int((first_byte - sent) * 1000 + 0.5)
        sent_after_ms = int((sent - self.started) * 1000 + 0.5)
        if self.connect_s is None:
            return made(Timings, (None, None, None, first_byte_ms, total_ms, sent_after_ms))
        return Timings(_ms(self.dns_s), _ms(self.connect_s), _ms(self.tls_s), first_byte_ms, total_ms, sent_after_ms)


def message(request: Request) -> bytes:
    """The whole request as it goes out. ValueError where a header of the attempt must not be sent."""
    body = request.body
    return b"%bcontent-type: %b\r\n%bcontent-length: %d\r\n\r\n%b" % (
        request.destination.head,
        _content_type(request.content_type),
        _lines(request.headers) if request.headers else b"",
        len(body),
        body,
    )


@lru_cache(maxsize=_MEDIA_TYPES)
def _content_type(text: str) -> bytes:
    if not text or not is_header_value(text):
        raise ValueError(f"{text!r} is not a content type")
    return text.encode("ascii")


def _lines(headers: Sequence[tuple[str, str]]) -> bytes:
    for name, value in headers:
        if not is_header_name(name) or not is_header_value(value):
            raise ValueError(f"the header {name!r} must not be sent: its name or value could break the request")
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii")


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000 + 0.5)
