"""A change and its entry in the audit are written together, or neither is."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from postback.domain.accounts import Account, Actor, ApiKey, Scope
from postback.domain.configs import ConfigState, Purpose
from postback.domain.deliveries import Verdict
from postback.domain.errors import RevisionPassed, Unavailable
from postback.domain.ids import config_text, delivery_text
from postback.domain.records import Delete, Insert, Update
from postback.ports import AuditFilter
from postback.storage.accounts import SqlAccounts
from postback.storage.audit import SqlAudit
from postback.storage.configs import SqlConfigs
from postback.storage.records import SqlRecords
from postback.storage.sqlite import SqliteStore
from postback.storage.tables import audit, config_versions
from tests.build import (
    ACCOUNT,
    CONFIG_ID,
    LOCATION_ID,
    NOON,
    a_claim,
    a_config,
    a_location,
    a_settlement,
    a_unit,
    an_event,
)
from tests.doubles import ClockDouble
from tests.storage import watched
from tests.storage.given import claim, event_number, rows

pytestmark = pytest.mark.anyio

BY = Actor("key_1", "somebody", "203.0.113.9")
KEY = ApiKey(id="key_2", account=ACCOUNT, name="k", scopes=frozenset(Scope), hash=b"hash", prefix="p", created_ms=0)
WHOLE = replace(a_config(), id=CONFIG_ID + 1, location_id=None, purpose=Purpose.MAIN)
OWED, ENDED = event_number(1), event_number(2)


class Stage:
    """One thing of each kind, on a store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.configs = SqlConfigs(store)
        self.accounts = SqlAccounts(store)
        self.records = SqlRecords(store, {})
        self.audit = SqlAudit(store)

    async def set_up(self) -> None:
        await self.accounts.save(Account(id=ACCOUNT))
        await self.accounts.save(Account(id="empty"))
        await self.accounts.add_key(KEY)
        await self.records.apply([Insert(a_location()), Insert(a_location(id="loc_empty"))])
        await self.configs.arrange([a_config(), WHOLE], [], [])
        self.worker = await self.store.enlist("here")
        version = (await self.configs.snapshot(ACCOUNT)).version
        await self.store.accept(self.worker, [a_unit(event, config_version=version) for event in (ENDED, OWED)])
        for held in await claim(self.store, self.worker):
            if held.event.id == ENDED.id:
                await self.store.settle(self.worker, [a_settlement(held)])
            else:
                self.held = held


