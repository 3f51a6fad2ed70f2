"""Sealing all secrets of a PostgreSQL database anew, beside the servers that use it."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from postback.domain.configs import BasicAuth
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.postgres import PostgresStore, rewrapping
from postback.storage.postgres.rewrapping import opened_to_rewrap
from postback.storage.vault import key_id, key_id_of
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID, a_config
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio

FIRST, SECOND = postgres.KEY, b"\x02" * 32
CONFIGS = 7


@pytest.fixture
async def dsn(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """With secrets, more of them than a batch has, and a config without any."""
    monkeypatch.setattr(rewrapping, "BATCH", 3)
    async with postgres.database() as dsn:
        store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[FIRST])
        await store.write(given.adding(ACCOUNT))
        configs = SqlConfigs(store)
        for number in range(CONFIGS):
            secret = BasicAuth("user", f"password-{number}")
            await configs.add(a_config(id=CONFIG_ID + number, location_id=None, basic_auth=secret))
        await configs.add(a_config(id=CONFIG_ID + CONFIGS, location_id=None))
        await store.close()
        yield dsn


async def passwords(store: PostgresStore) -> list[str]:
    found = (await SqlConfigs(store).snapshot(ACCOUNT)).configs.values()
    return sorted(config.basic_auth.password for config in found if config.basic_auth is not None)


async def test_everything_is_sealed_with_the_new_key_while_a_server_runs(dsn: str) -> None:
    server = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[FIRST, SECOND])

    async with opened_to_rewrap(dsn, [SECOND, FIRST]) as rewrap:
        assert (await rewrap.total(), await rewrap.old_ids_in_use()) == (CONFIGS, [key_id(FIRST)])
        batches = [batch async for batch in rewrap.reseal()]
        assert [batch.changed for batch in batches] == [3, 3, 1]
        assert await rewrap.old_ids_in_use() == []
        assert [batch.changed async for batch in rewrap.reseal()] == [0, 0, 0]

    expected = [f"password-{number}" for number in range(CONFIGS)]
    assert await passwords(server) == expected
    query = text("SELECT secrets FROM config_versions WHERE secrets <> ''")
    sealed = await server.read(lambda connection: connection.execute(query).scalars().all())
    assert {key_id_of(one) for one in sealed} == {key_id(SECOND)}
    await server.close()
    alone = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[SECOND])
    assert await passwords(alone) == expected
    await alone.close()
    with pytest.raises(CannotOpen, match=key_id(SECOND)):
        await PostgresStore.open(dsn, ClockDouble(), secret_keys=[FIRST])


async def test_one_that_ends_midway_leaves_what_all_the_keys_open(dsn: str) -> None:
    async with opened_to_rewrap(dsn, [SECOND, FIRST]) as rewrap:
        async for _ in rewrap.reseal():
            break
        assert await rewrap.old_ids_in_use() == [key_id(FIRST)]

    store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[FIRST, SECOND])
    assert await passwords(store) == [f"password-{number}" for number in range(CONFIGS)]
    await store.close()
