"""The API on an empty store, for each test anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.client import Api, Client, open_api
from tests.doubles import ClockDouble


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble()


@pytest.fixture
async def api(tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> AsyncIterator[Api]:
    api = await open_api(tmp_path, clock)
    yield api
    await api.store.close()


@pytest.fixture
def client(api: Api) -> Client:
    return api.client
