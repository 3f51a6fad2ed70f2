"""The heartbeat: this worker tells that it lives and which crew it goes by, and hears the same of the others."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from postback.domain.crews import Keys
from postback.domain.errors import Unavailable, WorkerDeclaredDead
from postback.domain.telemetry import StoreFailed
from postback.engine.lanes import Lanes
from postback.engine.waiting import happens
from postback.ports import Queue, Report, Worker

LOOKS_A_BEAT: Final = 5
"""So often a worker looks, instead of once a beat, until all of them go by the same crew, or until the store answers."""


class Heart:
    """`reallotted` is called when more or less of these lanes and hosts, or of all, may be this worker's. `now` is the
    loop's monotonic time in seconds."""

    def __init__(
        self,
        queue: Queue,
        lanes: Lanes,
        now: Callable[[], float],
        report: Report,
        *,
        beat_every_s: float,
        reallotted: Callable[[Keys | None], None],
    ) -> None:
        self.worker = Worker(0, 0, 0)
        self._queue = queue
        self._lanes = lanes
        self._sharing = lanes.sharing
        self._now = now
        self._report = report
        self._beat_every_s = beat_every_s
        self._reallotted = reallotted
        self._beat_now = asyncio.Event()
        queue.on_workers(self.wake)

    async def start(self) -> None:
        """The first beats, after which a worker that is alone has all lanes; `run` repeats what failed."""
        try:
            await self._beat()
        except Unavailable as error:
            self._report(StoreFailed("beat", str(error)))

    async def run(self, stopping: asyncio.Event, reborn: Callable[[], Awaitable[None]]) -> None:
        """Beat until `stopping`; `reborn` is called when others have taken this worker for dead."""
        is_declared_dead = False
        while not stopping.is_set():
            try:
                if is_declared_dead:
                    await reborn()
                    is_declared_dead = False
                await self._beat()
            except WorkerDeclaredDead:
                is_declared_dead = True
                continue
            except Unavailable as error:
                self._report(StoreFailed("beat", str(error)))
                has_failed = True
            else:
                has_failed = False
            if not stopping.is_set():
                is_urgent = has_failed or not self._sharing.is_agreed
                await happens(self._beat_now, self._beat_every_s / (LOOKS_A_BEAT if is_urgent else 1))
            self._beat_now.clear()

    def wake(self) -> None:
        """Another worker has come, gone, or goes by another crew; or `run` is to stop."""
        self._beat_now.set()

    def leave(self) -> None:
        """Nothing more is begun here: others may have all but what is still under way, once they are told."""
        self._sharing.leave()
        self._reallotted(None)
        if self._lanes.over():
            # Else the worker ends at once, which is told as well.
            self.wake()

    async def _beat(self) -> None:
        sharing = self._sharing
        sharing.has_news(self._lanes.over)
        while True:
            asked_at = self._now()
            peers = await self._queue.beat(self.worker, sharing.goes_by, keeps=sharing.keeps, leaves=sharing.leaves)
            if sharing.hear(peers, asked_at, self._now()):
                self._reallotted(None)
            elif sharing.let_go:
                self._reallotted(sharing.let_go)
            if not sharing.has_news(self._lanes.over):
                return
