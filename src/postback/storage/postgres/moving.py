"""A SQLite store moved into an empty PostgreSQL database: one transaction, so that a move cut short never happened."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import asyncpg
from sqlalchemy import Table
from sqlalchemy.exc import DBAPIError

from postback.domain.ids import first_id_at
from postback.storage import migrations, sealing
from postback.storage.balance import Balance, Logged
from postback.storage.committed import Uncommitted
from postback.storage.database import CannotOpen
from postback.storage.journal import DETAIL, OWED_COLUMNS, Owed
from postback.storage.lockfile import LockFile
from postback.storage.moved import MovedMark
from postback.storage.postgres import conservation as on_postgres
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.connections import BEGIN
from postback.storage.postgres.door import SETTINGS, Door
from postback.storage.postgres.failures import cause
from postback.storage.postgres.journal import Journal, Raw, interrupt, storable
from postback.storage.postgres.opening import prepare
from postback.storage.postgres.partitions import DAY_MS, TABLES, make_days
from postback.storage.postgres.reaching import in_words, reach, shown
from postback.storage.postgres.workers import notice_jump
from postback.storage.secret_file import SecretFile
from postback.storage.sqlite import conservation as on_sqlite
from postback.storage.sqlite.connections import APPLICATION_ID, open_reader
from postback.storage.sqlite.connections import Door as SourceDoor
from postback.storage.tables import METADATA, attempts, holds, secret_keys
from postback.storage.vault import key_id

FREED_AT_ONCE: Final = 500

MOVED: Final[Sequence[Table]] = [one for one in METADATA.sorted_tables if one not in (holds, secret_keys)]
"""In the order of their references. What the processes of a database say of it is of that one only."""

_ALL: Final = ", ".join(table.name for table in MOVED)

_SETTINGS: Final = {
    **SETTINGS,
    "statement_timeout": "0",
    # Whoever moves reads from a disk of its own between two rows.
    "idle_in_transaction_session_timeout": "10min",
}


class CannotMove(CannotOpen):
    """Nothing was moved; the message says which database, why, and what would be right."""


Row: TypeAlias = tuple[object, ...]

Watch: TypeAlias = Callable[[str, int, Iterator[Row]], Iterator[Row]]
"""Is given a table, how many rows it has, and the rows; gives the rows on, and so sees them pass."""

Told: TypeAlias = Callable[[str, int, int], None]
"""Hears what is counted, how many hours of it are done, and of how many."""


class Moved(NamedTuple):
    """What the new database holds: rows of each table as they were, and how many claims of the old worker were freed.

    `missing` is what the counters of the store did not account for before it was moved, by account; empty where all is well.
    """

    rows: Mapping[str, int]
    freed: int
    missing: Mapping[str, int]


class Proof(NamedTuple):
    """What counters and log say, of either database."""

    totals: Mapping[str, Mapping[int, int]]
    balances: Mapping[str, Balance]
    logged: Logged


class Source:
    """A SQLite store that nobody else has, read as it is: nothing in it is changed."""

    def __init__(self, path: Path, door: SourceDoor, keys: Sequence[bytes]) -> None:
        self.path = path
        self.raw = door.raw
        self.keys = keys

    @property
    def rows(self) -> Mapping[str, int]:
        """Table → how many rows."""
        return {table.name: self._count(table) for table in MOVED}

    def read(self, table: Table) -> Iterator[Row]:
        """Its rows in the order of their keys, which is that of the other database's partitions and indexes."""
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        keys = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        return iter(self.raw.execute(f'SELECT {names} FROM "{table.name}" ORDER BY {keys}'))  # noqa: S608

    @property
    def days(self) -> Sequence[int]:
        """Those on which something was accepted that is left, in unix days."""
        return sorted(
            {*self._days("events", "id"), *self._days("owed", "event_id"), *self._days("attempts", "event_id")}
        )

    def proof(self, told: Told) -> Proof:
        totals = on_sqlite.counted(self.raw)
        logged = on_sqlite.count_log(self.raw, lambda done, total: told("counting the log", done, total))
        return Proof(totals, on_sqlite.balances(self.raw, totals), logged)

    def _days(self, table: str, key: str) -> Iterator[int]:
        """Found by the index, one step each."""
        query = f"SELECT min({key}) FROM {table} WHERE {key} >= ?"  # noqa: S608
        [found] = self.raw.execute(query, (0,)).fetchone()
        while found is not None:
            day = found // first_id_at(DAY_MS)
            yield day
            [found] = self.raw.execute(query, (first_id_at((day + 1) * DAY_MS),)).fetchone()

    def _count(self, table: Table) -> int:
        count: int = self.raw.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()[0]  # noqa: S608
        return count


