"""What is owed, on PostgreSQL: the methods of the port Queue, each a transaction or a single statement."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from postback.domain.accounts import Actor
from postback.domain.crews import NOTHING, Keys, Peer
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, Refused, Settled, Settlement
from postback.domain.errors import Unavailable, WorkerDeclaredDead
from postback.domain.ids import config_text, delivery_text
from postback.domain.jobs import JobKind
from postback.ports import Job, LogFilter, Report, Waiting, Worker
from postback.storage import jobs
from postback.storage.committed import Uncommitted
from postback.storage.postgres import claiming, keeping, replaying, retention, workers
from postback.storage.postgres.accepting import Accepting
from postback.storage.postgres.auditing import ServerAuditor
from postback.storage.postgres.clock import ServerClock
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.door import Door
from postback.storage.postgres.failures import Lost
from postback.storage.postgres.journal import PARTS
from postback.storage.postgres.lives import Lives
from postback.storage.postgres.partitions import make_ahead
from postback.storage.postgres.settling import Settling
from postback.storage.postgres.tasks import Task, Tasks
from postback.storage.postgres.tokens import Tokens
from postback.storage.postgres.unanswered import Unanswered
from postback.storage.postgres.witness import Witness
from postback.storage.settling import key_of

HOUR_MS: Final = 3_600_000

EVER: Final = 1 << 62
"""Later than any heartbeat."""


class PostgresQueue:
    """Keeps the port Queue for one process. `transact` runs a function in a transaction and reports it; `changed` is
    called inside one with an account whose configs it changes; `send_due` tells other processes of lanes, and
    `send_workers` that workers came, went or say something else. `lives` knows who is dead on this machine."""

    def __init__(
        self,
        doors: Doors,
        clock: ServerClock,
        auditor: ServerAuditor,
        *,
        lease_ms: int,
        alone: bool,
        report: Report,
        transact: Callable[[Callable[[Door, Uncommitted], Awaitable[object]]], Awaitable[object]],
        changed: Callable[[str], None],
        send_due: Callable[[Collection[int]], None],
        send_workers: Callable[[], None],
        lives: Lives,
    ) -> None:
        self._doors = doors
        self._clock = clock
        self._auditor = auditor
        self._lease_ms = lease_ms
        self._alone = alone
        self._changed = changed
        self._send_due = send_due
        self._send_workers = send_workers
        self._told: dict[int, Peer] = {}
        self._tasks = Tasks(doors, clock, transact, report, send_due)
        self._tokens = Tokens()
        self._unanswered = Unanswered(clock)
        self._witness = Witness(clock.steady, lives.is_over)
        self._lives = lives
        self._made_ahead_at = -1

    # --- workers ------------------------------------------------------------------------------------------------

    async def enlist(self, host: str, *, is_held: bool = False) -> Worker:
        await self._doors.transact(lambda door: workers.notice_jump(door.raw, self._clock.given))
        if self._alone and not is_held:
            async with self._doors.one() as door:
                earlier = await workers.registered(door.raw)
            await self._free(dict.fromkeys(earlier, EVER), 0)
        worker = await self._tasks.run(lambda task: workers.enlist(task, host, self._lease_ms))
        self._lives.begin(worker.id)
        return worker

    async def retire(self, worker: Worker) -> None:
        if not await self._tasks.run(lambda task: workers.retire(task.raw, worker.id)):
            await self._free({worker.id: EVER}, worker.slot % PARTS, waits=True)
        self._lives.end(worker.id)
        self._send_workers()
        self._told.pop(worker.id, None)

    async def beat(
        self, worker: Worker, goes_by: int = 0, *, keeps: Keys = NOTHING, leaves: bool = False
    ) -> Sequence[Peer]:
        me = Peer(worker.id, goes_by, keeps, leaves)

        async def run(task: Task) -> int:
            task.is_sent = True
            return task.moment.is_at(await workers.beat(task.raw, task.moment.given, me))

        try:
            now = await self._tasks.one(run, beats=True)
        except WorkerDeclaredDead:
            self._lives.end(worker.id)
            raise
        async with self._doors.beating() as door:
            heard = await workers.heard_of(door.raw, now)
        if self._told.get(worker.id) != me:
            self._told[worker.id] = me
            self._send_workers()
        return heard

    async def free_dead(self, worker: Worker) -> Sequence[int]:
        """One process at a time: the others find that there is nothing for them to do."""
        async with self._doors.one() as door:
            if not self._unanswered.is_empty:
                self._send_due(await self._unanswered.release(door.raw, worker.id, self._clock()))
            others = await workers.others(door.raw, self._clock.given, worker.id)
            self._lives.watch(one.id for one in others)
            dead = self._witness.silent(others)
            if not dead:
                return []
            async with workers.freeing_alone(door.raw) as is_alone:
                return await self._free(dead, worker.slot % PARTS) if is_alone else []

    async def _free(self, silent: Mapping[int, int], part: int, *, waits: bool = False) -> Sequence[int]:
        """Those of them who were not heard of since; all that they held is looked for once and freed by its keys."""
        dead = await self._tasks.run(lambda task: workers.declare_dead(task.raw, silent, waits=waits))
        if not dead:
            return []
        keys = await self._tasks.run(lambda task: workers.held(task.raw, dead))
        for start in range(0, len(keys), workers.AT_ONCE):
            some = keys[start : start + workers.AT_ONCE]
            await self._tasks.run(partial(workers.free, dead=dead, keys=some), part)
        await self._tasks.run(lambda task: workers.forget(task.raw, dead))
        for one in dead:
            self._lives.end(one)
        self._send_workers()
        return dead

    # --- the way of a delivery ----------------------------------------------------------------------------------

    async def accept(self, worker: Worker, units: Sequence[NewDeliveries]) -> Sequence[Accepted | Refused]:
        accepting = Accepting(self._doors, self._tasks, self._tokens, self._unanswered, self._auditor, worker)
        return await accepting.accept(units)

    async def waiting(self, worker: Worker, within_ms: int, limit: int) -> Sequence[Waiting]:  # noqa: ARG002
        """Every worker sees the same lanes."""
        async with self._doors.one() as door:
            return await claiming.waiting(door.raw, self._clock.given, within_ms, limit)

    async def claim(self, worker: Worker, room: Mapping[int, int], max_bytes: int) -> Sequence[Claim]:
        number = sum(places for places in room.values() if places > 0)
        first = self._tokens.take(number)

        async def run(task: Task) -> Sequence[Claim]:
            return await claiming.claim(task, worker.id, first, room, max_bytes)

        try:
            return await self._tasks.run(run)
        except Lost as lost:
            if lost.unknown:
                self._unanswered.claims(range(first, first + number))
            raise

    async def release(self, claims: Sequence[Claim]) -> None:
        async def run(task: Task) -> Sequence[int]:
            await task.go_by_keys()
            return await claiming.release(task.raw, claims)

        if claims:
            self._send_due(await self._tasks.run(run))

    async def settle(self, worker: Worker, settlements: Sequence[Settlement]) -> Settled:
        if not settlements:
            return Settled(0, (), {})
        tokens = [key_of(settlement)[2] for settlement in settlements]

        async def run(task: Task) -> Settled:
            uncertain = self._unanswered.uncertain
            return await Settling(task, worker.id, self._auditor, self._changed, uncertain).settle(settlements)

        try:
            settled = await self._tasks.run(run, worker.slot % PARTS)
        except Lost as lost:
            if lost.unknown:
                self._unanswered.settled(tokens)
            raise
        self._unanswered.certain(tokens)
        return settled

    # --- what people ask ----------------------------------------------------------------------------------------

    async def keep_test(self, worker: Worker, settlement: Settlement, *, by: Actor | None = None) -> None:
        event, config_id = settlement.claim.event, settlement.claim.config_id
        facts = {"event_type": event.type, "delivery_id": delivery_text(event.id, config_id)}

        async def run(task: Task) -> None:
            await keeping.keep_test(task.raw, await task.ask_time(), worker.id, settlement)
            await task.door.run(
                lambda connection: self._auditor.record(
                    connection, event.account, by, "postbackconfig.test", config_text(config_id), after=facts
                )
            )

        await self._tasks.run(run)

    async def replay(self, account: str, event_id: int, config_id: int, *, by: Actor | None = None) -> None:
        async def run(task: Task) -> None:
            await task.ask_time()
            await keeping.replay(task.raw, task.journal(), account, event_id, config_id)
            await self._record(task, account, by, "delivery.replay", delivery_text(event_id, config_id))

        await self._tasks.run(run)

    async def cancel(self, account: str, event_id: int, config_id: int, *, by: Actor | None = None) -> None:
        async def run(task: Task) -> None:
            await task.ask_time()
            await keeping.cancel(task.raw, task.journal(), account, event_id, config_id)
            await self._record(task, account, by, "delivery.cancel", delivery_text(event_id, config_id))

        await self._tasks.run(run)

    async def count_for_job(self, account: str, kind: JobKind, narrowed: LogFilter, at_most: int | None = None) -> int:
        return await self._count_for_job(account, kind, narrowed, self._clock(), at_most)

    async def start_job(
        self, account: str, job_id: str, kind: JobKind, narrowed: LogFilter, *, by: Actor | None = None
    ) -> Job:
        # Counted on a reader: it may take as long as a long list does.
        now = self._clock()
        selected = await self._count_for_job(account, kind, narrowed, now)
        job = jobs.new_job(job_id, account, kind, narrowed, selected, now)
        facts = {"filter": narrowed.as_asked(), "selected": job.selected}

        async def run(task: Task) -> None:
            await replaying.start(task.raw, job)
            await self._record(task, account, by, f"deliveries.{kind}", job_id, facts)

        await self._tasks.run(run)
        return job

    async def jobs_in_turn(self, kind: JobKind | None = None) -> Sequence[str]:
        async with self._doors.reading() as door:
            return await replaying.in_turn(door.raw, kind)

    async def run_job(self, job_id: str, limit: int) -> int:
        async def run(task: Task) -> int:
            await task.ask_time()
            return await replaying.step(task.door, task.journal(), job_id, limit)

        return await self._tasks.run(run)

    async def find_job(self, account: str, job_id: str) -> Job:
        async with self._doors.reading() as door:
            return await replaying.find(door.raw, account, job_id)

    async def list_jobs(self, account: str, before: str | None, limit: int) -> Sequence[Job]:
        async with self._doors.reading() as door:
            return await replaying.listed(door.raw, account, before, limit)

    async def _count_for_job(
        self, account: str, kind: JobKind, narrowed: LogFilter, now: int, at_most: int | None = None
    ) -> int:
        async with self._doors.reading() as door:
            return await door.run(lambda connection: jobs.count(connection, account, kind, narrowed, now, at_most))

    async def _record(
        self,
        task: Task,
        account: str,
        by: Actor | None,
        action: str,
        target: str,
        after: Mapping[str, object] | None = None,
    ) -> None:
        await task.door.run(
            lambda connection: self._auditor.record(connection, account, by, action, target, after=after)
        )

    # --- what time makes necessary ------------------------------------------------------------------------------

    async def bury(self, limit: int) -> int:
        async def run(task: Task) -> int:
            await task.ask_time()
            return await keeping.bury(task.raw, task.journal(), limit)

        buried = await self._tasks.run(run)
        if buried >= limit:
            return buried
        return buried + await self._tasks.run(lambda task: retention.forget_accounts(task.raw, limit - buried))

    async def expire(self, before_ms: int, limit: int) -> int:
        """Each step is a transaction of its own. Partitions are made ahead by whoever comes here first in an hour."""
        await self._make_ahead()
        done = 0
        for step in retention.STEPS:
            done += await self._expire(step, before_ms, limit - done)
            if done >= limit:
                break
        return done

    async def _expire(self, step: retention.Step, before_ms: int, limit: int) -> int:
        async def run(task: Task) -> int:
            if not await retention.alone(task.raw):
                return 0
            await task.ask_time()
            return await step(task.door, task.journal(), before_ms, limit)

        return await self._tasks.run(run)

    async def _make_ahead(self) -> None:
        hour = self._clock() // HOUR_MS
        if hour != self._made_ahead_at:
            # Whoever has a lock on the log may be in the way: days are made a week ahead, and there is time.
            with suppress(Unavailable):
                await self._doors.transact(lambda door: make_ahead(door, hour * HOUR_MS))
                self._made_ahead_at = hour
