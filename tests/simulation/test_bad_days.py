"""Seeded bad days: whatever goes wrong, in whatever order, the promises hold."""

import os
from pathlib import Path

import pytest

from tests.simulation.world import live_through

SEEDS = [int(seed) for seed in os.environ.get("POSTBACK_SEEDS", "").split(",") if seed] or range(50)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_everything_accepted_is_delivered_or_visibly_failed(seed: int, tmp_path: Path) -> None:
    try:
        ledger = live_through(seed, tmp_path)
    except BaseException as error:
        error.add_note(f"again: POSTBACK_SEEDS={seed} python3 run.py test tests/simulation")
        raise

    assert ledger.hits > 0
