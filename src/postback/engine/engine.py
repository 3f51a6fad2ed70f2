"""The engine: intake, dispatcher and housekeeper of one worker, started and ended together."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from postback.engine.attempt import Attempter
from postback.engine.courier import TestCourier
from postback.engine.dispatcher import Dispatcher
from postback.engine.housekeeper import Housekeeper
from postback.engine.intake import Intake
from postback.engine.lanes import Lanes
from postback.engine.snapshots import Snapshots
from postback.ports import Clock, Configs, Dice, Queue, Report, Sender

BEATS_A_LEASE: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Places are deliveries held at once, memory is bytes of their bodies; the grace is for what is under way at the end."""

    places: int = 5_000
    memory: int = 256 << 20
    lease_s: float = 30.0
    grace_s: float = 20.0
    retention_days: int = 30


class Engine:
    """One worker. `run` returns when it has been stopped in good order; `intake` is its way in, `courier` that of tests."""

    def __init__(
        self,
        queue: Queue,
        configs: Configs,
        sender: Sender,
        *,
        host: str,
        clock: Clock,
        dice: Dice,
        now: Callable[[], float],
        report: Report,
        limits: Limits,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._host = host
        self._limits = limits
        self._is_hurried = False
        self._is_ending = False
        self.lanes = Lanes(limits.places, limits.memory)
        snapshots = Snapshots(configs)
        attempter = Attempter(sender, clock, dice, report)
        self._dispatcher = Dispatcher(queue, snapshots, self.lanes, attempter, report, clock, now)
        self.intake = Intake(queue, snapshots, self._dispatcher, clock, report)
        self.courier = TestCourier(
            queue,
            attempter,
            clock,
            report,
            next_id=self.intake.next_id,
            worker=lambda: self._dispatcher.worker,
        )
        self._housekeeper = Housekeeper(
            queue, clock, now, report, beat_every_s=limits.lease_s / BEATS_A_LEASE, retention_days=limits.retention_days
        )

    async def run(self, stopping: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Work until `stopping` is set; then refuse events, claim nothing, let attempts end within the grace, settle all.

        What is still under way after the grace ends as interrupted: owed again, no attempt used up.
        """
        await self._enlist()
        no_more_claims, nothing_left = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as parts:
            taking = parts.create_task(self.intake.run(stopping))
            looking = parts.create_task(self._dispatcher.look(no_more_claims))
            parts.create_task(self._dispatcher.settle(nothing_left))
            parts.create_task(self._housekeeper.run(nothing_left, self._enlist_anew))
            started()

            await stopping.wait()
            self.intake.wake()
            await taking
            no_more_claims.set()
            self._dispatcher.wake()
            await looking
            self._is_ending = True
            ending = parts.create_task(self._sender.close(0 if self._is_hurried else self._limits.grace_s))
            await self._dispatcher.drain()
            await ending
            nothing_left.set()
            self._dispatcher.wake()
        await self._queue.retire(self._dispatcher.worker)

    def stored(self) -> None:
        """Something became due in the store by other ways than the intake (a replay): look for it now."""
        self._dispatcher.wake()

    async def hurry(self) -> None:
        """With `stopping` set: no grace for what is under way. Only once nothing is claimed any more: what is
        claimed would be interrupted at once, again and again, and end as poison."""
        self._is_hurried = True
        if self._is_ending:
            await self._sender.close(0)

    async def _enlist(self) -> None:
        worker = await self._queue.enlist(self._host)
        self._dispatcher.worker = self._housekeeper.worker = worker
        self.intake.open(worker)

    async def _enlist_anew(self) -> None:
        self._dispatcher.abandon()
        await self._enlist()
