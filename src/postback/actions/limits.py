"""What an operator allows an account: how it is set, and how the way in holds an account to it."""

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from postback.actions.fields import Errors, Reader, number, read, whole
from postback.domain.accounts import AccountLimits
from postback.domain.deliveries import Accepted, Refused
from postback.domain.errors import PostbackError, RateLimited, TooLarge
from postback.domain.rates import Bucket
from postback.ports import Intake, NewEvent

RATE_MIN: Final = 0.1
RATE_MAX: Final = 1_000_000
CONFIGS_MAX: Final = 1_000_000
BODY_MAX: Final = 1 << 30

BURST_S: Final = 1.0
"""Whoever was silent for a second may publish a second's worth at once."""

_BUCKETS_KEPT: Final = 10_000

LIMITS: Final[Mapping[str, Reader]] = {
    "events_per_second": number(RATE_MIN, RATE_MAX),
    "configs": whole(0, CONFIGS_MAX),
    "max_body": whole(1, BODY_MAX),
}


def read_limits(sent: Mapping[str, object] | None, errors: Errors) -> Mapping[str, Any]:
    """The limits that are named, None for one that is removed; what is wrong with one is said of `limits.<name>`."""
    if sent is None:
        return {}
    own = Errors()
    values = read(sent, LIMITS, own)
    for name, messages in own.as_error().errors.items():
        for message in messages:
            errors.add(f"limits.{name}", f"limits.{message}")
    return {name: values.get(name) for name in sent if name in LIMITS}


class LimitedIntake:
    """Keeps the port Intake, for those who are let in by a key: more than an account is allowed is refused, each event
    in its place. Every process counts for itself."""

    def __init__(
        self,
        intake: Intake,
        limits_of: Callable[[str], Awaitable[AccountLimits]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake = intake
        self._limits_of = limits_of
        self._monotonic = monotonic
        self._buckets: dict[str, Bucket] = {}

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Accepted | Refused]:
        limits = {account: await self._limits_of(account) for account in {event.account for event in events}}
        refusals: dict[int, PostbackError] = {}
        for account, allowed in limits.items():
            if allowed.max_body is not None or allowed.events_per_second is not None:
                own = {place: event for place, event in enumerate(events) if event.account == account}
                refusals |= self._refusals(account, own, allowed)
        if not refusals:
            return await self._intake.publish(events)
        answers = iter(await self._intake.publish([one for place, one in enumerate(events) if place not in refusals]))
        return [Refused(refusals[place]) if place in refusals else next(answers) for place in range(len(events))]

    def _refusals(
        self, account: str, events: Mapping[int, NewEvent], allowed: AccountLimits
    ) -> Mapping[int, PostbackError]:
        """Of the events of one account, each with its place, those that are not let in."""
        refusals: dict[int, PostbackError] = {}
        if allowed.max_body is not None:
            for place, event in events.items():
                # How long the data of a record can be its fields say.
                if len(event.data) > allowed.max_body and not event.changes:
                    refusals[place] = _too_large(event, allowed.max_body)
        if allowed.events_per_second is not None:
            now = self._monotonic()
            bucket = self._bucket(account, allowed.events_per_second, now)
            left = [place for place in events if place not in refusals]
            let_in = min(len(left), bucket.tokens(now))
            bucket.take(now, let_in)
            if let_in < len(left):
                refusals |= dict.fromkeys(left[let_in:], _rate_limited(allowed.events_per_second, bucket.wait_s(now)))
        return refusals

    def _bucket(self, account: str, rate: float, now: float) -> Bucket:
        bucket = self._buckets.get(account)
        if bucket is None:
            if len(self._buckets) >= _BUCKETS_KEPT:
                self._buckets = {name: one for name, one in self._buckets.items() if not one.is_full(now)}
            bucket = self._buckets[account] = Bucket(rate, now, BURST_S)
        elif bucket.rate != rate:
            bucket.change(rate, now)
        return bucket


def _too_large(event: NewEvent, most: int) -> TooLarge:
    return TooLarge(f"limits.max_body: data has {len(event.data):,} bytes, and the account is allowed {most:,}")


def _rate_limited(rate: float, wait_s: float) -> RateLimited:
    return RateLimited(f"limits.events_per_second: the account is allowed {rate:g} events a second", math.ceil(wait_s))
