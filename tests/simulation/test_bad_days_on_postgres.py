"""The same bad days on PostgreSQL, where each process has connections of its own."""

import os
from collections.abc import AsyncIterator

import pytest

from tests import postgres
from tests.proving import times
from tests.simulation.stores import OnPostgres
from tests.simulation.world import live_through

FIRST = 1_000
"""Other seeds than on SQLite, so that more is seen. They say what happens; in which order, only as far as no process waits
for a lock of another."""

GIVEN = [int(seed) for seed in os.environ.get("POSTBACK_SEEDS", "").split(",") if seed]
SEEDS = GIVEN or range(FIRST, FIRST + times(1, 60))


@pytest.fixture
async def database(anyio_backend: str) -> AsyncIterator[OnPostgres]:
    async with postgres.database() as dsn:
        yield OnPostgres(dsn)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_everything_accepted_is_delivered_or_visibly_failed(
    seed: int, database: OnPostgres
) -> None:
    try:
        ledger = live_through(seed, database)
    except BaseException as error:
        error.add_note(f"again: POSTBACK_SEEDS={seed} python3 run.py test tests/simulation")
        raise

    assert ledger.hits > 0
