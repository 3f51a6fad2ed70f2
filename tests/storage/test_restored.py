"""What a restored copy says of itself: until when it knows, what it owes, to whom, and who was at work on it."""

import pytest

from postback.domain import restored as domain_of_restored
from postback.domain.accounts import Account
from postback.domain.configs import ConfigState
from postback.domain.deliveries import State
from postback.domain.ids import encode
from postback.domain.jobs import JobKind
from postback.domain.restored import MOST, Copy, OwedTo
from postback.ports import LogFilter
from postback.storage import restored
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.restored import copy_of, heard_of, owing
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_config, a_unit
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000


async def an_account_with_real_configs(store: Store, n: int) -> SqlConfigs:
    configs = SqlConfigs(store)
    await SqlAccounts(store).save(Account(id=ACCOUNT))
    for number in range(n):
        await configs.add(a_config(id=CONFIG_ID + number, url=f"https://r{number}.example/in", location_id=None))
    return configs


async def test_an_empty_copy_knows_nothing_and_owes_nothing(empty_store: Store) -> None:
    copy = await copy_of(empty_store)
    found = await owing(empty_store, SqlConfigs(empty_store), copy)

    assert copy == Copy(None, 0)
    assert found.is_nothing
    assert (found.owed, found.in_copy, found.replays, list(found.most)) == (0, 0, 0, [])


async def test_a_copy_knows_until_its_newest_event_or_heartbeat(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    clock.pass_(seconds=7)
    await store.accept(worker, [a_unit(given.event_number(1, accepted_ms=clock()))])
    accepted = await copy_of(store)
    clock.pass_(seconds=40)
    await store.beat(worker)
    beaten = await copy_of(store)

    last = given.event_number(1).id
    assert accepted == Copy(NOON + 7_000, last)
    assert beaten == Copy(NOON + 47_000, last)


async def test_without_a_worker_it_goes_by_the_minute_that_was_counted_last(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    clock.pass_(seconds=125)
    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID)
    await store.retire(worker)

    copy = await copy_of(store)

    assert copy.known_until_ms is not None
    assert NOON + 120_000 <= copy.known_until_ms <= NOON + 125_000


async def test_what_is_owed_is_counted_for_each_config_and_apart_from_what_came_later(
    empty_store: Store, clock: ClockDouble
) -> None:
    store = empty_store
    configs = await an_account_with_real_configs(store, 3)
    worker = await store.enlist("here")
    version = (await configs.snapshot(ACCOUNT)).version
    await store.accept(worker, given.units(4, targets=2, config_version=version))
    await store.accept(worker, given.units(2, first=4, claimed=True, config_version=version))
    copy = await copy_of(store)
    await store.accept(worker, given.units(3, first=6, config_version=version))
    await configs.set_state(ACCOUNT, CONFIG_ID + 1, ConfigState.PAUSED, "by a person")

    found = await owing(store, configs, copy)

    assert (found.owed, found.in_copy, found.is_nothing) == (13, 10, False)
    assert list(found.most) == [
        OwedTo(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, "https://r0.example/in", 9),
        OwedTo(ACCOUNT, CONFIG_ID + 1, ConfigState.PAUSED, "https://r1.example/in", 4),
    ]


async def test_of_a_deleted_config_there_is_no_url_and_only_the_first_few_are_named(empty_store: Store) -> None:
    store = empty_store
    configs = await an_account_with_real_configs(store, MOST + 2)
    worker = await store.enlist("here")
    version = (await configs.snapshot(ACCOUNT)).version
    await store.accept(worker, given.units(1, targets=MOST + 2, config_version=version))
    await configs.delete(ACCOUNT, CONFIG_ID)

    found = await owing(store, configs, await copy_of(store))

    assert (found.owed, len(found.most)) == (MOST + 2, MOST)
    assert found.most[0] == OwedTo(ACCOUNT, CONFIG_ID, ConfigState.DELETED, None, 1)


async def test_no_more_is_counted_than_a_store_has_time_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(7))
    copy = await copy_of(store)
    for module in (restored, domain_of_restored):
        monkeypatch.setattr(module, "COUNTED_MAX", 5)

    found = await owing(store, SqlConfigs(store), copy)

    assert (found.owed, found.in_copy, found.has_more) == (5, 5, True)


async def test_a_job_that_replays_would_send_something_though_nothing_is_owed_yet(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID)
    await store.start_job(ACCOUNT, f"rpl_{encode(1)}", JobKind.CANCEL, LogFilter())
    before = await owing(store, SqlConfigs(store), await copy_of(store))
    await store.start_job(ACCOUNT, f"rpl_{encode(2)}", JobKind.REPLAY, LogFilter(state=State.CANCELLED))

    found = await owing(store, SqlConfigs(store), await copy_of(store))

    assert (before.is_nothing, found.is_nothing, found.replays) == (True, False, 1)


async def test_workers_of_the_copy_are_named_with_their_last_heartbeat(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("there")
    clock.pass_(seconds=5)
    await store.beat(worker)

    assert [tuple(one) for one in await heard_of(store)] == [(worker.id, "there", NOON + 5_000, 30_000)]
