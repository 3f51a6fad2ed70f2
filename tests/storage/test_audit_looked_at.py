"""The audit is looked at so far and no further, on each database; on SQLite counted in rows as well."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, insert

from postback.ports import AuditEntry, AuditFilter
from postback.storage.audit import SqlAudit
from postback.storage.database import Database
from postback.storage.tables import audit
from tests.build import ACCOUNT, NOON
from tests.storage import given, watched

pytestmark = pytest.mark.anyio

PAUSE = AuditFilter(action="postbackconfig.pause", target="pbc_1")


async def on_record(store: Database, first: int, actions: Sequence[str], account: str = ACCOUNT) -> None:
    """One a millisecond, from so many milliseconds after noon on."""
    rows = [
        {"id": ms << 21, "account": account, "at_ms": ms, "action": action, "target": "pbc_1", "is_operator": 0}
        for ms, action in enumerate(actions, start=NOON + first)
    ]
    await store.write(lambda connection: connection.execute(insert(audit), rows))


def places(entries: Sequence[AuditEntry]) -> list[int]:
    return [entry.at_ms - NOON for entry in entries]


async def test_a_list_looks_back_so_far_and_goes_on_from_there(empty_store: Database) -> None:
    await on_record(empty_store, 0, ["postbackconfig.pause", *["key.create"] * 9, "postbackconfig.pause"])
    await on_record(empty_store, 11, ["postbackconfig.pause"] * 5, account="other")
    looked_at = SqlAudit(empty_store)

    since = await looked_at.reach(ACCOUNT, PAUSE, None, 4)
    assert since == NOON + 7 << 21
    assert places(await looked_at.entries(ACCOUNT, PAUSE, None, 9, since)) == [10]
    then = await looked_at.reach(ACCOUNT, PAUSE, since, 6)
    assert then == NOON + 1 << 21
    assert await looked_at.entries(ACCOUNT, PAUSE, since, 9, then) == []
    assert places(await looked_at.entries(ACCOUNT, PAUSE, then, 9)) == [0]

    assert await looked_at.reach(ACCOUNT, PAUSE, then, 6) is None
    assert await looked_at.reach(ACCOUNT, AuditFilter(action="key.create", since_ms=NOON + 8), None, 4) is None
    # What comes past nothing else needs no end.
    assert await looked_at.reach(ACCOUNT, AuditFilter(since_ms=NOON), None, 1) is None
    for narrowed in (AuditFilter(key_id="x"), AuditFilter(is_operator=True), AuditFilter(until_ms=NOON + 1)):
        assert await looked_at.reach(ACCOUNT, narrowed, None, 11) == NOON << 21


async def test_the_first_of_a_moment_is_found_among_so_many(empty_store: Database) -> None:
    await on_record(empty_store, 0, ["key.create", "postbackconfig.pause", "key.create", "postbackconfig.pause"])
    await on_record(empty_store, 4, ["postbackconfig.pause"], account="other")
    looked_at = SqlAudit(empty_store)

    async def first(since: int, until: int, rows: int, account: str = ACCOUNT) -> int | None:
        narrowed = AuditFilter(action=PAUSE.action, target="pbc_1", since_ms=NOON + since, until_ms=NOON + until)
        entry = await looked_at.first(account, narrowed, rows)
        return None if entry is None else entry.at_ms - NOON

    assert await first(0, 9, 100) == 1
    assert await first(0, 9, 2) == 1
    assert await first(0, 9, 1) is None
    assert await first(2, 9, 2) == 3
    assert await first(2, 3, 100) is None
    assert await first(0, 9, 100, "other") == 4
    assert await first(5, 9, 100) is None


async def test_an_entry_from_while_a_clock_had_gone_back_is_found_too(empty_store: Database) -> None:
    """Its id goes on from the one before, and is later than its time."""
    row = {"account": ACCOUNT, "action": PAUSE.action, "target": "pbc_1", "is_operator": 0}
    rows = [row | {"id": (NOON + 60_000 << 21) + n, "at_ms": at_ms} for n, at_ms in enumerate((NOON + 60_000, NOON))]
    await empty_store.write(lambda connection: connection.execute(insert(audit), rows))

    found = await SqlAudit(empty_store).first(ACCOUNT, AuditFilter(since_ms=NOON - 1, until_ms=NOON + 1), 100)

    assert found is not None
    assert (found.id, found.at_ms) == ((NOON + 60_000 << 21) + 1, NOON)


@given.on_sqlite
async def test_what_is_not_there_costs_what_is_looked_at(empty_store: Database) -> None:
    looked_at = SqlAudit(empty_store)
    spent = []
    for first, count in ((0, 2_000), (2_000, 20_000)):
        await on_record(empty_store, first, ["key.create"] * count)
        with watched.statements() as seen:
            since = await looked_at.reach(ACCOUNT, PAUSE, None, 1_000)
            assert await looked_at.entries(ACCOUNT, PAUSE, None, 26, since) == []
            narrowed = AuditFilter(action=PAUSE.action, since_ms=NOON, until_ms=NOON + 2_000)
            assert await looked_at.first(ACCOUNT, narrowed, 1_000) is None
        steps = 0

        def count_steps() -> int:
            nonlocal steps
            steps += 1
            return 0

        def run(connection: Connection, seen: Sequence[watched.Statement] = seen) -> None:
            raw: Any = connection.connection.dbapi_connection
            raw.set_progress_handler(count_steps, 100)
            for statement in seen:
                connection.exec_driver_sql(statement.sql, tuple(statement.parameters)).all()
            raw.set_progress_handler(None, 0)

        await empty_store.read(run)
        spent.append(steps)

    assert 0 < spent[1] <= spent[0] * 1.5
