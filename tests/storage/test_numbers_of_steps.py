"""What the counters say: steps of time, and the health of configs."""

import pytest
from sqlalchemy import Connection, delete, insert

from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS, PENDING_MAX, Health, LastError, Tally
from postback.domain.wire import Timings
from postback.ports import Worker
from postback.storage.measures import ALL_TIME
from postback.storage.sqlite import SqliteStore
from postback.storage.stats import SqlStats, counted_configs, pending_of, step_sums
from postback.storage.tables import attempts, counters, owed
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, answered
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

FIRST = NOON - NOON % MINUTE_MS
HOUR_MS = 60 * MINUTE_MS


async def a_day_s_work(store: Store, worker: Worker, clock: ClockDouble) -> None:
    """Two delivered and one tried again in the first minute; one cancelled and one given up in the third."""
    claims = await given.claims_of(store, worker, 4)
    await store.settle(worker, [a_settlement(claim) for claim in claims[:2]])
    await store.settle(worker, [a_settlement(claims[2], Verdict.RETRY)])
    clock.pass_(ms=2 * MINUTE_MS)
    await store.cancel(ACCOUNT, claims[2].event.id, CONFIG_ID)
    await store.settle(worker, [a_settlement(claims[3], Verdict.FAILED)])
    await store.replay(ACCOUNT, claims[0].event.id, CONFIG_ID)


