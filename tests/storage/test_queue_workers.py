"""Workers: whoever lives keeps its claims, whoever does not loses them, and no attempt of theirs is invisible."""

import pytest
from sqlalchemy import update

from postback.domain.crews import Peer, host_key
from postback.domain.deliveries import Verdict
from postback.domain.errors import WorkerDeclaredDead
from postback.storage.sqlite import SqliteStore
from postback.storage.tables import owed, workers
from tests.build import CONFIG_ID, NOON, a_settlement, a_unit
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Opener, Store

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


@pytest.fixture
async def shared_store(opener: Opener) -> Store:
    """A store on which several workers live at the same time."""
    store = await opener(alone=False)
    await given.an_account_with_configs(store)
    return store


async def test_a_new_worker_knows_its_slot_and_the_highest_id(store: Store) -> None:
    first = await store.enlist("here")
    await store.accept(first, given.units(5))

    second = await store.enlist("there")

    assert (first.slot, first.last_id) == (0, 0)
    assert second.last_id == given.event_number(4).id
    assert second.id != first.id
    [row] = await given.rows(store, workers)
    assert (row.id, row.host, row.started_ms, row.beat_ms) == (second.id, "there", NOON, NOON)


async def test_workers_that_live_at_the_same_time_have_slots_of_their_own(shared_store: Store) -> None:
    store = shared_store
    first, second, third = [await store.enlist("here") for _ in range(3)]
    await store.retire(second)

    fourth = await store.enlist("here")

    assert (first.slot, second.slot, third.slot, fourth.slot) == (0, 1, 2, 1)


async def test_a_worker_that_takes_the_place_of_another_frees_what_it_held(store: Store, clock: ClockDouble) -> None:
    dead = await store.enlist("here")
    await given.claims_of(store, dead, 3)
    clock.pass_(seconds=2)

    worker = await store.enlist("here")

    for row in await given.log(store):
        assert (row.n, row.counter, row.verdict, row.worker) == (1, 1, Verdict.INTERRUPTED, dead.id)
        assert (row.started_ms, row.ended_ms, row.sent_ms, row.reason) == (NOON, NOON + 2000, None, "interrupted")
    again = await given.claim(store, worker)
    assert [(claim.attempts, claim.interruptions) for claim in again] == [(0, 1)] * 3
    await given.conserved(store)


async def test_a_worker_that_is_held_frees_nothing_of_earlier_ones_until_it_is_to(
    opener: Opener, clock: ClockDouble
) -> None:
    """A tenth interruption ends a delivery, which nobody had released."""
    store = await opener(alone=True)
    await given.an_account_with_configs(store)
    dead = await store.enlist("here")
    await given.claims_of(store, dead, 2)

    worker = await store.enlist("here", is_held=True)
    clock.pass_(seconds=31)
    await store.beat(worker)
    before = await given.log(store)
    freed = [*await store.free_dead(worker)]
    clock.pass_(seconds=31)
    freed += await store.free_dead(worker)

    assert before == []
    assert freed == [dead.id]
    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 2
    assert len(await given.claim(store, worker)) == 2


async def test_what_nobody_held_is_not_interrupted(store: Store) -> None:
    first = await store.enlist("here")
    await store.accept(first, given.units(3))

    await store.enlist("here")

    assert await given.log(store) == []
    assert [row.interruptions for row in await given.owed_rows(store)] == [0, 0, 0]


async def test_who_was_not_heard_of_for_a_lease_is_dead(shared_store: Store, clock: ClockDouble) -> None:
    store = shared_store
    living, silent = await store.enlist("here"), await store.enlist("here")
    await given.claims_of(store, silent)
    assert await store.free_dead(living) == []
    clock.pass_(seconds=30)
    assert await store.free_dead(living) == []
    clock.pass_(ms=1)

    assert await store.free_dead(living) == [silent.id]

    assert await given.verdicts(store) == [Verdict.INTERRUPTED]
    assert len(await given.claim(store, living)) == 1
    assert await store.free_dead(living) == []


async def test_a_heartbeat_frees_nothing_and_waits_for_none_of_it(shared_store: Store, clock: ClockDouble) -> None:
    store = shared_store
    living, silent = await store.enlist("here"), await store.enlist("here")
    claim = await given.a_claim_of(store, silent)
    clock.pass_(seconds=31)

    await store.beat(living)

    assert await given.verdicts(store) == []
    assert (await store.settle(silent, [a_settlement(claim)])).moved == 1


