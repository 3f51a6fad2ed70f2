"""What the tests of the clients share: a real server, scripted ones, and both clients."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from postback.cli.client import Client as Known
from postback.cli.trial import trial_server
from tests.client.scripted import Act, Scripted
from tests.client.speaking import Speaker, Tasks, Threads

KEY = "pbk_a-key-of-more-than-24-characters"


@pytest.fixture(scope="session")
def served() -> Iterator[Known]:
    """One running server for all of these tests: each makes what it needs."""
    with trial_server() as known:
        yield known


@pytest.fixture(params=[Threads, Tasks], ids=["threads", "asyncio"])
def speaker(request: pytest.FixtureRequest) -> Iterator[Callable[..., Speaker]]:
    """Makes a client of each kind: by default with a key, and with little patience."""
    with ExitStack() as stack:

        def make(url: str, key: str | None = KEY, *words: Any, **options: Any) -> Speaker:
            return stack.enter_context(closing(request.param(url, key, *words, **options)))

        yield make


@pytest.fixture
def scripted() -> Iterator[Callable[..., Scripted]]:
    with ExitStack() as stack:

        def make(*acts: Act) -> Scripted:
            return stack.enter_context(Scripted(*acts))

        yield make
