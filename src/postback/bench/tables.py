"""The tables of a store from outside: rows read, many added at once, and a view of them held open."""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

Row = Mapping[str, Any]

_CACHE_KIB: Final = 512 << 10


class Tables(Protocol):
    """While no server is on the store."""

    def rows(self, query: str) -> Sequence[Row]: ...

    def add(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """All or none of them."""


class _SqliteTables:
    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self._raw.row_factory = sqlite3.Row

    def rows(self, query: str) -> Sequence[Row]:
        return [dict(row) for row in self._raw.execute(query)]

    def add(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._raw.execute("BEGIN")
        places = ", ".join("?" * len(columns))
        self._raw.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)  # noqa: S608
        self._raw.execute("COMMIT")


@contextmanager
def sqlite_tables(path: Path) -> Iterator[Tables]:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        # Nobody else is there, and a store that was cut short is thrown away.
        raw.execute("PRAGMA journal_mode = DELETE")
        raw.execute("PRAGMA journal_mode = OFF")
        raw.execute("PRAGMA synchronous = OFF")
        raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        yield _SqliteTables(raw)
        raw.execute("PRAGMA journal_mode = WAL")


@contextmanager
def sqlite_view(path: Path) -> Iterator[None]:
    """Until the end of the block somebody reads in the store as it is now."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN")
        raw.execute("SELECT count(*) FROM lanes").fetchone()
        yield


class _PostgresTables:
    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Any) -> None:
        self._loop = loop
        self._connection = connection

    def rows(self, query: str) -> Sequence[Row]:
        return [dict(row) for row in self._loop.run_until_complete(self._connection.fetch(query))]

    def add(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._loop.run_until_complete(
            self._connection.copy_records_to_table(table, columns=list(columns), records=rows, timeout=None)
        )


@contextmanager
def postgres_tables(address: str) -> Iterator[Tables]:
    with _connected(address) as (loop, connection):
        yield _PostgresTables(loop, connection)
        # As autovacuum leaves tables that have grown over days: it would begin with all of them now.
        loop.run_until_complete(connection.execute("VACUUM (ANALYZE)", timeout=None))


@contextmanager
def postgres_view(address: str) -> Iterator[None]:
    """Until the end of the block somebody reads in the store as it is now."""
    with _connected(address) as (loop, connection):
        loop.run_until_complete(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        loop.run_until_complete(connection.execute("SELECT count(*) FROM lanes"))
        yield


@contextmanager
def _connected(address: str) -> Iterator[tuple[asyncio.AbstractEventLoop, Any]]:
    import asyncpg  # noqa: PLC0415 - an extra

    with closing(asyncio.new_event_loop()) as loop:
        connection = loop.run_until_complete(asyncpg.connect(address, timeout=10))
        try:
            yield loop, connection
        finally:
            connection.terminate()