async def test_a_worker_goes_by_its_own_lease_not_by_that_of_who_looks(opener: Opener, clock: ClockDouble) -> None:
    """One with a short lease took all with a longer one for dead between two of their heartbeats."""
    store = await opener(alone=False, lease_ms=600_000)
    await given.an_account_with_configs(store)
    long = await store.enlist("here")
    claim = await given.a_claim_of(store, long)
    if isinstance(store, SqliteStore):
        await store.close()
    other = await opener(alone=False, lease_ms=30_000)
    short = await other.enlist("there")

    for _ in range(4):
        clock.pass_(seconds=40)
        peers = await other.beat(short)
        assert await other.free_dead(short) == []
    assert {peer.id for peer in peers} == {long.id, short.id}
    assert (await other.settle(long, [a_settlement(claim)])).moved == 1

    clock.pass_(ms=600_001)
    await other.beat(short)
    assert await other.free_dead(short) == [long.id]


async def test_who_beats_keeps_its_claims(shared_store: Store, clock: ClockDouble) -> None:
    store = shared_store
    first, second = await store.enlist("here"), await store.enlist("here")
    claim = await given.a_claim_of(store, second)
    for _ in range(20):
        clock.pass_(seconds=5)
        await store.beat(first)
        await store.beat(second)
        assert await store.free_dead(first) == []
        assert await store.free_dead(second) == []

    assert await given.claim(store, first) == []
    assert (await store.settle(second, [a_settlement(claim)])).moved == 1


async def test_a_worker_that_was_declared_dead_is_told_so(shared_store: Store, clock: ClockDouble) -> None:
    store = shared_store
    living, silent = await store.enlist("here"), await store.enlist("here")
    await store.free_dead(living)
    clock.pass_(seconds=31)
    await store.free_dead(living)

    with pytest.raises(WorkerDeclaredDead):
        await store.beat(silent)


async def test_a_heartbeat_brings_who_else_was_heard_of_lately_and_which_crew_each_goes_by(
    shared_store: Store, clock: ClockDouble
) -> None:
    store = shared_store
    first, second, third = sorted([await store.enlist("here") for _ in range(3)])
    assert await store.beat(first) == [Peer(worker.id, 0) for worker in (first, second, third)]

    await store.beat(second, (1 << 63) - 1)
    clock.pass_(seconds=6)
    await store.beat(third, 7)
    await store.beat(second, 0)
    await store.beat(second, 9)

    assert await store.beat(first, 5) == [Peer(first.id, 5), Peer(second.id, 9), Peer(third.id, 7)]
    await store.retire(second)
    assert await store.beat(third, 8) == [Peer(first.id, 5), Peer(third.id, 8)]


async def test_a_heartbeat_brings_what_others_keep_from_before_they_went_by_their_crew(shared_store: Store) -> None:
    store = shared_store
    first, second = await store.enlist("here"), await store.enlist("here")
    keeps = frozenset({*range(CONFIG_ID, CONFIG_ID + 998), host_key("a.example", 443), (1 << 63) - 1})

    await store.beat(second, 5, keeps=keeps)
    assert set(await store.beat(first, 5)) == {Peer(first.id, 5), Peer(second.id, 5, keeps)}

    await store.beat(second, 5)
    assert set(await store.beat(first, 5)) == {Peer(first.id, 5), Peer(second.id, 5)}


async def test_who_leaves_says_so_with_its_heartbeats_and_keeps_its_claims(shared_store: Store) -> None:
    store = shared_store
    staying, leaving = await store.enlist("here"), await store.enlist("here")
    claim = await given.a_claim_of(store, leaving)

    heard = await store.beat(leaving, 5, keeps=frozenset({CONFIG_ID}), leaves=True)

    assert set(heard) == {Peer(staying.id, 0), Peer(leaving.id, 5, frozenset({CONFIG_ID}), leaves=True)}
    assert await store.free_dead(staying) == []
    assert (await store.settle(leaving, [a_settlement(claim)])).moved == 1


async def test_who_missed_two_heartbeats_is_not_among_them_and_keeps_its_claims_to_the_end_of_the_lease(
    shared_store: Store, clock: ClockDouble
) -> None:
    store = shared_store
    living, silent = await store.enlist("here"), await store.enlist("here")
    claim = await given.a_claim_of(store, silent)
    clock.pass_(seconds=10)
    assert {peer.id for peer in await store.beat(living)} == {living.id, silent.id}
    clock.pass_(ms=1)

    assert await store.beat(living) == [Peer(living.id, 0)]

    assert {peer.id for peer in await store.beat(silent, 3)} == {living.id, silent.id}
    assert (await store.settle(silent, [a_settlement(claim)])).moved == 1


