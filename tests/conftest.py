"""What every test may use."""

import gc
import signal
from pathlib import Path
from typing import Final

import pytest

from tests import databases, postgres

LONG: Final = (
    "tests/proof/",
    "tests/cli/",
    "tests/simulation/",
    "tests/api/test_schemathesis.py",
    "tests/test_",
    "tests/client/",
    "tests/storage/",
    "tests/receiver/",
    "tests/transport/",
)
"""What starts processes and waits, or takes long otherwise, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background jobs ignore Ctrl-C, and so would all programs that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # As in the server: thousands of tests and what they import stay, and need not be looked through again and again.
    gc.set_threshold(50_000, 20, 100)
    if not hasattr(config, "workerinput"):
        postgres.begin_run()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files begin: one that began last would keep a single processor busy while the others have nothing left."""
    items.sort(key=lambda item: next((at for at, long in enumerate(LONG) if item.nodeid.startswith(long)), len(LONG)))


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        postgres.end_run()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def new_database() -> Path:
    """To be copied."""
    return databases.new_database()
