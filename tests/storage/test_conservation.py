"""Whatever was accepted is owed or has ended, by the counters and by the log, whatever happened in between."""

import random
from collections import Counter
from collections.abc import Mapping

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS, Tally
from postback.storage.balance import Balance
from postback.storage.measures import ACCEPTED, ALL_TIME, DELIVERED, FAILED
from postback.storage.stats import SqlStats
from postback.storage.tables import counters
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, a_unit
from tests.doubles import ClockDouble
from tests.storage import given, inside
from tests.storage.business import HOUR_S, OTHER, Business
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

DAY_S = 86_400
ROUNDS = 60


async def assert_conserved(store: Store) -> Mapping[str, Balance]:
    proof = await inside.prove(store)
    assert {account: balance.missing for account, balance in proof.by_counters.items() if balance.missing} == {}
    assert list(proof.differing) == []
    assert {key: balance.missing for key, balance in proof.logged.days.items() if balance.missing} == {}
    return proof.by_counters


@pytest.fixture
async def business(store: Store, clock: ClockDouble) -> Business:
    business = Business(store, clock, random.Random(4))
    await business.open()
    return business


async def test_thousands_of_deliveries_are_conserved_through_all_that_can_happen(
    business: Business, store: Store, clock: ClockDouble
) -> None:
    for _ in range(6):
        await business.go_on(ROUNDS)
        await assert_conserved(store)
    await given.config_state(store, "deleted", CONFIG_ID + 1)
    while await store.bury(500):
        await assert_conserved(store)
    # What is old ends, and is removed step by step; the sums hold after each.
    clock.pass_(seconds=2 * DAY_S)
    await business.dies()
    while await store.expire(clock(), 1_500):
        await assert_conserved(store)

    by_counters = await assert_conserved(store)

    # What no step of time shows any more, the totals do.
    for account, balance in by_counters.items():
        steps = await SqlStats(store).steps(account, 0, clock() // MINUTE_MS * MINUTE_MS + MINUTE_MS, MINUTE_MS)
        folded = [row for row in await given.rows(store, counters) if (row.account, row.minute) == (account, ALL_TIME)]
        for name, measure in (("accepted", ACCEPTED), ("delivered", DELIVERED), ("failed", FAILED)):
            in_totals = sum(row[-1] for row in folded if row.measure == measure)
            assert sum(getattr(tally, name) for tally in steps.values()) + in_totals == getattr(balance, name)
            assert in_totals > 0
    assert sum(balance.accepted for balance in by_counters.values()) > 3_000
    assert all(balance.owed == 0 for balance in by_counters.values())
    assert all(min(balance[:5]) > 0 for balance in by_counters.values())
    assert business.happened["refused"] > 100
    assert len(business.happened) == 10


async def test_the_steps_of_time_add_up_to_what_the_balance_says(business: Business, store: Store) -> None:
    await business.go_on(2 * ROUNDS)
    by_counters = await assert_conserved(store)

    day_ms = DAY_S * 1000
    first, end = NOON // day_ms * day_ms, (business.clock() // day_ms + 1) * day_ms
    for account in (ACCOUNT, OTHER):
        steps = await SqlStats(store).steps(account, first, end, 15 * MINUTE_MS)
        total: Counter[str] = Counter()
        for tally in steps.values():
            total.update({name: getattr(tally, name) for name in Tally.__dataclass_fields__ if name != "latencies"})
            total["took"] += sum(tally.latencies.values())
        del total["retried"]
        took = total.pop("took")
        balance = by_counters[account]._asdict()
        owed = balance.pop("owed")
        assert total == balance
        assert took == total["delivered"]
        assert owed == sum(row.account == account for row in await given.owed_rows(store))


async def test_folding_changes_no_balance(business: Business, store: Store) -> None:
    await business.go_on(2 * ROUNDS)
    before = await assert_conserved(store)

    while await inside.fold(store, business.clock() // MINUTE_MS + 1, 20):
        assert await assert_conserved(store) == before

    assert await SqlStats(store).steps(ACCOUNT, 0, business.clock() // MINUTE_MS * MINUTE_MS, MINUTE_MS) == {}


async def some_of_each(store: Store) -> None:
    """Of five deliveries one is delivered, one failed, one cancelled, one tried again and one only owed."""
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 5)
    verdicts = (Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY)
    await store.settle(worker, [a_settlement(claim, one) for claim, one in zip(claims, verdicts, strict=False)])
    await store.cancel(ACCOUNT, claims[3].event.id, CONFIG_ID)


async def harmed(store: Store, statement: str) -> tuple[int, int, set[str]]:
    """After that statement: what is missing by the counters, by the log, and where the two differ."""
    await inside.run(store, statement)
    by_counters, differing, logged = await inside.prove(store)
    return (
        by_counters[ACCOUNT].missing,
        sum(balance.missing for balance in logged.days.values()),
        {name for _, name, _, _ in differing},
    )


@pytest.mark.parametrize(
    ("statement", "by_counters", "by_log", "differing"),
    [
        ("UPDATE counters SET count = count WHERE 1 = 0", 0, 0, set()),
        # Lost: neither owed nor ended.
        ("DELETE FROM owed WHERE event_id IN (SELECT max(event_id) FROM owed)", 1, 1, set()),
        ("DELETE FROM attempts WHERE verdict = 1", 0, 1, {"delivered"}),
        # Made up.
        ("DELETE FROM events WHERE id = (SELECT max(id) FROM events)", 0, -1, {"accepted"}),
        ("UPDATE counters SET count = count + 2 WHERE measure = 1", -2, 0, {"delivered"}),
        ("UPDATE counters SET count = count - 1 WHERE measure = 0", -1, 0, {"accepted"}),
        ("UPDATE attempts SET verdict = 2 WHERE verdict = 1", 0, 0, {"delivered", "failed"}),
        ("DELETE FROM attempts WHERE verdict = 0", 0, 0, {"retried"}),
    ],
)
async def test_whatever_is_lost_or_made_up_is_found(
    store: Store, statement: str, by_counters: int, by_log: int, differing: set[str]
) -> None:
    await some_of_each(store)

    assert await harmed(store, statement) == (by_counters, by_log, differing)


async def test_counting_the_log_says_how_far_it_has_come(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    event = given.event_number(0)
    await store.accept(worker, [a_unit(event._replace(id=event.id + (5 * HOUR_S * 1000 << 21)))])
    told: list[tuple[int, int]] = []

    logged = (await inside.prove(store, lambda *heard: told.append(heard))).logged

    assert told == [(n, 6) for n in range(7)]
    assert sum(balance.owed for balance in logged.days.values()) == 2
