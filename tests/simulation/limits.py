"""What receivers see of rates and caps, over all workers together."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from postback.domain.crews import in_touch_ms

RATE: Final = 0.5
"""Deliveries a second that the limited receiver takes, from all workers together."""

CAPS: Final[Mapping[str, int]] = {"narrow": 1, "few": 4}
"""Attempts that receivers of this kind take at once: one that is always owned, one that two workers share."""


class Caller(Protocol):
    """A worker process, as far as it matters here; times are the loop's."""

    is_dead: bool
    last_beat: float
    lapsed_at: float


class Call(NamedTuple):
    caller: Caller
    begins: float
    ends: float


class LimitsSeen:
    """Asked at each call whether it is one too many.

    What a worker has under way that died, has hung up or was not heard of for too long does not count, nor what is called soon after
    the store's clock was put forward: then all others seem silent, and do not know it.
    """

    def __init__(self, lease_s: float) -> None:
        self._in_touch_s = in_touch_ms(int(lease_s * 1000)) / 1000
        self._counted_from = 0.0
        self._under_way: dict[int, list[Call]] = defaultdict(list)
        self._last_sent: dict[int, float] = {}
        self.most_at_once: dict[str, int] = defaultdict(int)
        self.fastest_s = float("inf")

    def put_forward(self, now: float) -> None:
        """The store's clock was."""
        self._counted_from = now + self._in_touch_s
        self._last_sent.clear()

    def beats(self, caller: Caller, now: float) -> None:
        if now - caller.last_beat > self._in_touch_s:
            caller.lapsed_at = now
        caller.last_beat = now

    def hangs_up(self, caller: Caller, now: float) -> None:
        """All that it has under way ends."""
        caller.lapsed_at = now

    def call(self, kind: str, config_id: int, call: Call) -> None:
        now = call.begins
        if now < self._counted_from:
            return
        if kind == "limited":
            since = now - self._last_sent.get(config_id, -1 / RATE)
            assert since >= 1 / RATE - 0.001, f"config {config_id} was called {since} s after the last call"
            self._last_sent[config_id] = now
            self.fastest_s = min(self.fastest_s, since)
        if kind in CAPS:
            known = [other for other in self._under_way[config_id] if other.ends > now and not other.caller.is_dead]
            self._under_way[config_id] = [*known, call]
            counted = 1 + sum(self._counts(other, now) for other in known)
            assert counted <= CAPS[kind], f"config {config_id} was called {counted} times at once"
            self.most_at_once[kind] = max(counted, self.most_at_once[kind])

    def _counts(self, call: Call, now: float) -> bool:
        caller = call.caller
        return call.begins > caller.lapsed_at and now - caller.last_beat <= self._in_touch_s
