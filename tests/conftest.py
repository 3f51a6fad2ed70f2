"""What every test may use."""

import gc
import signal
from pathlib import Path
from typing import Final

import pytest

from tests import databases, places, postgres
from tests.proving import LEFT, MORE, is_among

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


LAST: Final = "tests/browser/"
"""While a browser is driven from a process, the event loop of its thread is taken: what runs one of its own comes before."""


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background jobs ignore Ctrl-C, and so would all programs that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # As in the server: thousands of tests and what they import stay, and need not be looked through again and again.
    gc.set_threshold(50_000, 20, 100)
    if not hasattr(config, "workerinput"):
        places.decide()
        postgres.begin_run()


# Before pytest chooses by the marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marked for `run.py test` and `run.py proof`, which go by that. The long files begin: one that began last would keep a
    single processor busy while the others have nothing left."""
    for item in items:
        path = item.nodeid.partition("::")[0]
        if is_among(path, LEFT) or (isinstance(item, pytest.Function) and _is_on_postgres(item)):
            item.add_marker("proof")
        elif is_among(path, MORE):
            item.add_marker("more")
    items.sort(key=lambda item: _place(item.nodeid))


def _is_on_postgres(item: pytest.Function) -> bool:
    """The stores are tested by one suite: each of its tests is there once for each database. Others have the address of one."""
    is_of_suite = hasattr(item, "callspec") and item.callspec.params.get("opener") == "postgres"
    return is_of_suite or "dsn" in item.fixturenames


def _place(nodeid: str) -> int:
    if nodeid.startswith(LAST):
        return len(LONG) + 1
    return next((at for at, long in enumerate(LONG) if nodeid.startswith(long)), len(LONG))


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
