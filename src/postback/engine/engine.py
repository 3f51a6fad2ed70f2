"""The engine: intake, dispatcher, heart, freeing and housekeeper of one worker, started and ended together."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from postback.domain.crews import BEATS_A_LEASE, SILENT_BEATS
from postback.domain.errors import Unavailable
from postback.domain.telemetry import InHand, WorkerEnlisted
from postback.engine.attempt import Attempter
from postback.engine.courier import TestCourier
from postback.engine.dispatcher import Dispatcher
from postback.engine.figures import in_hand
from postback.engine.freeing import Freeing
from postback.engine.heart import Heart
from postback.engine.hold import Hold
from postback.engine.housekeeper import Housekeeper
from postback.engine.intake import Intake
from postback.engine.lanes import Lanes
from postback.engine.notifier import Notifier
from postback.engine.replayer import Replayer
from postback.engine.sharing import Sharing
from postback.engine.snapshots import Snapshots
from postback.engine.watcher import Watcher
from postback.ports import Clock, Configs, Dice, NewSpan, Queue, Report, Sender, Troubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Places are deliveries held at once, memory is bytes of their bodies; the grace is for what is under way at the end."""

    places: int = 5_000
    memory: int = 256 << 20
    lease_s: float = 30.0
    grace_s: float = 20.0
    retention_days: int = 30


class Engine:
    """One worker. `run` returns when it has been stopped in good order; `intake` is its way in, `courier` that of tests.

    One that is held accepts and delivers nothing until `release`; tests are sent all the same.
    """

    def __init__(
        self,
        queue: Queue,
        configs: Configs,
        sender: Sender,
        *,
        troubles: Troubles,
        host: str,
        clock: Clock,
        dice: Dice,
        now: Callable[[], float],
        report: Report,
        limits: Limits,
        new_span: NewSpan | None = None,
        is_held: bool = False,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._host = host
        self._now = now
        self._report = report
        self._limits = limits
        self._is_hurried = False
        self._is_ending = False
        self._hold = Hold(holds=is_held)
        beat_every_s = limits.lease_s / BEATS_A_LEASE
        self._sharing = Sharing(beat_every_s * SILENT_BEATS)
        self.lanes = Lanes(limits.places, limits.memory, self._sharing)
        snapshots = Snapshots(configs)
        attempter = Attempter(sender, clock, dice, report)
        self._dispatcher = Dispatcher(queue, snapshots, self.lanes, attempter, report, clock, now, self._hold)
        self.intake = Intake(queue, snapshots, self._dispatcher, clock, report, new_span)
        self.courier = TestCourier(
            queue,
            attempter,
            clock,
            report,
            next_id=self.intake.next_id,
            worker=lambda: self._dispatcher.worker,
        )
        self._notifier = Notifier(
            queue,
            snapshots,
            clock,
            report,
            next_id=self.intake.event_id,
            worker=lambda: self._dispatcher.worker,
            stored=self._dispatcher.stored,
        )
        self._watcher = Watcher(configs, troubles, snapshots, self._notifier, clock, report)
        self._dispatcher.troubled = self._watcher.attempted
        self._dispatcher.failed = self._notifier.failed
        self._dispatcher.disabled = self._notifier.disabled
        self._replayer = Replayer(queue, self._dispatcher.wake, report, self._hold)
        self._housekeeper = Housekeeper(
            queue,
            clock,
            now,
            report,
            bury_every_s=beat_every_s,
            retention_days=limits.retention_days,
            hold=self._hold,
        )
        self._heart = Heart(
            queue,
            self.lanes,
            now,
            report,
            beat_every_s=beat_every_s,
            reallotted=self._dispatcher.reallot,
        )
        self._freeing = Freeing(
            queue,
            report,
            look_every_s=beat_every_s,
            hold=self._hold,
            # Also the jobs that the dead have left undone.
            took_over=self.stored,
        )

    async def run(self, stopping: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Work until `stopping` is set; then refuse events, claim nothing, let attempts end within the grace, settle all.

        What is still under way after the grace ends as interrupted: owed again, no attempt used up.
        """
        await self._enlist()
        await self._heart.start()
        no_more_claims, nothing_left = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as parts:
            taking = parts.create_task(self.intake.run(stopping))
            looking = parts.create_task(self._dispatcher.look(no_more_claims))
            parts.create_task(self._dispatcher.settle(nothing_left))
            parts.create_task(self._heart.run(nothing_left, self._enlist_anew))
            parts.create_task(self._freeing.run(no_more_claims))
            parts.create_task(self._housekeeper.run(nothing_left))
            parts.create_task(self._notifier.run(nothing_left))
            parts.create_task(self._watcher.run(nothing_left))
            parts.create_task(self._replayer.run(stopping))
            started()

            await stopping.wait()
            self._replayer.wake()
            self.intake.wake()
            await taking
            no_more_claims.set()
            self._freeing.wake()
            self._dispatcher.wake()
            await looking
            self._is_ending = True
            self._heart.leave()
            ending = parts.create_task(self._sender.close(0 if self._is_hurried else self._limits.grace_s))
            await self._dispatcher.drain()
            await ending
            nothing_left.set()
            self._dispatcher.wake()
            self._heart.wake()
            self._notifier.wake()
        # Where the store cannot be reached, others free what is still claimed once the lease is over.
        with suppress(Unavailable):
            await self._queue.retire(self._dispatcher.worker)

    @property
    def is_held(self) -> bool:
        return self._hold.holds

    def release(self) -> None:
        """Deliver from now on."""
        self._hold.release()
        self._freeing.wake()
        self.stored()

    def figures(self) -> InHand:
        return in_hand(self.lanes, self.intake, self._now())

    def stored(self) -> None:
        """Something became due in the store by other ways than the intake (a replay), or a job was made: look for it now."""
        self._replayer.wake()
        self._dispatcher.wake()

    def due(self) -> None:
        """Another process has stored something that is due, or will be soon: look for it now."""
        self._dispatcher.wake()

    async def hurry(self) -> None:
        """With `stopping` set: no grace for what is under way. Only once nothing is claimed any more: what is
        claimed would be interrupted at once, again and again, and end as poison."""
        self._is_hurried = True
        if self._is_ending:
            await self._sender.close(0)

    async def _enlist(self) -> None:
        worker = await self._queue.enlist(self._host, is_held=self._hold.holds)
        self._dispatcher.worker = self._heart.worker = self._freeing.worker = worker
        self._sharing.begin(worker.id)
        self._dispatcher.reallot()
        self.intake.open(worker)
        self._report(WorkerEnlisted(worker.id))

    async def _enlist_anew(self) -> None:
        self._dispatcher.abandon()
        await self._enlist()
