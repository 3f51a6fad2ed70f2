"""A store from before replays and removals were counted adds up too, after its migration."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from postback.domain.deliveries import Verdict
from postback.storage.balance import differences
from postback.storage.measures import ALL_TIME, CAUSE, ERROR_AT, LAST_ERROR, LAST_SUCCESS, LATENCY, REMOVED, REPLAYED
from postback.storage.sqlite import SqliteStore
from postback.storage.sqlite.conservation import balances, count_log, counted
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, a_unit
from tests.doubles import ClockDouble
from tests.storage import given

pytestmark = pytest.mark.anyio

DAY_S = 86_400
VERDICTS = (Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY, Verdict.DELIVERED)

Counters = set[tuple[object, ...]]


async def a_store_with_a_past(path: Path, clock: ClockDouble) -> None:
    """On each of three days deliveries of every fate, some of them replayed; the first day's log has been removed."""
    store = await SqliteStore.open(path, clock)
    await given.an_account_with_configs(store)
    worker = await store.enlist("here")
    for _ in range(3):
        first = clock() << 21
        events = [given.event_number(0)._replace(id=first + n, accepted_ms=clock()) for n in range(8)]
        await store.accept(worker, [a_unit(event, targets=2) for event in events])
        claims = [*await given.claim(store, worker, CONFIG_ID), *await given.claim(store, worker, CONFIG_ID + 1)]
        verdicts = [VERDICTS[n % 4] for n in range(len(claims))]
        await store.settle(worker, [a_settlement(one, verdict) for one, verdict in zip(claims, verdicts, strict=True)])
        for claim in claims[:2]:
            await store.replay(ACCOUNT, claim.event.id, claim.config_id)
        await store.cancel(ACCOUNT, claims[0].event.id, claims[0].config_id)
        test = claims[0]._replace(event=events[0]._replace(id=first + 99))
        await store.keep_test(worker, a_settlement(test))
        clock.pass_(seconds=DAY_S)
    while await store.expire(clock() - DAY_S * 1000 - 1, 1000):
        continue
    await store.close()


def everything_but_latencies(raw: sqlite3.Connection) -> Counters:
    query = "SELECT account, config_id, measure, sum(count) FROM counters WHERE measure < ? GROUP BY 1, 2, 3"
    return set(raw.execute(query, (LATENCY,)).fetchall())


def taken_back(raw: sqlite3.Connection) -> None:
    """As the schema before had it."""
    for table in ("sessions", "sign_in_links", "users"):
        raw.execute(f"DROP TABLE {table}")
    raw.execute("ALTER TABLE accounts DROP COLUMN portal_origins")
    raw.execute("ALTER TABLE audit DROP COLUMN is_operator")
    raw.execute("DROP INDEX events_of_tracking_id")
    raw.execute("ALTER TABLE events DROP COLUMN tracking_id")
    raw.execute("DELETE FROM counters WHERE measure BETWEEN ? AND ? OR measure >= ?", (REPLAYED, LATENCY - 1, CAUSE))
    raw.execute("DROP INDEX configs_deleted")
    raw.execute("DROP TABLE secret_keys")
    raw.execute("DROP TABLE holds")
    raw.execute("DROP INDEX counters_of_causes")
    raw.execute("DROP INDEX counters_of_minute")
    raw.execute("ALTER TABLE counters DROP COLUMN part")
    for column in ("goes_by", "keeps", "leaves", "lease_ms"):
        raw.execute(f"ALTER TABLE workers DROP COLUMN {column}")
    raw.execute("UPDATE alembic_version SET version_num = '0004'")


async def test_what_was_not_counted_is_found_from_what_is_owed_and_from_the_log(
    tmp_path: Path, clock: ClockDouble
) -> None:
    path = tmp_path / "postback.db"
    await a_store_with_a_past(path, clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        before = everything_but_latencies(raw)
        taken_back(raw)
        unproved = balances(raw, counted(raw))[ACCOUNT]

    store = await SqliteStore.open(path, clock)
    await store.close()

    with closing(sqlite3.connect(path)) as raw:
        after = everything_but_latencies(raw)
        totals = counted(raw)
        assert unproved.missing < 0
        assert balances(raw, totals)[ACCOUNT].missing == 0
        assert list(differences(totals, count_log(raw, lambda *_: None))) == []
        [last] = raw.execute(
            "SELECT count FROM counters WHERE config_id = ? AND minute = ? AND measure = ?",
            (CONFIG_ID, ALL_TIME, LAST_SUCCESS),
        ).fetchone()
    lasts = (LAST_SUCCESS, LAST_ERROR, ERROR_AT)
    assert {row for row in after if row[2] not in lasts} == {row for row in before if row[2] not in lasts}
    assert any(row[2] == REPLAYED for row in before)
    assert {REMOVED, REMOVED + 1, REMOVED + 2, REMOVED + 3, REMOVED + 4} <= {row[2] for row in before}
    assert last == NOON // 60_000 * 60_000 + 2 * DAY_S * 1000