@pytest.fixture
async def stage(tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> Any:
    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    stage = Stage(store)
    await stage.set_up()
    yield stage
    await store.close()


Change = Callable[[Stage], Awaitable[Any]]

CONTACT = replace(
    a_location(), resource="contact", id="con_1", location_id=LOCATION_ID, body={"id": "con_1", "ssn4": "1234"}
)


async def accept(stage: Stage) -> Any:
    version = (await stage.configs.snapshot(ACCOUNT)).version
    unit = a_unit(an_event(id=event_number(5).id), config_version=version, changes=[Insert(CONTACT, BY)])
    return await stage.store.accept(stage.worker, [unit])


CHANGES: dict[str, tuple[str, str, Change]] = {
    "add": ("postbackconfig.create", config_text(7), lambda s: s.configs.add(a_config(id=7), by=BY)),
    "change": (
        "postbackconfig.change",
        config_text(CONFIG_ID),
        lambda s: s.configs.change(a_config(url="http://b/"), by=BY),
    ),
    "rotate": (
        "postbackconfig.rotate_secret",
        config_text(CONFIG_ID),
        lambda s: s.configs.change(a_config(), rotates=True, by=BY),
    ),
    "pause": (
        "postbackconfig.pause",
        config_text(CONFIG_ID),
        lambda s: s.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None, by=BY),
    ),
    "delete": ("postbackconfig.delete", config_text(CONFIG_ID), lambda s: s.configs.delete(ACCOUNT, CONFIG_ID, by=BY)),
    "arrange": ("postbacksettings.change", ACCOUNT, lambda s: s.configs.arrange([], [], [WHOLE], by=BY)),
    "test": (
        "postbackconfig.test",
        config_text(CONFIG_ID),
        lambda s: s.store.keep_test(s.worker, a_settlement(a_claim(event=event_number(9))), by=BY),
    ),
    "replay": (
        "delivery.replay",
        delivery_text(ENDED.id, CONFIG_ID),
        lambda s: s.store.replay(ACCOUNT, ENDED.id, CONFIG_ID, by=BY),
    ),
    "cancel": (
        "delivery.cancel",
        delivery_text(OWED.id, CONFIG_ID),
        lambda s: s.store.cancel(ACCOUNT, OWED.id, CONFIG_ID, by=BY),
    ),
    "gone": (
        "postbackconfig.disable",
        config_text(CONFIG_ID),
        lambda s: s.store.settle(s.worker, [a_settlement(s.held, Verdict.FAILED, disables="410 Gone")]),
    ),
    "insert": ("contact.create", "con_1", lambda s: s.records.apply([Insert(CONTACT, BY)])),
    "update": (
        "location.change",
        LOCATION_ID,
        lambda s: s.records.apply([Update(a_location(body={"name": "New Street"}), BY)]),
    ),
    "remove": (
        "location.delete",
        "loc_empty",
        lambda s: s.records.apply([Delete(ACCOUNT, "location", "loc_empty", BY)]),
    ),
    "with an event": ("contact.create", "con_1", accept),
    "save account": ("account.save", ACCOUNT, lambda s: s.accounts.save(Account(id=ACCOUNT, name="New"), by=BY)),
    "delete account": ("account.delete", "empty", lambda s: s.accounts.delete("empty", by=BY)),
    "add key": ("key.create", "key_3", lambda s: s.accounts.add_key(replace(KEY, id="key_3", hash=b"other"), by=BY)),
    "revoke key": ("key.revoke", "key_2", lambda s: s.accounts.revoke_key(ACCOUNT, "key_2", by=BY)),
}
"""Each way to change something: the action and the target on record, and the change itself."""


def contents(stage: Stage) -> list[str]:
    """All that is in the file, as text."""
    with closing(sqlite3.connect(stage.store.path)) as connection:
        return list(connection.iterdump())


async def newest(stage: Stage) -> Any:
    return (await stage.audit.entries(ACCOUNT, AuditFilter(), None, 1))[0]


@pytest.mark.parametrize(("action", "target", "change"), CHANGES.values(), ids=CHANGES)
async def test_a_change_brings_one_entry(stage: Stage, action: str, target: str, change: Change) -> None:
    before = contents(stage)
    entries = len(await rows(stage.store, audit))

    await change(stage)

    assert contents(stage) != before
    [row] = (await rows(stage.store, audit))[entries:]
    assert (row.action, row.target) == (action, target)
    by = None if row.key_id is None else Actor(row.key_id, row.key_name, row.address)
    assert by == (None if action == "postbackconfig.disable" else BY)


async def test_a_change_whose_entry_cannot_be_written_is_not_made(stage: Stage) -> None:
    """None of them changes anything, so one store is enough for all of them."""
    with closing(sqlite3.connect(stage.store.path)) as connection:
        connection.execute(
            "CREATE TRIGGER no_more BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no more of these'); END"
        )
    before = contents(stage)

    for name, (_, _, change) in CHANGES.items():
        if change is accept:
            # Of events each is answered for itself.
            [answer] = await change(stage)
            assert "no more of these" in str(answer)
        else:
            with pytest.raises((sqlite3.IntegrityError, IntegrityError), match="no more of these"):
                await change(stage)
        assert contents(stage) == before, name


