"""The way of a test: the same POST as that of any delivery, once, without a place in a queue."""

import asyncio
from collections.abc import Callable
from typing import Final

from postback.domain.accounts import Actor
from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Claim, Settlement, Verdict
from postback.domain.errors import Unavailable
from postback.domain.events import Event
from postback.domain.telemetry import TestFinished
from postback.engine.attempt import Attempter, destination_of
from postback.ports import Clock, NewEvent, Queue, Report, Worker

TESTS_AT_ONCE: Final = 10
"""Of one account. People wait for them; more than this many are no people, and must not keep others from testing."""


class TestCourier:
    """Keeps the port Courier. A test is on record before its answer is told; one cut short by the end of the server
    leaves nothing."""

    # Not a test, whatever pytest thinks of the name.
    __test__ = False

    def __init__(
        self,
        queue: Queue,
        attempter: Attempter,
        clock: Clock,
        report: Report,
        *,
        next_id: Callable[[], int],
        worker: Callable[[], Worker],
    ) -> None:
        self._queue = queue
        self._attempter = attempter
        self._clock = clock
        self._report = report
        self._next_id = next_id
        self._worker = worker
        self._is_stopping = False
        self._under_way: dict[asyncio.Future[Settlement], str] = {}
        """Each test, and whose it is."""

    async def test(self, config: PostbackConfig, event: NewEvent, *, by: Actor | None = None) -> int:
        if self._is_stopping:
            raise _stopping()
        config.demand_unlocked()
        if list(self._under_way.values()).count(config.account) >= TESTS_AT_ONCE:
            raise Unavailable("too many tests are under way; ask again in a moment")
        settlement = await self._attempt(config, self._claim(config, event))
        await self._queue.keep_test(self._worker(), settlement, by=by)
        self._report(TestFinished(settlement, config))
        return settlement.claim.event.id

    def stop(self) -> None:
        """Who still waits is told that the server stops, before its connection is cut."""
        self._is_stopping = True
        for attempted in self._under_way:
            if not attempted.done():
                attempted.set_exception(_stopping())

    def _claim(self, config: PostbackConfig, new: NewEvent) -> Claim:
        now_ms = self._clock()
        event = Event(
            self._next_id(),
            new.account,
            new.location_id,
            new.type,
            new.subject,
            new.occurred_at,
            now_ms,
            new.data,
            trace=new.trace,
        )
        return Claim(event, config.id, 0, 0, 0, 0, manual=False, claimed_ms=now_ms)

    async def _attempt(self, config: PostbackConfig, claim: Claim) -> Settlement:
        """What it came to: delivered, or failed and not tried again. It neither disables the config nor warns of it."""
        attempted: asyncio.Future[Settlement] = asyncio.get_running_loop().create_future()

        def settled(settlement: Settlement) -> None:
            # Whoever asked may have gone away.
            if not attempted.done():
                attempted.set_result(settlement)

        self._under_way[attempted] = config.account
        try:
            self._attempter.start(claim, config, destination_of(config), settled)
            settlement = await attempted
        finally:
            del self._under_way[attempted]
        verdict = Verdict.DELIVERED if settlement.verdict is Verdict.DELIVERED else Verdict.FAILED
        return settlement._replace(verdict=verdict, wait_ms=0, disables=None, warns=None)


def _stopping() -> Unavailable:
    return Unavailable("the server is stopping; ask again in a moment")
