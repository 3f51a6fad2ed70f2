"""Seeded bad days: whatever goes wrong, in whatever order, the promises hold."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.proving import times
from tests.simulation.limits import CAPS, RATE
from tests.simulation.world import live_through

SEEDS = [int(seed) for seed in os.environ.get("POSTBACK_SEEDS", "").split(",") if seed] or range(times(20, 200))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_everything_accepted_is_delivered_or_visibly_failed(seed: int, new_database: Path) -> None:
    with tempfile.TemporaryDirectory(dir=new_database.parent) as folder:
        shutil.copy(new_database, Path(folder) / "postback.db")
        try:
            ledger = live_through(seed, Path(folder))
        except BaseException as error:
            error.add_note(f"again: POSTBACK_SEEDS={seed} python3 run.py test tests/simulation")
            raise

    assert ledger.hits > 0


def test_the_days_are_bad_enough_to_prove_something(new_database: Path) -> None:
    ledgers = []
    for seed in range(8):
        with tempfile.TemporaryDirectory(dir=new_database.parent) as folder:
            shutil.copy(new_database, Path(folder) / "postback.db")
            ledgers.append(live_through(seed, Path(folder)))

    assert sum(ledger.stale for ledger in ledgers) > 0, "no worker ever came back late to settle what was not its own"
    assert sum(ledger.interrupted for ledger in ledgers) > 10, "hardly any attempt ever lost its worker"
    for kind, cap in CAPS.items():
        assert max(ledger.limits.most_at_once[kind] for ledger in ledgers) == cap, "nothing was kept by a cap"
    assert min(ledger.limits.fastest_s for ledger in ledgers) < 1.1 / RATE, "nothing was kept by a rate"
