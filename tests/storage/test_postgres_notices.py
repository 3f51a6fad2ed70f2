"""Word between processes on PostgreSQL: heard at once, by nobody else's doing, and never trusted to have been heard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from functools import partial

import pytest
from sqlalchemy import text

from postback.domain.configs import ConfigState
from postback.domain.errors import Unavailable
from postback.storage.configs import SqlConfigs
from postback.storage.postgres import PostgresStore, notifying
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.test_postgres_connections import kill_others

pytestmark = pytest.mark.anyio


@dataclass
class Heard:
    """What one process was told."""

    store: PostgresStore
    changed: list[str] = field(default_factory=list)
    all_changed: list[None] = field(default_factory=list)
    due: list[Collection[int]] = field(default_factory=list)
    workers: list[None] = field(default_factory=list)

    async def until(self, is_so: Callable[["Heard"], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so(self):
                await asyncio.sleep(0.005)


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def both(dsn: str) -> AsyncIterator[tuple[Heard, Heard]]:
    """Two processes on one database."""
    heard = []
    for _ in range(2):
        store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[postgres.KEY])
        one = Heard(store)
        store.watch(one.changed.append)
        store.watch_all(partial(one.all_changed.append, None))
        store.on_due(one.due.append)
        store.on_workers(partial(one.workers.append, None))
        heard.append(one)
    await given.an_account_with_configs(heard[0].store)
    yield heard[0], heard[1]
    for one in heard:
        await one.store.close()


async def test_a_changed_config_is_heard_of_by_all_and_by_whoever_changed_it_before_it_goes_on(
    both: tuple[Heard, Heard],
) -> None:
    here, there = both

    await SqlConfigs(here.store).set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)

    assert here.changed == [ACCOUNT]
    await there.until(lambda heard: heard.changed == [ACCOUNT])
    await SqlConfigs(there.store).set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
    await here.until(lambda heard: len(heard.changed) == 2)
    assert (here.changed, there.changed) == ([ACCOUNT] * 2, [ACCOUNT] * 2)


async def test_nobody_hears_of_what_was_undone(both: tuple[Heard, Heard]) -> None:
    here, there = both

    def fail(_: object) -> None:
        here.store.changed("undone")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await here.store.write(fail)

    await SqlConfigs(here.store).set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)
    await there.until(lambda heard: heard.changed != [])
    assert (here.changed, there.changed) == ([ACCOUNT], [ACCOUNT])


async def test_what_is_due_is_told_to_all_many_at_a_time(both: tuple[Heard, Heard]) -> None:
    here, there = both
    many = range(1 << 52, (1 << 52) + 2000)

    here.store._notices.send_due([CONFIG_ID])
    here.store._notices.send_due([CONFIG_ID, CONFIG_ID + 1])
    for config_id in many:
        here.store._notices.send_due([config_id])

    await there.until(lambda heard: {*many, CONFIG_ID, CONFIG_ID + 1} <= {one for told in heard.due for one in told})
    assert len(there.due) < 20


async def test_others_are_told_when_a_worker_goes_by_another_crew_keeps_less_leaves_or_ends_and_not_at_each_heartbeat(
    both: tuple[Heard, Heard],
) -> None:
    here, there = both
    worker = await here.store.enlist("here")

    async def then(times: int) -> None:
        here.store._notices.send_due([times])
        await there.until(lambda heard: [times] in heard.due)
        assert (len(here.workers), len(there.workers)) == (0, times)

    await here.store.beat(worker, 5)
    await then(1)
    await here.store.beat(worker, 5)
    await then(1)
    await here.store.beat(worker, 6, keeps=frozenset({CONFIG_ID}))
    await then(2)
    await here.store.beat(worker, 6, keeps=frozenset({CONFIG_ID}))
    await then(2)
    await here.store.beat(worker, 6)
    await then(3)
    await here.store.beat(worker, 6, leaves=True)
    await then(4)
    await here.store.retire(worker)
    await then(5)


async def test_whoever_lost_its_connection_is_told_that_all_may_have_changed(
    both: tuple[Heard, Heard], dsn: str
) -> None:
    here, there = both

    await kill_others(dsn)

    for one in both:
        await one.until(lambda heard: (heard.all_changed, heard.due, heard.workers) == ([None], [()], [None]))
    await SqlConfigs(here.store).set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)
    await there.until(lambda heard: heard.changed == [ACCOUNT])


async def test_whoever_listens_again_is_told_so_though_the_database_answers_nothing_else(
    both: tuple[Heard, Heard], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The accounts were read then, to name each: where that failed once, nobody ever heard what had been missed, and a
    worker went on with old URLs and old secrets."""
    here, _ = both

    def none_free() -> None:
        raise Unavailable("sorry, too many clients already")

    for way in ("one", "reading", "transaction"):
        monkeypatch.setattr(here.store._doors, way, none_free)
    await kill_others(dsn)

    await here.until(lambda heard: (heard.all_changed, heard.due, heard.workers) == ([None], [()], [None]))


async def test_a_connection_that_is_dead_without_a_word_is_found_out(
    both: tuple[Heard, Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = both

    async def no_answer(_: object) -> int:
        monkeypatch.undo()
        raise TimeoutError

    monkeypatch.setattr(notifying, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(here.store._notices, "_clock", type("Deaf", (), {"ask": staticmethod(no_answer)})())
    here.store._notices._listening = await listening_anew(here.store)

    await here.until(lambda heard: heard.all_changed == [None])


async def listening_anew(store: PostgresStore) -> "asyncio.Task[None]":
    """So that the shorter time holds from now on."""
    notices = store._notices
    assert notices._listening is not None
    notices._listening.cancel()
    await asyncio.wait([notices._listening])
    door = await notifying.connect(notices._dsn, notifying.SETTINGS)
    return asyncio.create_task(notices._keep_listening(door, asyncio.Event()))


async def test_what_nobody_understands_is_passed_over(both: tuple[Heard, Heard]) -> None:
    here, there = both

    for payload in ("", "x", "d", "d x 5", "c", "c a", "w"):
        await here.store.read(
            lambda c, payload=payload: c.execute(text("SELECT pg_notify('postback', :p)"), {"p": payload})
        )  # type: ignore[misc]

    await there.until(lambda heard: [5] in heard.due)
    assert there.changed == []
