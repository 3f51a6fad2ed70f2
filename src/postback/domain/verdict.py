"""What follows from an outcome: pure, so the rule that matters most needs no network and no clock to be tested."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Claim, Verdict
from postback.domain.policy import POLICIES, RETRY_AFTER_MAX_S
from postback.domain.wire import Answered, Outcome, Reason, Unreachable

GONE: Final = 410

_HOPELESS: Final = frozenset({Reason.CANNOT_RENDER, Reason.POISON, Reason.EXPIRED})


WARNED_LEAST_MS: Final = 60_000
"""A warning stays this long at least: a receiver that is right every other time, or wrong in two ways by turns, must not
cost a write each time."""

_MUST_BE_EMPTY: Final = frozenset(name for name, policy in POLICIES.items() if policy.empty_answer)
_LATE: Final = frozenset({Reason.RESPONSE_TIMEOUT, Reason.CONNECT_TIMEOUT})


class Decision(NamedTuple):
    """A wait (ms) where there is another attempt, and why the config is to be disabled where it is."""

    verdict: Verdict
    wait_ms: int = 0
    disables: str | None = None


_DELIVERED: Final = Decision(Verdict.DELIVERED)


def decide(claim: Claim, config: PostbackConfig, outcome: Outcome, now_ms: int, dice: Callable[[], float]) -> Decision:
    """The success rule, 410, interruptions, Retry-After and the retry policy, in this order.

    `now_ms` (unix) serves only to read a Retry-After that is a date.
    """
    match outcome:
        case Answered() if config.success.accepts(outcome.status):
            return _DELIVERED
        case Answered(status=status) if status == GONE:
            return Decision(Verdict.FAILED, disables="the receiver answered 410 Gone")
        case Unreachable(reason=Reason.INTERRUPTED):
            return Decision(Verdict.INTERRUPTED)
        case Unreachable(reason=reason) if reason in _HOPELESS:
            return Decision(Verdict.FAILED)

    wait_ms = config.retry.wait_ms_after(claim.attempts - claim.forgiven + 1, dice)
    if wait_ms is None:
        return Decision(Verdict.FAILED)
    return Decision(Verdict.RETRY, max(wait_ms, retry_after_ms(outcome, now_ms) or 0))


def warning(config: PostbackConfig, outcome: Outcome, now_ms: int) -> str | None:
    """What the config's owner is to be warned of from now on: receivers of some formats must answer at once, and with
    nothing. "" ends a warning that no longer holds, None leaves things as they are.

    The rule is that of Callbacks, Special restrictions.
    """
    found = misbehaviour(config, outcome)
    if found is None or config.warned is None:
        return found or None
    if found == config.warned.text or now_ms - config.warned.since_ms < WARNED_LEAST_MS:
        return None
    return found


def misbehaviour(config: PostbackConfig, outcome: Outcome) -> str | None:
    """How a receiver that must answer at once, and with nothing, did otherwise: an empty text where it did as it should,
    None where its answer says nothing about that, or the format asks nothing of the kind."""
    if config.format not in _MUST_BE_EMPTY:
        return None
    match outcome:
        case Unreachable(reason=reason) if reason in _LATE:
            return f"it did not answer within {config.deadlines.total_s:g} s: store what arrives, and process it later"
        case Answered(status=status) if not config.success.accepts(status):
            return None
        case Answered(body=body) if body:
            return "it answered with a body: the answer must be empty, without even blank HTML"
        case Answered():
            return ""
    return None


def retry_after_ms(outcome: Outcome, now_ms: int) -> int | None:
    """What the receiver asked for in Retry-After (seconds or a date, RFC 9110), at most 24 h; None where it asked nothing usable."""
    if not isinstance(outcome, Answered):
        return None
    values = outcome.header(b"retry-after")
    if len(values) != 1:
        return None
    text = values[0].decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        # int() refuses numbers of more than 4,300 digits; these few are enough to be over the limit.
        return min(int(text.lstrip("0")[:10] or "0"), RETRY_AFTER_MAX_S) * 1000
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    wait_ms = int((when - datetime.fromtimestamp(now_ms / 1000, UTC)).total_seconds() * 1000)
    return min(wait_ms, RETRY_AFTER_MAX_S * 1000) if wait_ms > 0 else None


def reason_of(outcome: Outcome) -> Reason:
    """Why an outcome that was not a success was none."""
    if isinstance(outcome, Unreachable):
        return outcome.reason
    return Reason.REDIRECT_NOT_FOLLOWED if 300 <= outcome.status <= 399 else Reason.BAD_STATUS
