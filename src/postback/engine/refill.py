"""Which lanes to claim for, and how much: accounts in turn, and of each account the lane that has waited longest."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from postback.engine.lanes import Lane, Lanes

PLACES_A_TURN: Final = 8
"""A lane takes so many places before the next has its turn: a wide window must not take them all for a few deliveries."""


class Share(NamedTuple):
    """How many deliveries to claim, by config; and the lanes that had their turn and can take nothing now."""

    room: Mapping[int, int]
    full: Sequence[Lane]


class Refill:
    """What one share costs depends on how much is claimed, not on how many lanes wait."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._accounts: OrderedDict[str, OrderedDict[int, Lane]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def add(self, lane: Lane) -> None:
        """It has its turn after those of its account that wait already."""
        waiting = self._accounts.get(lane.account)
        if waiting is None:
            waiting = self._accounts[lane.account] = OrderedDict()
        waiting[lane.config.id] = lane

    def share(self, now: float, most: int) -> Share:
        """At most so many, within the places that are left to the worker. Lanes that are given any wait no more."""
        lanes = self._lanes
        if now >= lanes.sharing.trusted_until:
            # Nothing could be started.
            return Share({}, ())
        left = min(lanes.places - lanes.taken, most) if lanes.bytes_left > 0 else 0
        left_for_shrunk = lanes.places_for_shrunk
        room: dict[int, int] = {}
        given: list[Lane] = []
        full: list[Lane] = []
        kept: list[Lane] = []
        while left > 0 and self._accounts:
            lane = self._next()
            has = room.get(lane.config.id, 0)
            wanted = min(lane.room(now) - has, left, PLACES_A_TURN)
            if wanted <= 0:
                if not has:
                    full.append(lane)
                continue
            if lane.window.shrunk:
                wanted = min(wanted, left_for_shrunk)
                if wanted <= 0:
                    kept.append(lane)
                    continue
                left_for_shrunk -= wanted
            room[lane.config.id] = has + wanted
            left -= wanted
            given.append(lane)
            self.add(lane)
        for lane in given:
            self._discard(lane)
        for lane in kept:
            if lane.config.id not in room:
                self.add(lane)
        return Share(room, full)

    def _next(self) -> Lane:
        """Out of the line; its account stands behind all others now."""
        account, waiting = self._accounts.popitem(last=False)
        _, lane = waiting.popitem(last=False)
        if waiting:
            self._accounts[account] = waiting
        return lane

    def _discard(self, lane: Lane) -> None:
        waiting = self._accounts.get(lane.account)
        if waiting is not None and waiting.pop(lane.config.id, None) is not None and not waiting:
            del self._accounts[lane.account]
