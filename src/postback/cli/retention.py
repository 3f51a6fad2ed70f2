"""`retention`: says what is old enough to go, or takes it away while no server runs."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from postback.cli.client import Json
from postback.cli.desk import lock_holder
from postback.cli.output import CommandError, Exit, print_json, print_table
from postback.domain.times import rfc3339
from postback.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from postback.storage.sqlite.outlook import Going

DAY_MS: Final = 86_400_000


def retention(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Only say what would go, also beside a running server.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take away what is older than POSTBACK_RETENTION_DAYS; a running server does so by itself, every minute."""
    settings = load_settings()
    if settings.is_on_a_server:
        raise CommandError(
            f"this works on a SQLite file, and {settings.shown_database} is none: on PostgreSQL the servers do it by "
            "themselves, every minute, and drop whole days of the log",
            Exit.USAGE,
        )
    database = Path(settings.database)
    if not database.exists():
        raise CommandError(f"{database} does not exist: there is nothing to take away", Exit.USAGE)
    if dry_run:
        _show(_outlook(settings), as_json=as_json)
        return
    holder = lock_holder(database)
    if holder is None:
        _tell(_sweep(settings), database, as_json=as_json)
    elif as_json:
        print_json({"rows": 0, "server": holder})
    else:
        print(f"a server (pid {holder}) has {database} and does this by itself; --dry-run says what will go")


def _outlook(settings: Settings) -> Sequence["Going"]:
    # The store's libraries take a while to load, which no other command should wait for.
    from postback.storage.database import CannotOpen
    from postback.storage.sqlite.connections import open_reader
    from postback.storage.sqlite.outlook import outlook

    try:
        door = open_reader(Path(settings.database))
        try:
            return list(outlook(door.raw, _now_ms(), _before_ms(settings)))
        finally:
            door.close()
    except (CannotOpen, sqlite3.Error) as error:
        raise CommandError(
            f"{settings.database} cannot be read: {error}; a database of an older version is brought up to date by "
            "the next start of the server"
        ) from error


def _show(going: Sequence["Going"], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "table": one.table,
                    "fate": one.fate,
                    "rows": one.rows,
                    "bytes": one.size,
                    "oldest_at": _time(one.oldest_ms),
                }
                for one in going
            ]
        )
        return
    rows = [(one.table, one.fate, f"{one.rows:,}", _size(one.size), _time(one.oldest_ms)) for one in going]
    print_table(["Table", "What happens", "Rows", "About", "The oldest is from"], rows, "nothing")


def _sweep(settings: Settings) -> int:
    """How many rows it was; a bar says how far it is."""
    from postback.engine.housekeeper import ROWS_AT_ONCE
    from postback.storage.sqlite import SqliteStore
    from postback.storage.sqlite.retention import VACUUMED_PAGES

    before_ms, done = _before_ms(settings), 0
    with asyncio.Runner() as runner:
        store = runner.run(SqliteStore.open(settings.database, _now_ms, secret_keys=settings.secret_keys))
        try:
            total = sum(one.rows for one in _outlook(settings))
            with _progress() as progress:
                bar = progress.add_task("taking away", total=total)
                while count := runner.run(store.expire(before_ms, ROWS_AT_ONCE)):
                    done += count
                    progress.update(bar, completed=min(done, total))
                free = runner.run(store.read(_free_pages))
                for _ in progress.track(range(-(-free // VACUUMED_PAGES)), description="giving back space"):
                    runner.run(store.expire(before_ms, ROWS_AT_ONCE))
        finally:
            runner.run(store.close())
    return done


def _free_pages(connection: "Connection") -> int:
    free: int = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
    return free


def _progress() -> Progress:
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen, disable=not screen.is_terminal)


def _tell(rows: int, database: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"rows": rows, "server": None})
    else:
        print(f"taken away: {rows:,} rows; {database} now has {_size(database.stat().st_size)}")


def _before_ms(settings: Settings) -> int:
    return _now_ms() - settings.retention_days * DAY_MS


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _size(size: int) -> str:
    return f"{size:,} bytes" if size < 10_240 else f"{size >> 10:,} KiB"


def _time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
