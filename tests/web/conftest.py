"""The portal on an empty store, for each test anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles import ClockDouble
from tests.web.pages import Browser, Portal, open_portal


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble()


@pytest.fixture
async def portal(tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> AsyncIterator[Portal]:
    portal = await open_portal(tmp_path, clock)
    yield portal
    await portal.api.store.close()


@pytest.fixture
async def owner(portal: Portal) -> Browser:
    """An owner of the account `default`."""
    return await portal.signed_in()


@pytest.fixture
def stranger(portal: Portal) -> Browser:
    return portal.browser()
