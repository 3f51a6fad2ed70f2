"""An account at a glance on each database: what waits, why deliveries failed, which configs somebody should look at."""

import pytest
from sqlalchemy import Connection, Select, insert, update

from postback.domain.causes import Cause
from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS, PENDING_MAX, Health
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import Begun, Failures, Waits, Worker
from postback.storage.configs import SqlConfigs
from postback.storage.overview import (
    SqlOverview,
    ever_accepted,
    ever_delivered,
    failures_between,
    oldest_due,
    troubled_configs,
    waiting_of,
)
from postback.storage.sqlite import SqliteStore
from postback.storage.stats import SqlStats
from postback.storage.tables import configs, owed
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_config, a_settlement, answered
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

OTHER = "acc_other"
FIRST = NOON - NOON % MINUTE_MS
DAY_MS = 86_400_000
EXPIRED = Unreachable(Reason.TLS_ERROR, "the certificate is not accepted: certificate has expired", Timings())
REFUSED = Unreachable(Reason.CONNECTION_REFUSED, "127.0.0.1:9000: ECONNREFUSED (connection refused)", Timings())


@pytest.fixture
async def worker(store: Store) -> Worker:
    return await store.enlist("here")


async def failed(store: Store, worker: Worker, number: int, outcome: object, *, targets: int = 1) -> None:
    claims = await given.claims_of(store, worker, 1, first=number, targets=targets)
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED, outcome=outcome) for claim in claims])


async def failures_of(store: Store, account: str = ACCOUNT, since_ms: int = FIRST) -> list[Failures]:
    """All from then on."""
    steps = await SqlOverview(store).failures(account, since_ms, FIRST + 50 * DAY_MS, 100 * DAY_MS)
    return [row for rows in steps.values() for row in rows]


# --- failures -------------------------------------------------------------------------------------------------------


async def test_failures_are_told_by_cause_and_config_with_the_first_and_the_last(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    await failed(store, worker, 0, EXPIRED, targets=2)
    await failed(store, worker, 1, answered(503))
    clock.pass_(ms=3 * MINUTE_MS)
    await failed(store, worker, 2, EXPIRED)
    await failed(store, worker, 3, answered(404))

    found = await failures_of(store)

    last = FIRST + 3 * MINUTE_MS
    expired = Cause(Reason.TLS_ERROR, "certificate_expired")
    assert set(found) == {
        Failures(expired, CONFIG_ID, 2, FIRST, last),
        Failures(expired, CONFIG_ID + 1, 1, FIRST, FIRST),
        Failures(Cause(Reason.BAD_STATUS, "503"), CONFIG_ID, 1, FIRST, FIRST),
        Failures(Cause(Reason.BAD_STATUS, "404"), CONFIG_ID, 1, last, last),
    }
    assert len(found) == 4


async def test_what_ends_without_an_answer_has_a_cause_too(store: Store, worker: Worker) -> None:
    """Too old, cannot be rendered: the first is nobody's attempt."""
    await failed(store, worker, 0, Unreachable(Reason.CANNOT_RENDER, "it cannot say this", Timings()))
    await store.accept(worker, given.units(1, first=1))
    await store.expire(NOON + 1, 100)

    found = await failures_of(store)

    assert sorted(str(one.cause) for one in found) == ["cannot_render", "expired"]
    await given.conserved(store)


async def test_failures_from_before_and_of_others_are_not_told_and_what_is_tried_again_is_none(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    await failed(store, worker, 0, REFUSED)
    clock.pass_(ms=2 * MINUTE_MS)
    [claim] = await given.claims_of(store, worker, 1, first=1)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY, outcome=REFUSED)])

    assert await failures_of(store, since_ms=FIRST + MINUTE_MS) == []
    assert len(await failures_of(store)) == 1
    assert await failures_of(store, OTHER) == []


async def test_failures_are_told_step_by_step_up_to_the_minute_before_the_end(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    for number in range(4):
        await failed(store, worker, number, REFUSED)
        clock.pass_(ms=MINUTE_MS)
    # The second begins where the first one ends, which is not where it began.
    first, second = FIRST - MINUTE_MS, FIRST + MINUTE_MS

    found = await SqlOverview(store).failures(ACCOUNT, FIRST, FIRST + 3 * MINUTE_MS, 2 * MINUTE_MS)

    told = {at_ms: [(row.deliveries, row.first_ms, row.last_ms) for row in rows] for at_ms, rows in found.items()}
    assert first % (2 * MINUTE_MS) == 0
    assert told == {first: [(1, FIRST, FIRST)], second: [(2, second, FIRST + 2 * MINUTE_MS)]}


async def test_causes_are_no_latencies(store: Store, worker: Worker) -> None:
    await failed(store, worker, 0, REFUSED)

    [tally] = (await SqlStats(store).steps(ACCOUNT, FIRST, FIRST + MINUTE_MS, MINUTE_MS)).values()

    assert (tally.failed, tally.latencies) == (1, {})


async def test_failures_are_forgotten_with_their_minutes(store: Store, worker: Worker, clock: ClockDouble) -> None:
    await failed(store, worker, 0, REFUSED)
    clock.pass_(ms=40 * DAY_MS)
    while await store.expire(clock() - 30 * DAY_MS, 100):
        continue

    assert await failures_of(store, since_ms=0) == []


# --- what waits -----------------------------------------------------------------------------------------------------


async def test_what_waits_is_counted_and_what_of_it_had_an_attempt(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    await given.an_account_with_configs(store, OTHER, configs_from=7)
    overview = SqlOverview(store)
    assert await overview.waits(ACCOUNT) == Waits(0, has_more=False, retrying=0, oldest_due_ms=None)
    await store.accept(worker, given.units(2, targets=2))
    clock.pass_(ms=1)
    [claim] = await given.claims_of(store, worker, 1, first=2)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY)])
    await given.claims_of(store, worker, 1, first=3)

    waits = await overview.waits(ACCOUNT)

    assert waits == Waits(5, has_more=False, retrying=1, oldest_due_ms=NOON)
    assert (await overview.waits(OTHER)).deliveries == 0


