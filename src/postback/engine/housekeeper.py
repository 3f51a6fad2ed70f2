"""What time makes necessary: the end of deleted configs, and the end of what is old."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from postback.domain.errors import Unavailable
from postback.domain.telemetry import StoreFailed
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
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._now = now
        self._report = report
        self._bury_every_s = bury_every_s
        self._retention_days = retention_days

    async def run(self, stopping: asyncio.Event) -> None:
        next_expiry = self._now()
        while not stopping.is_set():
            try:
                await _repeat(stopping, self._queue.bury)
                if self._now() >= next_expiry:
                    next_expiry = self._now() + EXPIRE_EVERY_S
                    await _repeat(stopping, partial(self._queue.expire, self._clock() - self._retention_days * DAY_MS))
            except Unavailable as error:
                self._report(StoreFailed("keep", str(error)))
            await happens(stopping, self._bury_every_s)


async def _repeat(stopping: asyncio.Event, sweep: Callable[[int], Awaitable[int]]) -> None:
    """Sweep until nothing is left."""
    while not stopping.is_set() and await sweep(ROWS_AT_ONCE):
        continue