async def test_a_change_that_cannot_be_committed_leaves_no_entry(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(stage)
    raw = stage.store._transactions._raw
    execute = raw.execute
    written: list[int] = []

    def on_a_full_disk(sql: str, *values: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            written.append(execute("SELECT count(*) FROM audit").fetchone()[0])
            raise sqlite3.OperationalError("database or disk is full")
        return execute(sql, *values)

    monkeypatch.setattr(raw, "execute", on_a_full_disk)
    entries = len(await rows(stage.store, audit))

    for name, (_, _, change) in CHANGES.items():
        with pytest.raises(Unavailable, match="disk is full"):
            await change(stage)
        assert contents(stage) == before, name

    # Each had its entry, and lost it with the change.
    assert written == [entries + 1] * len(CHANGES)


async def test_a_refused_change_leaves_no_entry_beside_one_that_is_made_with_it(stage: Stage) -> None:
    """Both are in one group, and so in one commit."""
    entries = len(await rows(stage.store, audit))
    passed = a_config(version=7)

    refused = stage.configs.change(passed, by=BY)
    made = stage.configs.change(a_config(max_in_flight=3), by=BY)
    with pytest.raises(RevisionPassed):
        await refused
    await made

    assert len(await rows(stage.store, audit)) == entries + 1
    assert (await newest(stage)).after["max_in_flight"] == 3


KILLED_BEFORE_ITS_COMMIT = """
import asyncio, os, signal, sys, traceback
from postback.domain.accounts import Account, Actor
from postback.storage.accounts import SqlAccounts
from postback.storage.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1], lambda: 1_790_000_000_000)
    raw = store._transactions._raw
    execute = raw.execute

    def kill_before_the_commit(sql, *values):
        if sql == "COMMIT" and execute("SELECT count(*) FROM audit").fetchone() == (1,):
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, *values)

    raw.execute = kill_before_the_commit
    await SqlAccounts(store).save(Account(id="acme"), by=Actor("key_1", "somebody"))

try:
    asyncio.run(main())
except BaseException:
    traceback.print_exc()
# The threads of the store, which nobody has closed, would keep it.
os._exit(1)
"""


def test_a_kill_before_the_commit_leaves_neither(tmp_path: Path) -> None:
    path = tmp_path / "postback.db"

    ended = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_ITS_COMMIT, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        check=False,
        capture_output=True,
        timeout=60,
    )

    # Killed with the entry written, and not by anything else.
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (0,)


async def test_ids_go_on_where_they_ended_when_the_store_is_opened_again(tmp_path: Path) -> None:
    """Also with a clock that went back in between."""
    clock = ClockDouble()
    for name in ("first", "second"):
        store = await SqliteStore.open(tmp_path / "postback.db", clock)
        await SqlAccounts(store).save(Account(id=ACCOUNT, name=name))
        await store.close()
        clock.pass_(seconds=-3600)

    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    entries = await SqlAudit(store).entries(ACCOUNT, AuditFilter(), None, 10)
    await store.close()

    assert [entry.after and entry.after["name"] for entry in entries] == ["second", "first"]
    assert entries[0].at_ms < entries[1].at_ms
    assert entries[0].id > entries[1].id


async def test_a_config_that_cannot_be_read_can_be_deleted_all_the_same(stage: Stage) -> None:
    await stage.store.write(lambda connection: connection.execute(config_versions.update().values(body="{")))

    await stage.configs.delete(ACCOUNT, CONFIG_ID, by=BY)

    entry = await newest(stage)
    assert entry.action == "postbackconfig.delete"
    assert entry.before["format"] == "unreadable"


async def test_a_page_of_it_reads_no_more_than_it_shows(stage: Stage) -> None:
    with watched.statements() as seen:
        await stage.audit.entries(ACCOUNT, AuditFilter(action="key.create", since_ms=NOON, until_ms=NOON), 1 << 62, 20)

    [plan] = [await watched.plan_of(stage.store, statement) for statement in seen]
    assert plan == ["SEARCH audit USING INDEX audit_of_account (account=? AND id>? AND id<?)"]
