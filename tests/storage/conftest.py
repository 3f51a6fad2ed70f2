"""An empty store of each kind that this machine can run; the conformance suite runs on each of them."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from postback.storage.sqlite import SqliteStore
from tests.doubles import ClockDouble
from tests.storage import given

STORES = ["sqlite"]
"""Another database: add its name here, and how it is opened below."""


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble()


@pytest.fixture(params=STORES)
async def empty_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Callable[[], int], anyio_backend: str
) -> AsyncIterator[given.Store]:
    assert request.param == "sqlite"
    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    yield store
    await store.close()


@pytest.fixture
async def store(empty_store: given.Store) -> given.Store:
    """With the account `default` and its active configs CONFIG_ID, CONFIG_ID + 1 and CONFIG_ID + 2."""
    await given.an_account_with_configs(empty_store)
    return empty_store
