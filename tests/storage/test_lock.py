"""One server process per SQLite file."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import postback
from postback.storage.database import CannotOpen
from postback.storage.lockfile import LockFile
from postback.storage.sqlite import SqliteStore
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

HOLDS_THE_LOCK = """
import signal, sys
from pathlib import Path
from postback.storage.lockfile import LockFile
lock = LockFile(Path(sys.argv[1]))
print("locked", flush=True)
signal.pause()
"""


async def test_a_second_server_is_told_the_file_and_the_process(tmp_path: Path) -> None:
    path = tmp_path / "postback.db"
    store = await SqliteStore.open(path, ClockDouble())

    with pytest.raises(CannotOpen) as refused:
        await SqliteStore.open(path, ClockDouble())

    assert f"{path} is in use" in str(refused.value)
    assert f"pid {os.getpid()}" in str(refused.value)
    assert f"{path}.lock" in str(refused.value)
    await store.close()


async def test_a_link_to_a_database_is_that_database(tmp_path: Path) -> None:
    """It had a lock of its own, so two servers ran on one file; and the log was looked for beside the link."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "data" / "postback.db")
    store = await SqliteStore.open(tmp_path / "data" / "postback.db", ClockDouble())
    with pytest.raises(CannotOpen):
        await SqliteStore.open(tmp_path / "link.db", ClockDouble())
    await store.close()

    linked = await SqliteStore.open(tmp_path / "link.db", ClockDouble())
    worker = await linked.enlist("here")
    await linked.beat(worker)
    assert await linked.free_dead(worker) == []
    await linked.close()


async def test_a_store_that_was_closed_can_be_opened_again(tmp_path: Path) -> None:
    for _ in range(2):
        store = await SqliteStore.open(tmp_path / "postback.db", ClockDouble())
        await store.close()


async def test_a_store_that_cannot_be_opened_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "postback.db"
    path.write_bytes(b"this is no database, and long enough to be none")

    for _ in range(2):
        with pytest.raises(CannotOpen, match="cannot be opened as a SQLite database"):
            await SqliteStore.open(path, ClockDouble())


async def test_a_path_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "postback.db").mkdir()

    for _ in range(2):
        with pytest.raises(CannotOpen, match=r"postback\.db cannot be opened"):
            await SqliteStore.open(tmp_path / "postback.db", ClockDouble())


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen, match="nowhere"):
        LockFile(tmp_path / "nowhere" / "postback.db")


def test_whoever_only_asks_whether_a_server_runs_stops_none_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "postback.db"
    LockFile(path).release()
    asking = os.open(tmp_path / "postback.db.lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    letting_go = threading.Timer(0.03, os.close, [asking])
    letting_go.start()

    LockFile(path).release()

    letting_go.join()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    path = tmp_path / "postback.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK, str(path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(postback.__file__).parents[1])},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    with pytest.raises(CannotOpen, match=f"pid {holder.pid}"):
        LockFile(path)

    holder.send_signal(signal.SIGKILL)
    holder.communicate()

    LockFile(path).release()
