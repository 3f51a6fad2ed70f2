"""The store as everyone else sees it: opens the file, hands writes to the writer and reads to the readers."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from postback.domain.accounts import Actor
from postback.domain.crews import NOTHING, Keys, Peer
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, Refused, Settled, Settlement
from postback.domain.errors import Unavailable
from postback.domain.events import Event
from postback.domain.ids import IdSource, config_text, delivery_text
from postback.domain.jobs import JobKind
from postback.domain.records import Change
from postback.ports import Clock, Job, LogFilter, Report, Waiting, Worker
from postback.storage import jobs
from postback.storage.audit import Auditor, last_id
from postback.storage.database import Sizes
from postback.storage.expanding import related
from postback.storage.records import apply_changes
from postback.storage.sqlite import claiming, keeping, replaying, retention, settling, workers
from postback.storage.sqlite.accepting import Accepting
from postback.storage.sqlite.checkpoints import Checkpointer, OwnCheckpoints
from postback.storage.sqlite.connections import Door, checkpoints_apart
from postback.storage.sqlite.now import Now
from postback.storage.sqlite.opening import Opened, open_file
from postback.storage.sqlite.readers import LoopReader, Readers, ThreadReaders
from postback.storage.sqlite.transactions import Transactions
from postback.storage.sqlite.writer import LoopWriter, ThreadWriter, Writer
from postback.storage.vault import Vault

T = TypeVar("T")


def _ignore(_: object) -> None:
    """Nobody asked to hear of it."""


class SqliteStore:
    """Keeps the ports Queue and Database. Opened with `open`; `close` ends it after what was asked before.

    `broken` says why the store will never write again (a failed fsync), None while all is well: the
    process must then end and be started anew, and `failed` was called on the loop so that it can.
    """

    def __init__(
        self,
        opened: Opened,
        clock: Clock,
        *,
        inline: bool,
        alone: bool,
        lease_ms: int,
        failed: Callable[[str], None],
        report: Report,
    ) -> None:
        self.path = path = opened.path
        self._clock = clock
        self._alone = alone
        self._lease_ms = lease_ms
        self._opened = opened
        self._door = door = opened.door
        self._vault = opened.keys.vault
        # All three are used by the writer alone. Claims of an earlier process are void before this one makes any.
        self._now = Now(clock)
        self._tokens = IdSource(clock, 0, workers.last_id(door.raw))
        self._auditor = Auditor(lambda: self._now.ms, last_id(door.raw))
        self._watchers: list[Callable[[str], None]] = []
        self._writer: Writer
        self._readers: Readers
        self._checkpointer: Checkpointer | None = None
        self._transactions = Transactions(door.raw, self._now)
        own = OwnCheckpoints(door.raw, path)
        if inline:
            self._writer = LoopWriter(self._transactions, own, self._announce, failed, report)
            self._readers = LoopReader(path)
        else:
            apart = checkpoints_apart()
            self._writer = ThreadWriter(self._transactions, None if apart else own, self._announce, failed, report)
            self._readers = ThreadReaders(path)
            self._checkpointer = Checkpointer(path, self._writer.doubt) if apart else None
        self._is_closed = False

    @classmethod
    async def open(
        cls,
        path: str | Path,
        clock: Clock,
        *,
        inline: bool = False,
        alone: bool = True,
        lease_ms: int = workers.LEASE_MS,
        failed: Callable[[str], None] = _ignore,
        report: Report = _ignore,
        secret_keys: Sequence[bytes] = (),
    ) -> "SqliteStore":
        """Lock the file, bring its schema up to date, and be ready.

        `secret_keys` are those of its secrets, the one that seals first; by default they stand in a file beside it.
        `inline` works without any thread, on the loop itself: for a loop whose time is not the world's.
        `alone` says that one process at a time works on the file, so that whoever enlists finds only the dead;
        without it workers live by their heartbeat. `report` is told of each commit, on the loop.
        """
        opened = open_file(path, secret_keys)
        return cls(opened, clock, inline=inline, alone=alone, lease_ms=lease_ms, failed=failed, report=report)

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def vault(self) -> Vault:
        return self._vault

    @property
    def auditor(self) -> Auditor:
        return self._auditor

    @property
    def broken(self) -> str | None:
        return self._transactions.broken

    @property
    def trouble(self) -> str | None:
        return self.broken

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Always so: whoever opens the file holds its lock."""
        yield

    def on_due(self, woken: Callable[[Collection[int]], None]) -> None:
        """Never called: no other process works on the file."""

    async def sizes(self) -> Sizes:
        return Sizes(_size(self.path), _size(Path(f"{self.path}-wal")))

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        await self._writer.close()
        if self._checkpointer is not None:
            self._checkpointer.close()
        # The last connection to close moves the log into the database: the writer's.
        await self._readers.close()
        self._opened.close()

    async def read(self, query: Callable[[Connection], T]) -> T:
        return await self._read(lambda door: door.run(query))

    async def write(self, change: Callable[[Connection], T]) -> T:
        return await self._submit(lambda _: self._door.run(change))

    def changed(self, account: str) -> None:
        self._transactions.changed(account)

    def watch(self, changed: Callable[[str], None]) -> None:
        self._watchers.append(changed)

    def watch_all(self, changed: Callable[[], None]) -> None:
        """Never called: no other process works on the file."""

    async def enlist(self, host: str, *, is_held: bool = False) -> Worker:
        frees = self._alone and not is_held
        return await self._submit(
            lambda raw: workers.enlist(raw, self._now.ms, self._tokens, host, self._lease_ms, frees=frees)
        )

    async def retire(self, worker: Worker) -> None:
        await self._submit(lambda raw: workers.retire(raw, self._now.ms, worker.id))

    async def beat(
        self, worker: Worker, goes_by: int = 0, *, keeps: Keys = NOTHING, leaves: bool = False
    ) -> Sequence[Peer]:
        me = Peer(worker.id, goes_by, keeps, leaves)
        return await self._submit(lambda raw: workers.beat(raw, self._now.ms, me))

    async def free_dead(self, worker: Worker) -> Sequence[int]:
        return await self._submit(lambda raw: workers.free_dead(raw, self._now.ms, worker.id, alone=self._alone))

    def on_workers(self, changed: Callable[[], None]) -> None:
        """Never called: no other process works on the file."""

    async def accept(self, worker: Worker, units: Sequence[NewDeliveries]) -> Sequence[Accepted | Refused]:
        return await self._submit(
            lambda raw: Accepting(raw, worker.id, self._now.ms, self._tokens, self._apply, self._related).accept(units)
        )

    async def waiting(self, worker: Worker, within_ms: int, limit: int) -> Sequence[Waiting]:  # noqa: ARG002
        """Every worker sees the same lanes: here there is one."""
        now = self._clock()
        return await self._read(lambda door: claiming.waiting(door.raw, now, within_ms, limit))

    async def claim(self, worker: Worker, room: Mapping[int, int], max_bytes: int) -> Sequence[Claim]:
        return await self._submit(
            lambda raw: claiming.claim(raw, worker.id, self._now.ms, self._tokens, room, max_bytes)
        )

    async def release(self, claims: Sequence[Claim]) -> None:
        await self._submit(lambda raw: claiming.release(raw, self._now.ms, claims))

    async def settle(self, worker: Worker, settlements: Sequence[Settlement]) -> Settled:
        return await self._submit(lambda raw: self._settle(raw, worker, settlements))

    async def keep_test(self, worker: Worker, settlement: Settlement, *, by: Actor | None = None) -> None:
        def keep(raw: sqlite3.Connection) -> None:
            keeping.keep_test(raw, self._now.ms, worker.id, settlement)
            event, config_id = settlement.claim.event, settlement.claim.config_id
            facts = {"event_type": event.type, "delivery_id": delivery_text(event.id, config_id)}
            self._auditor.record(raw, event.account, by, "postbackconfig.test", config_text(config_id), after=facts)

        await self._submit(keep)

    async def replay(self, account: str, event_id: int, config_id: int, *, by: Actor | None = None) -> None:
        def replay(raw: sqlite3.Connection) -> None:
            keeping.replay(raw, self._now.ms, account, event_id, config_id)
            self._auditor.record(raw, account, by, "delivery.replay", delivery_text(event_id, config_id))

        await self._submit(replay)

    async def cancel(self, account: str, event_id: int, config_id: int, *, by: Actor | None = None) -> None:
        def cancel(raw: sqlite3.Connection) -> None:
            keeping.cancel(raw, self._now.ms, account, event_id, config_id)
            self._auditor.record(raw, account, by, "delivery.cancel", delivery_text(event_id, config_id))

        await self._submit(cancel)

    async def count_for_job(self, account: str, kind: JobKind, narrowed: LogFilter, at_most: int | None = None) -> int:
        return await self._count_for_job(account, kind, narrowed, self._clock(), at_most)

    async def start_job(
        self, account: str, job_id: str, kind: JobKind, narrowed: LogFilter, *, by: Actor | None = None
    ) -> Job:
        # Counted on a reader: it may take as long as a long list does.
        now = self._clock()
        selected = await self._count_for_job(account, kind, narrowed, now)
        job = jobs.new_job(job_id, account, kind, narrowed, selected, now)

        def start(raw: sqlite3.Connection) -> None:
            replaying.start(raw, job)
            facts = {"filter": narrowed.as_asked(), "selected": job.selected}
            self._auditor.record(raw, account, by, f"deliveries.{kind}", job_id, after=facts)

        await self._submit(start)
        return job

    async def jobs_in_turn(self, kind: JobKind | None = None) -> Sequence[str]:
        return await self._read(lambda door: replaying.in_turn(door.raw, kind))

    async def run_job(self, job_id: str, limit: int) -> int:
        return await self._submit(lambda _: replaying.step(self._door, self._now.ms, job_id, limit))

    async def find_job(self, account: str, job_id: str) -> Job:
        return await self._read(lambda door: replaying.find(door.raw, account, job_id))

    async def list_jobs(self, account: str, before: str | None, limit: int) -> Sequence[Job]:
        return await self._read(lambda door: replaying.listed(door.raw, account, before, limit))

    async def _count_for_job(
        self, account: str, kind: JobKind, narrowed: LogFilter, now: int, at_most: int | None = None
    ) -> int:
        return await self.read(lambda connection: jobs.count(connection, account, kind, narrowed, now, at_most))

    async def bury(self, limit: int) -> int:
        def run(raw: sqlite3.Connection) -> int:
            buried = keeping.bury(raw, self._now.ms, limit)
            return buried + retention.forget_accounts(raw, limit - buried)

        return await self._submit(run)

    async def expire(self, before_ms: int, limit: int) -> int:
        return await self._submit(lambda raw: retention.expire(raw, self._now.ms, before_ms, limit))

    def _apply(self, changes: Sequence[Change]) -> None:
        """Record changes, on the writing connection, in the transaction that is under way."""
        self._door.run(lambda connection: apply_changes(connection, changes, self._auditor))

    def _related(self, event: Event, names: Sequence[str]) -> bytes | None:
        """The records that belong to an event, as they are in the transaction that is under way."""
        return self._door.run(lambda connection: related(connection, event, names))

    def _settle(self, raw: sqlite3.Connection, worker: Worker, settlements: Sequence[Settlement]) -> Settled:
        return settling.settle(raw, worker.id, self._now.ms, self.changed, self._auditor, settlements)

    def _announce(self, account: str) -> None:
        for watcher in self._watchers:
            watcher(account)

    async def _read(self, query: Callable[[Door], T]) -> T:
        if self.broken is not None:
            raise Unavailable(self.broken)
        return await self._readers.read(query)

    async def _submit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        future: asyncio.Future[T] = self._writer.submit(work)
        return await future


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
