"""What time makes necessary: the heartbeat, the end of deleted configs, and the end of what is old."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from postback.domain.errors import Unavailable, WorkerDeclaredDead
from postback.domain.telemetry import StoreFailed, WorkerDied
from postback.engine.hold import Hold
from postback.engine.waiting import happens
from postback.ports import Clock, Queue, Report, Worker

ROWS_AT_ONCE: Final = 500
"""Small enough that what is written between two such commits never waits long."""

EXPIRE_EVERY_S: Final = 60.0
DAY_MS: Final = 86_400_000


class Housekeeper:
    """`reborn` is called when others have taken this worker for dead, `took_over` when one of them was found dead."""

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        now: Callable[[], float],
        report: Report,
        *,
        beat_every_s: float,
        retention_days: int,
        took_over: Callable[[], None] = lambda: None,
        hold: Hold | None = None,
    ) -> None:
        self._took_over = took_over
        self._hold = hold or Hold()
        self.worker = Worker(0, 0, 0)
        self._queue = queue
        self._clock = clock
        self._now = now
        self._report = report
        self._beat_every_s = beat_every_s
        self._retention_days = retention_days

    async def run(self, stopping: asyncio.Event, reborn: Callable[[], Awaitable[None]]) -> None:
        """Beat, and where nothing is held bury and expire, until `stopping`."""
        next_expiry = self._now()
        is_declared_dead = False
        while not stopping.is_set():
            try:
                if is_declared_dead:
                    await reborn()
                    is_declared_dead = False
                await self._beat()
                if not self._hold.holds:
                    await self._repeat(stopping, self._queue.bury)
                    if self._now() >= next_expiry:
                        next_expiry = self._now() + EXPIRE_EVERY_S
                        await self._repeat(
                            stopping, partial(self._queue.expire, self._clock() - self._retention_days * DAY_MS)
                        )
            except WorkerDeclaredDead:
                is_declared_dead = True
                continue
            except Unavailable as error:
                self._report(StoreFailed("beat", str(error)))
            await happens(stopping, self._beat_every_s)

    async def _repeat(self, stopping: asyncio.Event, sweep: Callable[[int], Awaitable[int]]) -> None:
        """Sweep until nothing is left; the heart goes on beating between two commits."""
        while not stopping.is_set() and await sweep(ROWS_AT_ONCE):
            await self._beat()

    async def _beat(self) -> None:
        dead = await self._queue.beat(self.worker)
        for worker in dead:
            self._report(WorkerDied(worker))
        if dead:
            self._took_over()
