"""Whose TLS handshake begins, and whose goes on: when all go on at once, none ends in time."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from postback.transport.connection import HostKey

STEPS_A_TURN: Final = 8
"""A handshake costs 600 to 800 µs of CPU: more of them at once would hold up everything else on the loop."""

BEGUN_MAX: Final = 128
HELD_S: Final = 0.125
"""So many are begun and not ended, not counting those that have taken longer than this. What hangs costs the others no
more than what succeeds: a place for that long is 1,024 handshakes a second, which is about what a core can do."""


class Place:
    """One handshake that has begun, since when (seconds of the loop's clock)."""

    __slots__ = ("since",)

    def __init__(self, since: float) -> None:
        self.since = since


class Turns:
    """Paces the handshakes of a process. Those begun go on first, in their order, so that they end before more begin.

    Those to begin wait for a place: accounts in turn, and the hosts of an account in turn.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._steps: deque[Callable[[], None]] = deque()
        self._waiting = _Waiting()
        self._begun: dict[Place, None] = {}
        self._taken = 0
        self._next: asyncio.Handle | None = None
        self._is_soon = False

    async def begin(self, account: str, host: HostKey) -> Place:
        """Wait until a handshake may begin; `end` gives the place back."""
        if self._taken < STEPS_A_TURN and not self._steps and not self._waiting and self._has_room():
            return self._begin()
        turn: asyncio.Future[Place] = self._loop.create_future()
        self._waiting.add(account, host, turn)
        self._go_on()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.end(turn.result())
            raise

    def end(self, place: Place) -> None:
        self._begun.pop(place, None)
        if self._waiting:
            self._go_on()

    def take(self, step: Callable[[], None]) -> None:
        """A handshake that has begun goes on: now, or in one of the next turns of the loop."""
        if self._taken < STEPS_A_TURN and not self._steps:
            self._count()
            step()
        else:
            self._steps.append(step)

    def _turn(self) -> None:
        self._next = None
        self._taken = 0
        for _ in range(min(STEPS_A_TURN, len(self._steps))):
            self._count()
            self._steps.popleft()()
        while self._waiting and self._taken < STEPS_A_TURN and self._has_room():
            turn = self._waiting.next()
            if not turn.done():
                turn.set_result(self._begin())
        self._go_on()

    def _count(self) -> None:
        """One more in this turn of the loop; the next turn begins to count anew."""
        self._taken += 1
        self._soon()

    def _begin(self) -> Place:
        self._count()
        place = Place(self._loop.time())
        self._begun[place] = None
        return place

    def _has_room(self) -> bool:
        if len(self._begun) < BEGUN_MAX:
            return True
        oldest = next(iter(self._begun))
        if oldest.since > self._loop.time() - HELD_S:
            return False
        del self._begun[oldest]
        return True

    def _go_on(self) -> None:
        """Come back in the next turn of the loop; or, where nothing can be done before, when the oldest has had its time."""
        if self._steps or (self._waiting and len(self._begun) < BEGUN_MAX):
            self._soon()
        elif self._waiting and self._next is None:
            self._is_soon = False
            self._next = self._loop.call_at(next(iter(self._begun)).since + HELD_S, self._turn)

    def _soon(self) -> None:
        if self._next is not None:
            if self._is_soon:
                return
            self._next.cancel()
        self._is_soon = True
        self._next = self._loop.call_soon(self._turn)


class _Waiting:
    """Who waits to begin: one of each account in turn, one of each of its hosts in turn."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, OrderedDict[HostKey, deque[asyncio.Future[Place]]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._accounts)

    def add(self, account: str, host: HostKey, turn: asyncio.Future[Place]) -> None:
        self._accounts.setdefault(account, OrderedDict()).setdefault(host, deque()).append(turn)

    def next(self) -> asyncio.Future[Place]:
        account, hosts = self._accounts.popitem(last=False)
        host, turns = hosts.popitem(last=False)
        turn = turns.popleft()
        # What is left goes to the end of the round.
        if turns:
            hosts[host] = turns
        if hosts:
            self._accounts[account] = hosts
        return turn
