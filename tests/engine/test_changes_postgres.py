"""Changed configs on PostgreSQL: what a process missed while its connection was lost does not stay missed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count

import pytest
from sqlalchemy import insert

from postback.domain.accounts import Account
from postback.domain.configs import PostbackConfig, Snapshot
from postback.domain.errors import Unavailable
from postback.domain.records import Insert
from postback.engine import snapshots
from postback.ports import NewEvent
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.postgres import PostgresStore, notifying
from postback.storage.postgres.failures import Lost
from postback.storage.records import SqlRecords
from postback.storage.tables import accounts
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID, a_config, a_location
from tests.engine.scene import Town
from tests.engine.test_workers_postgres import Node, running, until
from tests.storage.test_postgres_connections import kill_others

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def elsewhere(dsn: str) -> AsyncIterator[SqlConfigs]:
    """The configs as another process changes them."""
    store = await PostgresStore.open(dsn, secret_keys=[postgres.KEY])
    await SqlAccounts(store).save(Account(id=ACCOUNT))
    await SqlRecords(store, {}).apply([Insert(a_location())])
    await SqlConfigs(store).add(a_config(url="http://r0.example/receiver"))
    yield SqlConfigs(store)
    await store.close()


def url_in(node: Node) -> str:
    """Where this process sends."""
    return node.engine.lanes.lanes[CONFIG_ID].config.url


async def edited(configs: SqlConfigs, url: str) -> PostbackConfig:
    config = replace(await configs.find(ACCOUNT, CONFIG_ID), url=url)
    await configs.change(config)
    return config


async def test_publishing_goes_on_while_a_process_cannot_listen_and_what_it_missed_is_read_afterwards(
    dsn: str, elsewhere: SqlConfigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    town, numbers = Town(), count()
    monkeypatch.setattr(notifying, "AGAIN_AFTER_S", (0.01,))
    async with running(dsn, town) as node:
        await node.publish(numbers, 1)
        await until(lambda: len(town.posts) == 1)

        with monkeypatch.context() as away:
            away.setattr(notifying, "connect", unreachable)
            await kill_others(dsn)
            await until(lambda: node.store.trouble is not None)
            await edited(elsewhere, "http://r1.example/receiver")
            await node.publish(numbers, 2)
            await until(lambda: len(town.posts) == 3)
            await edited(elsewhere, "http://r2.example/receiver")
        await until(lambda: url_in(node) == "http://r2.example/receiver")
        await node.publish(numbers, 1)
        await until(lambda: len(town.posts) == 4)

    assert [post.host for post in town.posts] == ["r0", "r1", "r1", "r2"]


async def unreachable(*_: object) -> None:
    raise Lost("the database cannot be reached")


async def test_an_edit_that_was_missed_is_read_though_the_database_is_busy_when_a_process_listens_again(
    dsn: str, elsewhere: SqlConfigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one reading failed at that moment, a worker went on with the old URL and the old secret until the next edit."""
    refused: list[None] = []
    monkeypatch.setattr(snapshots, "READ_AGAIN_S", 0.01)
    monkeypatch.setattr(notifying, "AGAIN_AFTER_S", (0.01,))

    def busy() -> None:
        refused.append(None)
        raise Unavailable("the database is busy")

    async with running(dsn, Town()) as node:
        await node.publish(count(), 1)
        with monkeypatch.context() as away:
            away.setattr(node.store._doors, "reading", busy)
            with monkeypatch.context() as deaf:
                deaf.setattr(notifying, "connect", unreachable)
                await kill_others(dsn)
                await until(lambda: node.store.trouble is not None)
                await edited(elsewhere, "http://r1.example/receiver")
            await until(lambda: node.store.trouble is None)
            refused.clear()
            await until(lambda: len(refused) > 20)

        await until(lambda: url_in(node) == "http://r1.example/receiver")


async def test_a_process_that_listens_again_reads_the_accounts_that_it_has_work_of_and_no_others(
    dsn: str, elsewhere: SqlConfigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read all that the database had, and with 10,000 of them no publish was accepted for a minute."""
    reads = {ACCOUNT: 0}
    names = [f"acc_{n}" for n in range(300)]
    rows = [{"id": name, "metadata": "{}", "created_ms": 0, "modified_ms": 0, "config_version": 0} for name in names]
    await elsewhere._database.write(lambda connection: connection.execute(insert(accounts), rows))
    real = SqlConfigs.snapshot

    async def counted(self: SqlConfigs, account: str) -> Snapshot:
        reads[account] = reads.get(account, 0) + 1
        return await real(self, account)

    async with running(dsn, Town()) as node:
        await node.publish(count(), 1)
        await node.engine.intake.publish([NewEvent(name, "contact.created", b"{}", None) for name in names[:50]])
        monkeypatch.setattr(SqlConfigs, "snapshot", counted)

        await kill_others(dsn)
        await until(lambda: reads[ACCOUNT] == 1)
        await node.engine.intake.publish([NewEvent(names[0], "contact.created", b"{}", None)])
        await edited(elsewhere, "http://r1.example/receiver")
        await until(lambda: url_in(node) == "http://r1.example/receiver")

    assert reads == {ACCOUNT: 2, names[0]: 1}
