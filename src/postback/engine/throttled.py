"""Lanes with work in the store that only their rate keeps, and when the first of them may go on."""

import math
from collections.abc import Iterator

from postback.engine.lanes import Lane


class Throttled:
    """Asked by whoever looks for work, with the loop's time in seconds."""

    def __init__(self) -> None:
        self.next_at = math.inf
        """When the first of them may go on."""
        self._lanes: dict[int, Lane] = {}

    def __contains__(self, lane: Lane) -> bool:
        return lane.config.id in self._lanes

    def add(self, lane: Lane, now: float) -> bool:
        """Whether its rate is what keeps it: then it waits here."""
        wait_s = lane.wait_for_tokens_s(now)
        if wait_s is None:
            return False
        self._lanes[lane.config.id] = lane
        self.next_at = min(self.next_at, now + wait_s)
        return True

    def let_go(self, now: float) -> Iterator[Lane]:
        """Those that may go on, and wait here no more."""
        if now < self.next_at:
            return
        self.next_at = math.inf
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            # Where nothing spills, its work was claimed since; it may even be idle, and forgotten.
            if lane.spilled and not self.add(lane, now):
                yield lane
