"""`backup`: copies the database's file, also beside a running server."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from postback.cli.client import Json
from postback.cli.desk import lock_holder
from postback.cli.output import CommandError, Exit, print_json
from postback.settings import Settings, load_settings

if TYPE_CHECKING:
    from postback.storage.sqlite.backup import Copied


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy is to be.")],
    *,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace FILE where it exists.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the database to FILE, as it is at one moment; a running server goes on meanwhile."""
    settings = load_settings()
    _refuse_where_there_is_no_file(settings)
    database = Path(os.path.realpath(settings.database))
    target = Path(os.path.realpath(file))
    _refuse_target(target, database, force=force)
    # The store's libraries take a while to load, which no other command should wait for.
    from postback.storage.sqlite.backup import copy, size_of

    _demand_room(target, size_of(database))
    columns = (TextColumn("copying"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bar = progress.add_task("", total=None)
        copied = copy(
            database,
            target,
            lambda done, total: progress.update(bar, completed=done, total=total),
            may_replace=force,
        )
    _tell(copied, file, settings, as_json=as_json)


def _refuse_where_there_is_no_file(settings: Settings) -> None:
    if settings.is_on_a_server:
        raise CommandError(
            f"{settings.shown_database} is no file: back it up by PostgreSQL's own means, pg_dump for a copy of one "
            "moment, pg_basebackup and an archive of its write-ahead log for every moment; keep POSTBACK_SECRET_KEY "
            "with neither, but keep it",
            Exit.USAGE,
        )
    if not Path(settings.database).exists():
        raise CommandError(f"{settings.database} does not exist: there is nothing to copy", Exit.USAGE)


def _refuse_target(target: Path, database: Path, *, force: bool) -> None:
    """Whatever is said, a copy never takes the place of what is in use."""
    if target.parent == database.parent and target.name.startswith(database.name):
        rest = target.name.removeprefix(database.name)
        if rest in ("", "-wal", "-shm", "-journal", ".lock", ".key", ".secret"):
            raise CommandError(f"{target} belongs to the database itself; name another file", Exit.USAGE)
    if target.is_dir():
        raise CommandError(f"{target} is a folder; name a file in it", Exit.USAGE)
    if not target.parent.is_dir():
        raise CommandError(f"the folder {target.parent} does not exist; make it first", Exit.USAGE)
    holder = lock_holder(target)
    if holder is not None:
        raise CommandError(f"{target} is in use by a server (pid {holder}); name another file")
    if force:
        return
    from postback.storage.sqlite.backup import LOGS

    for path in (target, *(target.with_name(target.name + ending) for ending in LOGS)):
        if path.exists():
            raise CommandError(f"{path} exists already; name another file, or replace it with --force", Exit.USAGE)


def _demand_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < size:
        raise CommandError(
            f"the copy needs {_size(size)}, and {target.parent} has {_size(free)} left; name a file on another disk"
        )


def _tell(copied: "Copied", file: Path, settings: Settings, *, as_json: bool) -> None:
    secret_key, operator_key = _keys(settings)
    if as_json:
        facts: dict[str, Any] = {
            "file": str(file),
            "bytes": copied.size,
            "rows": copied.rows,
            "secret_key": secret_key,
            "operator_key": operator_key,
        }
        print_json(facts)
        return
    what = ", ".join(
        f"{copied.rows[table]:,} {word}"
        for table, word in (("events", "events"), ("attempts", "attempts"), ("owed", "deliveries owed"))
        if table in copied.rows
    )
    print(f"{file}: {_size(copied.size)}; {what}; checked")
    print(
        f"It is of no use without the key of its secrets, which is not in it: keep a copy of {secret_key}, elsewhere."
    )
    print(f"The operator key stays what it is: {operator_key}")


def _keys(settings: Settings) -> tuple[str, str]:
    """Where the key of the secrets and the operator key stand; never what they are."""
    secret_key = "POSTBACK_SECRET_KEY" if settings.secret_key is not None else str(settings.secret_file)
    operator_key = "POSTBACK_API_KEY" if settings.api_key is not None else str(settings.key_file)
    return secret_key, operator_key


def _size(size: int) -> str:
    return f"{size:,} bytes" if size < 10_240 else f"{size >> 10:,} KiB"
