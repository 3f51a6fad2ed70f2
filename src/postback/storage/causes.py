"""Causes of failures as the database keeps them: a measure for each in `counters`, and conditions on rows of `attempts`."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, and_, not_, or_

from postback.domain.causes import OTHER, TLS_DETAILS, WITH_STATUS, Cause
from postback.domain.wire import Reason
from postback.storage.measures import CAUSE
from postback.storage.tables import attempts

_STATUSES: Final = 1000

_NUMBERS: Final[Mapping[Cause, int]] = {
    Cause(Reason.DNS_ERROR): 1000,
    Cause(Reason.BLOCKED_ADDRESS): 1001,
    Cause(Reason.NO_ROUTE): 1002,
    Cause(Reason.CONNECT_TIMEOUT): 1003,
    Cause(Reason.CONNECTION_REFUSED): 1004,
    Cause(Reason.TLS_ERROR, OTHER): 1005,
    Cause(Reason.TLS_ERROR, "certificate_expired"): 1006,
    Cause(Reason.TLS_ERROR, "wrong_name"): 1007,
    Cause(Reason.TLS_ERROR, "not_trusted"): 1008,
    Cause(Reason.RESPONSE_TIMEOUT): 1009,
    Cause(Reason.CONNECTION_RESET): 1010,
    Cause(Reason.BAD_RESPONSE): 1011,
    Cause(Reason.INTERRUPTED): 1012,
    Cause(Reason.CANNOT_RENDER): 1013,
    Cause(Reason.INTERNAL_ERROR): 1014,
    Cause(Reason.POISON): 1015,
    Cause(Reason.EXPIRED): 1016,
    Cause(Reason.CANCELLED): 1017,
}
"""Those without a status, from _STATUSES on: the database keeps these numbers, so none of them ever changes its meaning."""

_CAUSES: Final = {number: cause for cause, number in _NUMBERS.items()}


def measure_of(cause: Cause) -> int:
    """Of a cause as finely as `cause_of` tells it."""
    return CAUSE + (int(cause.part) if cause.reason in WITH_STATUS else _NUMBERS[cause])


def cause_of_measure(measure: int) -> Cause:
    number = measure - CAUSE
    if number >= _STATUSES:
        return _CAUSES[number]
    return Cause(Reason.REDIRECT_NOT_FOLLOWED if 300 <= number <= 399 else Reason.BAD_STATUS, str(number))


def has_cause(cause: Cause) -> ColumnElement[bool]:
    """That an attempt failed so."""
    of_reason = attempts.c.reason == cause.reason
    if not cause.part:
        return of_reason
    if cause.reason in WITH_STATUS:
        return and_(of_reason, attempts.c.status == int(cause.part))
    known = {part: _says(texts) for part, texts in TLS_DETAILS.items()}
    if cause.part != OTHER:
        return and_(of_reason, known[cause.part])
    return and_(of_reason, or_(attempts.c.detail.is_(None), not_(or_(*known.values()))))


def _says(texts: tuple[str, ...]) -> ColumnElement[bool]:
    return or_(*(attempts.c.detail.icontains(text, autoescape=True) for text in texts))
