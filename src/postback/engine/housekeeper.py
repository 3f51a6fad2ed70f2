"""What time makes necessary: the end of deleted configs, and the end of what is old."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from postback.domain.errors import Unavailable
from postback.domain.telemetry import StoreFailed
from postback.engine.hold import Hold
from postback.engine.waiting import happens
from postback.ports import Clock, Queue, Report

ROWS_AT_ONCE: Final = 500
"""Small enough that what is written between two such commits never waits long."""

EXPIRE_EVERY_S: Final = 60.0
DAY_MS: Final = 86_400_000


class Housekeeper:
    """Buries every few seconds and expires once a minute, in small commits."""

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        now: Callable[[], float],
        report: Report,
        *,
        bury_every_s: float,
        retention_days: int,
        hold: Hold | None = None,
    ) -> None:
        self._hold = hold or Hold()
        self._queue = queue
        self._clock = clock
        self._now = now
        self._report = report
        self._bury_every_s = bury_every_s
        self._retention_days = retention_days
        self._next_expiry = now()

    async def run(self, stopping: asyncio.Event) -> None:
        """Where nothing is held, bury and expire until `stopping`."""
        while not stopping.is_set():
            try:
                if not self._hold.holds:
                    await self._keep(stopping)
            except Unavailable as error:
                self._report(StoreFailed("keep", str(error)))
            await happens(stopping, self._bury_every_s)

    async def _keep(self, stopping: asyncio.Event) -> None:
        await _repeat(stopping, self._queue.bury)
        if self._now() >= self._next_expiry:
            self._next_expiry = self._now() + EXPIRE_EVERY_S
            await _repeat(stopping, partial(self._queue.expire, self._clock() - self._retention_days * DAY_MS))


async def _repeat(stopping: asyncio.Event, sweep: Callable[[int], Awaitable[int]]) -> None:
    """Sweep until nothing is left."""
    while not stopping.is_set() and await sweep(ROWS_AT_ONCE):
        continue
