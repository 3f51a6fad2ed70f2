"""One HTTP/1.1 connection: writes a request, reads its answer, and fixes the outcome when the head is complete."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import httptools

from postback.domain.making import made
from postback.domain.wire import Answered, Note, Reason, Unreachable
from postback.transport.exchange import AWAITING, READING, Exchange, message
from postback.transport.failures import CannotReach, lost

HEAD_MAX: Final = 64 * 1024
HEADER_LINE_MAX: Final = 8 * 1024
HEADERS_MAX: Final = 200
INTERIM_MAX: Final = 16
BODY_MAX: Final = 64 * 1024
BODY_S: Final = 2.0
KEPT_OF_SUCCESS: Final = 256

_NO_BODY: Final = (204, 304)
_COOKIE: Final = b"set-cookie"
"""Never kept: we send none back, and they may open the receiver's sessions."""

_FRAMING: Final = (b"content-length", b"transfer-encoding")

HostKey = tuple[str, str, int]
"""Scheme, host and port: connections of one key are interchangeable."""


class Owner(Protocol):
    """Who uses connections, as they see it."""

    def opened(self, connection: "Connection") -> None:
        """It is connected; `lost` will follow, once."""

    def free(self, connection: "Connection") -> None:
        """Its answer was read to the end, and it may carry another request."""

    def ended(self, exchange: Exchange, outcome: Answered | Unreachable) -> None: ...

    def repeat(self, exchange: Exchange) -> None:
        """A reused connection died before one byte of the answer came: nothing was decided, send it on a fresh one."""

    def lost(self, connection: "Connection") -> None: ...