async def test_what_is_held_waits_and_is_not_overdue(store: Store, worker: Worker) -> None:
    await store.accept(worker, given.units(1))
    await given.config_state(store, "paused")

    assert await SqlOverview(store).waits(ACCOUNT) == Waits(1, has_more=False, retrying=0, oldest_due_ms=None)


async def test_what_is_due_later_is_not_overdue(store: Store, worker: Worker) -> None:
    await store.accept(worker, given.units(1, due_at_ms=NOON + 60_000))

    assert (await SqlOverview(store).waits(ACCOUNT)).oldest_due_ms is None


async def test_a_long_queue_is_counted_up_to_the_cap(store: Store, worker: Worker) -> None:
    def write(connection: Connection) -> None:
        row = {"account": ACCOUNT, "due_at_ms": 0, "attempts": 1, "forgiven": 0, "interruptions": 0, "logged": 1}
        row |= {"manual": 0, "config_id": CONFIG_ID}
        connection.execute(insert(owed), [{**row, "event_id": n} for n in range(PENDING_MAX)])

    await store.write(write)
    await store.accept(worker, given.units(1))

    waits = await SqlOverview(store).waits(ACCOUNT)

    assert (waits.deliveries, waits.has_more) == (PENDING_MAX, True)
    assert waits.retrying == PENDING_MAX


# --- how far it has come --------------------------------------------------------------------------------------------


async def test_what_was_accepted_and_delivered_is_known_for_ever(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    overview = SqlOverview(store)
    told = [await overview.begun(ACCOUNT)]
    claim = await given.a_claim_of(store, worker)
    told.append(await overview.begun(ACCOUNT))
    await store.settle(worker, [a_settlement(claim)])
    told.append(await overview.begun(ACCOUNT))
    clock.pass_(ms=40 * DAY_MS)
    while await store.expire(clock() - 30 * DAY_MS, 100):
        continue
    told.append(await overview.begun(ACCOUNT))

    yes, no = True, False
    assert told == [Begun(no, no), Begun(yes, no), Begun(yes, yes), Begun(yes, yes)]
    assert await overview.begun(OTHER) == Begun(no, no)


# --- what needs attention -------------------------------------------------------------------------------------------


async def troubled(store: Store, *, days: int = 21, limit: int = 10) -> list[int]:
    """By their place."""
    now = store.clock()
    return [one - CONFIG_ID for one in await SqlOverview(store).troubled(ACCOUNT, now + days * DAY_MS, limit)]


async def settled(store: Store, worker: Worker, number: int, verdict: Verdict, **changes: object) -> None:
    [claim] = await given.claims_of(store, worker, 1, first=number)
    await store.settle(worker, [a_settlement(claim, verdict, **changes)])


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.RETRY])
async def test_a_config_fails_from_an_error_to_the_next_success(
    store: Store, worker: Worker, clock: ClockDouble, verdict: Verdict
) -> None:
    await settled(store, worker, 0, Verdict.DELIVERED)
    told = [await troubled(store)]
    clock.pass_(ms=1)
    await settled(store, worker, 1, verdict)
    told.append(await troubled(store))
    clock.pass_(ms=1)
    await settled(store, worker, 2, Verdict.DELIVERED)
    told.append(await troubled(store))

    assert told == [[], [0], []]


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "paused"},
        {"state": "disabled", "state_reason": "the receiver answered 410 Gone"},
        {"warning": "it answered with a body", "warned_ms": NOON},
        {"failing_ms": NOON},
    ],
    ids=["paused", "disabled", "warned", "failing"],
)
async def test_what_is_held_warned_or_known_to_fail_needs_attention(store: Store, changes: dict[str, object]) -> None:
    await store.write(lambda c: c.execute(update(configs).where(configs.c.id == CONFIG_ID + 1).values(**changes)))

    assert await troubled(store) == [1]
    assert await SqlOverview(store).troubled(OTHER, NOON, 10) == []


