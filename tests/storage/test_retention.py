"""What time takes away, table by table: what is old goes, what is young or still needed stays, a few rows a commit."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import Connection, Table, insert, select

from postback.domain.accounts import Account
from postback.domain.deliveries import Accepted, Idempotency, Target, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import encode, first_id_at
from postback.ports import LogFilter
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.measures import ACCEPTED, ALL_TIME, DELIVERED, FAILED
from postback.storage.retention import AUDIT_MS, SEEN_MS, UNDER_WAY_MS
from postback.storage.sqlite import SqliteStore
from postback.storage.sqlite.connections import open_reader
from postback.storage.sqlite.outlook import Going, outlook
from postback.storage.tables import (
    attempts,
    audit,
    changelogs,
    config_versions,
    counters,
    events,
    idempotency,
    owed,
    removed_accounts,
    replays,
)
from tests.build import ACCOUNT, NOON, a_config, a_settlement, a_unit, an_event
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
RETENTION_MS = 30 * DAY_MS
OTHER = "acme"
CONFIG = 5
AN_ATTEMPT = {
    "account": ACCOUNT,
    "counter": 1,
    "verdict": 1,
    "manual": 0,
    "ended_ms": NOON,
    "wait_ms": 0,
    "truncated": 0,
}


async def put(store: Store, table: Table, rows: Sequence[dict[str, object]]) -> None:
    def write(connection: Connection) -> None:
        connection.execute(insert(table), list(rows))

    await store.write(write)


async def sweep(store: Store, before_ms: int, limit: int = 500) -> list[int]:
    """Commit after commit until nothing is left to do: how many rows each took."""
    rounds = []
    while count := await store.expire(before_ms, limit):
        rounds.append(count)
    return rounds


def a_changelog(at_ms: int, number: int = 0, account: str = ACCOUNT) -> dict[str, object]:
    return {
        "id": first_id_at(at_ms) + number,
        "account": account,
        "resource": "contact",
        "record_id": "con_1",
        "created_ms": at_ms,
        "action": "UPDATE",
        "details": "{}",
    }


def an_entry(at_ms: int, account: str | None = ACCOUNT) -> dict[str, object]:
    return {"id": first_id_at(at_ms), "account": account, "at_ms": at_ms, "action": "key.create", "target": "key_1"}


def a_job(at_ms: int, state: str = "done", account: str = ACCOUNT) -> dict[str, object]:
    return {
        "id": "rpl_" + encode(first_id_at(at_ms)),
        "account": account,
        "kind": "replay",
        "state": state,
        "filter": "{}",
        "selected": 1,
        "done": 1,
        "skipped": 0,
        "created_ms": at_ms,
    }


async def test_the_history_of_records_goes_in_chunks_with_the_rest(store: Store) -> None:
    await put(store, changelogs, [a_changelog(NOON - 1, number) for number in range(10)] + [a_changelog(NOON)])

    rounds = await sweep(store, NOON, limit=4)

    assert rounds == [4, 4, 2]
    assert [row.created_ms for row in await given.rows(store, changelogs)] == [NOON]


async def test_the_audit_is_kept_for_four_hundred_days(store: Store, clock: ClockDouble) -> None:
    oldest = clock() - AUDIT_MS
    await put(store, audit, [an_entry(at) for at in (oldest - 1, oldest, clock() - RETENTION_MS - 1)])

    assert await sweep(store, clock() - RETENTION_MS) == [1]

    assert [row.at_ms for row in await given.rows(store, audit)] == [oldest, clock() - RETENTION_MS - 1]


async def test_the_audit_is_kept_no_shorter_than_the_log(store: Store, clock: ClockDouble) -> None:
    before = clock() - AUDIT_MS - DAY_MS
    await put(store, audit, [an_entry(before - 1), an_entry(before)])

    assert await sweep(store, before) == [1]

    assert [row.at_ms for row in await given.rows(store, audit)] == [before]


async def test_jobs_that_are_done_go_and_one_that_runs_stays(store: Store) -> None:
    await put(store, replays, [a_job(NOON - 2), a_job(NOON - 1, "running"), a_job(NOON)])

    assert await sweep(store, NOON) == [1]

    assert [row.created_ms for row in await given.rows(store, replays)] == [NOON - 1, NOON]


async def test_minutes_become_totals_and_the_sums_stay(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 6, targets=2)
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED) for claim in claims])

    clock.pass_(seconds=3600)
    await sweep(store, clock() - 60_000)

    left = await given.rows(store, counters)
    assert {row.minute for row in left} == {ALL_TIME}
    totals = [
        sum(row._mapping["count"] for row in left if row.measure == measure)
        for measure in (ACCEPTED, FAILED, DELIVERED)
    ]
    assert totals == [12, 12, 0]


@given.on_sqlite
async def test_what_was_taken_away_is_given_back_to_the_disk_bit_by_bit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was one page a minute: the driver takes one step of a statement that has no rows."""
    monkeypatch.setattr("postback.storage.sqlite.retention.VACUUMED_PAGES", 10)
    await put(store, changelogs, [{**a_changelog(NOON, number), "details": "x" * 4000} for number in range(100)])
    there = await pages(store)

    while await store.expire(NOON + 1, 500):
        free = await pages(store, "freelist_count")
    assert free > 40
    left = [await pages(store, "freelist_count")]
    while left[-1]:
        await store.expire(NOON + 1, 500)
        left.append(await pages(store, "freelist_count"))

    assert all(before - after <= 10 for before, after in pairwise([free, *left]))
    assert await pages(store) <= there - free


