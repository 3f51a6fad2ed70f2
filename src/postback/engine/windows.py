"""How much may be under way at once: one rule that is breaker, slow start, herd control and probe in one."""

from typing import Final

from postback.domain.wire import CONNECTION_REASONS, Answered, Outcome, Reason, Unreachable

LANE_START: Final = 4

_TIMEOUTS: Final = frozenset({Reason.CONNECT_TIMEOUT, Reason.RESPONSE_TIMEOUT, Reason.CONNECTION_RESET})


class Window:
    """Grows by one with each success up to `most`, halves with each failure that says "too much", never below one."""

    __slots__ = ("most", "shrunk", "size")

    def __init__(self, start: int, most: int) -> None:
        self.size = min(start, most)
        self.most = most
        self.shrunk = False

    def grow(self) -> None:
        self.shrunk = False
        if self.size < self.most:
            self.size += 1

    def shrink(self) -> None:
        self.shrunk = True
        self.size = max(1, self.size // 2)

    def limit(self, most: int) -> None:
        """Another cap from now on; what has been learned of the receiver stays."""
        self.most = most
        self.size = min(self.size, most)


def overwhelms(outcome: Outcome) -> bool:
    """Whether an outcome asks for less at once: a timeout, a connection failure, 429 or 5xx."""
    if isinstance(outcome, Answered):
        return outcome.status == 429 or 500 <= outcome.status <= 599
    return outcome.reason in CONNECTION_REASONS or outcome.reason in _TIMEOUTS


def blames_the_host(outcome: Outcome) -> bool:
    """Whether the failure was of the connection, so that it counts for every lane to that host and port."""
    return isinstance(outcome, Unreachable) and outcome.reason in CONNECTION_REASONS


def asks_to_pause(outcome: Outcome) -> bool:
    """429 and 503 speak for the whole receiver: with Retry-After they pause the lane, not only one delivery."""
    return isinstance(outcome, Answered) and outcome.status in (429, 503)