async def test_what_happened_is_counted_in_the_step_in_which_it_did(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await a_day_s_work(store, worker, clock)

    steps = await SqlStats(store).steps(ACCOUNT, FIRST, FIRST + HOUR_MS, MINUTE_MS)

    assert steps == {
        FIRST: Tally(accepted=4, delivered=2, retried=1, latencies={3: 2}),
        FIRST + 2 * MINUTE_MS: Tally(failed=1, cancelled=1, replayed=1),
    }


async def test_longer_steps_add_up_shorter_ones_and_begin_at_their_multiples(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await a_day_s_work(store, worker, clock)
    first = NOON - NOON % HOUR_MS

    steps = await SqlStats(store).steps(ACCOUNT, first, first + HOUR_MS, HOUR_MS)

    assert steps == {
        first: Tally(accepted=4, delivered=2, failed=1, retried=1, cancelled=1, replayed=1, latencies={3: 2})
    }


async def test_steps_are_of_one_config_or_of_all_that_the_account_ever_had(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    await store.accept(worker, given.units(2, targets=3))
    await given.config_state(store, "deleted", CONFIG_ID + 2)
    await store.bury(100)
    stats = SqlStats(store)

    async def accepted(account: str, config_id: int | None = None) -> int:
        steps = await stats.steps(account, FIRST, FIRST + HOUR_MS, MINUTE_MS, config_id)
        return sum(tally.accepted for tally in steps.values())

    assert await accepted(ACCOUNT) == 6
    assert await accepted(ACCOUNT, CONFIG_ID) == 2
    assert await accepted(ACCOUNT, CONFIG_ID + 2) == 2
    assert await accepted("acc_other") == 0
    assert await accepted("acc_other", CONFIG_ID) == 0


async def test_the_end_of_the_last_step_is_outside_and_totals_have_no_time(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    clock.pass_(ms=MINUTE_MS)
    await store.accept(worker, given.units(1, first=1))
    await add_counters(store, [(CONFIG_ID, ALL_TIME, 0, 1000)])
    stats = SqlStats(store)

    assert [*await stats.steps(ACCOUNT, FIRST, FIRST + MINUTE_MS, MINUTE_MS)] == [FIRST]
    assert [*await stats.steps(ACCOUNT, 0, FIRST + MINUTE_MS, MINUTE_MS)] == [FIRST]


async def test_more_configs_than_one_statement_names_are_all_counted(store: Store) -> None:
    minute = NOON // MINUTE_MS
    await add_counters(store, [(n, minute, 0, 1) for n in range(1, 1_202)])

    steps = await SqlStats(store).steps(ACCOUNT, FIRST, FIRST + MINUTE_MS, MINUTE_MS)

    assert steps == {FIRST: Tally(accepted=1_201)}


async def test_health_is_what_was_counted_since_and_what_waits_now(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    old, good, bad = await given.claims_of(store, worker, 3)
    await store.settle(worker, [a_settlement(old)])
    clock.pass_(ms=HOUR_MS)
    await store.settle(worker, [a_settlement(good)])
    clock.pass_(ms=5)
    await store.settle(worker, [a_settlement(bad, Verdict.RETRY, outcome=answered(503))])
    await store.accept(worker, given.units(2, first=3, targets=2))

    health = await SqlStats(store).health(ACCOUNT, [CONFIG_ID, CONFIG_ID + 1, CONFIG_ID + 2], NOON + HOUR_MS)

    [error] = [row for row in await given.log(store) if row.status == 503]
    assert health == {
        CONFIG_ID: Health(
            delivered=1,
            retried=1,
            pending=3,
            last_success_ms=NOON + HOUR_MS,
            last_error=LastError(event_id=bad.event.id, at_ms=error.ended_ms, status=503, reason="bad_status"),
        ),
        CONFIG_ID + 1: Health(pending=2),
        CONFIG_ID + 2: Health(),
    }


async def test_the_last_error_is_the_last_attempt_of_its_delivery_that_failed(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    for status in (500, 429):
        await store.settle(
            worker, [a_settlement(claim, Verdict.RETRY, outcome=answered(status, timings=Timings()), wait_ms=0)]
        )
        [claim] = await given.claim(store, worker)
    await store.settle(worker, [a_settlement(claim)])

    health = (await SqlStats(store).health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID]

    assert health.last_error is not None
    assert health.last_error.status == 429
    assert health.last_success_ms == NOON


async def test_of_an_error_that_retention_has_removed_nothing_is_told(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED)])
    await store.write(lambda connection: connection.execute(delete(attempts)))

    assert (await SqlStats(store).health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID].last_error is None


async def test_what_ended_without_an_answer_is_an_error_and_what_a_person_ended_is_none(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(2, targets=2))
    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID)
    await store.cancel(ACCOUNT, given.event_number(1).id, CONFIG_ID)
    await store.expire(NOON + 1, 100)

    health = await SqlStats(store).health(ACCOUNT, [CONFIG_ID, CONFIG_ID + 1], NOON)

    assert (health[CONFIG_ID].failed, health[CONFIG_ID].last_error) == (0, None)
    last = health[CONFIG_ID + 1].last_error
    assert (health[CONFIG_ID + 1].failed, last and last.reason) == (2, "expired")


async def test_a_long_queue_is_counted_up_to_the_cap(store: Store) -> None:
    def write(connection: Connection) -> None:
        row = {"account": ACCOUNT, "due_at_ms": 0, "attempts": 0, "forgiven": 0, "interruptions": 0, "logged": 0}
        row |= {"manual": 0, "config_id": CONFIG_ID}
        connection.execute(insert(owed), [{**row, "event_id": n} for n in range(PENDING_MAX)])

    await store.write(write)
    stats = SqlStats(store)
    full = (await stats.health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID]
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))

    more = (await stats.health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID]

    assert (full.pending, full.has_more) == (PENDING_MAX, False)
    assert (more.pending, more.has_more) == (PENDING_MAX, True)


async def test_another_account_learns_nothing(store: Store) -> None:
    worker = await store.enlist("here")
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    claims = await given.claims_of(store, worker, 2)
    await store.settle(worker, [a_settlement(claims[0]), a_settlement(claims[1], Verdict.RETRY)])

    assert await SqlStats(store).health("acc_other", [CONFIG_ID], NOON) == {CONFIG_ID: Health()}


@given.on_sqlite
async def test_numbers_are_found_by_keys_and_never_by_reading_a_whole_table(store: SqliteStore) -> None:
    async def plan(query: object) -> list[str]:
        def explain(connection: Connection) -> list[str]:
            compiled = query.compile(connection, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]

        return await store.read(explain)

    minutes = (NOON // MINUTE_MS, NOON // MINUTE_MS + 60)
    by_key = "SEARCH counters USING PRIMARY KEY (account=? AND config_id=? AND minute>? AND minute<?)"
    assert (await plan(step_sums(ACCOUNT, [1, 2], minutes, 5)))[0] == by_key
    walk = await plan(counted_configs(ACCOUNT))
    by_config = "USING PRIMARY KEY (account=? AND config_id>?)"
    assert [step for step in walk if "counters" in step or "later" in step] == [
        f"SEARCH counters {by_config}",
        f"SEARCH later {by_config}",
    ]
    assert await plan(pending_of(ACCOUNT, 1)) == ["SEARCH owed USING INDEX owed_due (config_id=?)"]


async def add_counters(store: Store, rows: list[tuple[int, int, int, int]]) -> None:
    """(config, minute, measure, count) each."""
    names = ("config_id", "minute", "measure", "count")
    values = [{"account": ACCOUNT, **dict(zip(names, row, strict=True))} for row in rows]
    await store.write(lambda connection: connection.execute(insert(counters), values))
