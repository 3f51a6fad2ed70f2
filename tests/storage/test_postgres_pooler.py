"""PgBouncer between us and the server: with a session for each connection nothing is missing, without it we do not start."""

import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from postback.domain.deliveries import Accepted
from postback.storage.database import CannotOpen
from postback.storage.postgres import PostgresStore
from postback.storage.postgres.door import SETTINGS, SETTINGS_OF_WORK
from tests import postgres
from tests.cli.nodes import until
from tests.patience import PATIENCE_S
from tests.ports import free_port
from tests.storage import given

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="no PgBouncer"
    ),
]

Pooled = Callable[[str], str]
"""The DSN of the same database through a pooler of that mode."""


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.empty_database() as found:
        yield found


@pytest.fixture
def pooled(dsn: str) -> Iterator[Pooled]:
    with ExitStack() as stack:
        yield lambda mode: stack.enter_context(pooler(dsn, mode))


@contextmanager
def pooler(dsn: str, mode: str) -> Iterator[str]:
    """As it is installed, but for its mode: nothing is said of our start-up parameters."""
    parts, port = urlsplit(dsn), free_port()
    name = parts.path.removeprefix("/")
    [host] = parse_qs(parts.query).get("host", [parts.hostname or "127.0.0.1"])
    # It does not run as root, and whom it runs as has to read this.
    folder = postgres.a_folder()
    folder.mkdir(mode=0o755)
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
    }
    (folder / "ini").write_text(
        f"[databases]\n{name} = host={host} port={parts.port or 5432} dbname={name} user={parts.username}\n[pgbouncer]\n"
        + "\n".join(f"{key} = {value}" for key, value in settings.items()),
        "utf-8",
    )
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, str(folder / "ini")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=postgres._other_user(),
    )
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None
        yield f"postgresql://{parts.username}@127.0.0.1:{port}/{name}"
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder)


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def test_with_a_session_for_each_connection_all_settings_hold_and_it_works(pooled: Pooled) -> None:
    store = await PostgresStore.open(pooled("session"), secret_keys=[postgres.KEY])
    try:
        await given.an_account_with_configs(store)
        worker = await store.enlist("here")
        answers = await store.accept(worker, given.units(5))
        claims = await given.claim(store, worker)
        async with store._doors.one() as door:
            held = {
                name: await door.raw.fetchval("SELECT current_setting($1)", name)
                for name in {**SETTINGS, **SETTINGS_OF_WORK}
            }
    finally:
        await store.close()

    assert all(isinstance(answer, Accepted) for answer in answers)
    assert len(claims) == 5
    assert held == {**SETTINGS, **SETTINGS_OF_WORK}


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_without_sessions_it_says_so_at_the_start(pooled: Pooled, mode: str) -> None:
    address = pooled(mode)
    for _ in range(3):
        with pytest.raises(CannotOpen, match="pool_mode = session"):
            await PostgresStore.open(address, secret_keys=[postgres.KEY])