@contextmanager
def opened_to_move(path: Path, secret_keys: Sequence[bytes]) -> Iterator[Source]:
    """The store under its lock. CannotOpen while a server has it; CannotMove where it cannot be moved as it is."""
    lock = LockFile(path)
    try:
        door = open_reader(path)
        try:
            _demand_movable(door, path)
            keys = secret_keys or SecretFile(path).read()
            _demand_keys(door, path, keys)
            door.raw.execute("BEGIN")
            yield Source(path, door, keys)
        finally:
            door.close()
    finally:
        lock.release()


async def move(source: Source, dsn: str, watch: Watch, told: Told) -> Moved:
    """All of it, or nothing. CannotMove for a database that is not empty, and where what has arrived is not what was sent."""
    name = shown(dsn)
    await _demand_empty(dsn, name)
    # Its schema may be there without anything in it: that is what a move cut short leaves behind.
    await prepare(dsn, source.keys)
    door = await _reach(dsn, name)
    try:
        await door.raw.execute(BEGIN)
        moved = await _move(source, door, name, watch, told)
        # Before it stands, for whoever is killed in between.
        MovedMark(source.path).set(name)
        await _commit(door, name)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, DBAPIError) as error:
        raise CannotMove(
            f"{source.path} was not moved to {name}, where nothing of it stands: {in_words(cause(error))}"
        ) from error
    finally:
        # What was not committed is undone by the server, whatever ended this.
        door.discard()
    return moved


def _demand_movable(door: SourceDoor, path: Path) -> None:
    if door.raw.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise CannotMove(f"{path} is not a database of postback")
    version = door.run(migrations.version)
    if version is None or version < migrations.HEAD:
        raise CannotMove(
            f"{path} has schema {version or 'none'}, and only {migrations.HEAD} can be moved: start this version's server on it "
            "once, which brings it up to date, and stop it"
        )
    if version > migrations.HEAD:
        raise CannotMove(
            f"{path} has schema {version}, and this program knows schemas up to {migrations.HEAD}: it was written by a newer "
            "postback; move it with that"
        )


def _demand_keys(door: SourceDoor, path: Path, keys: Sequence[bytes]) -> None:
    """What is sealed stays sealed with the same key: it has to be at hand, or nobody could open it there."""
    file = SecretFile(path).path
    if not keys:
        raise CannotMove(
            f"{file} is not there, and POSTBACK_SECRET_KEY is not set: put the file back from a copy, or set that to what it was"
        )
    held = door.run(sealing.held)
    if held.has_clear:
        raise CannotMove(f"{path} has secrets that are not encrypted yet: start a server on it once, and stop it")
    unknown = sorted(held.key_ids - set(map(key_id, keys)))
    if unknown:
        raise CannotMove(
            f"{path} has secrets encrypted with keys that are not there: {', '.join(unknown)}; put {file} back from a copy, or add "
            "them to POSTBACK_SECRET_KEY, after a comma"
        )


async def _demand_empty(dsn: str, name: str) -> None:
    """Before anything is made in it."""
    door = await _reach(dsn, name)
    try:
        version = await door.run(migrations.version)
        if version is None:
            return
        if version != migrations.HEAD:
            raise CannotMove(
                f"{name} has schema {version} of postback, and {migrations.HEAD} would be right: it is in use already, or was; "
                "make an empty database"
            )
        await _demand_no_rows(door.raw, name)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, DBAPIError) as error:
        raise CannotMove(f"{name} cannot be looked at: {in_words(cause(error))}") from error
    finally:
        await door.close()


async def _reach(dsn: str, name: str) -> Door:
    return await reach(dsn, name, setting="--to", settings=_SETTINGS)


async def _demand_no_rows(raw: Raw, name: str) -> None:
    filled = [one.name for one in MOVED if await raw.fetchval(f'SELECT EXISTS (SELECT 1 FROM "{one.name}")')]  # noqa: S608
    if "workers" in filled:
        raise CannotMove(f"{name} is in use: a server or worker runs on it; stop it, and make an empty database")
    if filled:
        raise CannotMove(f"{name} is not empty: it has rows in {', '.join(filled)}; make an empty database")


