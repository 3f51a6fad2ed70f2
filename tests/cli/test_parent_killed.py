"""Several processes whose parent is killed while they start: they end by themselves, and leave nothing behind."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from postback.cli.trial import environment
from tests import postgres
from tests.cli.test_processes import lives
from tests.cli.test_serve_postgres import ask, on, until
from tests.ports import free_port

pytestmark = pytest.mark.anyio

MIGRATING = 0x70_6F_73_74_0001
"""The advisory lock that whoever looks after the schema holds."""


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as found:
        yield found


class Starting:
    """`serve` in two processes that has not come to answer yet."""

    def __init__(self, folder: Path, temporary: str, dsn: str) -> None:
        self.port = free_port()
        self.temporary = Path(temporary)
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "postback", "serve", "--listen", f"127.0.0.1:{self.port}", "--processes", "2"],
                env=environment() | on(dsn) | {"TMPDIR": temporary},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    @property
    def log(self) -> str:
        return self._log.read_text("utf-8")

    @property
    def left(self) -> list[int]:
        """Which of its processes still run."""
        found = {int(stat.parent.name): stat for stat in Path("/proc").glob("[0-9]*/stat")}
        return [pid for pid, stat in found.items() if _group(stat) == self.process.pid and lives(pid)]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _group(stat: Path) -> int | None:
    try:
        return int(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[2])
    except (FileNotFoundError, ProcessLookupError):
        return None


def sockets(pid: int) -> set[str]:
    held = [one.readlink().name for one in Path(f"/proc/{pid}/fd").iterdir()]
    return {name for name in held if name.startswith("socket:")}


@pytest.fixture
def start(tmp_path: Path, dsn: str) -> Iterator[Callable[[], Starting]]:
    begun: list[Starting] = []
    with TemporaryDirectory() as temporary:

        def begin() -> Starting:
            begun.append(Starting(tmp_path, temporary, dsn))
            return begun[-1]

        yield begin
        for one in begun:
            if one.left:
                subprocess.run(["kill", "-KILL", "--", f"-{one.process.pid}"], check=False)
            one.process.wait()


async def test_a_process_that_waits_for_a_migration_ends_with_its_parent(
    start: Callable[[], Starting], dsn: str
) -> None:
    """It lived on for two minutes, and with its copy of the parent's socket kept the port from whoever was started next."""
    migrating = await asyncpg.connect(dsn)
    await migrating.execute("SELECT pg_advisory_lock($1)", MIGRATING)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    starting = start()
    while not await migrating.fetchval(waiting):
        assert starting.process.poll() is None, starting.log
    [child] = set(starting.left) - {starting.process.pid}
    kept = sockets(starting.process.pid)
    shared = kept & sockets(child)

    starting.kill()
    until(lambda: not starting.left)
    with socket.socket() as next_one:
        next_one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        next_one.bind(("127.0.0.1", starting.port))
    await migrating.close()

    assert (len(kept), shared) == (1, set())
    assert "Traceback" not in starting.log
    assert list(starting.temporary.iterdir()) == []


async def test_a_process_that_is_just_being_started_ends_well_without_its_parent(
    start: Callable[[], Starting], dsn: str
) -> None:
    """It said to nobody that it answers now: a traceback, and what it had claimed was owed again only after the lease."""
    starting = start()
    until(lambda: starting.log.count("a process was started") == 2)

    starting.kill()
    until(lambda: not starting.left)

    assert "Traceback" not in starting.log
    assert await ask(dsn, "SELECT count(*) FROM workers") == 0
    assert list(starting.temporary.iterdir()) == []
