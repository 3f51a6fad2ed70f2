"""Who is dead, as one process sees it: by what it has itself seen of the others' heartbeats, and by their locks."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from postback.ports import Clock


class Registered(NamedTuple):
    """Another worker. `beat_ms`, its last heartbeat, and `now` are of the database's clock; `is_declared` says that it
    was declared dead, and that what it held is being freed, or is still to be."""

    id: int
    beat_ms: int
    lease_ms: int
    now: int
    is_declared: bool


class Witness:
    """`steady` counts milliseconds of a clock that does not jump; `is_over` knows of some that they are dead for certain."""

    def __init__(self, steady: Clock, is_over: Callable[[int], bool]) -> None:
        self._steady = steady
        self._is_over = is_over
        self._seen: dict[int, tuple[int, int]] = {}

    def silent(self, others: Iterable[Registered]) -> dict[int, int]:
        """Those of all others that are dead: their last heartbeats.

        By the database's clock one was not heard of for its lease, and for as long this process has seen it so: a clock
        that is put forward makes nobody look dead.
        """
        steady_ms = self._steady()
        seen, silent = {}, {}
        for one in others:
            before_ms, since_ms = self._seen.get(one.id, (None, steady_ms))
            seen[one.id] = one.beat_ms, since_ms if one.beat_ms == before_ms else steady_ms
            is_silent = one.beat_ms < one.now - one.lease_ms and steady_ms - seen[one.id][1] > one.lease_ms
            if one.is_declared or is_silent or self._is_over(one.id):
                silent[one.id] = one.beat_ms
        self._seen = seen
        return silent
