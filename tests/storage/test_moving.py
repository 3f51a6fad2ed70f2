"""Moving a store from its file to PostgreSQL: all of it arrives as it was, or nothing does."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from postback.cli.trial import environment
from postback.domain.accounts import Account, Actor, ApiKey, Scope
from postback.domain.configs import BasicAuth
from postback.domain.deliveries import Accepted, Idempotency, Verdict
from postback.domain.errors import Unavailable
from postback.domain.ids import encode, first_id_at
from postback.domain.jobs import JobKind
from postback.domain.records import Insert, Update
from postback.domain.users import LinkKind
from postback.ports import LogFilter
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.links import SqlSignInLinks
from postback.storage.postgres import PostgresStore, exclusive, moving
from postback.storage.postgres.moving import MOVED, CannotMove, Moved, Row, opened_to_move
from postback.storage.postgres.partitions import DAY_MS
from postback.storage.records import SqlRecords
from postback.storage.secret_file import SecretFile
from postback.storage.sessions import SqlSessions
from postback.storage.sqlite import SqliteStore
from postback.storage.tables import owed
from postback.storage.users import SqlUsers
from tests import postgres
from tests.build import ACCOUNT, a_config, a_location, a_settlement
from tests.doubles import ClockDouble
from tests.storage import given, inside
from tests.storage.business import OTHER, Business
from tests.storage.people import a_link, a_session, a_user, token

pytestmark = pytest.mark.anyio

BY = Actor("key_1", "somebody", "203.0.113.9")
IDEMPOTENCY = Idempotency(key_hash=b"k" * 32, body_hash=b"b" * 32)
SECRETS_FROM = 50
"""Ids of the configs that have passwords."""


@pytest.fixture(params=["empty", "with our schema"])
async def dsn(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[str]:
    """A database to move to."""
    making = postgres.empty_database() if request.param == "empty" else postgres.database()
    async with making as dsn:
        yield dsn


one_database = pytest.mark.parametrize("dsn", ["empty"], indirect=True)
"""For what does not depend on whether the schema is there."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store in which everything has happened, and whose server was killed."""
    folder = tmp_path_factory.mktemp("made")
    asyncio.run(make(folder / "postback.db"))
    return folder


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "postback.db"


