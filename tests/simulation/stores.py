"""What the world of a simulation is kept in: one SQLite file for all of its processes, or one PostgreSQL database and for
each process a store of its own."""

import random
from pathlib import Path
from typing import Protocol

from postback.ports import Clock, Report
from postback.storage.postgres import PostgresStore
from postback.storage.sqlite import SqliteStore
from tests import postgres
from tests.doubles import VirtualLoop
from tests.simulation.answers import AnsweredLoop, AnswerSelector
from tests.storage.given import Store


class Stores(Protocol):
    """`of_people` is used by whoever is no worker."""

    of_people: Store

    async def join(self) -> Store:
        """For a process that starts."""

    async def leave(self, store: Store) -> None:
        """Its process has died: it begins nothing more."""

    async def close(self) -> None: ...


class Opener(Protocol):
    """A database that is there, and the kind of loop that its stores need."""

    def loop(self, dice: random.Random) -> VirtualLoop: ...

    async def open(self, clock: Clock, report: Report) -> Stores: ...


class OnSqlite:
    def __init__(self, path: Path) -> None:
        self._path = path

    def loop(self, dice: random.Random) -> VirtualLoop:
        return VirtualLoop(dice)

    async def open(self, clock: Clock, report: Report) -> "_OneFile":
        return _OneFile(await SqliteStore.open(self._path, clock, inline=True, alone=False, report=report))


class _OneFile:
    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.of_people: Store = store

    async def join(self) -> Store:
        return self.of_people

    async def leave(self, store: Store) -> None:
        """The others go on with it."""

    async def close(self) -> None:
        await self._store.close()


class OnPostgres:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def loop(self, dice: random.Random) -> VirtualLoop:
        return AnsweredLoop(dice, AnswerSelector())

    async def open(self, clock: Clock, report: Report) -> "_OneDatabase":
        return _OneDatabase(self._dsn, clock, report, await _opened(self._dsn, clock, report))


class _OneDatabase:
    def __init__(self, dsn: str, clock: Clock, report: Report, of_people: PostgresStore) -> None:
        self._dsn = dsn
        self._clock = clock
        self._report = report
        self._open: list[Store] = [of_people]
        self.of_people: Store = of_people

    async def join(self) -> Store:
        store = await _opened(self._dsn, self._clock, self._report)
        self._open.append(store)
        return store

    async def leave(self, store: Store) -> None:
        """What is under way in it comes to its end, and its connections close."""
        self._open.remove(store)
        await store.close()

    async def close(self) -> None:
        for store in self._open:
            await store.close()


async def _opened(dsn: str, clock: Clock, report: Report) -> PostgresStore:
    return await PostgresStore.open(dsn, clock, secret_keys=[postgres.KEY], report=report)
