"""A PostgreSQL server that goes away and comes back: nobody hangs, nothing that was answered for is lost, all goes on."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from postback.domain.errors import Unavailable
from postback.storage.database import CannotOpen
from postback.storage.postgres import PostgresStore
from postback.storage.postgres.opening import prepare
from tests import postgres
from tests.build import ACCOUNT
from tests.cli.nodes import run
from tests.doubles import ClockDouble
from tests.patience import PATIENCE_S
from tests.storage import given

pytestmark = pytest.mark.anyio

AT_ONCE_S = 2.0


@pytest.fixture(scope="module")
def own_server() -> Iterator[postgres.Server]:
    """One that tests may stop: no other test is on it."""
    server = postgres.Server(postgres.a_folder())
    server.make()
    server.start()
    yield server
    server.stop("immediate")
    shutil.rmtree(server.folder)


async def order(server: postgres.Server, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn())
    await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def dsn(own_server: postgres.Server, anyio_backend: str) -> str:
    name = f"d{time.monotonic_ns()}"
    await order(own_server, f"CREATE DATABASE {name}")
    return own_server.dsn(name)


async def add(store: PostgresStore, account: str) -> None:
    await store.write(given.adding(account))


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_while_the_server_is_gone_all_is_unavailable_at_once_and_afterwards_all_goes_on(
    own_server: postgres.Server, dsn: str, how: str
) -> None:
    store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[postgres.KEY])
    anew = asyncio.Event()
    store.watch_all(anew.set)
    await asyncio.gather(*(add(store, f"before_{n}") for n in range(20)))
    before = await given.account_ids(store)

    own_server.stop(how)
    began = time.monotonic()
    for _ in range(10):
        with pytest.raises(Unavailable):
            await add(store, "never")
        with pytest.raises(Unavailable):
            await given.account_ids(store)
    took_s = time.monotonic() - began
    own_server.start()

    assert took_s < AT_ONCE_S
    assert await given.account_ids(store) == before
    await add(store, ACCOUNT)
    assert len(await given.account_ids(store)) == 21
    async with asyncio.timeout(PATIENCE_S):
        await anew.wait()
    assert store.broken is None
    await store.close()


async def test_a_server_that_ends_amid_writes_keeps_what_was_answered(own_server: postgres.Server, dsn: str) -> None:
    """Whatever raised Unavailable may be there or not; what was answered is there."""
    store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[postgres.KEY])
    answered: list[str] = []

    async def write(lane: int) -> None:
        for n in range(10_000):
            account = f"a{lane}_{n}"
            try:
                await add(store, account)
            except Unavailable:
                return
            answered.append(account)

    writers = [asyncio.create_task(write(lane)) for lane in range(4)]
    while len(answered) < 50:
        await asyncio.sleep(0.01)
    await asyncio.to_thread(own_server.stop, "immediate")
    async with asyncio.timeout(AT_ONCE_S):
        await asyncio.gather(*writers)
    await asyncio.to_thread(own_server.start)

    assert set(answered) <= set(await given.account_ids(store))
    await store.close()


async def test_a_store_that_is_closed_while_the_server_is_gone_does_not_hang(
    own_server: postgres.Server, dsn: str
) -> None:
    store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[postgres.KEY])
    own_server.stop()

    async with asyncio.timeout(AT_ONCE_S):
        await store.close()
    own_server.start()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_a_server_that_does_not_keep_what_it_is_given_is_refused(
    own_server: postgres.Server, dsn: str, setting: str
) -> None:
    await order(own_server, f"ALTER SYSTEM SET {setting} = off")
    await order(own_server, "SELECT pg_reload_conf()")
    try:
        async with asyncio.timeout(10):
            with pytest.raises(CannotOpen, match=f"{setting} = off"):
                await prepare_again_and_again(dsn)
    finally:
        await order(own_server, f"ALTER SYSTEM RESET {setting}")
        await order(own_server, "SELECT pg_reload_conf()")


async def test_a_database_that_is_read_only_by_default_is_refused(own_server: postgres.Server, dsn: str) -> None:
    await order(
        own_server, f"ALTER DATABASE {dsn.partition('@/')[2].partition('?')[0]} SET default_transaction_read_only = on"
    )

    with pytest.raises(CannotOpen, match="default_transaction_read_only = on"):
        await prepare(dsn, [postgres.KEY])


def test_a_standby_is_refused_with_what_to_name_instead_and_doctor_finds_it_wrong(tmp_path: Path) -> None:
    standby = postgres.Server(postgres.a_folder())
    standby.make()
    signal = standby.folder / "data" / "standby.signal"
    signal.touch()
    shutil.chown(signal, postgres._other_user() or os.geteuid())
    try:
        standby.start()
        settings = {"POSTBACK_DATABASE": standby.dsn(), "POSTBACK_SECRET_KEY": "a1" * 32}
        started = run(tmp_path, "serve", **settings)
        looked = run(tmp_path, "doctor", **settings)
        settings["POSTBACK_DATABASE"] += "&target_session_attrs=read-write"
        nobody = run(tmp_path, "serve", **settings)
    finally:
        standby.stop("immediate")
        shutil.rmtree(standby.folder)

    assert started.returncode == 1, started
    assert "is a standby, which takes no writes: name the primary" in started.stderr
    assert "target_session_attrs=read-write" in started.stderr
    assert "is a standby" in looked.stdout
    assert looked.returncode == 1, looked
    assert "none of its servers takes writes, as target_session_attrs asks" in nobody.stderr
    assert "Traceback" not in nobody.stderr


async def prepare_again_and_again(dsn: str) -> None:
    """A server takes a moment to read its settings."""
    while True:
        await prepare(dsn, [postgres.KEY])
