"""The writer of the SQLite store: group commit, neighbours, a full disk, a disk that lies."""

import asyncio
import re
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, text

import postback
from postback.domain.errors import Unavailable
from postback.storage.sqlite import SqliteStore
from tests.doubles import ClockDouble, VirtualLoop
from tests.patience import PATIENCE_S
from tests.storage import given

pytestmark = pytest.mark.anyio


@pytest.fixture
def reported() -> list[str]:
    """What the store said about why it will never write again."""
    return []


@pytest.fixture
async def store(
    tmp_path: Path, clock: ClockDouble, reported: list[str], anyio_backend: str
) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "postback.db", clock, failed=reported.append)
    yield store
    await store.close()


async def test_what_waits_while_a_commit_is_under_way_is_one_commit(store: SqliteStore) -> None:
    commits = counted_commits(store)
    async with a_busy_writer(store):
        others = [asyncio.create_task(store.write(given.adding(f"acc_{n}"))) for n in range(50)]
        await turns_of_the_loop()
    await asyncio.gather(*others)

    assert commits() == 2
    assert len(await given.account_ids(store)) == 50


async def test_what_comes_a_turn_of_the_loop_later_is_in_the_same_commit(store: SqliteStore) -> None:
    commits = counted_commits(store)
    first = asyncio.create_task(store.write(given.adding("acc_1")))
    await asyncio.sleep(0)
    second = asyncio.create_task(store.write(given.adding("acc_2")))
    await asyncio.gather(first, second)

    assert commits() == 1


async def test_nobody_is_answered_before_the_commit(store: SqliteStore, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "postback.db") as other:
        for n in range(20):
            await store.write(given.adding(f"acc_{n}"))

            assert other.execute("SELECT count(*) FROM accounts").fetchone() == (n + 1,)
    other.close()


async def test_an_error_of_one_leaves_its_neighbours_in_the_same_commit_alone(store: SqliteStore) -> None:
    def half(connection: Connection) -> None:
        given.adding("acc_half")(connection)
        raise LookupError("halfway")

    works: list[Callable[[Connection], object]] = [
        given.adding("acc_1"),
        half,
        given.adding("acc_1"),
        syntax_error,
        given.adding("acc_2"),
    ]
    async with a_busy_writer(store):
        tasks = [asyncio.create_task(store.write(work)) for work in works]
        await turns_of_the_loop()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(result).__name__ for result in results] == [
        "NoneType",
        "LookupError",
        "IntegrityError",
        "OperationalError",
        "NoneType",
    ]
    assert await given.account_ids(store) == ["acc_1", "acc_2"]


async def test_a_function_cannot_end_the_transaction_that_it_runs_in(store: SqliteStore) -> None:
    def commits_and_fails(connection: Connection) -> None:
        given.adding("acc_1")(connection)
        connection.commit()
        given.adding("acc_2")(connection)
        raise LookupError

    def rolls_back(connection: Connection) -> None:
        given.adding("acc_3")(connection)
        connection.rollback()

    with pytest.raises(LookupError):
        await store.write(commits_and_fails)
    await store.write(rolls_back)

    assert await given.account_ids(store) == ["acc_3"]


async def test_watchers_hear_of_changed_configs_once_a_commit_before_its_writers_go_on(store: SqliteStore) -> None:
    told: list[str] = []
    store.watch(told.append)

    def change(connection: Connection) -> None:
        given.adding("acc_1")(connection)
        store.changed("acc_1")
        store.changed("acc_1")
        assert told == []

    def change_in_vain(_: Connection) -> None:
        store.changed("acc_2")
        raise LookupError

    await store.write(change)
    assert told == ["acc_1"]
    with pytest.raises(LookupError):
        await store.write(change_in_vain)
    assert told == ["acc_1"]


async def test_whoever_waits_is_answered_although_a_watcher_fails(store: SqliteStore) -> None:
    seen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))

    def fails(account: str) -> None:
        raise LookupError(account)

    store.watch(fails)

    await asyncio.wait_for(store.write(lambda _: store.changed("acc_1")), 5)

    assert [type(context["exception"]) for context in seen] == [LookupError]


async def test_a_full_disk_takes_nothing_and_all_is_well_when_there_is_room_again(store: SqliteStore) -> None:
    await store.write(given.adding("acc_1"))
    await pragma(store, "max_page_count = 1")
    commits_before = await given.account_ids(store)

    results = await asyncio.gather(
        *(store.write(given.adding(f"acc_{n}" * 9000)) for n in range(2, 6)), return_exceptions=True
    )

    assert [type(result) for result in results] == [Unavailable] * 4
    assert await given.account_ids(store) == commits_before
    assert store.broken is None
    await pragma(store, "max_page_count = 1000000")
    await store.write(given.adding("acc_2"))
    assert await given.account_ids(store) == ["acc_1", "acc_2"]


