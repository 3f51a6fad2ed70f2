"""How many a second: a bucket of tokens, one for each attempt of a config, or for each event of an account."""

from typing import Final

BURST_S: Final = 0.1
"""What a lane did not use it may make up for, but not more than this much time's worth: never twice its rate at once."""

LEAST_WAIT_S: Final = 0.02
"""Fast lanes are looked at again after this long, with several tokens, rather than for each single one."""


class Bucket:
    """Fills with `rate` tokens a second, up to `burst_s` seconds' worth. `now` is monotonic time in seconds."""

    __slots__ = ("_at", "_burst_s", "_most", "_tokens", "rate")

    def __init__(self, rate: float, now: float, burst_s: float = BURST_S) -> None:
        self.rate = rate
        self._burst_s = burst_s
        self._most = max(1.0, rate * burst_s)
        self._tokens = self._most
        self._at = now

    def tokens(self, now: float) -> int:
        """Whole tokens that are there."""
        return int(self._filled(now))

    def take(self, now: float, count: int = 1) -> None:
        self._tokens = self._filled(now) - count
        self._at = now

    def wait_s(self, now: float, spoken_for: int = 0) -> float:
        """Until it is worth looking again for a token beside those that are spoken for."""
        return max((spoken_for + 1.0 - self._filled(now)) / self.rate, LEAST_WAIT_S)

    def change(self, rate: float, now: float) -> None:
        """Another rate from now on; what was used stays used."""
        tokens = self._filled(now)
        self.rate = rate
        self._most = max(1.0, rate * self._burst_s)
        self._tokens = min(tokens, self._most)
        self._at = now

    def drain(self, now: float) -> None:
        """Empty at `now`, whatever was there."""
        self._tokens = 0.0
        self._at = now

    def is_full(self, now: float) -> bool:
        """Whether one that is made anew would be the same."""
        return self._filled(now) >= self._most

    def _filled(self, now: float) -> float:
        # Rounded, because a token that is 0.9999999 there would be waited for once more.
        return min(self._most, round(self._tokens + (now - self._at) * self.rate, 9))
