"""Seeded bad days: whatever goes wrong, in whatever order, the promises hold."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.proving import times
from tests.simulation.limits import CAPS, RATE
from tests.simulation.stores import OnSqlite
from tests.simulation.world import Ledger, live_through

SEEDS = [int(seed) for seed in os.environ.get("POSTBACK_SEEDS", "").split(",") if seed] or range(times(8, 200))


_LIVED: dict[int, Ledger] = {}


def lived(seed: int, new_database: Path) -> Ledger:
    """The ledger of that seed's world, which one test after the other may look at."""
    if seed not in _LIVED:
        with tempfile.TemporaryDirectory(dir=new_database.parent) as folder:
            file = OnSqlite(Path(shutil.copy(new_database, Path(folder) / "postback.db")))
            _LIVED[seed] = live_through(seed, file)
    return _LIVED[seed]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_everything_accepted_is_delivered_or_visibly_failed(seed: int, new_database: Path) -> None:
    try:
        ledger = lived(seed, new_database)
    except BaseException as error:
        error.add_note(f"again: POSTBACK_SEEDS={seed} python3 run.py test tests/simulation")
        raise

    assert ledger.hits > 0


def test_the_days_are_bad_enough_to_prove_something(new_database: Path) -> None:
    ledgers = [lived(seed, new_database) for seed in range(8)]

    assert sum(ledger.stale for ledger in ledgers) > 0, "no worker ever came back late to settle what was not its own"
    assert sum(ledger.interrupted for ledger in ledgers) > 10, "hardly any attempt ever lost its worker"
    for kind, cap in CAPS.items():
        assert max(ledger.limits.most_at_once[kind] for ledger in ledgers) == cap, "nothing was kept by a cap"
    assert min(ledger.limits.fastest_s for ledger in ledgers) < 1.1 / RATE, "nothing was kept by a rate"
