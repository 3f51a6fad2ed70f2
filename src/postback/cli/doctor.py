"""`doctor`: looks at the database, the settings and the server, changes nothing, and says what is wrong."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from postback.cli.client import Client, Json, known_key
from postback.cli.conservation import conservation, limited
from postback.cli.desk import lock_holder
from postback.cli.findings import OWED_BY_STATE, Finding
from postback.cli.output import CommandError, Exit, print_json, print_table
from postback.domain.errors import PostbackError
from postback.settings import Settings, load_settings

WAL_RESET_FIXED: Final = (3, 51, 3)
APPLICATION_ID: Final = 0x70_6F_73_74
WAL_FORMAT: Final = b"\x02\x02"
"""Bytes 18 and 19 of a file whose journal mode is WAL."""
DISK_LOW_BYTES: Final = 256 << 20
READ_S: Final = 5.0
CHECK_S: Final = 5.0

_COLOURS: Final = {"ok": "green", "note": "yellow", "wrong": "bold red"}


def doctor(
    *,
    with_log: Annotated[
        bool,
        typer.Option("--log", metavar="", help="Also count the whole log, however long it takes, and compare."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Examine the installation; reads only. The exit code is 1 when something is wrong."""
    settings = load_settings()
    findings = list(examine(settings, with_log=with_log))
    if as_json:
        print_json([finding._asdict() for finding in findings])
    else:
        rows = [(one.what, Text(one.verdict, style=_COLOURS[one.verdict]), one.text) for one in findings]
        print_table(["Checked", "", "Found"], rows, "nothing")
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def examine(settings: Settings, *, with_log: bool = False) -> Iterator[Finding]:
    if settings.is_on_a_server:
        yield from _examine_on_server(settings, with_log=with_log)
        return
    database = Path(settings.database)
    yield Finding("settings", "ok", "all read; `settings` shows them")
    yield Finding("python", "ok", sys.version.split()[0])
    yield _sqlite_version()
    yield from _private_file("operator key", settings.key_file, is_given=settings.api_key is not None)
    yield from _private_file("secret key", settings.secret_file, is_given=settings.secret_key is not None)
    yield from _disk(database)
    if database.exists():
        yield from _moved(database)
        yield from _database(database, settings, with_log=with_log)
    else:
        yield Finding("database", "note", f"{database} does not exist yet; the first `serve` makes it")
    holder = lock_holder(database) if database.parent.is_dir() else None
    yield Finding(
        "lock", "ok", f"held by process {holder}" if holder else "held by nobody: no server runs on this database"
    )
    yield from _server(settings, is_running=holder is not None)


def _examine_on_server(settings: Settings, *, with_log: bool) -> Iterator[Finding]:
    # Its libraries take a while to load, and may not be there.
    from postback.cli.doctor_postgres import examine_database
    from postback.storage.stores import demand_driver

    yield Finding("settings", "ok", "all read; `settings` shows them")
    yield Finding("python", "ok", sys.version.split()[0])
    try:
        demand_driver()
    except PostbackError as error:
        yield Finding("database", "wrong", str(error))
        return
    yield from examine_database(settings, with_log=with_log)
    # Those at work on the database may all be elsewhere.
    yield from _server(settings, is_running=False)


def _sqlite_version() -> Finding:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info >= WAL_RESET_FIXED:
        return Finding("sqlite", "ok", f"{version}; checkpoints run beside the writer")
    return Finding(
        "sqlite",
        "ok",
        f"{version}, fine here: the writer itself checkpoints. No other program may write to the file, for before "
        f"{_dotted(WAL_RESET_FIXED)} a checkpoint beside a write can corrupt the log",
    )


def _private_file(what: str, path: Path | None, *, is_given: bool) -> Iterator[Finding]:
    if is_given or path is None:
        yield Finding(what, "ok", "given by the settings")
    elif not path.exists():
        yield Finding(what, "note", f"{path} does not exist; the first `serve` makes it")
    elif path.stat().st_mode & 0o077:
        yield Finding(what, "wrong", f"{path} can be read by others; chmod 600 it and make a new key")
    else:
        yield Finding(what, "ok", f"in {path}, readable by its owner only")


def _disk(database: Path) -> Iterator[Finding]:
    folder = database.absolute().parent
    if not folder.is_dir():
        yield Finding("disk", "wrong", f"the folder {folder} does not exist")
        return
    free = shutil.disk_usage(folder).free
    verdict = "ok" if free >= DISK_LOW_BYTES else "wrong"
    yield Finding("disk", verdict, f"{free >> 20:,} MiB free in {folder}")
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "wrong", f"{folder} cannot be written")