async def _move(source: Source, door: Door, name: str, watch: Watch, told: Told) -> Moved:
    raw, rows = door.raw, source.rows
    # A server that starts on it meanwhile finds it busy, and does not find half of it.
    await raw.execute(f"LOCK TABLE {_ALL} IN ACCESS EXCLUSIVE MODE")
    await _demand_no_rows(raw, name)
    for parted in TABLES:
        await make_days(door, parted, source.days)
    for table in MOVED:
        await _copy(source.path, table, raw, watch(table.name, rows[table.name], source.read(table)))
    # What follows reads all of it, and the first claim should not have to guess either.
    await raw.execute(f"ANALYZE {_ALL}")
    await _demand_same(source, raw, rows)
    before = source.proof(told)
    await _demand_same_proof(raw, before, told)
    freed = await _free(raw)
    missing = {account: one.missing for account, one in before.balances.items() if one.missing}
    after = await on_postgres.balances(raw, await on_postgres.counted(raw))
    if {account: one.missing for account, one in after.items() if one.missing} != missing:
        raise CannotMove("the counters do not add up after the claims of the old worker were freed; nothing was moved")
    return Moved(rows, freed, missing)


async def _copy(path: Path, table: Table, raw: Raw, rows: Iterator[Row]) -> None:
    columns = [column.name for column in table.columns]
    if table is attempts:
        rows = map(_storable, rows)
    try:
        # Sent as they are read, half a megabyte at a time; and in one statement, at whose end it is seen that the location
        # of each record is there.
        await raw.copy_records_to_table(table.name, records=rows, columns=columns)
    except (asyncpg.DataError, ValueError, TypeError, OverflowError) as error:
        raise CannotMove(
            f"{path} has a row in {table.name} that PostgreSQL cannot hold{_place(error)}; nothing was moved"
        ) from error


def _storable(row: Row) -> Row:
    """What somebody's server or a library has said, as it is written there from now on."""
    detail = row[DETAIL]
    return (*row[:DETAIL], storable(detail), *row[DETAIL + 1 :]) if isinstance(detail, str) else row


def _place(error: Exception) -> str:
    """Which one it is, in the order of their keys, and why; what stands in it is nobody's business."""
    if not isinstance(error, asyncpg.PostgresError):
        return ": a value does not fit its column"
    found = re.search(r"line (\d+)(?:, column (\w+))?", str(getattr(error, "context", "")))
    row = f", the {int(found[1]):,}. by its key" if found else ""
    column = f", in the column {found[2]}" if found and found[2] else ""
    return f"{row}{column}: {in_words(error)}"


async def _demand_same(source: Source, raw: Raw, rows: Mapping[str, int]) -> None:
    for table, expected in rows.items():
        found = await raw.fetchval(f'SELECT count(*) FROM "{table}"')  # noqa: S608
        if found != expected:
            raise CannotMove(
                f"{table}: {found:,} rows of {expected:,} in {source.path} have arrived; nothing was moved"
            )


async def _demand_same_proof(raw: Raw, before: Proof, told: Told) -> None:
    totals = await on_postgres.counted(raw)
    if _plain(totals) != _plain(before.totals) or await on_postgres.balances(raw, totals) != before.balances:
        raise CannotMove("the counters do not say the same in both databases; nothing was moved")
    logged = await on_postgres.count_log(raw, lambda done, total: told("counting it there", done, total))
    if logged.days != before.logged.days or _plain(logged.totals) != _plain(before.logged.totals):
        raise CannotMove("the log does not say the same in both databases; nothing was moved")


def _plain(totals: Mapping[str, Mapping[int, int]]) -> Mapping[tuple[str, int], int]:
    return {(account, measure): n for account, counts in totals.items() for measure, n in counts.items() if n}


async def _free(raw: Raw) -> int:
    """As a start on the old database would: no worker lives, and what one held is owed again, on record as interrupted."""
    await notice_jump(raw, None)
    now: int = await raw.fetchval(f"SELECT {NOW}", None)
    freed = 0
    while True:
        held = [Owed(*row) for row in await raw.fetch(_HELD)]
        if not held:
            break
        journal = Journal(now, Uncommitted(), 0)
        await interrupt(raw, journal, held)
        await journal.write(raw)
        freed += len(held)
    await raw.execute("DELETE FROM workers")
    return freed


_HELD: Final = f"SELECT {OWED_COLUMNS} FROM owed WHERE claim IS NOT NULL LIMIT {FREED_AT_ONCE}"  # noqa: S608


async def _commit(door: Door, name: str) -> None:
    try:
        await door.raw.execute("COMMIT")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CannotMove(
            f"the connection to {name} was lost at the very end, and whether the move stands is not known: give the same command "
            "again; it is refused as not empty where the move stands, and done where not. Until then no server starts on the "
            f"file ({in_words(error)})"
        ) from error
