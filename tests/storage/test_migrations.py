"""Migrations: run at start, all or nothing, and what they make is what `tables` says."""

import re
import sqlite3
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from postback.storage import migrations
from postback.storage.database import CannotOpen
from postback.storage.sqlite import SqliteStore
from postback.storage.sqlite.connections import APPLICATION_ID, Door, open_writer
from postback.storage.sqlite.opening import migrate
from postback.storage.tables import METADATA
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "postback.db"


@pytest.fixture
def door(path: Path) -> Iterator[Door]:
    """An empty database, before any migration."""
    door = open_writer(path)
    yield door
    door.close()


def test_the_migrations_make_what_the_tables_say(door: Door, path: Path) -> None:
    migrate(door, path)

    assert door.run(lambda connection: compare_metadata(MigrationContext.configure(connection), METADATA)) == []


def test_they_make_it_to_the_letter_checks_included(door: Door, path: Path) -> None:
    """What compare_metadata does not look at: CHECKs, WITHOUT ROWID, the conditions of indexes."""
    migrate(door, path)
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    query = text("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name <> 'alembic_version'")

    made = door.run(lambda connection: {tuple(row) for row in connection.execute(query)})
    with engine.connect() as connection:
        said = {tuple(row) for row in connection.execute(query)}
    engine.dispose()

    assert {normal(*row) for row in made} == {normal(*row) for row in said}


def test_the_newest_revision_is_the_one_that_is_migrated_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_a_migration_cut_short_never_happened_and_runs_again(door: Door, path: Path) -> None:
    def refuse_the_last_tables(action: int, first: str | None, *_: str | None) -> int:
        return (
            sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_CREATE_TABLE and first == "configs" else sqlite3.SQLITE_OK
        )

    door.raw.set_authorizer(refuse_the_last_tables)
    with pytest.raises(Exception, match="not authorized"):
        migrate(door, path)

    door.raw.set_authorizer(None)
    assert door.raw.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert door.raw.execute("PRAGMA application_id").fetchone() == (0,)
    migrate(door, path)
    assert door.run(migrations.version) == migrations.HEAD


async def test_a_newer_schema_is_refused_with_both_versions(door: Door, path: Path) -> None:
    migrate(door, path)
    door.raw.execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(CannotOpen) as refused:
        await SqliteStore.open(path, ClockDouble())

    assert "9999" in str(refused.value)
    assert migrations.HEAD in str(refused.value)
    assert str(path) in str(refused.value)


async def test_a_database_of_another_program_is_refused_untouched(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (id)")
    other.commit()
    other.close()

    with pytest.raises(CannotOpen, match="another program"):
        await SqliteStore.open(path, ClockDouble())

    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("precious",)]
    assert other.execute("PRAGMA application_id").fetchone() == (0,)
    other.close()


async def test_a_new_file_is_made_as_it_should_be(path: Path) -> None:
    store = await SqliteStore.open(path, ClockDouble())
    pragmas = ("page_size", "auto_vacuum", "journal_mode", "application_id", "synchronous", "foreign_keys")

    found = await store._submit(lambda raw: [raw.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas])

    # 2 are INCREMENTAL and FULL.
    assert found == [8192, 2, "wal", APPLICATION_ID, 2, 1]
    await store.close()


async def test_what_was_stored_is_there_after_a_restart(path: Path) -> None:
    store = await SqliteStore.open(path, ClockDouble())
    await given.an_account_with_configs(store)
    worker = await store.enlist("here")
    await store.accept(worker, given.units(3))
    await store.close()

    store = await SqliteStore.open(path, ClockDouble())

    worker = await store.enlist("here")
    assert len(await given.claim(store, worker)) == 3
    await store.close()


def test_a_start_without_migrations_does_not_import_alembic(door: Door, path: Path) -> None:
    migrate(door, path)
    loaded = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "alembic"}

    door.run(partial(migrations.upgrade, database=str(path)))

    assert not any(name.partition(".")[0] == "alembic" for name in sys.modules)
    sys.modules.update(loaded)


def test_versions_from_before_are_told_when_they_were_replaced(
    door: Door, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.setattr(migrations, "HEAD", "0003")
        migrate(door, path)
    door.raw.execute(
        "INSERT INTO accounts (id, metadata, created_ms, modified_ms, config_version) VALUES ('a', '{}', 1, 1, 0)"
    )
    door.raw.execute(
        """
        INSERT INTO configs (id, account, version, state, created_ms, modified_ms)
        VALUES (1, 'a', 3, 'active', 10, 30)
        """
    )
    # Config 2 was deleted after its attempts, 3 without any.
    door.raw.executemany(
        "INSERT INTO config_versions (config_id, version, account, created_ms, body, secrets) VALUES (?, ?, 'a', ?, '', '')",
        [(1, 1, 10), (1, 2, 20), (1, 3, 30), (2, 1, 40), (2, 2, 50), (3, 1, 60)],
    )
    door.raw.executemany(
        """
        INSERT INTO attempts (event_id, config_id, n, account, counter, verdict, manual, ended_ms, wait_ms, truncated)
        VALUES (?, 2, 1, 'a', 1, 1, 0, ?, 0, 0)
        """,
        [(1, 70), (2, 90), (3, 80)],
    )

    migrate(door, path)

    query = "SELECT config_id, version, replaced_ms FROM config_versions ORDER BY config_id, version"
    assert door.raw.execute(query).fetchall() == [
        *((1, 1, 20), (1, 2, 30), (1, 3, None)),
        *((2, 1, 50), (2, 2, 90)),
        (3, 1, 60),
    ]


def normal(kind: str, name: str, sql: str) -> tuple[str, str, frozenset[str]]:
    """A table's columns and constraints without the order they are written in."""
    body = sql[sql.index("(") + 1 : sql.rindex(")")] if kind == "table" else sql
    parts = frozenset(" ".join(part.split()) for part in re.split(r",(?![^(]*\))", body))
    return kind, name, parts | {sql[sql.rindex(")") + 1 :].strip()}