def _moved(database: Path) -> Iterator[Finding]:
    # Its libraries take a while to load, which no other command should wait for.
    from postback.storage.moved import MovedMark

    mark = MovedMark(database)
    if (name := mark.read()) is not None:
        yield Finding("moved", "note", f"to {name}, as {mark.path.name} says; no server starts on this file")


def _database(path: Path, settings: Settings, *, with_log: bool) -> Iterator[Finding]:
    try:
        connection = sqlite3.connect(_address(path), uri=True, timeout=READ_S)
        try:
            yield from _contents(connection, path, settings, with_log=with_log)
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        yield Finding("database", "wrong", f"{path} cannot be read: {error}")


def _address(path: Path) -> str:
    """Read only; and where nothing waits in a log, without even making the files that a log needs."""
    is_at_rest = not _log_of(path).exists() and lock_holder(path) is None
    return f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if is_at_rest else "")


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _contents(connection: sqlite3.Connection, path: Path, settings: Settings, *, with_log: bool) -> Iterator[Finding]:
    def ask(question: str) -> object:
        row = connection.execute(question).fetchone()
        return row[0] if row else None

    if ask("PRAGMA application_id") != APPLICATION_ID:
        yield Finding("database", "wrong", f"{path} is not a database of postback")
        return
    with path.open("rb") as file:
        is_wal = file.read(20)[18:20] == WAL_FORMAT
    yield Finding(
        "journal mode", "ok" if is_wal else "wrong", "wal" if is_wal else "not wal; the server sets it at its start"
    )
    yield Finding("synchronous", "ok", "FULL, set by the server for its writing connection at each start")
    yield _integrity(connection)
    log = _log_of(path)
    sizes = f"{path.stat().st_size >> 10:,} KiB, log {log.stat().st_size >> 10 if log.exists() else 0:,} KiB"
    yield Finding("size", "ok", sizes)
    yield _secrets(connection, path, settings)
    counts = dict(connection.execute(OWED_BY_STATE).fetchall())
    text = ", ".join(f"{state} {counts.get(state, 0):,}" for state in ("pending", "claimed", "held"))
    yield Finding("owed", "ok", text)
    yield from conservation(connection, CHECK_S, with_log=with_log)


def _integrity(connection: sqlite3.Connection) -> Finding:
    """For so long only: while it reads, the log of a server at work cannot be emptied and grows."""
    try:
        with limited(connection, CHECK_S):
            [sound] = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return Finding(
            "integrity",
            "note",
            f"quick_check: not finished within {CHECK_S:g} s; a copy of the file can be checked at leisure",
        )
    return Finding("integrity", "ok" if sound == "ok" else "wrong", f"quick_check: {sound}")


def _secrets(connection: sqlite3.Connection, path: Path, settings: Settings) -> Finding:
    """Whether all keys are at hand that the secrets were encrypted with; none of them is opened."""
    # Its libraries take a while to load, which no other command should wait for.
    from postback.storage.database import CannotOpen
    from postback.storage.secret_file import SecretFile
    from postback.storage.vault import PREFIX_LENGTH, is_clear, key_id, key_id_of

    query = f"SELECT DISTINCT substr(secrets, 1, {PREFIX_LENGTH}) FROM config_versions"  # noqa: S608 - a number
    beginnings = [beginning for (beginning,) in connection.execute(query)]
    used = {found for found in map(key_id_of, beginnings) if found is not None}
    try:
        keys = settings.secret_keys or SecretFile(path).read()
    except CannotOpen as error:
        return Finding("secrets", "wrong", str(error))
    known = [key_id(key) for key in keys]
    if missing := sorted(used - set(known)):
        return Finding("secrets", "wrong", f"encrypted with keys that are not there: {', '.join(missing)}")
    if any(map(is_clear, beginnings)):
        return Finding("secrets", "note", "some are not encrypted yet; the next start does it")
    if old := sorted(used - set(known[:1])):
        return Finding("secrets", "note", f"can be read, some with old keys ({', '.join(old)}); `rewrap` changes that")
    return Finding("secrets", "ok", "can be read" if used else "there are none")


def _server(settings: Settings, *, is_running: bool) -> Iterator[Finding]:
    url = settings.address_url
    try:
        Client(url, known_key(settings), ca_file=settings.ca_file).get("/ready")
    except CommandError as error:
        if error.code is Exit.NOT_REACHABLE and not is_running:
            yield Finding("server", "note", f"none answers at {url}")
        elif error.code is Exit.NOT_REACHABLE:
            yield Finding(
                "server",
                "wrong",
                f"{error}; one runs, so it may listen elsewhere: set POSTBACK_LISTEN to where it does",
            )
        else:
            yield Finding("server", "wrong", str(error))
    else:
        yield Finding("server", "ok", f"answers at {url} and accepts events")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
