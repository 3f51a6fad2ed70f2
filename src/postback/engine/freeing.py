"""Freeing what dead workers held, beside the heartbeat, which waits for none of it."""

import asyncio
from collections.abc import Callable

from postback.domain.errors import Unavailable
from postback.domain.telemetry import StoreFailed, WorkerDied
from postback.engine.hold import Hold
from postback.engine.waiting import happens
from postback.ports import Queue, Report, Worker


class Freeing:
    """Looks every few seconds, and when word comes that workers came or went. `took_over` is called when a worker was found
    dead and what it held is owed again. Where all is held nothing is freed: it could end what nobody has released."""

    def __init__(
        self, queue: Queue, report: Report, *, look_every_s: float, hold: Hold, took_over: Callable[[], None]
    ) -> None:
        self.worker = Worker(0, 0, 0)
        self._queue = queue
        self._report = report
        self._look_every_s = look_every_s
        self._hold = hold
        self._took_over = took_over
        self._look_now = asyncio.Event()
        queue.on_workers(self.wake)

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`; what is begun is brought to its end."""
        while not stopping.is_set():
            try:
                if not self._hold.holds:
                    await self._free()
            except Unavailable as error:
                self._report(StoreFailed("free", str(error)))
            if not stopping.is_set():
                await happens(self._look_now, self._look_every_s)
            self._look_now.clear()

    def wake(self) -> None:
        """Workers came or went, nothing is held any more, or `run` is to stop."""
        self._look_now.set()

    async def _free(self) -> None:
        freed = await self._queue.free_dead(self.worker)
        for worker in freed:
            self._report(WorkerDied(worker))
        if freed:
            self._took_over()