class _BadHead(Exception):
    """Raised inside the parser's callbacks to stop it at once."""


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. Plain; `tls.TlsConnection` puts TLS between it and the wire."""

    __slots__ = (
        "_answers",
        "_body",
        "_body_read",
        "_complete",
        "_dropped",
        "_head_read",
        "_headers",
        "_interim",
        "_keep_alive",
        "_keep_answer",
        "_now",
        "_owner",
        "_parser",
        "_status",
        "_time",
        "_transport",
        "_truncated",
        "exchange",
        "idle_since",
        "key",
    )

    _transport: asyncio.Transport
    _headers: list[tuple[bytes, bytes]]
    _body: bytes
    _status: int
    _head_read: int
    _body_read: int

    def __init__(self, owner: Owner, key: HostKey, keep_answer: int, time: Callable[[], float]) -> None:
        self.key = key
        self.exchange: Exchange | None = None
        self.idle_since = 0.0
        self._owner = owner
        self._keep_answer = keep_answer
        self._time = time
        self._answers = 0
        self._now = 0.0
        self._parser = httptools.HttpResponseParser(self)
        # Sloppy heads (obs-fold, bare LF, control characters in a value) come from receivers that did their work.
        self._parser.set_dangerous_leniencies(lenient_headers=True, lenient_optional_cr_before_lf=True)
        self._begin()

    def is_usable(self) -> bool:
        return not self._transport.is_closing()

    def post(self, exchange: Exchange, now: float) -> None:
        """Send the request; the outcome goes to the owner. ValueError where it must not be sent."""
        data = message(exchange.request)
        self.exchange = exchange
        exchange.connection = self
        exchange.phase = AWAITING
        exchange.sent = now
        exchange.deadline = min(now + exchange.request.destination.deadlines.response_s, exchange.ends)
        self._write(data)

    def give_up(self, reason: Reason, detail: str) -> None:
        """The owner has waited long enough: what is known by now is the outcome."""
        exchange = self.exchange
        if exchange is not None and self._status:
            self._cut(exchange)
        else:
            self.abort()
            if exchange is not None:
                self._fail(exchange, CannotReach(reason, detail))

    def has_unsent(self) -> bool:
        return self._transport.get_write_buffer_size() > 0

    def close(self) -> None:
        """End it. What a receiver has not taken of a request that it answered is dropped: it might never take it."""
        if self.has_unsent():
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # --- from the wire -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        # It calls us, we call it: that circle would keep all of this until a collection, which knows nothing of its size.
        del self._parser
        self._owner.lost(self)
        exchange = self.exchange
        if exchange is None:
            return
        if self._status:
            if not self._ends_by_close():
                exchange.note(Note.BODY_INCOMPLETE)
            self._end(exchange)
        elif self._answers and exchange.first_byte is None:
            self.exchange = None
            self._owner.repeat(exchange)
        else:
            self._fail(exchange, lost(error))

    def _write(self, data: bytes) -> None:
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            # Nobody asked: whatever it is, the next answer on this connection could be mistaken for another's.
            self.abort()
            return
        self._now = now = self._time()
        if exchange.first_byte is None:
            exchange.first_byte = now
        if not self._status:
            self._head_read += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._malformed(exchange, error)
            return
        if self._complete:
            self._end(exchange)
        elif self._status:
            self._await_body(exchange, len(data))
        elif self._head_read > HEAD_MAX:
            self._refuse(exchange, f"its head is longer than {HEAD_MAX} bytes")

    # --- from the parser -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._complete:
            raise _BadHead("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._status:
            return  # a trailer
        if len(name) == len(_COOKIE) and name.lower() == _COOKIE:
            self._dropped += 1
        else:
            self._headers.append((name, value))
        if len(self._headers) + self._dropped > HEADERS_MAX:
            raise _BadHead(f"it has more than {HEADERS_MAX} headers")

    def on_headers_complete(self) -> None:
        if self._head_read > HEADER_LINE_MAX:
            self._check_size()
        status = self._parser.get_status_code()
        if status < 200 and status != 101:
            self._skip_interim(status)
            return
        self._status = status
        self._keep_alive = self._parser.should_keep_alive()
        if status in _NO_BODY and self._promises_a_body():
            # It promises a body that it must not have: still on its way, that would be read as the next answer.
            self._keep_alive = False
        if self._transport.get_write_buffer_size() and self.exchange is not None:
            self._keep_alive = False
            self.exchange.note(Note.ANSWERED_EARLY)

    def on_body(self, body: bytes) -> None:
        keep = min(KEPT_OF_SUCCESS, self._keep_answer) if 200 <= self._status <= 299 else self._keep_answer
        room = keep - len(self._body)
        if len(body) > room:
            self._truncated = True
            body = body[:room]
        self._body += body

    def on_message_complete(self) -> None:
        self._complete = self._status > 0

    # --- what came of it -----------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Ready for the next answer."""
        self._status = 0
        self._headers = []
        self._dropped = 0
        self._head_read = 0
        self._interim = 0
        self._body = b""
        self._body_read = 0
        self._keep_alive = False
        self._complete = False
        self._truncated = False

    def _end(self, exchange: Exchange) -> None:
        """The head was complete, so there is an answer; a connection whose answer ended cleanly is free again."""
        now = self._time()
        outcome = made(
            Answered,
            (
                self._status,
                self._headers,
                self._body,
                exchange.timings(now),
                self._truncated,
                exchange.notes,
                exchange.certificate_ends_ms,
            ),
        )
        self.exchange = None
        self._answers += 1
        self.idle_since = now
        if self._complete and self._keep_alive:
            self._begin()
            self._owner.free(self)
        else:
            self.close()
        self._owner.ended(exchange, outcome)

    def _await_body(self, exchange: Exchange, more: int) -> None:
        if exchange.phase is not READING:
            exchange.phase = READING
            exchange.deadline = min(self._now + BODY_S, exchange.ends)
        self._body_read += more
        if self._body_read > BODY_MAX:
            self._cut(exchange)

    def _cut(self, exchange: Exchange) -> None:
        """More of the body is not worth waiting for."""
        self._truncated = True
        self.abort()
        self._end(exchange)

    def _fail(self, exchange: Exchange, failure: CannotReach) -> None:
        self.exchange = None
        timings = exchange.timings(self._time())
        self._owner.ended(exchange, Unreachable(failure.reason, failure.detail, timings, exchange.notes))

    def _refuse(self, exchange: Exchange, fault: str) -> None:
        self.abort()
        self._fail(exchange, CannotReach(Reason.BAD_RESPONSE, f"the answer is not one of HTTP/1.1: {fault}"))

    def _malformed(self, exchange: Exchange, error: Exception) -> None:
        self._keep_alive = False
        if self._complete:
            self._end(exchange)
        elif self._status:
            exchange.note(Note.BODY_INCOMPLETE)
            self._end(exchange)
        else:
            cause = error.__context__
            self._refuse(exchange, str(cause if isinstance(cause, _BadHead) else error))

    def _skip_interim(self, status: int) -> None:
        if status < 100:
            raise _BadHead(f"its status is {status:03}")
        self._interim += 1
        if self._interim > INTERIM_MAX:
            raise _BadHead(f"it has more than {INTERIM_MAX} interim answers")
        self._dropped += len(self._headers)
        self._headers = []

    def _check_size(self) -> None:
        """Only for a long head: in a short one no line can be too long."""
        if sum(len(name) + len(value) for name, value in self._headers) > HEAD_MAX:
            raise _BadHead(f"its head is longer than {HEAD_MAX} bytes")
        if any(len(name) + len(value) > HEADER_LINE_MAX for name, value in self._headers):
            raise _BadHead(f"one of its headers is longer than {HEADER_LINE_MAX} bytes")

    def _promises_a_body(self) -> bool:
        """An empty one, as some write it with a 204, is none."""
        return any(name.lower() in _FRAMING and value != b"0" for name, value in self._headers)

    def _ends_by_close(self) -> bool:
        return not any(name.lower() in _FRAMING for name, _ in self._headers)
