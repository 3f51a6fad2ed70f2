"""What the tests of the command line share: a folder without settings, a way to call it, and a real server."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from postback.cli.app import main
from postback.cli.client import Client
from postback.cli.trial import trial_server
from postback.settings import PREFIX
from tests import postgres
from tests.cli.calling import Cli, Ended
from tests.cli.nodes import on
from tests.cli.served import Served
from tests.live import Live


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line as a person would; its SystemExit is its answer."""

    def call(*words: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.fixture(scope="session")
def served_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a server was started and stopped, made once."""
    folder = tmp_path_factory.mktemp("served")
    served = Served(folder)
    served.announced()
    assert served.stop() == 0
    return folder


@pytest.fixture
def was_served(served_once: Path, tmp_path: Path) -> None:
    """The test's folder is a copy of it."""
    shutil.copytree(served_once, tmp_path, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Client]:
    """One running server for all of these tests: each makes what it needs."""
    with trial_server() as client:
        yield client


@pytest.fixture
def here(server: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The command line finds the server by its settings."""
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", server.url)
    monkeypatch.setenv("POSTBACK_API_KEY", server.key or "")
    return server


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.empty_database() as found:
        yield found


@pytest.fixture
def nodes(tmp_path: Path, dsn: str) -> Iterator[Callable[..., Live]]:
    """Starts servers on one database, each in a folder of its own."""
    with ExitStack() as stack:

        def start(**settings: str) -> Live:
            folder = tmp_path / f"node{len(list(tmp_path.glob('node*')))}"
            folder.mkdir()
            return stack.enter_context(Live(folder, **on(dsn) | settings))

        yield start
