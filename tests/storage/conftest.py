"""An empty store of each kind that this machine can run; the conformance suite runs on each of them."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from postback.storage.postgres import PostgresStore
from postback.storage.sqlite import SqliteStore
from tests import postgres
from tests.doubles import ClockDouble
from tests.storage import days, given

STORES = ["sqlite", "postgres"]
"""Another database: add its name here, and how it is opened below."""


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble()


@pytest.fixture(params=STORES)
async def opener(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ClockDouble, new_database: Path, anyio_backend: str
) -> AsyncIterator[given.Opener]:
    """Opens stores on one database; those that the test leaves open are closed."""
    opened: list[given.Store] = []

    async def open_sqlite(*, alone: bool = True, **otherwise: Any) -> given.Store:
        opened.append(await SqliteStore.open(tmp_path / "postback.db", clock, alone=alone, **otherwise))
        return opened[-1]

    async def open_postgres(*, alone: bool = True, **otherwise: Any) -> given.Store:
        keys = [postgres.KEY]
        otherwise = {"lives": tmp_path / "lives", **otherwise}
        opened.append(await PostgresStore.open(dsn, clock, secret_keys=keys, alone=alone, **otherwise))
        return opened[-1]

    if request.param == "sqlite":
        shutil.copy(new_database, tmp_path / "postback.db")
        yield open_sqlite
        for store in opened:
            await store.close()
        return
    async with postgres.database() as dsn:
        yield open_postgres
        for store in opened:
            await store.close()


@pytest.fixture
async def empty_store(opener: given.Opener) -> given.Store:
    return await opener()


@pytest.fixture
async def store(empty_store: given.Store) -> given.Store:
    """With the account `default` and its active configs CONFIG_ID, CONFIG_ID + 1 and CONFIG_ID + 2."""
    await given.an_account_with_configs(empty_store)
    return empty_store


@pytest.fixture
async def day(empty_store: given.Store, clock: ClockDouble) -> days.Day:
    return await days.begun(empty_store, clock)
