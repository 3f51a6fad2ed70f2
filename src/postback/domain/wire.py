"""What goes out and what comes back, as plain data: a request, and what the world made of it."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from postback.domain.policy import Deadlines

USER_AGENT: Final = "postback/0.1"


class Reason(StrEnum):
    """Why a delivery was not acknowledged, in words that a person understands."""

    DNS_ERROR = "dns_error"
    BLOCKED_ADDRESS = "blocked_address"
    NO_ROUTE = "no_route"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECTION_REFUSED = "connection_refused"
    TLS_ERROR = "tls_error"
    RESPONSE_TIMEOUT = "response_timeout"
    CONNECTION_RESET = "connection_reset"
    BAD_RESPONSE = "bad_response"
    BAD_STATUS = "bad_status"
    REDIRECT_NOT_FOLLOWED = "redirect_not_followed"
    INTERRUPTED = "interrupted"
    CANNOT_RENDER = "cannot_render"
    INTERNAL_ERROR = "internal_error"
    POISON = "poison"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


CONNECTION_REASONS: Final = frozenset(
    {Reason.DNS_ERROR, Reason.NO_ROUTE, Reason.CONNECT_TIMEOUT, Reason.CONNECTION_REFUSED, Reason.TLS_ERROR}
)
"""Failures of the host rather than of the one receiver behind it."""


class Note(StrEnum):
    """What was odd about an attempt and changed nothing about its outcome."""

    BODY_INCOMPLETE = "body_incomplete"
    ANSWERED_EARLY = "answered_early"
    SENT_AGAIN = "sent_again_on_a_fresh_connection"


@dataclass(frozen=True, slots=True, eq=False)
class Destination:
    """Where the POSTs of one version of a config go. Made once, used for each attempt.

    `host` is what names are resolved and certificates are checked for (no brackets, no port);
    `head` is the request's head up to and without `content-type`, ending in CRLF.
    """

    scheme: str
    host: str
    port: int
    head: bytes
    deadlines: Deadlines
    asker: str = ""
    """Who shares a limit of look-ups of names: the account."""
    secrets: Sequence[bytes] = ()
    """What is not kept of an answer that gives it back."""


class Request(NamedTuple):
    """One POST. `headers` are those that change with each attempt (signatures); names in lower case."""

    destination: Destination
    content_type: str
    body: bytes
    headers: Sequence[tuple[str, str]] = ()


class Timings(NamedTuple):
    """Milliseconds each part took; None for a part that did not happen (a connection that was there already)."""

    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None
    total_ms: int = 0
    sent_after_ms: int | None = None
    """From the start of the attempt to the first byte of the request; None when none left."""


class Answered(NamedTuple):
    """The head of an answer was complete: that alone decides, whatever the body then did."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    timings: Timings
    truncated: bool = False
    notes: Sequence[Note] = ()
    certificate_ends_ms: int | None = None
    """When the receiver's certificate expires (unix), where it was shown for this answer: not over a connection that was
    there already, nor over one that was shortened by what an earlier one had agreed on."""

    def header(self, name: bytes) -> list[bytes]:
        """The values of a header, by its name in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


class Unreachable(NamedTuple):
    """There was no answer. `detail` is for people and carries no secret."""

    reason: Reason
    detail: str
    timings: Timings
    notes: Sequence[Note] = ()


Outcome = Answered | Unreachable


def basic_auth(username: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617, UTF-8)."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()
