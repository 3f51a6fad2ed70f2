"""A primary and its standby: which of them may be named, what is said of the other, and a primary that dies."""

import json
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
import asyncpg
import pytest

from postback.storage.postgres.dialing import dial
from tests import postgres
from tests.cli.calling import Cli, Ended
from tests.cli.nodes import Arrived, ask, on, run, until
from tests.live import Live
from tests.ports import free_port

pytestmark = pytest.mark.anyio

READ_WRITE = "target_session_attrs=read-write"


@contextmanager
def servers(number: int) -> Iterator[list[postgres.Server]]:
    """Folders to make servers in, which are ended and removed."""
    found = [postgres.Server(postgres.a_folder()) for _ in range(number)]
    try:
        yield found
    finally:
        for one in found:
            if (one.folder / "data" / "postmaster.pid").exists():
                one.stop("immediate")
            shutil.rmtree(one.folder, ignore_errors=True)


def both(one: postgres.Server, other: postgres.Server) -> str:
    return f"postgresql://postgres@/postgres?host={one.folder},{other.folder}&{READ_WRITE}"


@pytest.fixture
def standby() -> Iterator[postgres.Server]:
    """One that waits for a primary that never comes."""
    with servers(1) as [one]:
        one.make()
        (one.folder / "data" / "standby.signal").touch()
        one.start()
        yield one


@pytest.fixture
def call(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    def call(database: str, *words: str) -> Ended:
        for name, value in on(database).items():
            monkeypatch.setenv(name, value)
        return cli(*words)

    return call


def test_a_standby_is_told_from_a_primary_by_the_start_and_by_doctor(
    standby: postgres.Server, call: Callable[..., Ended]
) -> None:
    """A start on it said `cannot set transaction read-write mode during recovery (0A000)`, and doctor that all is well."""
    serve = ("serve", "--listen", f"127.0.0.1:{free_port()}")

    started = call(standby.dsn(), *serve)
    none_of_them = call(f"{standby.dsn()}&{READ_WRITE}", *serve)
    found = {one["what"]: one for one in json.loads(call(standby.dsn(), "doctor", "--json").out)}

    assert started.code == 1
    assert "is a standby, which takes no writes: name the primary, or both with target_session_attrs=read-write" in (
        started.err
    )
    assert f"on the socket {standby.folder}/.s.PGSQL.5432 is a standby" in started.err
    assert (none_of_them.code, "none of its servers takes writes" in none_of_them.err) == (1, True), none_of_them
    assert (found["database"]["verdict"], found["writes"]["verdict"]) == ("ok", "wrong")
    assert "is a standby" in found["writes"]["text"]


async def test_a_database_that_is_set_to_be_read_only_is_refused(dsn: str, tmp_path: Path) -> None:
    """It started, said that it listens, and then failed with every write that begins no transaction."""
    await ask(
        dsn,
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
    )

    listen = f"127.0.0.1:{free_port()}"
    ended = await anyio.to_thread.run_sync(lambda: run(tmp_path, "serve", "--listen", listen, **on(dsn)))

    assert ended.returncode == 1, ended
    assert "default_transaction_read_only = on: nothing would be written" in ended.stderr


def test_when_the_primary_dies_and_its_standby_is_promoted_all_goes_on_there(tmp_path: Path) -> None:
    with servers(2) as [primary, standby]:
        primary.make()
        primary.start()
        standby.follow(primary)
        standby.start()
        with Live(tmp_path, **on(both(primary, standby))) as node, Arrived() as arrived:
            node.config(arrived.url, "order.*", format="json")
            first = node.publish("order.first")
            until(lambda: arrived.ids == [first])
            until(lambda: node.deliveries()[0]["state"] == "delivered")

            primary.stop("immediate")
            until(lambda: node.ask("GET", "/ready").status == 503)
            refused = node.ask("POST", "/v2/events", {"event": {"type": "order.refused", "data": {}}})
            standby.promote()
            until(lambda: node.ask("GET", "/ready").status == 200)
            second = node.publish("order.second")
            until(lambda: second in arrived.ids)
            node.end(signal.SIGTERM)

    assert refused.status == 503
    assert arrived.ids == [first, second]
    assert (node.process.returncode, "Traceback" in node.log) == (0, False), node.log


async def test_a_machine_that_went_dark_takes_only_its_share_of_the_time(dsn: str) -> None:
    """The driver has one limit of time for all servers: the first, which did not even refuse, used it up, and the promoted one
    was never asked."""
    with socket.create_server(("127.0.0.1", 0)) as dark:
        folder = dsn.partition("host=")[2]
        port = dark.getsockname()[1]
        address = dsn.replace(f"host={folder}", f"host=127.0.0.1,{folder}&port={port},5432&{READ_WRITE}")

        connection = await dial(address, 3)
        with pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"):
            await dial(f"postgresql://someone@127.0.0.1:{port}/x", 0.2)

    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()


async def test_a_wrong_name_of_the_database_is_told_by_the_first_that_answers(dsn: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await dial(dsn.replace("/postback_", "/no_such_"), 5)
