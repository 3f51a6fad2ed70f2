"""What becomes of counters when time passes: minutes are folded into totals, and the log that goes is counted."""

from collections import Counter

import pytest
from sqlalchemy import Connection, delete

from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS
from postback.storage.measures import (
    ACCEPTED,
    ALL_TIME,
    CANCELLED,
    DELIVERED,
    FAILED,
    LAST_ERROR,
    LAST_SUCCESS,
    LATENCY,
    NO_CONFIG,
    REMOVED,
    REPLAYED,
    RETRIED,
)
from postback.storage.sqlite import SqliteStore
from postback.storage.tables import accounts, configs, counters
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement
from tests.doubles import ClockDouble
from tests.storage import given, inside
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

MINUTE = NOON // MINUTE_MS
DAY_S = 86_400
TOTALS = (ACCEPTED, DELIVERED, FAILED, RETRIED, CANCELLED, REPLAYED)


async def some_deliveries(store: Store, n: int = 3, first: int = 0) -> None:
    """So many to each of two configs: the last one of each is tried again, the others are delivered."""
    worker = await store.enlist("here")
    answers = await store.accept(worker, given.units(n, first=first, targets=2, claimed=True))
    claims = [claim for answer in answers for claim in getattr(answer, "claims", ())]
    await store.settle(worker, [a_settlement(claim) for claim in claims[:-2]])
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY) for claim in claims[-2:]])


async def found(store: Store, *, minute: int | None = None) -> dict[tuple[int, int], int]:
    """(config, measure) → how much, of one minute or of all time."""
    total: Counter[tuple[int, int]] = Counter()
    for row in await given.rows(store, counters):
        if minute is None or row.minute == minute:
            total[row.config_id, row.measure] += row[-1]
    return dict(total)


async def test_a_minute_that_is_folded_leaves_its_totals_and_no_latencies(store: Store) -> None:
    await some_deliveries(store)
    before = await found(store)

    await inside.fold(store, MINUTE + 1)

    assert {row.minute for row in await given.rows(store, counters)} == {ALL_TIME}
    assert await found(store) == {key: count for key, count in before.items() if key[1] < LATENCY}
    assert any(measure >= LATENCY for _, measure in before)


async def test_the_minute_that_is_named_stays_and_so_do_those_after_it(store: Store, clock: ClockDouble) -> None:
    await some_deliveries(store)
    clock.pass_(ms=MINUTE_MS)
    await some_deliveries(store, first=3)
    later = await found(store, minute=MINUTE + 1)

    await inside.fold(store, MINUTE + 1)

    assert await found(store, minute=MINUTE) == {}
    assert await found(store, minute=MINUTE + 1) == later
    assert (await found(store, minute=ALL_TIME))[CONFIG_ID, ACCEPTED] == 3


async def test_folding_goes_on_where_it_was_ended_and_ends_with_nothing(store: Store) -> None:
    await some_deliveries(store)
    minutes = sum(row.minute > 0 for row in await given.rows(store, counters))
    totals = {key: count for key, count in (await found(store)).items() if key[1] < LATENCY}

    rounds = []
    while done := await inside.fold(store, MINUTE + 1, limit=3):
        rounds.append(done)

    assert (sum(rounds), max(rounds)) == (minutes, 3)
    assert await found(store) == totals
    assert await inside.fold(store, MINUTE + 1) == 0


async def test_later_minutes_are_added_to_the_totals(store: Store, clock: ClockDouble) -> None:
    for first in (0, 3, 6):
        await some_deliveries(store, first=first)
        clock.pass_(ms=MINUTE_MS)
        await inside.fold(store, clock() // MINUTE_MS)

    assert (await found(store))[CONFIG_ID, ACCEPTED] == 9


async def test_of_a_config_that_is_gone_the_account_keeps_the_totals_and_nothing_else(store: Store) -> None:
    await some_deliveries(store)
    await inside.fold(store, MINUTE + 1)
    totals = {key: count for key, count in (await found(store)).items() if key[1] in TOTALS}
    await given.config_state(store, "deleted")
    await store.bury(100)
    await given.config_state(store, "deleted", CONFIG_ID + 1)
    await store.bury(100)

    await inside.fold(store, MINUTE + 1)

    gone = await found(store)
    of_both: Counter[int] = Counter()
    for (_, measure), count in totals.items():
        of_both[measure] += count
    assert {config for config, _ in gone} == {NO_CONFIG}
    assert {measure: count for (_, measure), count in gone.items()} == {**of_both, CANCELLED: 2}


async def test_the_last_times_of_a_config_outlive_its_minutes_but_not_itself(store: Store) -> None:
    await some_deliveries(store)
    await inside.fold(store, MINUTE + 1)
    kept = await found(store, minute=ALL_TIME)

    await given.config_state(store, "deleted")
    await store.bury(100)

    assert {(CONFIG_ID, LAST_SUCCESS), (CONFIG_ID, LAST_ERROR)} <= set(kept)
    left = await found(store)
    assert not {LAST_SUCCESS, LAST_ERROR} & {measure for config, measure in left if config != CONFIG_ID + 1}


@given.on_sqlite
async def test_folding_goes_by_the_minute_and_reads_no_more_than_it_folds(store: SqliteStore) -> None:
    seen: list[str] = []
    store._door.raw.set_trace_callback(seen.append)
    await inside.fold(store, MINUTE)
    store._door.raw.set_trace_callback(None)

    [query] = [sql for sql in seen if "ORDER BY minute" in sql]
    plan = await store._submit(lambda raw: [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {query}")])
    assert plan == ["SEARCH counters USING INDEX counters_of_minute (minute>? AND minute<?)"]


async def test_what_retention_takes_from_the_log_is_counted(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 5)
    await store.settle(worker, [a_settlement(claim) for claim in claims[:3]])
    await store.settle(worker, [a_settlement(claims[3], Verdict.FAILED)])
    await store.settle(worker, [a_settlement(claims[4], Verdict.RETRY)])
    await store.cancel(ACCOUNT, claims[4].event.id, CONFIG_ID)
    test = claims[0]._replace(event=given.event_number(99))
    await store.keep_test(worker, a_settlement(test))
    clock.pass_(seconds=3 * DAY_S)

    while await store.expire(given.forgotten_ms(store, NOON), 3):
        assert len(await given.event_ids(store)) <= 5

    assert await given.event_ids(store) == []
    left = (await found(store)).items()
    removed = {measure - REMOVED: count for (_, measure), count in left if REMOVED <= measure <= REMOVED + CANCELLED}
    assert removed == {ACCEPTED: 5, DELIVERED: 3, FAILED: 1, RETRIED: 1, CANCELLED: 1}


async def test_nothing_is_counted_for_an_account_that_is_gone(store: Store, clock: ClockDouble) -> None:
    await some_deliveries(store, 1)
    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID)
    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID + 1)

    def forget(connection: Connection) -> None:
        connection.execute(delete(counters))
        connection.execute(delete(configs))
        connection.execute(delete(accounts))

    await store.write(forget)
    clock.pass_(seconds=2 * DAY_S)

    while await store.expire(clock(), 100):
        continue

    assert await given.rows(store, counters) == []