async def pages(store: SqliteStore, which: str = "page_count") -> int:
    return await store.read(lambda connection: int(connection.exec_driver_sql(f"PRAGMA {which}").scalar_one()))


# --- versions of configs ----------------------------------------------------------------------------------------------


async def versions(store: Store) -> list[tuple[int, int]]:
    return [(row.config_id, row.version) for row in await given.rows(store, config_versions)]


async def changed_once(store: Store) -> None:
    """A config whose second version was put in place a minute after the first one was made."""
    configs = SqlConfigs(store)
    config = a_config(id=CONFIG, location_id=None, event_types=("*",), resource=None)
    await configs.add(config)
    await configs.change(replace(config, modified_ms=NOON + 60_000))


async def test_a_version_that_was_replaced_goes_when_nothing_was_sent_with_it(store: Store) -> None:
    await changed_once(store)

    await sweep(store, NOON + 60_000)
    assert await versions(store) == [(CONFIG, 1), (CONFIG, 2)]

    await sweep(store, NOON + 60_001)
    assert await versions(store) == [(CONFIG, 2)]
    await sweep(store, NOON + 1000 * DAY_MS)
    assert await versions(store) == [(CONFIG, 2)]


async def test_a_version_stays_as_long_as_the_attempts_that_were_made_with_it(store: Store) -> None:
    await changed_once(store)
    worker = await store.enlist("here")
    [answer] = await store.accept(
        worker, [a_unit(targets=0)._replace(config_version=2, targets=[Target(CONFIG, claimed=True)])]
    )
    assert isinstance(answer, Accepted)
    await store.settle(worker, [a_settlement(answer.claims[0], config_version=1)])

    # The event can be seen for a day more, and its request with it.
    forgotten_ms = given.forgotten_ms(store, NOON)
    await sweep(store, forgotten_ms - 1)
    assert await versions(store) == [(CONFIG, 1), (CONFIG, 2)]
    [(_, [attempt])] = [await SqlLog(store).delivery(ACCOUNT, answer.event_id, CONFIG)]
    assert attempt.config is not None

    await sweep(store, forgotten_ms)
    assert await given.log(store) == []
    assert await versions(store) == [(CONFIG, 2)]


async def test_a_version_waits_for_what_was_under_way_when_it_was_replaced(store: Store) -> None:
    await changed_once(store)
    replaced_ms = NOON + 60_000
    under_way, later = (
        {"event_id": first_id_at(replaced_ms + UNDER_WAY_MS) + step, "config_id": CONFIG, "n": 1, **AN_ATTEMPT}
        for step in (-1, 0)
    )
    await put(store, attempts, [under_way])
    await sweep(store, replaced_ms + 1)
    assert await versions(store) == [(CONFIG, 1), (CONFIG, 2)]

    await store.write(lambda connection: connection.execute(attempts.delete()))
    await put(store, attempts, [later])
    await sweep(store, replaced_ms + 1)
    assert await versions(store) == [(CONFIG, 2)]


async def test_the_versions_of_a_deleted_config_go_with_its_log(store: Store, clock: ClockDouble) -> None:
    await changed_once(store)
    worker = await store.enlist("here")
    [answer] = await store.accept(
        worker, [a_unit(targets=0)._replace(config_version=2, targets=[Target(CONFIG, claimed=True)])]
    )
    assert isinstance(answer, Accepted)
    clock.pass_(seconds=3600)
    await SqlConfigs(store).delete(ACCOUNT, CONFIG)
    while await store.bury(500):
        continue
    gone_ms = clock()

    await sweep(store, NOON + SEEN_MS)
    assert await versions(store) == [(CONFIG, 1), (CONFIG, 2)]

    await sweep(store, given.forgotten_ms(store, gone_ms))
    assert await versions(store) == []


# --- accounts ---------------------------------------------------------------------------------------------------------


async def a_past_of(store: Store, account: str) -> None:
    """An account that was used, and deleted."""
    await SqlAccounts(store).save(Account(id=account, created_ms=NOON, modified_ms=NOON))
    worker = await store.enlist("here")
    await store.accept(
        worker,
        [
            a_unit(an_event(id=first_id_at(NOON) + number, account=account, subject="con_1"), targets=0)
            for number in range(7)
        ],
    )
    rows = [
        {"event_id": first_id_at(NOON) + number, "config_id": 9, "n": n, **AN_ATTEMPT, "account": account}
        for number in range(7)
        for n in (1, 2)
    ]
    await put(store, attempts, rows)
    await put(store, changelogs, [a_changelog(NOON + 1, number, account) for number in range(5)])
    await put(store, replays, [a_job(NOON, account=account)])
    await SqlAccounts(store).delete(account)


