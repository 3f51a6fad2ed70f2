"""Opening a PostgreSQL database: what cannot be trusted is refused, and the schema is made once, whoever comes first."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection
from sqlalchemy.types import TypeEngine

from postback.domain.configs import BasicAuth
from postback.domain.errors import Unavailable
from postback.domain.ids import first_id_at
from postback.storage import migrations
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.postgres import PostgresStore, opening
from postback.storage.postgres.clock import ServerClock
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.opening import prepare
from postback.storage.postgres.partitions import AHEAD, DAY_MS, drop, existing, make_ahead
from postback.storage.postgres.reaching import shown
from postback.storage.tables import METADATA
from tests import postgres
from tests.build import ACCOUNT, NOON, a_config
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.proxy import Proxy

pytestmark = pytest.mark.anyio

KEY = postgres.KEY
OTHER_KEY = b"o" * 32
TODAY = NOON // DAY_MS


@pytest.fixture
async def empty(anyio_backend: str) -> AsyncIterator[str]:
    """The DSN of a database without any table."""
    async with postgres.empty_database() as dsn:
        yield dsn


@pytest.fixture
async def made(anyio_backend: str) -> AsyncIterator[str]:
    """The DSN of a database with our schema."""
    async with postgres.database() as dsn:
        yield dsn


async def ask(dsn: str, query: str, *parameters: object) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *parameters)
    finally:
        await connection.close()


async def test_the_migrations_make_what_the_tables_say(made: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        def is_ours(_thing: object, name: str | None, kind: str, is_found: bool, other: object) -> bool:
            # A partition is a table too, and its indexes are indexes.
            return not (
                is_found and other is None and kind == "table" and "_" in str(name) and name not in METADATA.tables
            )

        def is_another(_1: object, _2: object, _3: object, found: TypeEngine[Any], said: TypeEngine[Any]) -> bool:
            # What is bound to a statement is called VARCHAR; what is made, as the migrations say, is TEXT.
            return found.compile(connection.dialect) != said.compile(connection.dialect).replace("VARCHAR", "TEXT")

        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": is_another})
        return list(compare_metadata(context, METADATA))

    doors = Doors(made)
    async with doors.reading() as door:
        assert await door.run(differences) == []
    await doors.close()


async def test_conditions_of_indexes_and_checks_are_there_too(made: str) -> None:
    where = "SELECT count(*) FROM pg_index WHERE indpred IS NOT NULL AND indrelid = ANY($1::text[]::regclass[])"
    checks = """
    SELECT count(*) FROM pg_constraint
    WHERE contype = 'c' AND conname <> 'alembic_version' AND conrelid = ANY($1::text[]::regclass[])
    """
    tables = list(METADATA.tables)
    conditions = [index for table in METADATA.tables.values() for index in table.indexes]
    said = [index for index in conditions if index.dialect_options["postgresql"]["where"] is not None]
    said_checks = [
        one for table in METADATA.tables.values() for one in table.constraints if isinstance(one, CheckConstraint)
    ]

    assert await ask(made, where, tables) == len(said) >= 7
    assert await ask(made, checks, tables) == len(said_checks) >= 14


async def test_text_is_ordered_by_its_bytes_in_whatever_database(made: str) -> None:
    other = """
    SELECT string_agg(attrelid::regclass || '.' || attname, ', ')
    FROM pg_attribute
    WHERE attrelid = ANY($1::text[]::regclass[]) AND atttypid = 'text'::regtype AND attcollation <> '"C"'::regcollation
    """

    assert await ask(made, other, list(METADATA.tables)) is None


async def test_processes_that_start_at_once_make_one_schema(empty: str) -> None:
    await asyncio.gather(*(prepare(empty, [KEY]) for _ in range(4)))

    assert await ask(empty, "SELECT version_num FROM alembic_version") == migrations.HEAD
    assert await ask(empty, "SELECT count(*) FROM alembic_version") == 1


async def test_stores_that_open_at_once_are_all_ready(empty: str) -> None:
    stores = await asyncio.gather(*(PostgresStore.open(empty, secret_keys=[KEY]) for _ in range(3)))

    await given.an_account_with_configs(stores[0])
    for store in stores:
        assert await given.account_ids(store) == [ACCOUNT]
        await store.close()


async def test_a_migration_cut_short_never_happened_and_runs_again(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> int:
        raise OSError("the power is gone")

    with monkeypatch.context() as then:
        then.setattr(opening, "make_ahead", fail)
        with pytest.raises(Unavailable, match="the power is gone"):
            await prepare(empty, [KEY])
    assert await ask(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0

    await prepare(empty, [KEY])

    assert await ask(empty, "SELECT version_num FROM alembic_version") == migrations.HEAD


async def test_a_newer_schema_is_refused_with_both_versions(made: str) -> None:
    await ask(made, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(CannotOpen, match="9999") as refused:
        await prepare(made, [KEY])

    assert migrations.HEAD in str(refused.value)


async def test_a_database_of_another_program_is_refused_untouched(empty: str) -> None:
    await ask(empty, "CREATE TABLE precious (id int)")

    with pytest.raises(CannotOpen, match="another program"):
        await prepare(empty, [KEY])

    assert await ask(empty, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1


async def test_a_database_that_loses_what_it_answered_for_is_refused(made: str) -> None:
    await ask(
        made, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$"
    )

    with pytest.raises(CannotOpen, match="synchronous_commit = off"):
        await prepare(made, [KEY])


async def test_a_database_that_cannot_hold_all_text_is_refused(anyio_backend: str) -> None:
    async with postgres.empty_database("ENCODING 'LATIN1' LOCALE 'C'") as dsn:
        with pytest.raises(CannotOpen, match="LATIN1") as refused:
            await prepare(dsn, [KEY])

    assert "ENCODING 'UTF8'" in str(refused.value)


async def test_a_server_that_is_too_old_is_refused(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "VERSION_MIN", 990_000)

    with pytest.raises(CannotOpen, match="15 or newer"):
        await prepare(made, [KEY])


async def test_a_server_that_is_not_there_is_unavailable(made: str) -> None:
    with pytest.raises(Unavailable, match=r"on the socket /nowhere/.*PGSQL\.5432 cannot be reached: No such file"):
        await prepare(made.replace("host=", "host=/nowhere"), [KEY])


async def test_a_user_who_may_make_no_tables_is_told_what_to_give(empty: str) -> None:
    await ask(empty, "CREATE ROLE guest_of_the_tests LOGIN")
    try:
        with pytest.raises(CannotOpen, match=r"permission denied for schema public.*OWNER TO the user"):
            await prepare(empty.replace("postgres@", "guest_of_the_tests@"), [KEY])
    finally:
        await ask(empty, "DROP ROLE guest_of_the_tests")


async def test_without_a_key_nothing_is_opened_and_how_to_make_one_is_told(made: str) -> None:
    with pytest.raises(CannotOpen, match="POSTBACK_SECRET_KEY") as refused:
        await prepare(made, [])

    assert "export POSTBACK_SECRET_KEY=$(python3 -c" in str(refused.value)


async def test_secrets_that_the_keys_do_not_fit_are_refused_and_an_old_key_beside_opens_them(made: str) -> None:
    clock = ClockDouble()
    store = await PostgresStore.open(made, clock, secret_keys=[OTHER_KEY])
    await given.an_account_with_configs(store, configs_from=100)
    await SqlConfigs(store).add(a_config(location_id=None, basic_auth=BasicAuth("me", "hunter2 at rest")))
    await store.close()

    with pytest.raises(CannotOpen, match="after a comma"):
        await PostgresStore.open(made, clock, secret_keys=[KEY])

    store = await PostgresStore.open(made, clock, secret_keys=[KEY, OTHER_KEY])
    found = await SqlConfigs(store).find(ACCOUNT, a_config().id)
    assert found.basic_auth == BasicAuth("me", "hunter2 at rest")
    assert not await ask(made, "SELECT count(*) FROM config_versions WHERE secrets LIKE '%hunter2%'")
    await store.close()


async def test_nobody_s_password_is_shown() -> None:
    assert shown("postgresql://me:secret@db.example/pb") == "the database pb on db.example:5432"


async def test_partitions_are_there_for_the_days_to_come_once(made: str) -> None:
    doors = Doors(made)
    async with doors.transaction() as door:
        days = {table: [one.day - TODAY for one in await existing(door, table)] for table in ("events", "attempts")}
        assert days == {table: list(range(-1, AHEAD + 1)) for table in ("events", "attempts")}
        assert await make_ahead(door, NOON) == 0
        assert await make_ahead(door, NOON + DAY_MS) == 2
    await doors.close()


async def test_processes_that_make_partitions_at_once_make_each_once(made: str) -> None:
    doors = Doors(made)

    made_each = await asyncio.gather(
        *(doors.transact(lambda door: make_ahead(door, NOON + 3 * DAY_MS)) for _ in range(3))
    )

    assert sorted(made_each) == [0, 0, 6]
    await doors.close()


async def test_partitions_are_made_and_dropped_beside_those_who_write(made: str) -> None:
    doors = Doors(made)
    row = "INSERT INTO events (id, account, type, accepted_ms, deliveries, data) VALUES ($1, 'a', 't', 0, 0, '')"
    async with doors.transaction() as writer:
        await writer.raw.execute(row, first_id_at(NOON))
        async with doors.transaction() as door:
            await door.raw.execute("SET LOCAL lock_timeout = '1s'")
            assert await make_ahead(door, NOON + DAY_MS) == 2
    async with doors.transaction() as door:
        [yesterday, *_] = await existing(door, "events")
        await drop(door, yesterday)
    async with doors.transaction() as door:
        assert next(one.day for one in await existing(door, "events")) == TODAY
        await door.raw.execute(row, yesterday.first_id)
        assert await door.raw.fetchval(
            "SELECT tableoid::regclass::text FROM events WHERE id = $1", yesterday.first_id
        ) == ("events_default")
        # Whose events came first stays where they are: nothing is moved, and nothing is lost.
        assert await make_ahead(door, NOON) == 0
        assert await door.raw.fetchval("SELECT count(*) FROM events") == 2
    await doors.close()


async def test_partitions_are_as_the_table_that_they_are_of(made: str) -> None:
    count = "SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass"
    doors = Doors(made)
    async with doors.reading() as door:
        for table in ("events", "attempts"):
            for partition in await existing(door, table):
                indexes = await door.raw.fetchval(count, partition.name)
                assert indexes == await door.raw.fetchval(count, table) >= 3
    await doors.close()


async def test_a_store_without_a_clock_goes_by_the_database_s(made: str) -> None:
    store = await PostgresStore.open(made, secret_keys=[KEY])

    now = await ask(made, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")

    assert abs(store.clock() - now) < 1000
    assert ServerClock(lambda: 5)() == 5
    await store.close()


@pytest.fixture
async def proxy(made: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(made)
    yield proxy
    await proxy.close()


@pytest.mark.parametrize(
    "asked",
    ["pg_backend_pid", "server_version_num", "alembic_version", "pg_advisory_xact_lock", "pg_class", "secret_keys"],
)
async def test_a_server_that_goes_while_its_database_is_opened_is_not_reached(proxy: Proxy, asked: str) -> None:
    """It was a database that cannot be opened, as if somebody had to mend it: the server was only restarted."""
    proxy.cut_after(asked.encode())

    with pytest.raises(Unavailable, match=r"the database postback_.* cannot be reached: "):
        await prepare(await proxy.start(), [KEY], to_serve=True)