async def test_who_takes_the_place_of_an_earlier_process_hears_of_nobody_else(
    opener: Opener, clock: ClockDouble
) -> None:
    store = await opener(alone=True)
    await store.enlist("here")

    worker = await store.enlist("here")

    assert await store.beat(worker) == [Peer(worker.id, 0)]


async def test_a_worker_alone_that_was_silent_for_long_lives_on(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    clock.pass_(seconds=3600)

    await store.beat(worker)
    assert await store.free_dead(worker) == []

    assert (await store.settle(worker, [a_settlement(claim)])).moved == 1


async def test_a_worker_that_ends_frees_what_it_still_holds(store: Store) -> None:
    worker = await store.enlist("here")
    done, held = await given.claims_of(store, worker, 2)
    await store.settle(worker, [a_settlement(done)])

    await store.retire(worker)

    assert await given.verdicts(store) == [Verdict.DELIVERED, Verdict.INTERRUPTED]
    [row] = await given.owed_rows(store)
    assert (row.event_id, row.claim, row.interruptions) == (held.event.id, None, 1)
    with pytest.raises(WorkerDeclaredDead):
        await store.beat(worker)


async def test_what_kills_ten_workers_in_a_row_is_given_up(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await given.a_claim_of(store, worker)
    for _ in range(9):
        worker = await store.enlist("here")
        clock.pass_(seconds=60)
        assert len(await given.claim(store, worker)) == 1

    worker = await store.enlist("here")

    clock.pass_(seconds=60)
    assert await given.claim(store, worker) == []
    assert await given.owed_rows(store) == []
    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 9 + [Verdict.FAILED]
    last = (await given.log(store))[-1]
    assert (last.n, last.counter, last.reason, last.started_ms is not None) == (10, 1, "poison", True)
    await given.conserved(store)


async def test_nothing_sleeps_for_the_size_of_a_jump_when_the_clock_goes_back(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    spilled, retried, held = given.units(3)
    await store.accept(worker, [spilled])
    claims = await given.claims_of(store, worker, 2, first=1)
    await store.settle(worker, [a_settlement(claims[0], Verdict.RETRY, wait_ms=60_000)])

    clock.pass_(ms=-HOUR_MS)
    await store.beat(worker)
    await store.release([claims[1]])

    due = {row.event_id: row.due_at_ms - clock() for row in await given.owed_rows(store)}
    assert due == {spilled.event.id: 0, retried.event.id: 60_000, held.event.id: 0}
    assert [lane.due_in_ms for lane in await store.waiting(worker, 0, 1)] == [0]
    assert len(await given.claim(store, worker)) == 2
    clock.pass_(seconds=60)
    assert len(await given.claim(store, worker)) == 1


async def test_what_is_settled_after_a_jump_back_is_not_tried_early(store: Store, clock: ClockDouble) -> None:
    """A retry that was stored between the jump and the next beat was moved back by the beat and tried at once."""
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    clock.pass_(ms=-HOUR_MS)

    await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=60_000)])
    await store.beat(worker)

    [row] = await given.owed_rows(store)
    assert row.due_at_ms - clock() == 60_000


async def test_what_was_asked_for_at_a_time_of_day_stays_there(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, [a_unit(due_at_ms=NOON + HOUR_MS)])

    clock.pass_(ms=-HOUR_MS)
    await store.beat(worker)

    for _ in range(2):
        assert await given.claim(store, worker) == []
        clock.pass_(ms=HOUR_MS)
    assert clock() == NOON + HOUR_MS
    assert await given.lane_times(store) == {CONFIG_ID: HOUR_MS}
    assert len(await given.claim(store, worker)) == 1


async def test_a_small_jump_back_before_a_large_one_makes_nothing_early(store: Store, clock: ClockDouble) -> None:
    """The small one was not worth touching anything for; the large one then moved what was written between the two by
    both, and retries came early by up to a second."""
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    clock.pass_(ms=-900)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=5_000)])

    clock.pass_(seconds=-3600)
    await store.beat(worker)

    [row] = await given.owed_rows(store)
    assert row.due_at_ms == clock() + 5_000


async def test_a_clock_that_went_back_while_nobody_lived_is_noticed(
    store: Store, opener: Opener, clock: ClockDouble
) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=60_000)])
    await store.close()
    clock.pass_(ms=-HOUR_MS)

    again = await opener()
    await again.enlist("here")

    [row] = await given.owed_rows(again)
    assert row.due_at_ms - clock() == 60_000


async def test_ten_interruptions_are_all_that_the_schema_admits(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))

    with pytest.raises(Exception, match="poison_ends"):
        await store.write(lambda connection: connection.execute(update(owed).values(interruptions=11)))