async def test_the_deleted_need_none(store: Store, worker: Worker) -> None:
    await settled(store, worker, 0, Verdict.FAILED)
    await given.config_state(store, "deleted")

    assert await troubled(store) == []


async def test_those_that_were_changed_last_come_first_and_no_more_than_asked_for(store: Store) -> None:
    for place in range(3):
        await store.write(
            lambda c, place=place: c.execute(  # type: ignore[misc]
                update(configs)
                .where(configs.c.id == CONFIG_ID + place)
                .values(state="paused", modified_ms=NOON + (place + 1) % 3)
            )
        )

    assert await troubled(store) == [1, 0, 2]
    assert await troubled(store, limit=2) == [1, 0]


async def test_a_certificate_that_ends_soon_needs_attention_until_another_is_shown(
    store: Store, worker: Worker, clock: ClockDouble
) -> None:
    """The one that was shown last counts, also where it ends before the one before."""
    stats, told = SqlStats(store), []
    for number, days in enumerate((90, 20, 21, 22)):
        ends_ms = NOON + days * DAY_MS
        await settled(store, worker, number, Verdict.DELIVERED, outcome=answered(certificate_ends_ms=ends_ms))
        health = (await stats.health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID]
        told.append((health.certificate_ends_ms, await troubled(store)))
        clock.pass_(ms=MINUTE_MS)
    await settled(store, worker, 9, Verdict.DELIVERED)

    assert told == [
        (FIRST + 90 * DAY_MS, []),
        (FIRST + 20 * DAY_MS, [0]),
        (FIRST + 21 * DAY_MS, [0]),
        (FIRST + 22 * DAY_MS, []),
    ]
    assert (await stats.health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID].certificate_ends_ms == FIRST + 22 * DAY_MS


async def test_a_failed_attempt_that_was_answered_shows_a_certificate_too(store: Store, worker: Worker) -> None:
    outcome = answered(500, certificate_ends_ms=NOON + DAY_MS)
    await settled(store, worker, 0, Verdict.RETRY, outcome=outcome)

    health = await SqlStats(store).health(ACCOUNT, [CONFIG_ID, CONFIG_ID + 1], NOON)

    assert health[CONFIG_ID].certificate_ends_ms == FIRST + DAY_MS
    assert health[CONFIG_ID + 1] == Health()


@given.on_postgres
async def test_of_several_processes_the_one_that_saw_a_certificate_last_is_right(
    opener: given.Opener, store: Store, clock: ClockDouble
) -> None:
    other = await opener(alone=False)
    for number, (where, days) in enumerate(((store, 90), (other, 30), (store, 60), (other, 10))):
        worker = await where.enlist("here")
        ends_ms = NOON + days * DAY_MS
        await settled(where, worker, number, Verdict.DELIVERED, outcome=answered(certificate_ends_ms=ends_ms))
        clock.pass_(ms=MINUTE_MS)

    assert (await SqlStats(store).health(ACCOUNT, [CONFIG_ID], NOON))[CONFIG_ID].certificate_ends_ms == (
        FIRST + 10 * DAY_MS
    )
    assert await troubled(store) == [0]


# --- configs by their ids -------------------------------------------------------------------------------------------


async def test_some_configs_are_those_of_the_account_that_are_there(store: Store) -> None:
    saved = SqlConfigs(store)
    for place in (10, 11, 12):
        await saved.add(a_config(id=CONFIG_ID + place, location_id=None))
    await saved.delete(ACCOUNT, CONFIG_ID + 11)

    found = await saved.some(ACCOUNT, [CONFIG_ID + 10, CONFIG_ID + 11, CONFIG_ID + 99])

    assert {config_id: config.url for config_id, config in found.items()} == {CONFIG_ID + 10: a_config().url}
    assert await saved.some(OTHER, [CONFIG_ID + 10]) == {}
    assert await saved.some(ACCOUNT, []) == {}


# --- how it is found ------------------------------------------------------------------------------------------------


@given.on_sqlite
async def test_all_of_it_is_found_by_keys(store: SqliteStore) -> None:
    async def plan(query: Select[object]) -> list[str]:
        def explain(connection: Connection) -> list[str]:
            compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]

        return await store.read(explain)

    assert (await plan(failures_between(ACCOUNT, (7, 9), 5)))[0] == (
        "SEARCH counters USING INDEX counters_of_causes (account=? AND minute>? AND minute<?)"
    )
    for query in (
        *(waiting_of(ACCOUNT), oldest_due(ACCOUNT), ever_accepted(ACCOUNT), ever_delivered(ACCOUNT)),
        troubled_configs(ACCOUNT, 7),
    ):
        steps = await plan(query)
        assert [
            step for step in steps if step.startswith("SCAN") and "waiting" not in step and "anon" not in step
        ] == []
        tables = [step for step in steps if step.startswith("SEARCH")]
        assert all("account=?" in step or "_id=?" in step or "rowid=?" in step or "id=?" in step for step in tables), (
            tables
        )
