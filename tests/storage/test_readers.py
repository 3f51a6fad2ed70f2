"""Beside the writer of the SQLite store: readers, and moving the log into the database."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from postback.domain.errors import Unavailable
from postback.storage.sqlite import SqliteStore, readers, writer
from postback.storage.sqlite.checkpoints import Checkpointer, OwnCheckpoints
from postback.storage.sqlite.connections import checkpoints_apart
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    yield store
    await store.close()


async def test_a_reader_sees_one_state_and_changes_nothing(store: SqliteStore) -> None:
    await store.write(given.adding("acc_1"))
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[int, int]:
        count = text("SELECT count(*) FROM accounts")
        before = connection.execute(count).scalar_one()
        asyncio.run_coroutine_threadsafe(store.write(given.adding("acc_2")), loop).result(5)
        return before, connection.execute(count).scalar_one()

    assert await store.read(twice) == (1, 1)
    assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM accounts")).scalar()) == 2
    with pytest.raises(Exception, match="readonly"):
        await store.read(given.adding("acc_3"))


async def test_a_reader_that_takes_too_long_is_ended(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "READ_MAX_S", 0.05)
    endless = text("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    with pytest.raises(Unavailable, match="longer than"):
        await store.read(lambda connection: connection.execute(endless).scalar())

    assert await given.account_ids(store) == []


async def test_the_writer_moves_the_log_into_the_database_when_it_is_idle(store: SqliteStore, tmp_path: Path) -> None:
    if checkpoints_apart():
        pytest.skip("with this SQLite a second thread does")
    await store.write(given.adding("acc_1"))

    async with asyncio.timeout(10):
        while in_the_database_itself(tmp_path) != ["acc_1"]:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("inline", [True, False])
async def test_the_writer_moves_the_log_when_it_has_grown_large(
    tmp_path: Path, clock: ClockDouble, monkeypatch: pytest.MonkeyPatch, *, inline: bool
) -> None:
    if checkpoints_apart() and not inline:
        pytest.skip("with this SQLite a second thread does")
    monkeypatch.setattr(writer, "IDLE_S", 600)
    store = await SqliteStore.open(tmp_path / "postback.db", clock, inline=inline)
    store._writer._checkpoints = OwnCheckpoints(store._door.raw, tmp_path / "postback.db", large_bytes=500_000)  # type: ignore[attr-defined]
    # What making the schema has written is large too.
    store._door.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    await store.write(given.adding("acc_small"))
    await store.write(given.adding("acc_more"))
    small = in_the_database_itself(tmp_path)
    await store.write(given.adding("acc_large" + "x" * 1_000_000))
    await store.write(lambda _: None)

    assert small == []
    assert in_the_database_itself(tmp_path) == ["acc_large", "acc_more", "acc_small"]
    await store.close()


async def test_a_second_thread_moves_the_log_where_this_sqlite_may(tmp_path: Path, clock: ClockDouble) -> None:
    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    await store.write(given.adding("acc_1"))
    errors: list[sqlite3.Error] = []

    checkpointer = Checkpointer(tmp_path / "postback.db", errors.append, pause_s=0.01)

    async with asyncio.timeout(10):
        while in_the_database_itself(tmp_path) != ["acc_1"]:
            await asyncio.sleep(0.01)
    checkpointer.close()
    assert errors == []
    await store.close()


def test_only_versions_without_the_bug_are_checkpointed_by_another() -> None:
    """https://sqlite.org/wal.html#walresetbug"""
    assert not checkpoints_apart((3, 40, 1))
    assert not checkpoints_apart((3, 51, 2))
    assert checkpoints_apart((3, 51, 3))
    assert checkpoints_apart((3, 54, 0))


def in_the_database_itself(folder: Path) -> list[str]:
    """What the database file holds without its log."""
    shutil.copyfile(folder / "postback.db", folder / "copy.db")
    copy = sqlite3.connect(folder / "copy.db")
    try:
        return [row[0][:9] for row in copy.execute("SELECT id FROM accounts ORDER BY id")]
    except sqlite3.DatabaseError:
        return []
    finally:
        copy.close()
