"""The keys of a PostgreSQL database: who lacks one of them is not started, and ends nothing where it runs already."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from postback.domain.configs import BasicAuth, ConfigState
from postback.domain.errors import Unavailable
from postback.domain.telemetry import Fact, KeysMissing
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.postgres import PostgresStore, keys
from postback.storage.postgres.opening import prepare
from postback.storage.postgres.rewrapping import opened_to_rewrap
from postback.storage.vault import key_id
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID, a_config
from tests.patience import PATIENCE_S
from tests.storage import given

pytestmark = pytest.mark.anyio

OLD, NEW = b"o" * 32, b"n" * 32
SECRET = BasicAuth("me", "hunter2")

Open = Callable[..., Awaitable[PostgresStore]]


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as found:
        yield found


@pytest.fixture
async def start(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    """Opens the database as a process does that is given these keys."""
    monkeypatch.setattr(keys, "LOOK_EVERY_S", 0.02)
    async with AsyncExitStack() as stack:

        async def opened(*secret_keys: bytes, report: Callable[[Fact], None] = lambda _: None) -> PostgresStore:
            store = await PostgresStore.open(dsn, secret_keys=secret_keys, report=report)
            stack.push_async_callback(store.close)
            return store

        yield opened


async def rewrap(dsn: str, *secret_keys: bytes) -> None:
    async with opened_to_rewrap(dsn, secret_keys) as rewrapping:
        async for batch in rewrapping.reseal():
            assert not batch.unreadable


async def add_config(store: PostgresStore) -> None:
    await given.an_account_with_configs(store, configs_from=100)
    await SqlConfigs(store).add(a_config(location_id=None, basic_auth=SECRET))


@pytest.mark.parametrize("others", [[], [NEW]], ids=["none", "another"])
async def test_a_database_without_any_secret_has_the_key_of_its_first_start(
    dsn: str, start: Open, others: Sequence[bytes]
) -> None:
    await start(OLD)

    with pytest.raises(CannotOpen, match=f"was set up with the key {key_id(OLD)}") as refused:
        await start(*others)

    assert "what the other processes have" in str(refused.value)
    assert "export POSTBACK_SECRET_KEY" not in str(refused.value)
    await start(NEW, OLD)


async def test_where_there_are_secrets_a_start_without_a_key_says_which_one_they_need(dsn: str, start: Open) -> None:
    await add_config(await start(OLD))

    with pytest.raises(CannotOpen, match=f"has secrets encrypted with the key {key_id(OLD)}") as refused:
        await prepare(dsn, [])

    assert "to what the other processes have, or to what it was" in str(refused.value)
    assert "This makes one" not in str(refused.value)


async def test_a_key_that_others_encrypt_with_already_is_demanded_before_anything_is_encrypted(start: Open) -> None:
    await start(OLD)
    await start(NEW, OLD)

    with pytest.raises(CannotOpen, match=key_id(NEW)):
        await start(OLD)


async def test_each_step_of_a_rolling_change_of_the_key_opens_everything(dsn: str, start: Open) -> None:
    stores = [await start(OLD), await start(OLD, NEW)]
    await add_config(stores[0])
    stores.append(await start(NEW, OLD))
    await rewrap(dsn, NEW, OLD)
    stores.append(await start(NEW))

    found = [await SqlConfigs(store).find(ACCOUNT, CONFIG_ID) for store in stores[1:]]
    assert [one.basic_auth for one in found] == [SECRET] * 3
    assert [one.locked for one in found] == [None] * 3
    with pytest.raises(CannotOpen, match=key_id(NEW)):
        await start(OLD)


async def test_rewrap_goes_over_to_another_key_where_the_first_one_was_lost_with_nothing_in_it(
    dsn: str, start: Open
) -> None:
    await (await start(OLD)).close()

    await rewrap(dsn, NEW)

    await start(NEW)
    with pytest.raises(CannotOpen, match=key_id(NEW)):
        await start(OLD)


async def test_a_config_whose_key_is_missing_wants_its_events_and_holds_what_it_is_owed(start: Open) -> None:
    behind = await start(OLD)
    await add_config(await start(NEW, OLD))

    snapshot = await SqlConfigs(behind).snapshot(ACCOUNT)

    config = snapshot.configs[CONFIG_ID]
    why = (
        f"its secrets are encrypted with the key {key_id(NEW)}, which this process was not given (POSTBACK_SECRET_KEY)"
    )
    assert (config.locked, config.state_reason, config.holds, config.state) == (why, why, True, ConfigState.ACTIVE)
    assert (config.url, config.format) == (a_config().url, a_config().format)
    assert key_id(NEW) in str(behind.trouble)


async def test_what_cannot_be_opened_is_not_written_over(start: Open) -> None:
    behind, ahead = await start(OLD), await start(NEW, OLD)
    await add_config(ahead)

    locked = await SqlConfigs(behind).find(ACCOUNT, CONFIG_ID)
    with pytest.raises(Unavailable, match=key_id(NEW)):
        await SqlConfigs(behind).change(replace(locked, url="https://other.example/"))

    found = await SqlConfigs(ahead).find(ACCOUNT, CONFIG_ID)
    assert (found.basic_auth, found.version) == (SECRET, 1)


async def test_a_process_hears_that_another_one_encrypts_with_a_key_that_it_lacks_and_that_it_does_so_no_more(
    dsn: str, start: Open
) -> None:
    told: list[Fact] = []
    behind = await start(OLD, report=told.append)
    changed = asyncio.Event()
    behind.watch_all(changed.set)
    await until(lambda: behind.trouble is None)

    await add_config(await start(NEW, OLD))
    await until(lambda: KeysMissing([key_id(NEW)]) in told)
    trouble = behind.trouble
    await SqlConfigs(behind).snapshot(ACCOUNT)
    changed.clear()
    await rewrap(dsn, OLD, NEW)
    await until(lambda: KeysMissing([]) in told)
    await until(changed.is_set)

    assert f"encrypted with the key {key_id(NEW)}, which this process was not given" in str(trouble)
    assert behind.trouble is None
    assert (await SqlConfigs(behind).find(ACCOUNT, CONFIG_ID)).basic_auth == SECRET


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)
