"""What the owner of a config chose about success, retries and time, and its arithmetic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ATTEMPTS_MAX: Final = 50
INTERVAL_MAX_S: Final = 86_400
SCHEDULE_MAX_WAITS: Final = 49
WAIT_MAX_S: Final = 7 * 86_400
SCHEDULE_SUM_MAX_S: Final = 30 * 86_400
RETRY_AFTER_MAX_S: Final = 86_400
JITTER: Final = 0.1


class SuccessRule(StrEnum):
    """Which statuses acknowledge a delivery."""

    ANY_2XX = "2xx"
    EXACTLY_200 = "200"

    def accepts(self, status: int) -> bool:
        return status == 200 if self is _EXACTLY_200 else 200 <= status <= 299


# Looking a member up costs as much as a call; this one is asked for with every answer.
_EXACTLY_200: Final = SuccessRule.EXACTLY_200


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and after how long, a failed delivery is tried again.

    `attempts` counts all, the first included. `waits_s` are the seconds after the first, the second …
    failed attempt; the last wait repeats. `jitter` adds up to a tenth, and never takes away.
    """

    attempts: int = 1
    waits_s: tuple[int, ...] = (300,)
    jitter: bool = False

    def wait_ms_after(self, attempt: int, dice: Callable[[], float]) -> int | None:
        """Milliseconds to wait after the attempt of this number (1 is the first), or None when it was the last."""
        if attempt >= self.attempts:
            return None
        wait_ms = self.waits_s[min(attempt, len(self.waits_s)) - 1] * 1000
        return wait_ms + int(wait_ms * JITTER * dice()) if self.jitter else wait_ms


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds: to connect (names, TCP and TLS together), to the complete head of the answer, and for the whole attempt."""

    connect_s: float = 10.0
    response_s: float = 10.0
    total_s: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatPolicy:
    """What comes with a format where the owner chose nothing.

    `empty_answer`: the receiver was told to answer with nothing, and quickly; one that does otherwise gets a warning.
    """

    success: SuccessRule = SuccessRule.ANY_2XX
    retry: RetryPolicy = RetryPolicy()
    deadlines: Deadlines = Deadlines()
    empty_answer: bool = False


_HOUR_S: Final = 3600
_MODERN: Final = FormatPolicy(
    # The schedule of the Standard Webhooks specification.
    retry=RetryPolicy(8, (5, 300, 1800, 2 * _HOUR_S, 5 * _HOUR_S, 10 * _HOUR_S, 10 * _HOUR_S), jitter=True),
    deadlines=Deadlines(5.0, 15.0, 20.0),
)

POLICIES: Final[Mapping[str, FormatPolicy]] = {
    "api-default": FormatPolicy(),
    # One attempt and five resends, 200 and nothing else: Overview, Postback Notification System.
    "xml": FormatPolicy(success=SuccessRule.EXACTLY_200, retry=RetryPolicy(6)),
    # About one second to answer, with no body: Callbacks.
    "sms-callback": FormatPolicy(deadlines=Deadlines(1.0, 1.0, 1.0), empty_answer=True),
    "json": _MODERN,
    "cloudevents": _MODERN,
}
"""Format → its policy."""


def policy_of_format(name: str) -> FormatPolicy:
    """Also for a format that nobody knows, whose deliveries fail."""
    return POLICIES.get(name, POLICIES["api-default"])
