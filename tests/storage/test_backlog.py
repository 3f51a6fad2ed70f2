"""How much waits, and for how long."""

import pytest

from postback.domain.telemetry import Backlog
from postback.storage import backlog as backlogs
from postback.storage.backlog import backlog
from tests.build import CONFIG_ID, NOON
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


async def test_where_nothing_is_owed_nothing_waits(store: Store) -> None:
    assert await backlog(store) == Backlog(owed=0, due=0, oldest_due_ms=0)


async def test_what_is_due_and_nobodys_waits_since_it_was_due(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(3))
    clock.pass_(seconds=90)
    await store.accept(worker, given.units(2, first=3))

    assert await backlog(store) == Backlog(owed=5, due=5, oldest_due_ms=90_000)


async def test_what_a_worker_holds_and_what_comes_later_is_owed_and_does_not_wait(store: Store) -> None:
    worker = await store.enlist("here")
    await given.claims_of(store, worker, 2)
    await store.accept(worker, given.units(3, first=2, due_at_ms=NOON + HOUR_MS))

    assert await backlog(store) == Backlog(owed=5, due=0, oldest_due_ms=0)


@pytest.mark.parametrize("state", ["paused", "disabled"])
async def test_what_a_config_holds_back_is_owed_and_does_not_wait(store: Store, clock: ClockDouble, state: str) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(2, targets=2))
    await given.config_state(store, state, CONFIG_ID)
    clock.pass_(seconds=5)

    assert await backlog(store) == Backlog(owed=4, due=2, oldest_due_ms=5_000)


async def test_no_more_is_counted_than_is_worth_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(7))
    monkeypatch.setattr(backlogs, "COUNTED_MAX", 5)

    found = await backlog(store)

    assert (found.owed, found.due) == (5, 5)