async def make(path: Path) -> None:
    clock = ClockDouble()
    store = await SqliteStore.open(path, clock)
    await given.an_account_with_configs(store)
    business = Business(store, clock, random.Random(5))
    await business.open()
    configs = SqlConfigs(store)
    for number in range(3):
        secret = BasicAuth("user", f"password-{number}")
        await configs.add(a_config(id=SECRETS_FROM + number, location_id=None, basic_auth=secret))
    named = Account(id="acc_named", name="Ünïcode \U0001f600", metadata={"é": [1, None]})
    await SqlAccounts(store).save(replace(named, portal_origins=("https://crm.example",)))
    records = SqlRecords(store, {})
    await records.apply([Insert(a_location(id="loc_z"))])
    # Its location comes after it in the order of keys.
    contact = a_location(
        resource="contact", id="con_a", location_id="loc_z", key="c-1", body={"id": "con_a", "last_name": "Jönes"}
    )
    await records.apply([Insert(contact)])
    await records.apply([Update(replace(contact, body={"id": "con_a", "last_name": "Smith"}), BY)])
    key = ApiKey(id="key_2", account=ACCOUNT, name="k", scopes=frozenset(Scope), hash=b"hash", prefix="p", created_ms=0)
    await SqlAccounts(store).add_key(key, by=BY)
    user = a_user(account=None)
    await SqlUsers(store).add(user, "argon2id", by=BY)
    await SqlSignInLinks(store).add(a_link(kind=LinkKind.PORTAL, name="Ünïcode"), token())
    await SqlSessions(store).add(a_session(user), token())
    for _ in range(3):
        await business.go_on(30)
        clock.pass_(seconds=DAY_MS // 1000)
    await store.start_job(ACCOUNT, f"rpl_{encode(clock() << 21)}", JobKind.REPLAY, LogFilter())
    event = given.event_number(0)._replace(
        id=(clock() << 21) + 1_000_000, type="sms.sent", data=b'{"tracking_id":"t-1"}'
    )
    unit = given.units(1, claimed=True, idempotency=IDEMPOTENCY)[0]._replace(event=event)
    [answer] = await store.accept(business.worker, [unit._replace(config_version=await business.version(ACCOUNT) or 0)])
    assert isinstance(answer, Accepted)
    assert len(answer.claims) == 1
    await store.close()


async def moved_to(dsn: str, path: Path) -> Moved:
    with opened_to_move(path, ()) as source:
        return await moving.move(source, dsn, lambda _1, _2, rows: rows, lambda *_: None)


def keys_of(path: Path) -> Sequence[bytes]:
    return SecretFile(path).read()


def rows_of_file(path: Path) -> Mapping[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        return {
            table.name: sorted(
                database.execute(f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name}"),
                key=repr,
            )
            for table in MOVED
        }


async def rows_there(dsn: str) -> Mapping[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(dsn)
    try:
        return {
            table.name: sorted(
                (
                    tuple(row)
                    for row in await connection.fetch(
                        f"SELECT {', '.join(column.name for column in table.columns)} FROM {table.name}"
                    )
                ),
                key=repr,
            )
            for table in MOVED
        }
    finally:
        await connection.close()


async def ask(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_every_row_of_every_table_arrives_as_it_was(path: Path, dsn: str) -> None:
    before, file_before = rows_of_file(path), path.read_bytes()
    held = [row for row in before["owed"] if row[list(owed.columns.keys()).index("claim")] is not None]
    assert [name for name, rows in before.items() if not rows] == ["removed_accounts"]
    assert len(before["events"]) > 300
    assert len(held) > 5
    assert {row[5] for row in before["attempts"]} == {verdict.value for verdict in Verdict}

    moved = await moved_to(dsn, path)

    after = await rows_there(dsn)
    assert moved.rows == {name: len(rows) for name, rows in before.items()}
    assert (moved.freed, moved.missing) == (len(held), {})
    # Only what the old worker held is another: free, and on record as interrupted.
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"owed", "attempts", "counters", "lanes", "workers"}
    assert after["workers"] == []
    assert len(after["attempts"]) == len(before["attempts"]) + len(held)
    assert set(before["attempts"]) <= set(after["attempts"])
    assert not any(row[list(owed.columns.keys()).index("claim")] for row in after["owed"])
    # And the file is what it was.
    assert rows_of_file(path) == before
    assert path.read_bytes() == file_before


async def test_the_new_store_goes_on_where_the_old_one_ended(path: Path, dsn: str) -> None:
    # Later than anything that is owed, but a key is known still.
    clock = ClockDouble(int(time.time() * 1000) + DAY_MS)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE idempotency SET expires_ms = ?", (clock() + DAY_MS,))
    await moved_to(dsn, path)

    store = await PostgresStore.open(dsn, clock, secret_keys=keys_of(path))
    worker = await store.enlist("here")
    still = {(row.event_id, row.config_id) for row in await given.owed_rows(store)}
    done = set()
    while claims := await store.claim(worker, {row.config_id: 100 for row in await given.owed_rows(store)}, 1 << 24):
        settled = await store.settle(worker, [a_settlement(claim) for claim in claims])
        assert settled.moved == len(claims)
        done |= {(claim.event.id, claim.config_id) for claim in claims}
    secrets = (await SqlConfigs(store).snapshot(ACCOUNT)).configs
    proof = await inside.prove(store)
    event = given.event_number(0)._replace(id=(clock() << 21) + 1, accepted_ms=clock())
    versions = await store.read(lambda c: c.execute(text("SELECT id, config_version FROM accounts")).all())
    version = dict(map(tuple, versions))[ACCOUNT]
    unit = given.units(1, idempotency=IDEMPOTENCY, config_version=version)[0]._replace(event=event)
    [repeat] = await store.accept(worker, [unit])
    await store.close()

    assert done == still
    assert len(still) > 20
    assert sorted(one.basic_auth.password for one in secrets.values() if one.basic_auth) == [
        f"password-{number}" for number in range(3)
    ]
    assert {account: one.missing for account, one in proof.by_counters.items()} == {ACCOUNT: 0, OTHER: 0}
    assert list(proof.differing) == []
    assert all(one.owed == 0 for one in proof.by_counters.values())
    assert isinstance(repeat, Accepted)
    assert repeat.event_id != event.id


@one_database
async def test_each_day_of_the_log_has_its_partition(path: Path, dsn: str) -> None:
    await moved_to(dsn, path)

    assert await ask(dsn, "SELECT count(*) FROM events_default") == 0
    assert await ask(dsn, "SELECT count(*) FROM attempts_default") == 0
    days = {row[0] // first_id_at(DAY_MS) for row in rows_of_file(path)["events"]}
    assert await ask(dsn, "SELECT count(DISTINCT tableoid) FROM events") == len(days) > 2


@one_database
async def test_what_is_not_empty_is_refused_and_left_as_it_is(path: Path, dsn: str) -> None:
    await moved_to(dsn, path)
    before = await rows_there(dsn)

    with pytest.raises(CannotMove, match=r"is not empty: it has rows in accounts"):
        await moved_to(dsn, path)

    assert await rows_there(dsn) == before


@one_database
async def test_a_database_that_others_use_is_refused(path: Path, dsn: str) -> None:
    store = await PostgresStore.open(dsn, secret_keys=[b"o" * 32])
    await store.enlist("here")
    with pytest.raises(CannotMove, match="is in use: a server or worker runs on it"):
        await moved_to(dsn, path)
    await store.close()

    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE alembic_version SET version_num = '0099'")
    with pytest.raises(CannotMove, match="has schema 0099 of postback"):
        await moved_to(dsn, path)
    await connection.close()


@one_database
async def test_a_database_of_another_program_is_refused(path: Path, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE recipes (name text)")
    await connection.close()

    with pytest.raises(CannotOpen, match="has tables of another program"):
        await moved_to(dsn, path)


@one_database
async def test_a_server_that_starts_meanwhile_does_not_find_half_of_it(
    path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it hold the move up: it waits, and is told so."""
    monkeypatch.setattr(exclusive, "WAIT_FOR_TABLES", "200ms")
    told: list[str] = []

    def start() -> None:
        with pytest.raises(Unavailable) as refused:
            asyncio.run(PostgresStore.open(dsn, secret_keys=keys_of(path)))
        told.append(str(refused.value))

    def watch(name: str, total: int, rows: Iterator[Row]) -> Iterator[Row]:
        for number, row in enumerate(rows):
            yield row
            if name == "events" and number == total // 2:
                server = threading.Thread(target=start)
                server.start()
                server.join()

    with opened_to_move(path, ()) as source:
        moved = await moving.move(source, dsn, watch, lambda *_: None)
    store = await PostgresStore.open(dsn, secret_keys=keys_of(path))
    await store.close()

    assert moved.rows["events"] > 0
    assert "cannot be opened now: canceling statement due to lock timeout" in told[0]


@pytest.mark.parametrize(
    ("version", "what_helps"),
    [("0005", "start this version's server on it once"), ("0099", "it was written by a newer postback")],
)
async def test_a_store_of_another_version_is_refused(path: Path, version: str, what_helps: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))

    with pytest.raises(CannotMove, match=what_helps), opened_to_move(path, ()):
        raise AssertionError("it was opened")


async def test_a_store_that_is_in_use_is_refused(path: Path) -> None:
    store = await SqliteStore.open(path, ClockDouble())

    with (
        pytest.raises(CannotOpen, match=f"in use by another postback process .pid {os.getpid()}."),
        opened_to_move(path, ()),
    ):
        raise AssertionError("it was opened")

    await store.close()


async def test_secrets_whose_key_is_not_there_are_not_moved(path: Path) -> None:
    for keys, what_helps in (([b"x" * 32], "put .*secret back from a copy"), ((), "put the file back from a copy")):
        if not keys:
            SecretFile(path).path.unlink()
        with pytest.raises(CannotMove, match=what_helps), opened_to_move(path, keys):
            raise AssertionError("it was opened")


@one_database
@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (
            "UPDATE events SET subject = 'canary' || char(0) WHERE id = (SELECT min(id) FROM events)",
            r"a row in events that PostgreSQL cannot hold, the 1\. by its key, in the column subject: invalid byte sequence",
        ),
        (
            "UPDATE accounts SET name = x'63616e617279'",
            "a row in accounts .*: a value does not fit its column",
        ),
        ("UPDATE records SET revision = 1 << 40", "a row in records .*: a value does not fit its column"),
    ],
)
async def test_what_postgresql_cannot_hold_is_told_and_nothing_is_moved(
    path: Path, dsn: str, harm: str, found: str
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(harm)

    with pytest.raises(CannotMove, match=found) as refused:
        await moved_to(dsn, path)

    assert "canary" not in str(refused.value)
    assert all(not rows for rows in (await rows_there(dsn)).values())


@one_database
async def test_what_a_receiver_said_is_kept_as_postgresql_can_keep_it(path: Path, dsn: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE attempts SET detail = 'a' || char(0) || 'b' WHERE verdict = 2")

    await moved_to(dsn, path)

    assert await ask(dsn, "SELECT DISTINCT detail FROM attempts WHERE verdict = 2") == "a\N{REPLACEMENT CHARACTER}b"


@one_database
@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("DELETE FROM owed WHERE event_id = (SELECT max(event_id) FROM owed)", "owed: .* rows of .* have arrived"),
        ("UPDATE counters SET count = count + 1 WHERE measure = 0", "the counters do not say the same"),
        ("UPDATE attempts SET verdict = 2 WHERE verdict = 1", "the log does not say the same"),
    ],
)
async def test_what_arrives_otherwise_is_found_and_undone(
    path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch, harm: str, found: str
) -> None:
    demand = moving._demand_same

    async def harmed(source: moving.Source, raw: Any, rows: Mapping[str, int]) -> None:
        await raw.execute(harm)
        await demand(source, raw, rows)

    monkeypatch.setattr(moving, "_demand_same", harmed)

    with pytest.raises(CannotMove, match=found):
        await moved_to(dsn, path)

    assert all(not rows for rows in (await rows_there(dsn)).values())


@pytest.mark.parametrize("table", ["accounts", "events", "attempts", "counting the log"])
@one_database
async def test_a_move_that_was_killed_never_happened_and_can_be_done_again(path: Path, dsn: str, table: str) -> None:
    program = """
import asyncio, sys, time
from pathlib import Path
from postback.storage.postgres.moving import move, opened_to_move

def at_it():
    print("at it", flush=True)
    time.sleep(30)

def watch(name, total, rows):
    for number, row in enumerate(rows):
        yield row
        if name == sys.argv[3] and number == total // 2:
            at_it()

def told(what, done, total):
    if what == sys.argv[3]:
        at_it()

with opened_to_move(Path(sys.argv[1]), ()) as source:
    asyncio.run(move(source, sys.argv[2], watch, told))
"""
    half = subprocess.Popen(
        [sys.executable, "-c", program, str(path), dsn, table], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert half.stdout is not None
    assert half.stdout.readline() == "at it\n"
    os.kill(half.pid, signal.SIGKILL)
    half.wait()
    half.stdout.close()

    assert all(not rows for rows in (await rows_there(dsn)).values())
    moved = await moved_to(dsn, path)

    assert moved.rows == {name: len(rows) for name, rows in rows_of_file(path).items()}
