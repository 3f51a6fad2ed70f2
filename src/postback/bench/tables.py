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
    def __init__(self, runner: asyncio.Runner, connection: Any) -> None:
        self._runner = runner
        self._connection = connection

    def rows(self, query: str) -> Sequence[Row]:
        return [dict(row) for row in self._runner.run(self._connection.fetch(query))]

    def add(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self._runner.run(
            self._connection.copy_records_to_table(table, columns=list(columns), records=rows, timeout=None)
        )


@contextmanager
def postgres_tables(address: str) -> Iterator[Tables]:
    with _connected(address) as (runner, connection):
        yield _PostgresTables(runner, connection)
        # As autovacuum leaves tables that have grown over days: it would begin with all of them now.
        runner.run(connection.execute("VACUUM (ANALYZE)", timeout=None))


@contextmanager
def postgres_view(address: str) -> Iterator[None]:
    """Until the end of the block somebody reads in the store as it is now."""
    with _connected(address) as (runner, connection):
        runner.run(connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        runner.run(connection.execute("SELECT count(*) FROM lanes"))
        yield


@contextmanager
def _connected(address: str) -> Iterator[tuple[asyncio.Runner, Any]]:
    import asyncpg  # noqa: PLC0415 - an extra

    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(address, timeout=10))
        try:
            yield runner, connection
        finally:
            # Its socket is closed when the runner ends.
            connection.terminate()