async def test_after_a_failed_fsync_the_store_never_goes_on(store: SqliteStore, reported: list[str]) -> None:
    """The kernel may have dropped the pages: the next fsync would say that all is well."""
    await store.write(given.adding("acc_1"))
    failing_commits(store, sqlite3.SQLITE_IOERR_FSYNC)

    with pytest.raises(Unavailable):
        await store.write(given.adding("acc_2"))

    working_commits(store)
    for ask in (store.write(given.adding("acc_3")), store.enlist("here"), given.account_ids(store)):
        with pytest.raises(Unavailable, match="opened anew"):
            await ask
    assert len(reported) == 1
    assert "opened anew" in reported[0]
    assert store.broken == reported[0]


async def test_any_other_error_of_the_disk_passes(store: SqliteStore, reported: list[str]) -> None:
    failing_commits(store, sqlite3.SQLITE_IOERR_WRITE)
    with pytest.raises(Unavailable):
        await store.write(given.adding("acc_1"))

    working_commits(store)
    await store.write(given.adding("acc_2"))

    assert await given.account_ids(store) == ["acc_2"]
    assert reported == []


async def test_a_clock_jump_is_not_forgotten_by_a_commit_that_failed(store: SqliteStore, clock: ClockDouble) -> None:
    """The deliveries had not moved back, and the next transaction thought that they had."""
    await given.an_account_with_configs(store)
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    clock.pass_(seconds=-3600)
    failing_commits(store, sqlite3.SQLITE_FULL)
    with pytest.raises(Unavailable):
        await store.beat(worker)

    working_commits(store)
    await store.beat(worker)

    assert len(await given.claim(store, worker)) == 1


async def test_what_a_cancelled_caller_wrote_stands(store: SqliteStore) -> None:
    async with a_busy_writer(store):
        cancelled = asyncio.create_task(store.write(given.adding("acc_1")))
        await turns_of_the_loop()
        cancelled.cancel()
        with suppress(asyncio.CancelledError):
            await cancelled
    await store.write(lambda _: None)

    assert await given.account_ids(store) == ["acc_1"]


async def test_closing_ends_after_what_was_submitted(tmp_path: Path, clock: ClockDouble) -> None:
    store = await SqliteStore.open(tmp_path / "closing.db", clock)
    written = [asyncio.create_task(store.write(given.adding(f"acc_{n}"))) for n in range(20)]
    await turns_of_the_loop()

    await store.close()
    await store.close()

    await asyncio.gather(*written)
    with pytest.raises(Unavailable):
        await store.write(given.adding("acc_late"))
    with pytest.raises(Unavailable):
        await given.account_ids(store)
    assert not (tmp_path / "closing.db-wal").exists()


def test_inline_needs_no_thread_and_no_real_time(tmp_path: Path) -> None:
    async def day(store_path: Path) -> list[int]:
        clock = ClockDouble()
        threads = threading.active_count()
        store = await SqliteStore.open(store_path, clock, inline=True)
        commits = counted_commits(store)
        await given.an_account_with_configs(store)
        worker = await store.enlist("here")
        before = commits()
        await asyncio.gather(*(store.accept(worker, [unit]) for unit in given.units(10)))
        grouped = commits() - before
        claims = await given.claim(store, worker)
        assert threading.active_count() == threads
        await asyncio.gather(store.write(given.adding("acc_last")), store.close())
        return [grouped, len(claims)]

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(Random(1))) as runner:
        assert runner.run(day(tmp_path / "inline.db")) == [1, 10]


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    async def modes() -> set[int]:
        store = await SqliteStore.open(tmp_path / "postback.db", ClockDouble())
        await store.write(given.adding("acc_1"))
        found = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        assert {file.suffix for file in tmp_path.iterdir()} == {".db", ".db-wal", ".db-shm", ".lock", ".secret"}
        await store.close()
        return found

    assert asyncio.run(modes()) == {0o600}


def test_exactly_one_sqlite_is_loaded() -> None:
    """Two libraries in one process drop each other's file locks."""
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not tell what is loaded")
    program = "import postback.bootstrap; print(open('/proc/self/maps').read())"
    sources = str(Path(postback.__file__).parents[1])

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": sources}
    )

    assert "_sqlite3" in done.stdout
    assert len(set(re.findall(r"\S*(?:libsqlite3|apsw|pysqlite3)\S*", done.stdout))) <= 1


def syntax_error(connection: Connection) -> None:
    connection.execute(text("SELECT nothing FROM nowhere"))


async def pragma(store: SqliteStore, setting: str) -> None:
    await store._submit(lambda raw: raw.execute(f"PRAGMA {setting}").fetchall())


def counted_commits(store: SqliteStore) -> Callable[[], int]:
    commits: list[str] = []
    store._door.raw.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    return lambda: len(commits)


def failing_commits(store: SqliteStore, code: int) -> None:
    raw = store._door.raw
    execute = sqlite3.Connection.execute

    def failing(sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = code
            raise error
        return execute(raw, sql, *parameters)

    raw.execute = failing  # type: ignore[method-assign, assignment]


def working_commits(store: SqliteStore) -> None:
    del store._door.raw.execute


@asynccontextmanager
async def a_busy_writer(store: SqliteStore) -> AsyncIterator[None]:
    """What is submitted inside has to wait for the commit that is under way."""
    started, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(_: Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        go_on.wait(PATIENCE_S)

    blocking = asyncio.create_task(store.write(work))
    await started.wait()
    yield
    go_on.set()
    await blocking


async def turns_of_the_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)
