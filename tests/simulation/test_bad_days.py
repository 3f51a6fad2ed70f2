"""Seeded bad days: whatever goes wrong, in whatever order, the promises hold."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.proving import times
from tests.simulation.stores import OnPostgres, OnSqlite
from tests.simulation.world import live_through

GIVEN = [int(seed) for seed in os.environ.get("POSTBACK_SEEDS", "").split(",") if seed]
SEEDS = GIVEN or range(times(20, 200))
SEEDS_ON_POSTGRES = GIVEN or range(1_000, 1_000 + times(4, 60))
"""Others, so that more is seen; there they say what happens, but not quite in which order."""

AGAIN = "again: POSTBACK_SEEDS={} python3 run.py test tests/simulation"


@pytest.fixture
def file(new_database: Path) -> Iterator[OnSqlite]:
    with tempfile.TemporaryDirectory(dir=new_database.parent) as folder:
        yield OnSqlite(Path(shutil.copy(new_database, Path(folder) / "postback.db")))


@pytest.fixture
async def database(anyio_backend: str) -> AsyncIterator[OnPostgres]:
    async with postgres.database() as dsn:
        yield OnPostgres(dsn)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_everything_accepted_is_delivered_or_visibly_failed(seed: int, file: OnSqlite) -> None:
    try:
        ledger = live_through(seed, file)
    except BaseException as error:
        error.add_note(AGAIN.format(seed))
        raise

    assert ledger.hits > 0


@pytest.mark.parametrize("seed", SEEDS_ON_POSTGRES)
def test_on_postgres_everything_accepted_is_delivered_or_visibly_failed(seed: int, database: OnPostgres) -> None:
    try:
        ledger = live_through(seed, database)
    except BaseException as error:
        error.add_note(AGAIN.format(seed))
        raise

    assert ledger.hits > 0


def test_the_days_are_bad_enough_to_prove_something(new_database: Path) -> None:
    ledgers = []
    for seed in range(8):
        with tempfile.TemporaryDirectory(dir=new_database.parent) as folder:
            file = OnSqlite(Path(shutil.copy(new_database, Path(folder) / "postback.db")))
            ledgers.append(live_through(seed, file))

    assert sum(ledger.stale for ledger in ledgers) > 0, "no worker ever came back late to settle what was not its own"
    assert sum(ledger.interrupted for ledger in ledgers) > 10, "hardly any attempt ever lost its worker"
