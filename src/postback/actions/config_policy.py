"""Retries and time: what holds of what the owner chose and what comes with the format."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from postback.actions.config_options import format_of
from postback.actions.fields import Errors, whole
from postback.domain.configs import DISABLE_AFTER_S, MAX_IN_FLIGHT
from postback.domain.policy import (
    SCHEDULE_MAX_WAITS,
    SCHEDULE_SUM_MAX_S,
    WAIT_MAX_S,
    Deadlines,
    RetryPolicy,
    policy_of_format,
)
from postback.resources.fields import Refusal, shown

_SUMMED: Final = frozenset({"api-default", "xml"})
"""Formats whose attempts may take as long as connecting and answering may together; the others have a time of their own."""

_RETRY_FIELDS: Final = ("number_of_attempts", "attempt_interval", "retry_schedule")
_DAY_S: Final = 86_400


def policy_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a PostbackConfig that say when and how often it is called."""
    return {
        "success": values.get("success_status", policy_of_format(format_of(values)).success),
        "retry": retry_policy(values),
        "deadlines": deadlines_of(values),
        "max_in_flight": values.get("max_in_flight", MAX_IN_FLIGHT),
        "rate_limit": values.get("rate_limit"),
        "disable_after_s": values.get("disable_after", DISABLE_AFTER_S),
    }


def retry_policy(values: Mapping[str, Any]) -> RetryPolicy:
    """A schedule alone is tried to its end, more attempts than waits repeat the last one, an interval is the only wait.

    The format's jitter stays with the format's own waits: who chose some means them.
    """
    of_format = policy_of_format(format_of(values)).retry
    attempts, interval, schedule = (values.get(name) for name in _RETRY_FIELDS)
    if schedule is not None:
        return RetryPolicy(attempts or len(schedule) + 1, tuple(schedule))
    if interval is not None:
        return RetryPolicy(attempts or of_format.attempts, (interval,))
    return replace(of_format, attempts=attempts or of_format.attempts)


def deadlines_of(values: Mapping[str, Any]) -> Deadlines:
    """No part lasts longer than the whole; where a format has one time for all, its parts are as long."""
    chosen = format_of(values)
    of_format = policy_of_format(chosen).deadlines
    total_s: float | None = values.get("total_timeout")
    if total_s is None and chosen not in _SUMMED:
        total_s = of_format.total_s
    has_one_budget = of_format.connect_s == of_format.total_s
    connect_s: float = values.get("connect_timeout", total_s if has_one_budget else of_format.connect_s)
    response_s: float = values.get("response_timeout", total_s if has_one_budget else of_format.response_s)
    if total_s is None:
        total_s = connect_s + response_s
    return Deadlines(min(connect_s, total_s), min(response_s, total_s), total_s)


def read_schedule(sent: object) -> tuple[int, ...]:
    if not isinstance(sent, list) or not 1 <= len(sent) <= SCHEDULE_MAX_WAITS:
        raise Refusal(f"is {shown(sent)}; expected a list of 1 to {SCHEDULE_MAX_WAITS} waits in seconds")
    wait = whole(1, WAIT_MAX_S)
    waits = tuple(wait(seconds) for seconds in sent)
    if sum(waits) > SCHEDULE_SUM_MAX_S:
        raise Refusal(f"is {sum(waits):,} seconds in all; expected at most {SCHEDULE_SUM_MAX_S:,}")
    return waits


def check_retries(values: Mapping[str, Any], errors: Errors, sent: Mapping[str, object], retention_days: int) -> None:
    """What no field can tell alone; `sent` are those that the caller names now, the others were kept."""
    interval, schedule = values.get("attempt_interval"), values.get("retry_schedule")
    if interval is not None and schedule is not None:
        named, other = ("retry_schedule", "attempt_interval")
        if named not in sent:
            named, other = other, named
        advice = "send one of them" if other in sent else f"send {other}: null with it"
        errors.add(named, f"{named} and {other} exclude each other; {advice}")
        return
    chosen = next((name for name in reversed(_RETRY_FIELDS) if name in values), None)
    # What comes with a format is taken as it is: its last attempts are lost where deliveries are kept for a day only.
    if chosen is None or "format" in errors:
        return
    total_s = sum(_waits(retry_policy(values)))
    if total_s > retention_days * _DAY_S:
        errors.add(
            chosen, f"all waits together are {total_s:,} seconds; deliveries are kept for {retention_days} days only"
        )


def _waits(policy: RetryPolicy) -> Sequence[int]:
    return [policy.waits_s[min(place, len(policy.waits_s) - 1)] for place in range(policy.attempts - 1)]
