"""What the bench puts into a store by itself: rows like the server's, which add up, and which the server carries out."""

from pathlib import Path

import pytest

from postback.bench.databases import database
from postback.bench.filling import Filling, Lane, Times
from postback.bench.server import Store
from postback.domain.accounts import Account
from postback.domain.configs import SigningSecret
from postback.domain.deliveries import Accepted, State, Target, Verdict
from postback.ports import LogFilter
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.sqlite import SqliteStore
from postback.storage.stats import SqlStats
from postback.storage.tables import configs, workers
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_config, a_settlement, a_unit, answered
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
MINUTE_MS = 60_000
OF_FAILURES = CONFIG_ID + 5


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble()


@pytest.fixture
async def used(tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> Store:
    """A store on which one delivery was made, and no server is any more."""
    with database("sqlite", tmp_path) as kept:
        made = Store(tmp_path, kept, "key", KEY)
        store = await open_store(made, clock)
        await SqlAccounts(store).save(Account(id=ACCOUNT))
        await SqlConfigs(store).add(a_config(location_id=None, signing_secrets=(SigningSecret("whsec_Y3VycmVudA=="),)))
        worker = await store.enlist("here")
        claim = await given.a_claim_of(store, worker, config_version=1)
        await store.settle(worker, [a_settlement(claim, Verdict.DELIVERED)])
        await store.retire(worker)
        await store.close()
    return made


async def open_store(made: Store, clock: ClockDouble) -> SqliteStore:
    return await SqliteStore.open(made.kept.environment["POSTBACK_DATABASE"], clock, secret_keys=[KEY])


async def test_what_is_filled_in_adds_up_and_its_configs_can_be_read(used: Store, clock: ClockDouble) -> None:
    with used.kept.tables() as tables:
        filling = Filling(tables, used)
        lanes = filling.accounts(2, 3)
        filling.finished(lanes, 20, Times(NOON - 5 * MINUTE_MS, NOON - 3 * MINUTE_MS))
        filling.owed(lanes, 12, Times(NOON - 2 * MINUTE_MS, NOON - MINUTE_MS))
        filling.close()

    store = await open_store(used, clock)
    await given.conserved(store)
    assert len(await given.log(store)) == 21
    assert len(await given.owed_rows(store)) == 12
    first, *_ = (await SqlConfigs(store).snapshot(lanes[0].account)).configs.values()
    assert (first.format, first.signing_secrets[0].text) == ("api-default", "whsec_Y3VycmVudA==")
    worker = await store.enlist("here")
    claims = await store.claim(worker, {lane.config_id: 10 for lane in lanes}, 1 << 20)
    assert len(claims) == 12
    await store.close()


async def test_what_a_dead_worker_held_is_freed_by_the_next(used: Store, clock: ClockDouble) -> None:
    with used.kept.tables() as tables:
        filling = Filling(tables, used)
        assert filling.lanes("state = 'active'") == [Lane(ACCOUNT, CONFIG_ID)]
        [lane] = lanes = filling.accounts(1, 1)
        filling.claimed(lanes, 3, Times(NOON - MINUTE_MS, NOON))
        filling.owed(lanes, 2, Times(NOON - 2 * MINUTE_MS, NOON - MINUTE_MS), due_ms=NOON + MINUTE_MS)
        filling.close()

    store = await open_store(used, clock)
    worker = await store.enlist("here")

    assert [row.id for row in await given.rows(store, workers)] == [worker.id]
    assert len(await store.claim(worker, {lane.config_id: 10}, 1 << 20)) == 3
    assert await given.lane_times(store) == {lane.config_id: MINUTE_MS}
    assert len(await given.rows(store, configs)) == 2
    await given.conserved(store)
    await store.close()


@pytest.fixture
async def also_failed(used: Store, clock: ClockDouble) -> Store:
    """And a second one, which failed."""
    store = await open_store(used, clock)
    await SqlConfigs(store).add(a_config(id=OF_FAILURES, location_id=None))
    worker = await store.enlist("here")
    unit = a_unit(given.event_number(7), config_version=2)._replace(targets=[Target(OF_FAILURES, claimed=True)])
    [answer] = await store.accept(worker, [unit])
    assert isinstance(answer, Accepted)
    [claim] = answer.claims
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED, outcome=answered(503))])
    await store.retire(worker)
    await store.close()
    return used


async def test_what_is_to_have_failed_looks_like_a_delivery_that_did(also_failed: Store, clock: ClockDouble) -> None:
    with also_failed.kept.tables() as tables:
        filling = Filling(tables, also_failed)
        [lane] = filling.accounts(1, 1)
        spoken = lane._replace(event_type="order.shipped", location_id="loc_1")
        filling.finished([lane], 6, Times(NOON - 9 * MINUTE_MS, NOON - 7 * MINUTE_MS))
        filling.finished([spoken], 4, Times(NOON - 5 * MINUTE_MS, NOON - 3 * MINUTE_MS), like=OF_FAILURES)
        filling.close()

    store = await open_store(also_failed, clock)
    await given.conserved(store)
    log = SqlLog(store)
    failed = await log.deliveries(lane.account, LogFilter(state=State.FAILED), None, 10)
    assert {(view.last_status, view.event.type, view.event.location_id) for view in failed} == {
        (503, "order.shipped", "loc_1")
    }
    assert len(failed) == 4
    health = (await SqlStats(store).health(lane.account, [lane.config_id], NOON - 10 * MINUTE_MS))[lane.config_id]
    assert (health.delivered, health.failed) == (6, 4)
    assert health.last_error is not None
    assert (health.last_error.event_id, health.last_error.status) == (failed[0].event.id, 503)
    await store.close()


async def test_what_is_to_have_been_replayed_failed_first_and_adds_up(also_failed: Store, clock: ClockDouble) -> None:
    with also_failed.kept.tables() as tables:
        filling = Filling(tables, also_failed)
        [lane] = filling.accounts(1, 1)
        filling.finished([lane], 4, Times(NOON - 5 * MINUTE_MS, NOON - 3 * MINUTE_MS), OF_FAILURES, is_replayed=True)
        filling.close()

    store = await open_store(also_failed, clock)
    await given.conserved(store)
    log = SqlLog(store)
    [first, *others] = await log.deliveries(lane.account, LogFilter(state=State.DELIVERED), None, 10)
    assert len(others) == 3
    assert await log.deliveries(lane.account, LogFilter(state=State.FAILED), None, 10) == []
    _, attempts = await log.delivery(lane.account, first.event.id, first.config_id)
    assert [(one.number, one.verdict, one.status) for one in attempts] == [
        (1, Verdict.FAILED, 503),
        (2, Verdict.DELIVERED, 200),
    ]
    await store.close()


async def test_a_view_sees_the_store_as_it_was(used: Store, clock: ClockDouble) -> None:
    with used.kept.view():
        store = await open_store(used, clock)
        await store.enlist("here")
        sizes = await store.sizes()
        await store.close()

        # What somebody still reads cannot be moved out of the log.
        path = Path(used.kept.environment["POSTBACK_DATABASE"])
        assert sizes.log
        assert path.with_name(path.name + "-wal").stat().st_size > 0
