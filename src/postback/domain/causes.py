"""Causes: why deliveries failed, as finely as it helps to tell them apart. Of answers the status, of TLS what was wrong.

A cause is written `reason` or `reason.part`: `connection_refused`, `bad_status.503`, `tls_error.certificate_expired`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from postback.domain.errors import InvalidValue
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered, Outcome, Reason

WITH_STATUS: Final = (Reason.BAD_STATUS, Reason.REDIRECT_NOT_FOLLOWED)
"""Reasons whose part is the status of the answer."""

TLS_DETAILS: Final[Mapping[str, tuple[str, ...]]] = {
    "certificate_expired": ("certificate has expired",),
    "wrong_name": ("certificate is not valid for",),
    "not_trusted": (
        *("self-signed certificate", "self signed certificate"),
        *("unable to get local issuer certificate", "unable to verify the first certificate"),
    ),
}
"""What was wrong with TLS → what the detail of such an attempt has in it, any of these, in small or capital letters."""

OTHER: Final = "other"
"""The part of a TLS error that is none of TLS_DETAILS."""

EXPECTED: Final = (
    "expected a reason such as connection_refused, with a status such as bad_status.503, or one of "
    f"{', '.join(f'{Reason.TLS_ERROR}.{part}' for part in (*TLS_DETAILS, OTHER))}"
)


class Cause(NamedTuple):
    """`part` is empty where all of the reason is meant."""

    reason: Reason
    part: str = ""

    def __str__(self) -> str:
        return f"{self.reason}.{self.part}" if self.part else str(self.reason)


def cause_of(outcome: Outcome) -> Cause:
    """Why an outcome that was not a success was none."""
    reason = reason_of(outcome)
    if isinstance(outcome, Answered):
        return Cause(reason, str(outcome.status))
    return Cause(reason, _tls_part(outcome.detail)) if reason is Reason.TLS_ERROR else Cause(reason)


def parse_cause(text: str) -> Cause:
    """InvalidValue (`reason`) where there is no such cause."""
    name, dot, part = text.partition(".")
    if name in list(Reason):
        reason = Reason(name)
        if not dot or (reason is Reason.TLS_ERROR and part in (*TLS_DETAILS, OTHER)):
            return Cause(reason, part)
        if reason in WITH_STATUS and part.isascii() and part.isdigit() and len(part) <= 3:
            return Cause(reason, str(int(part)))
    raise InvalidValue.of("reason", f"reason is {text[:100]!r}; {EXPECTED}")


def in_words(cause: Cause) -> str:
    """`connection refused`, `answered 503 Service Unavailable`."""
    if cause.part and cause.reason in WITH_STATUS:
        status = f"{cause.part} {_PHRASES.get(int(cause.part), '')}".rstrip()
        return (
            f"redirect not followed: {status}" if cause.reason is Reason.REDIRECT_NOT_FOLLOWED else f"answered {status}"
        )
    if cause.reason is Reason.TLS_ERROR and cause.part in _TLS_WORDS:
        return _TLS_WORDS[cause.part]
    return _WORDS[cause.reason]


def _tls_part(detail: str) -> str:
    said = detail.lower()
    return next((part for part, texts in TLS_DETAILS.items() if any(text in said for text in texts)), OTHER)


_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}

_TLS_WORDS: Final = {
    "certificate_expired": "certificate expired",
    "wrong_name": "certificate is for another host",
    "not_trusted": "certificate not trusted",
}

_WORDS: Final[Mapping[Reason, str]] = {
    Reason.DNS_ERROR: "host name not found",
    Reason.BLOCKED_ADDRESS: "address not allowed",
    Reason.NO_ROUTE: "no route to the host",
    Reason.CONNECT_TIMEOUT: "connecting timed out",
    Reason.CONNECTION_REFUSED: "connection refused",
    Reason.TLS_ERROR: "TLS failed",
    Reason.RESPONSE_TIMEOUT: "no answer in time",
    Reason.CONNECTION_RESET: "connection broke before the answer",
    Reason.BAD_RESPONSE: "answer is not HTTP",
    Reason.BAD_STATUS: "answered with an error",
    Reason.REDIRECT_NOT_FOLLOWED: "redirect not followed",
    Reason.INTERRUPTED: "interrupted",
    Reason.CANNOT_RENDER: "format cannot say the event",
    Reason.INTERNAL_ERROR: "internal error",
    Reason.POISON: "given up after many interruptions",
    Reason.EXPIRED: "too old, never delivered",
    Reason.CANCELLED: "cancelled",
}