async def test_an_account_of_the_same_id_sees_nothing_of_the_one_before(store: Store) -> None:
    await a_past_of(store, OTHER)
    accounts = SqlAccounts(store)

    with pytest.raises(Conflict, match="history"):
        await accounts.save(Account(id=OTHER))
    rounds = []
    while count := await store.bury(5):
        rounds.append(count)
    await accounts.save(Account(id=OTHER))

    # An event goes with its attempts, so a commit may take two rows more.
    assert max(rounds) <= 5 + 2
    assert sum(rounds) == 7 * 3 + 5 + 1 + 1
    log = SqlLog(store)
    assert await log.events(OTHER, LogFilter(), None, 10) == []
    assert await log.deliveries(OTHER, LogFilter(), None, 10) == []
    with pytest.raises(NotFound):
        await log.event(OTHER, first_id_at(NOON))
    for table in (events, attempts, changelogs, replays, removed_accounts):
        assert await given.rows(store, table) == [], table.name


async def test_what_was_done_to_an_account_stays_on_record_and_is_no_other_account_s(store: Store) -> None:
    await a_past_of(store, OTHER)
    while await store.bury(500):
        continue

    query = select(audit.c.account, audit.c.action).where(audit.c.target == OTHER)
    found = await store.read(lambda connection: [tuple(row) for row in connection.execute(query)])
    assert found == [(None, "account.save"), (None, "account.delete")]


async def test_an_account_without_a_past_leaves_its_id_free(store: Store) -> None:
    accounts = SqlAccounts(store)
    await accounts.save(Account(id=OTHER))
    await accounts.delete(OTHER)

    await accounts.save(Account(id=OTHER))

    assert (await accounts.find(OTHER)).id == OTHER


async def test_nothing_of_other_accounts_goes_with_a_deleted_one(store: Store) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 3)
    await store.settle(worker, [a_settlement(claim) for claim in claims])
    await put(store, changelogs, [a_changelog(NOON)])

    await SqlAccounts(store).save(Account(id=OTHER))
    await put(store, changelogs, [a_changelog(NOON, 1, OTHER)])
    await SqlAccounts(store).delete(OTHER)
    while await store.bury(500):
        continue

    assert len(await given.event_ids(store)) == len(await given.log(store)) == 3
    assert [row.account for row in await given.rows(store, changelogs)] == [ACCOUNT]


# --- what is told beforehand ------------------------------------------------------------------------------------------


@given.on_sqlite
async def test_what_is_told_beforehand_is_what_goes(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await changed_once(store)
    claims = await given.claims_of(store, worker, 40, targets=3, config_version=2)
    await store.settle(worker, [a_settlement(claim) for claim in claims[:-2]])
    await store.accept(
        worker, given.units(2, first=40, idempotency=Idempotency(b"k", b"b"), config_version=2, targets=0)
    )
    await put(store, changelogs, [a_changelog(NOON - 5, number) for number in range(3)])
    await put(store, replays, [a_job(NOON - 7)])
    clock.pass_(seconds=500 * 86_400)
    before_ms = clock() - RETENTION_MS
    tables = (owed, events, attempts, idempotency, counters, changelogs, audit, replays, config_versions)
    there = {table.name: len(await given.rows(store, table)) for table in tables}

    told = await told_beforehand(store, clock(), before_ms)
    await sweep(store, before_ms)

    left = {table.name: len(await given.rows(store, table)) for table in tables}
    assert {one.table for one in told} == set(there)
    by_table = {one.table: one for one in told}
    for name in ("owed", "events", "idempotency", "changelogs", "audit", "replays", "config_versions"):
        assert by_table[name].rows == there[name] - left[name] > 0, name
    # The two that expire here leave an attempt each, which goes in the same sweep.
    assert by_table["attempts"].rows == there["attempts"] == 118
    assert by_table["owed"].rows == 2
    assert 100 < by_table["events"].size / by_table["events"].rows < 400
    assert by_table["changelogs"].oldest_ms == NOON - 5
    assert by_table["events"].oldest_ms == by_table["idempotency"].oldest_ms == NOON
    assert (await told_beforehand(store, clock(), before_ms))[1:] == [
        Going(one.table, one.fate, 0, 0, None) for one in told[1:]
    ]


async def told_beforehand(store: SqliteStore, now: int, before_ms: int) -> list[Going]:
    door = open_reader(store.path)
    try:
        return list(outlook(door.raw, now, before_ms))
    finally:
        door.close()


@given.on_sqlite
async def test_long_tables_are_counted_bit_by_bit(
    store: Store, clock: ClockDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event with more attempts than are counted at once would have been counted for ever."""
    monkeypatch.setattr("postback.storage.sqlite.outlook.ROWS_A_QUESTION", 3)
    rows = [
        {"event_id": first_id_at(NOON) + event, "config_id": 9, "n": n, **AN_ATTEMPT}
        for event, count in enumerate((1, 10, 2, 3, 4))
        for n in range(1, count + 1)
    ]
    await put(store, attempts, rows)

    told = {one.table: one.rows for one in await told_beforehand(store, clock(), NOON + SEEN_MS + 1)}

    assert told["attempts"] == 20
