"""Two workers on one PostgreSQL database: they hear of each other at once, long before the next heartbeat."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count

import pytest

from postback.domain.accounts import Account
from postback.domain.records import Insert
from postback.engine.engine import Engine, Limits
from postback.ports import NewEvent
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.postgres import PostgresStore
from postback.storage.records import SqlRecords
from postback.storage.troubles import SqlTroubles
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, a_config, a_location
from tests.engine.scene import Town, slowly

pytestmark = pytest.mark.anyio

LEASE_S = 600.0
"""So long that whatever happens within seconds is not the heartbeat's doing."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Node:
    """A process: its own store on the shared database, and its engine."""

    def __init__(self, store: PostgresStore, town: Town) -> None:
        self.store = store
        self.configs = SqlConfigs(store)
        self.engine = Engine(
            store,
            self.configs,
            town,
            troubles=SqlTroubles(store),
            host="here",
            clock=store.clock,
            dice=lambda: 0.5,
            now=asyncio.get_running_loop().time,
            report=lambda _: None,
            limits=Limits(lease_s=LEASE_S),
        )
        self.stopping = asyncio.Event()

    async def publish(self, numbers: "count[int]", events: int) -> None:
        await self.engine.intake.publish(
            [NewEvent(ACCOUNT, "contact.created", b'{"number":%d}' % next(numbers), LOCATION_ID) for _ in range(events)]
        )

    @property
    def part(self) -> int:
        return self.engine._sharing.part(a_config(max_in_flight=64))


@asynccontextmanager
async def running(dsn: str, town: Town) -> AsyncIterator[Node]:
    store = await PostgresStore.open(dsn, secret_keys=[postgres.KEY], lease_ms=int(LEASE_S * 1000))
    node = Node(store, town)
    started = asyncio.Event()
    task = asyncio.ensure_future(node.engine.run(node.stopping, started.set))
    await started.wait()
    try:
        yield node
        node.stopping.set()
        await task
    finally:
        task.cancel()
        await store.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as dsn:
        yield dsn


async def test_they_share_out_what_there_is_as_they_come_and_go(dsn: str) -> None:
    town = Town()
    async with running(dsn, town) as first:
        assert first.part == 64
        async with running(dsn, town) as second:
            await until(lambda: (first.part, second.part) == (32, 32))
            await until(lambda: first.engine._sharing.is_agreed and second.engine._sharing.is_agreed)
        await until(lambda: first.part == 64)


async def test_what_one_accepts_and_the_other_owns_is_delivered_one_at_a_time(dsn: str) -> None:
    town, numbers = Town(), count()
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running(dsn, town)) for _ in range(2)]
        store = nodes[0].store
        await SqlAccounts(store).save(Account(id=ACCOUNT))
        await SqlRecords(store, {}).apply([Insert(a_location())])
        for n in range(4):
            town.receives(f"r{n}", slowly(0.005))
            await nodes[0].configs.add(a_config(id=CONFIG_ID + n, url=f"http://r{n}.example/receiver", max_in_flight=1))
        await until(lambda: all(node.engine._sharing.is_agreed and node.part == 32 for node in nodes))

        for _ in range(5):
            for node in nodes:
                await node.publish(numbers, 2)
        await until(lambda: len(town.posts) == 80)

    assert sorted((post.host, post.number) for post in town.posts) == [
        (f"r{n}", i) for n in range(4) for i in range(20)
    ]
    assert set(town.most_at_once.values()) == {1}


async def test_what_one_had_that_is_told_to_end_the_other_has_at_once_but_for_what_is_still_under_way(dsn: str) -> None:
    async with running(dsn, Town()) as staying, running(dsn, town := Town()) as leaving:
        shares, others_shares = leaving.engine._sharing, staying.engine._sharing
        await until(lambda: shares.is_agreed and others_shares.is_agreed and staying.part == 32)
        owned = (one for n in count() if shares.part(one := a_config(id=CONFIG_ID + n, max_in_flight=1)))
        idle, hangs = next(owned), replace(next(owned), url="http://r0.example/receiver")
        town.receives("r0", slowly(60.0))
        await SqlAccounts(leaving.store).save(Account(id=ACCOUNT))
        await SqlRecords(leaving.store, {}).apply([Insert(a_location())])
        await leaving.configs.add(hangs)
        await leaving.publish(count(), 1)
        await until(lambda: town.at_once("r0") == 1)

        leaving.stopping.set()
        await until(lambda: others_shares.part(idle) == 1)

        assert (town.at_once("r0"), others_shares.part(hangs)) == (1, 0)
        await leaving.engine.hurry()
        await until(lambda: others_shares.part(hangs) == 1)
