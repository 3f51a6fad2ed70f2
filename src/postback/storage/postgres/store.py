"""The store as everyone else sees it: many processes share one database, and each hands its work to a few connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
from sqlalchemy import Connection

from postback.ports import Clock, Report
from postback.storage.committed import Uncommitted
from postback.storage.database import Sizes
from postback.storage.postgres.auditing import ServerAuditor
from postback.storage.postgres.clock import ServerClock
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.door import Door
from postback.storage.postgres.failures import cause
from postback.storage.postgres.keys import KeyWatch
from postback.storage.postgres.lives import LOOK_S, Lives
from postback.storage.postgres.notifying import Notices
from postback.storage.postgres.opening import prepare
from postback.storage.postgres.outage import Outage
from postback.storage.postgres.queue import PostgresQueue
from postback.storage.postgres.reaching import shown
from postback.storage.vault import Vault

T = TypeVar("T")

LEASE_MS: Final = 30_000
"""A worker that has not been heard of for so long is dead."""

ALONE_S: Final = 15
"""How long to wait for another process that makes what a new database needs."""

_ALONE: Final = 0x70_6F_73_74_0007

RACES: Final = 3
"""How often a write is tried that found a row there, or gone, which another had made or removed in between."""

_RACED: Final = (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError)

_CHANGED: Final[ContextVar[list[str]]] = ContextVar("changed")
"""The accounts whose configs the transaction under way has changed."""


def _ignore(_: object) -> None:
    """Nobody asked to hear of it."""


class PostgresStore(PostgresQueue):
    """Keeps the ports Queue and Database. Opened with `open`; `close` ends it.

    `broken` is None always: a database that is gone may come back, and what is asked meanwhile is Unavailable.
    """

    def __init__(
        self,
        dsn: str,
        vault: Vault,
        clock: ServerClock,
        *,
        lease_ms: int,
        alone: bool,
        report: Report,
        lives: Lives,
    ) -> None:
        self.name = shown(dsn)
        self._clock = clock
        self._vault = vault
        self._report = report
        self._auditor = ServerAuditor(clock)
        self._doors = Doors(dsn, outage=Outage(self.name, report, time.monotonic))
        self._watchers: list[Callable[[str], None]] = []
        self._watchers_of_all: list[Callable[[], None]] = []
        self._wakers: list[Callable[[Collection[int]], None]] = []
        self._crews: list[Callable[[], None]] = []
        self._notices = Notices(
            dsn, self._doors, clock, self._announce, self._announce_all, self._wake, self._tell_crews
        )
        self._keys = KeyWatch(self._doors, vault, report, self._announce_all)
        super().__init__(
            self._doors,
            clock,
            self._auditor,
            lease_ms=lease_ms,
            alone=alone,
            report=report,
            transact=self._transact,
            changed=self.changed,
            send_due=self._notices.send_due,
            send_workers=self._notices.send_workers,
            lives=lives,
        )
        self._looking: asyncio.TimerHandle | None = None

    @classmethod
    async def open(
        cls,
        dsn: str,
        clock: Clock | None = None,
        *,
        steady: Clock | None = None,
        secret_keys: Sequence[bytes] = (),
        lease_ms: int = LEASE_MS,
        alone: bool = False,
        failed: Callable[[str], None] = _ignore,  # noqa: ARG003 (no failure here is for ever)
        report: Report = _ignore,
        lives: Path | None = None,
    ) -> "PostgresStore":
        """Bring the schema up to date, listen, and be ready. CannotOpen, or Unavailable where nobody answers.

        `clock` is the database's own where none is given; `steady` counts milliseconds of one that does not jump.
        `secret_keys` are those of its secrets, the one that seals first. `alone` says that no other process works on the
        database, so that whoever enlists finds only the dead; without it workers live by their heartbeat. `report` is
        told of each commit, on the loop. `lives` is the folder of the workers' lock files.
        """
        known = ServerClock(clock, steady)
        vault = await prepare(dsn, secret_keys, known, to_serve=True)
        store = cls(dsn, vault, known, lease_ms=lease_ms, alone=alone, report=report, lives=Lives(lives))
        try:
            await store._notices.start()
            store._look_at_lives()
        except BaseException:
            await store.close()
            raise
        store._keys.start()
        return store

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def vault(self) -> Vault:
        return self._vault

    @property
    def auditor(self) -> ServerAuditor:
        return self._auditor

    @property
    def broken(self) -> str | None:
        return None

    @property
    def trouble(self) -> str | None:
        return self._keys.trouble if self._notices.is_listening else f"{self.name} cannot be reached"

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Whoever comes second waits, for so long as the first may take to start."""
        async with self._doors.transaction() as door:
            await door.raw.execute(f"SET LOCAL lock_timeout = '{ALONE_S}s'")
            await door.raw.execute("SELECT pg_advisory_xact_lock($1)", _ALONE)
            yield

    async def sizes(self) -> Sizes:
        """The server's log is that of all its databases."""
        async with self._doors.reading() as door:
            return Sizes(await door.raw.fetchval("SELECT pg_database_size(current_database())"), None)

    async def close(self) -> None:
        await self._keys.close()
        if self._looking is not None:
            self._looking.cancel()
        await self._notices.close()
        await self._doors.close()
        self._lives.close()

    async def read(self, query: Callable[[Connection], T]) -> T:
        async with self._doors.reading() as door:
            return await door.run(query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """It may be run more than once: what another did in between is undone with it and then seen by it."""
        return await self._transact(lambda door, _: door.run(change))

    def changed(self, account: str) -> None:
        _CHANGED.get().append(account)

    def watch(self, changed: Callable[[str], None]) -> None:
        """Called for the writes of every process."""
        self._watchers.append(changed)

    def watch_all(self, changed: Callable[[], None]) -> None:
        self._watchers_of_all.append(changed)

    def on_due(self, woken: Callable[[Collection[int]], None]) -> None:
        """Call `woken(config ids)` on the loop when a process says that something of theirs waits to be claimed; with
        none of them when word may have been lost."""
        self._wakers.append(woken)

    def on_workers(self, changed: Callable[[], None]) -> None:
        """Told by other processes, when one of this machine has died, and when word may have been lost."""
        self._crews.append(changed)

    async def _transact(self, work: Callable[[Door, Uncommitted], Awaitable[T]]) -> T:
        """One transaction of the log or the screens: watchers hear of changed configs, and `report` of what was added.

        `work` may be called more than once, each time with an Uncommitted of its own.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await self._transact_once(work)
            except Exception as error:
                if tries == RACES or not isinstance(cause(error), _RACED):
                    raise

    async def _transact_once(self, work: Callable[[Door, Uncommitted], Awaitable[T]]) -> T:
        began = time.monotonic()
        changed: list[str] = []
        new = Uncommitted()
        rows = 0

        async def run(door: Door) -> T:
            nonlocal changed, new, rows
            changed, new, before = [], Uncommitted(), door.rows
            reset = _CHANGED.set(changed)
            try:
                result = await work(door, new)
            finally:
                _CHANGED.reset(reset)
            rows = door.rows - before
            if changed:
                await self._notices.send_changed(door, dict.fromkeys(changed))
            return result

        result = await self._doors.transact(run)
        self._report(new.committed(time.monotonic() - began, rows))
        # Whoever changed a config may count on it when told so: this process does not hear of it, it is told here.
        for account in dict.fromkeys(changed):
            self._announce(account)
        return result

    def _announce(self, account: str) -> None:
        for watcher in self._watchers:
            watcher(account)

    def _announce_all(self) -> None:
        for watcher in self._watchers_of_all:
            watcher()

    def _look_at_lives(self) -> None:
        if self._lives.one_is_over():
            self._tell_crews()
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look_at_lives)

    def _tell_crews(self) -> None:
        for changed in self._crews:
            changed()

    def _wake(self, config_ids: Collection[int]) -> None:
        for woken in self._wakers:
            woken(config_ids)
