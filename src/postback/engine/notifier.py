"""Tells an account of its own postbacks: notices become events that its other configs may want."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Accepted, NewDeliveries, Settlement, Target
from postback.domain.errors import ConfigsPassed, NotFound, Unavailable
from postback.domain.events import Event
from postback.domain.notices import CONFIG_DISABLED, Notice, of_config, of_delivery
from postback.domain.telemetry import InternalError, StoreFailed
from postback.engine.snapshots import Snapshots
from postback.engine.waiting import happens
from postback.ports import Clock, Queue, Report, Worker

NOTICES_AT_ONCE: Final = 200
NOTICES_WAITING_MAX: Final = 50_000
TRY_AGAIN_S: Final = 1.0


class Notifier:
    """Nobody waits for a notice: what has happened is on record before it is told. `stored` is called with each config
    that has got one. A process that is killed in between has not told the last few."""

    def __init__(
        self,
        queue: Queue,
        snapshots: Snapshots,
        clock: Clock,
        report: Report,
        *,
        next_id: Callable[[], int],
        worker: Callable[[], Worker],
        stored: Callable[[int], None],
    ) -> None:
        self._queue = queue
        self._snapshots = snapshots
        self._clock = clock
        self._report = report
        self._next_id = next_id
        self._worker = worker
        self._stored = stored
        self._waiting: deque[Notice] = deque(maxlen=NOTICES_WAITING_MAX)
        self._something_waits = asyncio.Event()

    def failed(self, settlement: Settlement, config: PostbackConfig) -> None:
        """A delivery has ended without a success."""
        notice = of_delivery(settlement, config)
        if notice is not None:
            self.tell(notice)

    def disabled(self, config: PostbackConfig, why: str) -> None:
        """By an answer, at once: those that fail for long are told of by whoever watches them."""
        self.tell(of_config(CONFIG_DISABLED, config, why))

    def tell(self, notice: Notice) -> None:
        self._waiting.append(notice)
        self._something_waits.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Tell what waits until `stopping` and nothing waits any more."""
        while True:
            await self._something_waits.wait()
            self._something_waits.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), NOTICES_AT_ONCE))]
                try:
                    await self._publish(batch)
                except Unavailable as error:
                    self._report(StoreFailed("tell", str(error)))
                    if stopping.is_set():
                        return
                    self._waiting.extendleft(reversed(batch))
                    await happens(stopping, TRY_AGAIN_S)
                except Exception as error:  # noqa: BLE001 - what cannot be told must not end the worker
                    self._report(InternalError(error))
            if stopping.is_set():
                return

    def wake(self) -> None:
        """Let `run` notice that it is to stop."""
        self._something_waits.set()

    async def _publish(self, waiting: list[Notice]) -> None:
        """What is stored is taken out of `waiting`: what is left is tried again, and nothing is told twice."""
        while waiting:
            wanted = [(notice, unit) for notice in waiting if (unit := await self._unit(notice)) is not None]
            if not wanted:
                return
            answers = await self._queue.accept(self._worker(), [unit for _, unit in wanted])
            passed = []
            for (notice, unit), answer in zip(wanted, answers, strict=True):
                if isinstance(answer, Accepted):
                    for target in unit.targets:
                        self._stored(target.config_id)
                elif isinstance(answer.error, ConfigsPassed):
                    self._snapshots.forget(notice.account)
                    passed.append(notice)
                elif not isinstance(answer.error, NotFound):
                    self._report(InternalError(answer.error))
            waiting[:] = passed

    async def _unit(self, notice: Notice) -> NewDeliveries | None:
        """The notice as an event for those that want it; None where nobody does: nothing is kept for nobody."""
        try:
            snapshot = self._snapshots.held(notice.account) or await self._snapshots.of(notice.account)
        except NotFound:
            return None
        now_ms = self._clock()
        event = Event(
            self._next_id(),
            notice.account,
            notice.location_id,
            notice.type,
            notice.subject,
            None,
            now_ms,
            notice.data,
        )
        targets = [Target(config.id, claimed=False) for config in snapshot.wanting(event) if config.id != notice.about]
        return NewDeliveries(event, targets, snapshot.version) if targets else None
