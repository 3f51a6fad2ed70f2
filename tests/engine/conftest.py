"""A scene for each test of the engine, in virtual time: nothing sleeps, and nothing depends on how fast the machine is."""

import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import VirtualLoop
from tests.engine.scene import Scene


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": lambda: VirtualLoop(random.Random(1))}


@pytest.fixture
def database(new_database: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=new_database.parent) as folder:
        yield Path(shutil.copy(new_database, Path(folder) / "postback.db"))


@pytest.fixture
async def scene(database: Path, anyio_backend: object) -> AsyncIterator[Scene]:
    """The account `default` with its location; configs, receivers and the worker are up to the test."""
    scene = await Scene.set(database)
    try:
        yield scene
        await scene.check()
    finally:
        await scene.strike()
