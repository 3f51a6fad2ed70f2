"""Connections to PostgreSQL: what breaks is told in time and made anew, and what others undo is tried again."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from postback.domain.errors import Unavailable
from postback.storage.postgres import connections
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.door import Door
from postback.storage.postgres.failures import Contended, Lost
from tests import postgres

pytestmark = pytest.mark.anyio

KILL_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

SLOW_COMMIT = """
CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pause();
"""


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.empty_database() as dsn:
        yield dsn


@pytest.fixture
async def doors(dsn: str) -> AsyncIterator[Doors]:
    doors = Doors(dsn, working=2, reading=1)
    async with doors.one() as door:
        await door.raw.execute("CREATE TABLE things (id int PRIMARY KEY, n int)")
    yield doors
    await doors.close()


async def ids(doors: Doors) -> list[int]:
    async with doors.reading() as door:
        return [row[0] for row in await door.raw.fetch("SELECT id FROM things ORDER BY id")]


async def add(door: Door, number: int) -> None:
    await door.raw.execute("INSERT INTO things VALUES ($1, 0)", number)


async def kill_others(dsn: str) -> int:
    """How many there were."""
    connection = await asyncpg.connect(dsn)
    killed = await connection.fetch(KILL_OTHERS)
    await connection.close()
    return len(killed)


async def test_by_hand_and_through_sqlalchemy_is_the_same_transaction(doors: Doors) -> None:
    async def work(door: Door) -> None:
        await add(door, 1)
        seen = await door.run(lambda connection: connection.execute(text("SELECT count(*) FROM things")).scalar())
        await door.run(lambda connection: connection.execute(text("INSERT INTO things VALUES (2, 0)")))
        raise ZeroDivisionError(f"{seen} seen")

    with pytest.raises(ZeroDivisionError, match="1 seen"):
        await doors.transact(work)
    assert await ids(doors) == []


async def test_sqlalchemy_can_end_no_transaction(doors: Doors) -> None:
    async def work(door: Door) -> None:
        await add(door, 1)
        await door.run(lambda connection: connection.commit())
        await door.run(lambda connection: connection.rollback())
        await add(door, 2)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await doors.transact(work)
    assert await ids(doors) == []


async def test_a_savepoint_undoes_its_own_and_lets_the_rest_go_on(doors: Doors) -> None:
    async def add_two(door: Door) -> None:
        async with door.savepoint():
            await add(door, 2)
            await add(door, 1)

    async with doors.transaction() as door:
        await add(door, 1)
        with pytest.raises(asyncpg.UniqueViolationError):
            await add_two(door)
        await add(door, 3)

    assert await ids(doors) == [1, 3]


async def test_an_error_that_was_passed_over_is_not_taken_for_a_commit(doors: Doors) -> None:
    async def work(door: Door) -> None:
        await add(door, 1)
        with suppress(asyncpg.UniqueViolationError):
            await add(door, 1)

    with pytest.raises(RuntimeError, match="ROLLBACK"):
        await doors.transact(work)
    assert await ids(doors) == []


async def test_what_statements_were_given_is_in_no_error(doors: Doors) -> None:
    insert = text("INSERT INTO things VALUES (:id, 0)")

    async def work(door: Door) -> None:
        await add(door, 987654)
        await door.run(lambda connection: connection.execute(insert, {"id": 987654}))

    with pytest.raises(IntegrityError) as refused:
        await doors.transact(work)
    assert "987654" not in str(refused.value)


async def test_connections_that_were_ended_while_idle_are_not_missed(doors: Doors, dsn: str) -> None:
    await ids(doors)

    assert await kill_others(dsn) == 2

    async with doors.transaction() as door:
        await add(door, 1)
    assert await ids(doors) == [1]


async def test_a_connection_that_ends_amid_a_transaction_is_told_and_nothing_of_it_stands(
    doors: Doors, dsn: str
) -> None:
    async def work(door: Door) -> None:
        await add(door, 1)
        await kill_others(dsn)
        await add(door, 2)

    with pytest.raises(Lost) as lost:
        await doors.transact(work)
    assert not lost.value.unknown
    assert await ids(doors) == []


async def test_a_connection_that_ends_amid_a_single_statement_leaves_it_unknown(doors: Doors, dsn: str) -> None:
    async def wait() -> None:
        async with doors.one() as door:
            await door.raw.execute("SELECT pg_sleep(30)")

    waiting = asyncio.create_task(wait())
    await until_busy(dsn, "pg_sleep")
    await kill_others(dsn)

    with pytest.raises(Lost) as lost:
        await waiting
    assert lost.value.unknown
    assert await ids(doors) == []


async def test_a_connection_that_ends_amid_commit_leaves_it_unknown(doors: Doors, dsn: str) -> None:
    async with doors.one() as door:
        await door.raw.execute(SLOW_COMMIT)

    async def commit() -> None:
        async with doors.transaction() as door:
            await add(door, 1)

    committing = asyncio.create_task(commit())
    await until_busy(dsn, "COMMIT")
    await kill_others(dsn)

    with pytest.raises(Lost) as lost:
        await committing
    assert lost.value.unknown


async def test_a_deadlock_ends_with_both_done(doors: Doors) -> None:
    async with doors.transaction() as door:
        await add(door, 1)
        await add(door, 2)
    both_hold = asyncio.Barrier(2)
    tries: list[tuple[int, int]] = []

    async def swap(first: int, second: int) -> None:
        async def work(door: Door) -> None:
            is_first_try = (first, second) not in tries
            tries.append((first, second))
            await door.raw.execute("UPDATE things SET n = n + 1 WHERE id = $1", first)
            if is_first_try:
                await both_hold.wait()
            await door.raw.execute("UPDATE things SET n = n + 1 WHERE id = $1", second)

        await doors.transact(work)

    await asyncio.gather(swap(1, 2), swap(2, 1))

    async with doors.reading() as door:
        assert [row[0] for row in await door.raw.fetch("SELECT n FROM things")] == [2, 2]
    assert len(tries) >= 3


async def test_what_others_undo_again_and_again_is_given_up(doors: Doors) -> None:
    tries = 0

    async def work(door: Door) -> None:
        nonlocal tries
        tries += 1
        await door.raw.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    with pytest.raises(Contended):
        await doors.transact(work)
    assert tries == connections.TRIES


async def test_a_lock_is_not_waited_for_without_end(doors: Doors) -> None:
    async def work(door: Door) -> None:
        await door.raw.execute("SET LOCAL lock_timeout = '50ms'")
        await add(door, 1)

    async with doors.transaction() as holder:
        await holder.raw.execute("LOCK TABLE things")

        with pytest.raises(Unavailable, match="lock timeout"):
            await doors.transact(work)


async def test_a_reader_sees_one_state_and_may_write_nothing(doors: Doors) -> None:
    async with doors.reading() as reader:
        before = await reader.raw.fetchval("SELECT count(*) FROM things")
        async with doors.transaction() as door:
            await add(door, 1)
        assert await reader.raw.fetchval("SELECT count(*) FROM things") == before

    with pytest.raises(Unavailable, match="read-only"):
        async with doors.reading() as reader:
            await add(reader, 2)
    assert await ids(doors) == [1]


async def test_a_reader_that_takes_too_long_is_ended(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BEGIN_READING", connections.BEGIN_READING.replace("'5s'", "'50ms'"))

    with pytest.raises(Unavailable, match="statement timeout"):
        async with doors.reading() as door:
            await door.raw.execute("SELECT pg_sleep(30)")


async def test_nobody_waits_for_a_free_connection_without_end(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAIT_S", 0.05)
    async with doors.transaction(), doors.transaction():
        with pytest.raises(Unavailable, match="no connection became free"):
            async with doors.transaction():
                pytest.fail("there are two connections only")

    async with doors.transaction() as door:
        await add(door, 1)


async def test_whoever_is_cancelled_leaves_nothing_and_its_place_free(doors: Doors, dsn: str) -> None:
    async def hang() -> None:
        async with doors.transaction() as door:
            await add(door, 1)
            await door.raw.execute("SELECT pg_sleep(30)")

    for _ in range(3):
        hanging = asyncio.create_task(hang())
        await until_busy(dsn, "pg_sleep")
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        await kill_others(dsn)

    async with doors.transaction() as door:
        await add(door, 1)
    assert await ids(doors) == [1]


async def test_a_server_that_is_not_there_is_told_at_once(dsn: str) -> None:
    doors = Doors(dsn.replace("host=", "host=/nowhere"))
    began = time.monotonic()

    for way in (doors.transaction, doors.reading, doors.one):
        with pytest.raises(Lost) as lost:
            async with way():
                pytest.fail("nobody is there")
        assert not lost.value.unknown

    assert time.monotonic() - began < 2


async def test_too_many_connections_are_a_reason_to_ask_again(doors: Doors, dsn: str) -> None:
    async with doors.one() as door:
        await door.raw.execute("CREATE ROLE limited LOGIN CONNECTION LIMIT 0" if await no_role(door) else "SELECT 1")
    limited = Doors(dsn.replace("//postgres@", "//limited@"))

    with pytest.raises(Unavailable, match="too many connections"):
        async with limited.transaction():
            pytest.fail("it may have none")


async def test_after_closing_nothing_is_to_be_had(doors: Doors) -> None:
    async with doors.transaction() as door:
        await add(door, 1)
        await doors.close()

    for way in (doors.transaction, doors.reading, doors.one):
        with pytest.raises(Unavailable, match="closed"):
            async with way():
                pytest.fail("it is closed")


async def no_role(door: Door) -> bool:
    return await door.raw.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'limited'") is None


async def until_busy(dsn: str, doing: str) -> None:
    """A statement of another connection that begins or goes on with this is under way."""
    connection = await asyncpg.connect(dsn)
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE $1"
    async with asyncio.timeout(10):
        while not await connection.fetchval(query, f"%{doing}%"):
            await asyncio.sleep(0.01)
    await connection.close()
