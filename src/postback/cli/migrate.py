"""`migrate`: moves the database's file into a database of PostgreSQL."""

import asyncio
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from postback.cli.client import Json
from postback.cli.output import CommandError, Exit, print_json
from postback.domain import databases
from postback.domain.errors import Unavailable
from postback.settings import Settings, load_settings

if TYPE_CHECKING:
    from postback.storage.postgres.moving import Moved

ROWS_A_LOOK = 1000
"""The bar moves after so many."""


def migrate(
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="ADDRESS", help="An empty PostgreSQL database: postgresql://user@host/name.")
    ],
    as_json: Json = False,
) -> None:
    """Move everything from the SQLite file into an empty PostgreSQL database; stop the server before."""
    settings = load_settings()
    address = _address(to)
    _refuse_where_it_cannot(settings)
    moved = _move(settings, address)
    _tell(moved, settings, address, as_json=as_json)


def _address(text: str) -> str:
    try:
        address = databases.parse(text)
    except ValueError:
        address = ""
    if not databases.is_server(address):
        raise CommandError(
            f"--to is {databases.told(text)!r}; expected the address of a PostgreSQL database: {databases.EXAMPLE}",
            Exit.USAGE,
        )
    return address


def _refuse_where_it_cannot(settings: Settings) -> None:
    if settings.is_on_a_server:
        raise CommandError(
            f"POSTBACK_DATABASE is {settings.shown_database}, and only a SQLite file can be moved: set it to the file",
            Exit.USAGE,
        )
    if not Path(settings.database).exists():
        raise CommandError(f"{settings.database} does not exist: there is nothing to move", Exit.USAGE)
    if find_spec("asyncpg") is None:
        raise CommandError(
            "PostgreSQL needs the extra postgres: pip install './postback[postgres]' (./postback is the folder that was cloned)",
            Exit.USAGE,
        )


def _move(settings: Settings, address: str) -> "Moved":
    # The store's libraries take a while to load, which no other command should wait for.
    from postback.storage.postgres.moving import move, opened_to_move

    path = Path(os.path.realpath(settings.database))
    try:
        with opened_to_move(path, settings.secret_keys) as source, _bars() as bars:
            return asyncio.run(move(source, address, bars.table, bars.counted))
    except Unavailable as error:
        raise CommandError(f"{error}; nothing was moved", Exit.NOT_REACHABLE) from error


class _Bars:
    """A bar for each table, and two for what is counted."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._counted: dict[str, TaskID] = {}

    def table(self, name: str, total: int, rows: Iterator[tuple[object, ...]]) -> Iterator[tuple[object, ...]]:
        bar = self._progress.add_task(name, total=total, visible=total > 0)
        done = 0
        for done, row in enumerate(rows, 1):
            yield row
            if done % ROWS_A_LOOK == 0:
                self._progress.update(bar, completed=done)
        self._progress.update(bar, completed=done)

    def counted(self, what: str, done: int, total: int) -> None:
        bar = self._counted.get(what)
        if bar is None:
            bar = self._counted[what] = self._progress.add_task(what, total=total, visible=total > 0)
        self._progress.update(bar, completed=done)


@contextmanager
def _bars() -> Iterator[_Bars]:
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        yield _Bars(progress)


def _tell(moved: "Moved", settings: Settings, address: str, *, as_json: bool) -> None:
    shown = databases.shown(address)
    if as_json:
        print_json({"to": shown, "rows": moved.rows, "freed": moved.freed, "missing": moved.missing})
        return
    rows = moved.rows
    print(
        f"moved to {shown}: {rows['events']:,} events, {rows['attempts']:,} attempts, {rows['owed']:,} deliveries owed, "
        f"{sum(rows.values()):,} rows in all; counted there, and the same"
    )
    if moved.freed:
        print(f"{moved.freed:,} deliveries were under way when the server ended: they are owed again")
    for account, missing in moved.missing.items():
        print(f"! account {account}: {missing:,} deliveries were missing already; `doctor --log` on the file says more")
    print("\nNow set, for every process:")
    print("  POSTBACK_DATABASE    to that address, with its password")
    print(f"  POSTBACK_SECRET_KEY  {_secret_key(settings)}")
    print(f"\nThe operator keys are the same as before{_operator_key(settings)}.")
    print(
        f"No server starts on {settings.database} again, for it would deliver what is owed a second time: "
        f"{settings.database}.moved beside it says where it went."
    )


def _secret_key(settings: Settings) -> str:
    """Where it is, never what it is."""
    if settings.secret_key is not None or settings.secret_file is None:
        return "to what it is now"
    return f'to what stands in {settings.secret_file}: "$(paste -sd, {shlex.quote(str(settings.secret_file))})"'


def _operator_key(settings: Settings) -> str:
    if settings.api_key is not None or settings.key_file is None or not settings.key_file.exists():
        return ""
    return f", that of the first start in {settings.key_file.absolute()}"
