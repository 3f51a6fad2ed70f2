"""The log of a day goes at once, with its partition; what no day was there for goes row by row."""

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.storage.measures import ACCEPTED, DELIVERED, REMOVED
from postback.storage.postgres import PostgresStore
from postback.storage.postgres.partitions import existing
from postback.storage.retention import SEEN_MS
from postback.storage.tables import counters
from tests.build import NOON, a_settlement, a_unit, an_event
from tests.doubles import ClockDouble
from tests.storage import given, inside
from tests.storage.given import DAY_MS, Store

pytestmark = [pytest.mark.anyio, given.on_postgres]

LONG_AGO = NOON - 400 * DAY_MS


async def days(store: Store) -> set[int]:
    assert isinstance(store, PostgresStore)
    async with store._doors.reading() as door:
        return {one.day for one in await existing(door, "events")}


async def delivered(store: Store, at_ms: int, number: int) -> None:
    worker = await store.enlist("here")
    units = [a_unit(an_event(id=first_id_at(at_ms) + n, accepted_ms=at_ms), claimed=True) for n in range(number)]
    answers = await store.accept(worker, units)
    await store.settle(worker, [a_settlement(claim) for answer in answers for claim in answer.claims])  # type: ignore[union-attr]


async def test_a_day_goes_at_once_when_all_of_it_is_old_enough(store: Store, clock: ClockDouble) -> None:
    await delivered(store, NOON, 700)
    clock.pass_(ms=DAY_MS)
    await delivered(store, NOON + DAY_MS, 3)
    forgotten_ms = given.forgotten_ms(store, NOON)

    await store.expire(forgotten_ms - 1, 500)
    assert len(await given.event_ids(store)) == 703
    assert await store.expire(forgotten_ms, 500) >= 1400

    assert len(await given.event_ids(store)) == len(await given.log(store)) == 3
    assert NOON // DAY_MS not in await days(store)
    removed = {row.measure: row[-1] for row in await given.rows(store, counters) if row.measure in (8, 9)}
    assert removed == {REMOVED + ACCEPTED: 700, REMOVED + DELIVERED: 700}
    proof = await inside.prove(store)
    assert list(proof.differing) == []


async def test_a_day_of_which_something_is_owed_stays_until_that_has_ended(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(3))
    clock.pass_(ms=3 * DAY_MS)

    assert await store.expire(given.forgotten_ms(store, NOON), 2) == 2
    assert len(await given.event_ids(store)) == 3
    while await store.expire(given.forgotten_ms(store, NOON), 2):
        continue

    assert await given.event_ids(store) == []
    assert await given.log(store) == []


async def test_what_no_day_was_there_for_goes_in_chunks(store: Store) -> None:
    await delivered(store, LONG_AGO, 10)

    rounds = []
    while done := await store.expire(LONG_AGO + SEEN_MS + 1, 8):
        rounds.append(done)
        left = set(await given.event_ids(store))
        assert {row.event_id for row in await given.log(store)} <= left

    assert sum(rounds) == 20
    assert max(rounds) <= 8


async def test_days_are_made_ahead_while_time_passes(store: Store, clock: ClockDouble) -> None:
    clock.pass_(ms=30 * DAY_MS)

    await store.expire(0, 10)

    today = clock() // DAY_MS
    assert set(range(today, today + 8)) <= await days(store)
    await delivered(store, clock(), 1)
    assert await given.verdicts(store) == [Verdict.DELIVERED]
