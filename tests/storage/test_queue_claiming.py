"""Claiming: what is due and nobody's, lane by lane; nobody else may have it while its worker lives."""

import asyncio
from random import Random

import pytest

from postback.domain.deliveries import Claim, Target, Verdict
from postback.ports import Waiting
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, a_unit, an_event
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000


async def test_what_nobody_has_is_claimed_with_all_it_takes_to_carry_it_out(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    event = an_event(expands=b"{}")
    await store.accept(worker, [a_unit(event)])
    clock.pass_(seconds=3)

    [claim] = await given.claim(store, worker)

    assert (claim.event, claim.config_id, claim.claimed_ms) == (event, CONFIG_ID, NOON + 3000)
    assert (claim.attempts, claim.forgiven, claim.interruptions, claim.manual) == (0, 0, 0, False)
    [row] = await given.owed_rows(store)
    assert (row.worker, row.claim, row.claimed_ms) == (worker.id, claim.token, NOON + 3000)


async def test_what_is_claimed_is_not_claimed_again(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(5))

    claims = await given.claim(store, worker)

    assert len(claims) == 5
    assert await given.claim(store, worker) == []


async def test_claims_at_the_same_time_share_nothing(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(100))

    taken = await asyncio.gather(*(given.claim(store, worker, room=7) for _ in range(20)))

    keys = [claim.event.id for claims in taken for claim in claims]
    assert len(keys) == len(set(keys)) == 100


async def test_a_lane_gives_its_deliveries_in_order_of_their_time(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    for number, due_ms in enumerate((30, 10, 20, 10)):
        await store.accept(worker, [a_unit(given.event_number(number), due_at_ms=NOON + due_ms)])
    clock.pass_(ms=30)

    claims = await given.claim(store, worker)

    assert [claim.event.id - (NOON << 21) for claim in claims] == [1, 3, 2, 0]


async def test_no_more_is_taken_of_a_lane_than_it_has_room_for(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(10, targets=2))

    claims = await store.claim(worker, {CONFIG_ID + 1: 3, CONFIG_ID: 2, CONFIG_ID + 2: 9}, given.BYTES)

    assert [claim.config_id - CONFIG_ID for claim in claims] == [1, 1, 1, 0, 0]
    assert len(await store.claim(worker, {CONFIG_ID + 1: 100}, given.BYTES)) == 7


async def test_a_lane_without_room_gives_nothing(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))

    assert await given.claim(store, worker, room=0) == []


async def test_a_claim_stops_after_so_many_bytes(store: Store) -> None:
    worker = await store.enlist("here")
    size = len(an_event().data)
    await store.accept(worker, given.units(10, targets=2))

    claims = await store.claim(worker, {CONFIG_ID: 10, CONFIG_ID + 1: 10}, size * 3)

    assert [claim.config_id for claim in claims] == [CONFIG_ID] * 3
    assert len(await store.claim(worker, {CONFIG_ID: 10, CONFIG_ID + 1: 10}, given.BYTES)) == 17


async def test_a_body_larger_than_all_bytes_is_claimed_alone(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(2))

    claims = await store.claim(worker, {CONFIG_ID: 10}, 1)

    assert len(claims) == 1


async def test_what_comes_due_later_stays(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, [a_unit(given.event_number(1), due_at_ms=NOON + MINUTE_MS)])
    await store.accept(worker, [a_unit(given.event_number(2))])

    [now] = await given.claim(store, worker)

    assert now.event.id == given.event_number(2).id
    assert await given.lane_times(store) == {CONFIG_ID: MINUTE_MS}
    clock.pass_(ms=MINUTE_MS)
    assert len(await given.claim(store, worker)) == 1


async def test_a_lane_remembers_its_first_open_delivery_and_is_forgotten_without_one(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, [a_unit(given.event_number(1)), a_unit(given.event_number(2), due_at_ms=NOON + 5)])
    assert await given.lane_times(store) == {CONFIG_ID: 0}

    await given.claim(store, worker)

    assert await given.lane_times(store) == {CONFIG_ID: 5}
    await store.accept(worker, [a_unit(given.event_number(3))])
    assert await given.lane_times(store) == {CONFIG_ID: 0}


@pytest.mark.parametrize("seed", range(5))
async def test_a_lane_is_never_remembered_as_later_than_its_first_delivery(
    store: Store, clock: ClockDouble, seed: int
) -> None:
    dice = Random(seed)
    worker = await store.enlist("here")
    held: list[Claim] = []

    for number in range(60):
        clock.pass_(ms=dice.randint(0, 3))
        match dice.choice(["accept", "claim", "claim", "settle", "release"]):
            case "accept":
                due = [clock() + dice.randint(0, 9) for _ in range(3)]
                units = [a_unit(given.event_number(number * 3 + n), due_at_ms=at) for n, at in enumerate(due)]
                await store.accept(worker, units)
            case "claim":
                held += await given.claim(store, worker, room=dice.randint(1, 3))
            case "settle" if held:
                wait_ms = dice.randint(0, 30)
                await store.settle(worker, [a_settlement(held.pop(), Verdict.RETRY, wait_ms=wait_ms)])
            case "release" if held:
                await store.release([held.pop()])

        open_ones = [row.due_at_ms - NOON for row in await given.owed_rows(store) if row.claim is None]
        if open_ones:
            assert (await given.lane_times(store))[CONFIG_ID] <= min(open_ones)


async def test_what_a_paused_config_is_owed_is_held_and_goes_on_in_order(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(3))

    await given.config_state(store, "paused")

    assert await given.claim(store, worker) == []
    await given.config_state(store, "active")
    assert [claim.event.id for claim in await given.claim(store, worker)] == await given.event_ids(store)


async def test_waiting_names_lanes_and_when_they_are_due_the_longest_first(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, [a_unit(targets=0)._replace(targets=[Target(CONFIG_ID + 1, claimed=False)])])
    clock.pass_(ms=10)
    await store.accept(worker, [a_unit(given.event_number(1), due_at_ms=NOON + 500)])

    assert await store.waiting(worker, 1000, 10) == [
        Waiting(ACCOUNT, CONFIG_ID + 1, -10),
        Waiting(ACCOUNT, CONFIG_ID, 490),
    ]
    assert await store.waiting(worker, 489, 10) == [Waiting(ACCOUNT, CONFIG_ID + 1, -10)]
    assert await store.waiting(worker, 1000, 1) == [Waiting(ACCOUNT, CONFIG_ID + 1, -10)]


async def test_waiting_is_silent_about_what_is_held_or_claimed(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(2, targets=3))
    await given.config_state(store, "paused", CONFIG_ID)
    await given.config_state(store, "disabled", CONFIG_ID + 1)

    assert [lane.config_id for lane in await store.waiting(worker, 0, 10)] == [CONFIG_ID + 2]
    await given.claim(store, worker, CONFIG_ID + 2)
    assert await store.waiting(worker, 0, 10) == []


async def test_what_is_given_back_is_due_as_before_and_costs_nothing(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    first = await given.a_claim_of(store, worker)
    clock.pass_(seconds=5)

    await store.release([first])

    assert await given.lane_times(store) == {CONFIG_ID: 0}
    assert await given.log(store) == []
    [again] = await given.claim(store, worker)
    assert again == first._replace(token=again.token, claimed_ms=NOON + 5000)
    assert again.token != first.token


async def test_what_was_given_back_can_not_be_settled(store: Store) -> None:
    worker = await store.enlist("here")
    first = await given.a_claim_of(store, worker)
    await store.release([first])
    [second] = await given.claim(store, worker)

    assert (await store.settle(worker, [a_settlement(first)])).moved == 0
    assert (await store.settle(worker, [a_settlement(second)])).moved == 1


async def test_giving_back_what_is_not_held_any_more_changes_nothing(store: Store) -> None:
    worker = await store.enlist("here")
    ended, moved = await given.claims_of(store, worker, 2)
    await store.settle(worker, [a_settlement(ended), a_settlement(moved, Verdict.RETRY)])
    before = await given.owed_rows(store)

    await store.release([ended, moved])

    assert await given.owed_rows(store) == before


async def test_a_worker_that_is_dead_is_given_nothing(store: Store) -> None:
    dead = await store.enlist("here")
    alive = await store.enlist("here")
    await store.accept(alive, given.units(1))

    assert await given.claim(store, dead) == []
    assert len(await given.claim(store, alive)) == 1
