"""A worker that dies is found dead at once by the others on its machine; one that only stands still is not."""

import asyncio
import fcntl
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from postback.domain.deliveries import Verdict
from postback.storage.postgres import PostgresStore
from postback.storage.postgres.lives import KEPT_S, Lives
from tests.storage import given
from tests.storage.given import Opener

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

A_WORKER = """
import asyncio, sys
from pathlib import Path
from postback.storage.postgres import PostgresStore
from tests import postgres
from tests.doubles import ClockDouble
from tests.storage import given

async def main(dsn, lives):
    store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[postgres.KEY], lives=Path(lives))
    worker = await store.enlist("elsewhere")
    await given.claims_of(store, worker, 2)
    print(worker.id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def a_worker_elsewhere(store: PostgresStore, lives: Path) -> AsyncIterator[tuple[Process, int]]:
    """A process of its own with a worker that holds two deliveries."""
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", A_WORKER, store._notices._dsn, str(lives)),
        env={**os.environ, "PYTHONPATH": path},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@given.on_postgres
async def test_what_a_process_held_that_was_killed_is_owed_again_at_once(opener: Opener, tmp_path: Path) -> None:
    """Its lease was waited for, though its parent and the system knew of its death."""
    store: Any = await opener(alone=False)
    await given.an_account_with_configs(store)
    living = await store.enlist("here")
    told = asyncio.Event()

    async with a_worker_elsewhere(store, tmp_path / "lives") as (process, silent):
        store.on_workers(told.set)
        assert await store.free_dead(living) == []
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        assert await store.free_dead(living) == []

        told.clear()
        process.kill()
        async with asyncio.timeout(5):
            await told.wait()
            freed = await store.free_dead(living)

    assert freed == [silent]
    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 2
    assert len(await given.claim(store, living)) == 2
    assert sorted(path.name for path in (tmp_path / "lives").iterdir()) == [str(living.id)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "lives"


@pytest.fixture
def looking(folder: Path) -> Lives:
    """Another process on the same machine."""
    lives = Lives(folder)
    lives.begin(1)
    return lives


def test_who_lives_or_has_ended_in_good_order_is_not_found_dead(folder: Path, looking: Lives) -> None:
    lives = Lives(folder)
    lives.begin(7)
    while_it_lives = looking.is_over(7)
    lives.end(7)

    assert (while_it_lives, looking.is_over(7), looking.is_over(8), looking.is_over(1)) == (False,) * 4


def test_who_ends_last_leaves_nothing(folder: Path, looking: Lives) -> None:
    lives = Lives(folder)
    lives.begin(7)
    lives.end(7)
    assert [path.name for path in folder.iterdir()] == ["1"]

    looking.end(1)

    assert not folder.exists()


def test_who_has_died_is_told_of_once_until_it_is_watched_again(folder: Path, looking: Lives) -> None:
    lives = Lives(folder)
    lives.begin(7)
    looking.watch([7, 8])
    assert not looking.one_is_over()

    lives.close()

    assert looking.is_over(7)
    assert [looking.one_is_over(), looking.one_is_over()] == [True, False]
    looking.watch([7])
    assert looking.one_is_over()
    looking.end(7)
    assert not looking.is_over(7)


def test_two_that_look_at_the_same_time_both_see_it(folder: Path, looking: Lives) -> None:
    lives = Lives(folder)
    lives.begin(7)
    lives.close()
    descriptor = os.open(folder / "7", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)

    assert looking.is_over(7)
    os.close(descriptor)


def test_a_file_of_another_machine_says_nothing(folder: Path, looking: Lives) -> None:
    """In a folder that machines share, where a lock may hold on one of them only."""
    lives = Lives(folder)
    lives.begin(7)
    lives.close()
    (folder / "7").write_bytes(b"another" + (folder / "7").read_bytes())

    assert not looking.is_over(7)


def test_a_folder_in_which_others_may_write_is_not_used(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    lives = Lives(folder)
    lives.begin(7)
    lives.close()
    folder.chmod(0o777)
    looking = Lives(folder)

    looking.begin(1)

    assert not looking.is_over(7)
    assert [path.name for path in folder.iterdir()] == ["7"]


def test_where_no_file_can_be_made_nobody_is_found_dead(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    lives = Lives(tmp_path / "file" / "lives")

    lives.begin(7)

    assert not lives.is_over(7)
    lives.end(7)


def test_a_file_that_nobody_has_asked_for_in_a_day_is_removed_and_that_of_a_living_one_is_not(folder: Path) -> None:
    dead, living, new = Lives(folder), Lives(folder), Lives(folder)
    for number, lives in enumerate((dead, living)):
        lives.begin(number)
        before = (folder / str(number)).stat().st_mtime - KEPT_S - 60
        os.utime(folder / str(number), (before, before))
    dead.close()

    new.begin(2)

    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
