"""Starts that do not come to their end: whoever is stopped or loses its parent meanwhile leaves nothing behind."""

import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from postback.actions.secrets import hash_of
from postback.cli.trial import environment
from tests import postgres
from tests.cli.nodes import ask, lives, on, until
from tests.patience import PATIENCE_S
from tests.ports import free_port

pytestmark = pytest.mark.anyio

MIGRATING = 0x70_6F_73_74_0001
"""The advisory lock that whoever looks after the schema holds."""


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as found:
        yield found


class Starting:
    """`serve` that has not come to answer yet."""

    def __init__(self, folder: Path, temporary: str, dsn: str, processes: str) -> None:
        self.port = free_port()
        self.temporary = Path(temporary)
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "postback", "serve", "--listen", f"127.0.0.1:{self.port}"],
                env=environment() | on(dsn) | {"TMPDIR": temporary, "POSTBACK_PROCESSES": processes},
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
def start(tmp_path: Path, dsn: str) -> Iterator[Callable[..., Starting]]:
    begun: list[Starting] = []
    with TemporaryDirectory() as temporary:

        def begin(processes: str = "2") -> Starting:
            begun.append(Starting(tmp_path, temporary, dsn, processes))
            return begun[-1]

        yield begin
        for one in begun:
            if one.left:
                subprocess.run(["kill", "-KILL", "--", f"-{one.process.pid}"], check=False)
            one.process.wait()


async def test_a_process_that_waits_for_a_migration_ends_with_its_parent(
    start: Callable[..., Starting], dsn: str
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
    start: Callable[..., Starting], dsn: str
) -> None:
    """It said to nobody that it answers now: a traceback, and what it had claimed was owed again only after the lease."""
    starting = start()
    until(lambda: starting.log.count("a process was started") == 2)

    starting.kill()
    until(lambda: not starting.left)

    assert "Traceback" not in starting.log
    assert await ask(dsn, "SELECT count(*) FROM workers") == 0
    assert list(starting.temporary.iterdir()) == []


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_an_operator_key_that_was_made_is_shown_whatever_becomes_of_the_start(
    start: Callable[..., Starting], dsn: str, processes: str
) -> None:
    """It was shown once all processes answered: of a start that was stopped before, nobody ever saw it, and no later
    start makes another."""
    starting = start(processes)
    while not await ask(dsn, "SELECT count(*) FROM api_keys"):
        assert starting.process.poll() is None, starting.log

    starting.process.terminate()
    starting.process.wait(PATIENCE_S)

    shown = re.findall(r"Operator key, shown this once and kept nowhere: (\S+)", starting.log)
    stored = await ask(dsn, "SELECT hash FROM api_keys")
    assert [hash_of(key) for key in shown] == [stored]
    assert starting.process.returncode == 0
    assert starting.log.endswith("postback has stopped; nothing that was accepted is lost\n")
    assert "Traceback" not in starting.log
