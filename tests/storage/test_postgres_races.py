"""What only many processes on one database can do to each other: each store here stands for a process."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from postback.domain.deliveries import Accepted, Claim, Idempotency, NewDeliveries, Refused, Settlement, Verdict
from postback.domain.errors import Conflict, Unavailable, WorkerDeclaredDead
from postback.ports import Worker
from postback.storage import tables
from postback.storage.accepting import decide
from postback.storage.measures import ACCEPTED, DELIVERED
from postback.storage.postgres import PostgresStore, claiming, workers
from postback.storage.postgres.event_rows import keep, look
from postback.storage.postgres.journal import Raw
from postback.storage.postgres.settling import Settling
from postback.storage.postgres.tasks import Task
from postback.storage.sessions import SqlSessions
from postback.storage.stats import SqlStats
from postback.storage.users import SqlUsers
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, a_unit
from tests.doubles import ClockDouble
from tests.proving import times
from tests.storage import given
from tests.storage.given import Opener
from tests.storage.people import a_session, a_user, token

pytestmark = [pytest.mark.anyio, given.on_postgres]

KEY = Idempotency(key_hash=b"k" * 32, body_hash=b"b" * 32)
LEASE_MS = 30_000


async def both(opener: Opener) -> tuple[PostgresStore, PostgresStore]:
    """Two processes on the same database."""
    stores = [await opener(alone=False) for _ in range(2)]
    await given.an_account_with_configs(stores[0])
    one, other = stores
    assert isinstance(one, PostgresStore)
    assert isinstance(other, PostgresStore)
    return one, other


async def test_two_that_claim_the_same_lane_share_nothing_and_leave_nothing(opener: Opener) -> None:
    stores = await both(opener)
    workers = [await store.enlist("here") for store in stores]
    await stores[0].accept(workers[0], given.units(400))

    taken: list[Claim] = []

    async def take(store: PostgresStore, worker: Worker) -> None:
        nothing = 0
        while nothing < 3:
            claims = await given.claim(store, worker, room=7)
            taken.extend(claims)
            nothing = 0 if claims else nothing + 1

    await asyncio.gather(
        *(take(store, worker) for store, worker in zip(stores, workers, strict=True) for _ in range(3))
    )

    keys = [claim.event.id for claim in taken]
    assert len(keys) == len(set(keys)) == 400
    assert await given.lane_times(stores[0]) == {}


async def test_a_lane_that_another_is_at_work_on_keeps_nobody_from_the_others(opener: Opener) -> None:
    store, other = await both(opener)
    worker = await store.enlist("here")
    await store.accept(worker, given.units(2, targets=2))

    async with other._doors.transaction() as door:
        await door.raw.execute("SELECT 1 FROM lanes WHERE config_id = $1 FOR UPDATE", CONFIG_ID)
        claims = await store.claim(worker, {CONFIG_ID: 5, CONFIG_ID + 1: 5}, given.BYTES)
        assert [claim.config_id for claim in claims] == [CONFIG_ID + 1] * 2
        waiting = asyncio.create_task(given.claim(store, worker))
        await asyncio.sleep(0.05)
        assert not waiting.done()

    assert len(await waiting) == 2


async def test_a_delivery_that_somebody_is_about_to_cancel_is_skipped_and_not_forgotten(opener: Opener) -> None:
    store, other = await both(opener)
    worker = await store.enlist("here")
    await store.accept(worker, given.units(3))

    async with other._doors.transaction() as door:
        await door.raw.execute("SAVEPOINT here")
        await door.raw.execute("SELECT 1 FROM owed WHERE event_id = $1 FOR UPDATE", given.event_number(0).id)
        claims = await given.claim(store, worker)
        assert [claim.event.id for claim in claims] == [given.event_number(n).id for n in (1, 2)]
        await door.raw.execute("ROLLBACK TO SAVEPOINT here")

    assert await given.lane_times(store) == {CONFIG_ID: 0}
    assert [claim.event.id for claim in await given.claim(store, worker)] == [given.event_number(0).id]


async def test_a_sign_in_waits_for_a_change_of_its_password_that_is_under_way(opener: Opener) -> None:
    """It once was stored after the change had ended all sessions, and stayed."""
    store, other = await both(opener)
    user, sessions = a_user(), SqlSessions(store)
    await SqlUsers(store).add(user, "hash")

    async with other._doors.transaction() as door:
        await door.raw.execute("UPDATE users SET password = 'other hash' WHERE id = $1", user.id)
        await door.raw.execute("DELETE FROM sessions WHERE user_id = $1", user.id)
        signing_in = asyncio.create_task(sessions.add(a_session(user), token(), checked="hash"))
        await asyncio.sleep(0.05)
        assert not signing_in.done()

    with pytest.raises(Conflict, match="changed meanwhile"):
        await signing_in
    assert await sessions.list(user.id) == []


async def test_no_lane_is_lost_when_it_is_emptied_and_added_to_at_once(opener: Opener) -> None:
    """Many times (500 as a proof) a claim, an accept and a settlement, each in a transaction that is held open and committed in an order
    of its own: each before, after and amid the others."""
    store, other = await both(opener)
    worker, second = await store.enlist("here"), await other.enlist("there")
    dice = random.Random(5)
    for number in range(0, 3 * times(100, 500), 3):
        [claimed] = await given.claims_of(other, second, 1, first=number)
        await store.accept(worker, given.units(1, first=number + 1))
        taken: list[Claim] = []
        gates = [asyncio.Event() for _ in range(3)]
        works = [
            claim_and_wait(store, worker, taken, gates[0]),
            accept_and_wait(other, second, given.units(1, first=number + 2), gates[1]),
            settle_and_wait(other, second, [a_settlement(claimed, Verdict.RETRY, wait_ms=0)], gates[2]),
        ]
        dice.shuffle(works)
        under_way = []
        for work in works:
            under_way.append(asyncio.create_task(work))
            await asyncio.sleep(dice.choice((0, 0.001, 0.003)))
        dice.shuffle(gates)
        for gate in gates:
            gate.set()
            await asyncio.sleep(dice.choice((0, 0.001)))
        await asyncio.gather(*under_way)

        left = [row for row in await given.owed_rows(store) if row.claim is None]
        assert len(taken) + len(left) == 3
        assert await given.lane_times(store) == ({CONFIG_ID: 0} if left else {})
        taken += await given.claim(store, worker)
        assert (await store.settle(worker, [a_settlement(claim) for claim in taken])).moved == 3
        assert await given.lane_times(store) == {}
    await given.conserved(store)


async def claim_and_wait(store: PostgresStore, worker: Worker, taken: list[Claim], gate: asyncio.Event) -> None:
    async def work(task: Task) -> None:
        taken[:] = await claiming.claim(task, worker.id, store._tokens.take(9), {CONFIG_ID: 9}, given.BYTES)
        await gate.wait()

    await store._tasks.run(work)


async def accept_and_wait(
    store: PostgresStore,
    worker: Worker,
    units: Sequence[NewDeliveries],
    gate: asyncio.Event,
    has_written: asyncio.Event | None = None,
) -> None:
    async def work(task: Task) -> None:
        known = await look(task, worker.id, units)
        journal = task.journal()
        batch = decide(
            journal, units, known.versions, known.firsts, known.worker, store._tokens, lambda unit: unit.event
        )
        await keep(task, known, batch, journal)
        if has_written is not None:
            has_written.set()
        await gate.wait()

    await store._tasks.run(work)


async def settle_and_wait(
    store: PostgresStore, worker: Worker, settlements: Sequence[Settlement], gate: asyncio.Event
) -> None:
    async def work(task: Task) -> None:
        await Settling(task, worker.id, store.auditor, store.changed, ()).settle(settlements)
        await gate.wait()

    await store._tasks.run(work)


async def test_what_others_accepted_before_the_clock_went_back_does_not_sleep_for_the_size_of_the_jump(
    opener: Opener, clock: ClockDouble
) -> None:
    """The one that noticed had seen less of the clock than the one that accepted it, and took what was due a moment
    later than it knew of for asked for at a time of day."""
    store, other = await both(opener)
    worker, second = await store.enlist("here"), await other.enlist("there")
    clock.pass_(seconds=3)
    at_once, later = given.event_number(0, accepted_ms=clock()), given.event_number(1, accepted_ms=clock())
    at_nine = clock() + 60_000
    await other.accept(second, [a_unit(at_once), a_unit(later, due_at_ms=at_nine)])

    clock.pass_(seconds=-86_400)
    await store.beat(worker)

    due = {row.event_id: row.due_at_ms for row in await given.owed_rows(store)}
    assert due[at_once.id] <= clock() + 3_000
    assert due[later.id] == at_nine
    clock.pass_(seconds=3)
    assert [claim.event.id for claim in await given.claim(store, worker)] == [at_once.id]


async def test_of_many_repeats_on_two_processes_one_is_kept(opener: Opener) -> None:
    stores = await both(opener)
    workers = [await store.enlist("here") for store in stores]
    for number in range(20):
        key = KEY._replace(key_hash=b"%032d" % number)
        units = given.units(6, first=10 * number, idempotency=key)

        answers = await asyncio.gather(*(stores[n % 2].accept(workers[n % 2], [unit]) for n, unit in enumerate(units)))

        accepted = [answer for [answer] in answers if isinstance(answer, Accepted)]
        assert len({answer.event_id for answer in accepted}) == 1
        assert [answer.known for answer in accepted].count(False) == 1
    assert len(await given.event_ids(stores[0])) == 20
    await given.conserved(stores[0])


async def test_a_key_that_another_uses_with_another_body_at_the_same_time_is_a_conflict(opener: Opener) -> None:
    store, other = await both(opener)
    worker, second = await store.enlist("here"), await other.enlist("there")
    first, unit, neighbour = given.units(3, idempotency=KEY)
    gate = asyncio.Event()
    holds_it = asyncio.create_task(accept_and_wait(other, second, [first], gate))
    await asyncio.sleep(0.05)

    differs = unit._replace(idempotency=KEY._replace(body_hash=b"o" * 32))
    asked = asyncio.create_task(store.accept(worker, [differs, neighbour._replace(idempotency=None)]))
    await asyncio.sleep(0.05)
    assert not asked.done()
    gate.set()
    await holds_it

    conflict, accepted = await asked
    assert isinstance(conflict, Refused)
    assert isinstance(conflict.error, Conflict)
    assert isinstance(accepted, Accepted)


async def test_what_a_worker_is_given_while_it_is_declared_dead_is_freed_too(
    opener: Opener, clock: ClockDouble
) -> None:
    """Its row was committed after those that it held were looked for, and stayed claimed by nobody."""
    store, other = await both(opener)
    silent, living = await store.enlist("here"), await other.enlist("there")
    gate = asyncio.Event()
    given_to_it = asyncio.create_task(accept_and_wait(store, silent, given.units(1, claimed=True), gate))
    await asyncio.sleep(0.05)
    await other.free_dead(living)
    clock.pass_(ms=LEASE_MS + 1)

    await other.free_dead(living)
    gate.set()
    await given_to_it
    await other.free_dead(living)

    assert [row.worker for row in await given.owed_rows(other)] == [None]
    assert await given.claims_of(store, silent, 1, first=1) == []
    with pytest.raises(WorkerDeclaredDead):
        await store.beat(silent)
    assert len(await given.claim(other, living)) == 2


async def test_what_a_dead_worker_held_is_freed_by_one_of_those_who_notice(opener: Opener, clock: ClockDouble) -> None:
    store, other = await both(opener)
    silent = await store.enlist("here")
    workers = [await store.enlist("here"), await other.enlist("there")]
    await given.claims_of(store, silent, 1200)
    await asyncio.gather(*(one.free_dead(worker) for one, worker in zip((store, other), workers, strict=True)))
    clock.pass_(ms=LEASE_MS + 1)
    await asyncio.gather(*(one.beat(worker) for one, worker in zip((store, other), workers, strict=True)))

    freed = await asyncio.gather(*(one.free_dead(worker) for one, worker in zip((store, other), workers, strict=True)))

    assert sorted(freed) == [[], [silent.id]]
    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 1200
    assert {row.claim for row in await given.owed_rows(store)} == {None}
    await given.conserved(store)


async def test_all_that_many_dead_workers_held_is_looked_for_once(
    opener: Opener, clock: ClockDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of what is owed was walked for every 500 claims of each of them."""
    store, other = await both(opener)
    silent = [await store.enlist("here") for _ in range(3)]
    for n, worker in enumerate(silent):
        await given.claims_of(store, worker, 600, first=600 * n)
    living = await other.enlist("there")
    await other.free_dead(living)
    clock.pass_(ms=LEASE_MS + 1)
    walks = []

    async def held(raw: Raw, dead: Sequence[int]) -> Sequence[tuple[int, int]]:
        walks.append(sorted(dead))
        return await held_by(raw, dead)

    held_by = workers.held
    monkeypatch.setattr(workers, "held", held)

    freed = await other.free_dead(living)

    ids = sorted(worker.id for worker in silent)
    assert sorted(freed) == ids
    assert walks == [ids]
    assert await given.verdicts(other) == [Verdict.INTERRUPTED] * 1800
    assert {row.worker for row in await given.owed_rows(other)} == {None}
    await given.conserved(other)


async def test_a_process_that_frees_the_dead_beats_meanwhile_and_the_others_leave_it_to_it(
    opener: Opener, clock: ClockDouble
) -> None:
    """Beats took as long as the freeing did, and living workers were taken for dead."""
    store, other = await both(opener)
    silent = await store.enlist("here")
    living, second = await store.enlist("here"), await other.enlist("there")
    await given.claims_of(store, silent, 3)
    await store.free_dead(living)
    await other.free_dead(second)
    clock.pass_(ms=LEASE_MS + 1)
    await store.beat(living)
    await other.beat(second)

    async with other._doors.transaction() as door:
        await door.raw.execute("SELECT 1 FROM owed FOR UPDATE")
        freeing = asyncio.create_task(store.free_dead(living))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            peers = await store.beat(living)
            assert await other.free_dead(second) == []
        assert not freeing.done()
        assert silent.id not in {peer.id for peer in peers}

    assert await freeing == [silent.id]
    await given.conserved(store)


async def test_a_clock_that_is_put_forward_makes_nobody_look_dead(opener: Opener, clock: ClockDouble) -> None:
    """Whoever beat first after the jump took all the others for dead."""
    steady = ClockDouble()
    store, other = [await opener(alone=False, steady=steady) for _ in range(2)]
    await given.an_account_with_configs(store)
    living, second = await store.enlist("here"), await other.enlist("there")
    claim = await given.a_claim_of(other, second)
    for one, worker in ((store, living), (other, second)):
        assert await one.free_dead(worker) == []

    clock.pass_(ms=10 * LEASE_MS)
    for _ in range(10):
        steady.pass_(ms=LEASE_MS // 6)
        clock.pass_(ms=LEASE_MS // 6)
        await store.beat(living)
        assert await store.free_dead(living) == []
        await other.beat(second)
    assert (await other.settle(second, [a_settlement(claim)])).moved == 1

    # The look before this saw the heartbeat before the last.
    assert await store.free_dead(living) == []
    for _ in range(7):
        steady.pass_(ms=LEASE_MS // 6)
        clock.pass_(ms=LEASE_MS // 6)
        await store.beat(living)
        freed = await store.free_dead(living)
    assert freed == [second.id]


async def test_the_heart_beats_while_every_write_of_the_process_waits_for_a_lock(opener: Opener) -> None:
    """An operator's lock on a table, and some changes that wait for it, had every connection: the worker was soon dead."""
    store, other = await both(opener)
    worker = await store.enlist("here")

    async with other._doors.transaction() as door:
        await door.raw.execute("LOCK TABLE configs")
        changes = [asyncio.create_task(given.config_state(store, "paused")) for _ in range(40)]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(2):
            for _ in range(3):
                assert [peer.id for peer in await store.beat(worker)] == [worker.id]
        assert not any(change.done() for change in changes)

    await asyncio.gather(*changes)


async def test_what_is_left_when_freeing_is_broken_off_is_freed_by_whoever_looks_next(
    opener: Opener, clock: ClockDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = await both(opener)
    silent = await store.enlist("here")
    living, second = await store.enlist("here"), await other.enlist("there")
    await given.claims_of(store, silent, 3)
    await store.free_dead(living)
    await other.free_dead(second)
    clock.pass_(ms=LEASE_MS + 1)
    await store.beat(living)
    await other.beat(second)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "held", raising(Unavailable("the disk is full")))
        with pytest.raises(Unavailable):
            await store.free_dead(living)

    assert await other.free_dead(second) == [silent.id]

    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 3
    assert silent.id not in {row.id for row in await given.rows(store, tables.workers)}


def raising(error: Exception) -> Callable[..., Awaitable[Any]]:
    async def fail(*_: object) -> Any:
        raise error

    return fail


async def test_transactions_that_wait_for_each_other_in_a_circle_both_end(opener: Opener) -> None:
    store, other = await both(opener)
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 2)
    met = asyncio.Barrier(2)

    async def ends(one: PostgresStore, keys: Sequence[Claim]) -> None:
        is_first = True

        async def work(task: Task) -> None:
            nonlocal is_first
            await task.ask_time()
            for n, claim in enumerate(keys):
                await task.raw.execute("SELECT 1 FROM owed WHERE event_id = $1 FOR UPDATE", claim.event.id)
                if n == 0 and is_first:
                    is_first = False
                    await met.wait()

        await one._tasks.run(work)

    await asyncio.gather(ends(store, claims), ends(other, claims[::-1]))


async def test_two_processes_that_settle_and_claim_count_right(opener: Opener) -> None:
    """Counters of the same config, in rows of their own."""
    stores = await both(opener)
    workers = [await store.enlist("here") for store in stores]

    async def work(n: int) -> None:
        for round_ in range(5):
            claims = await given.claims_of(stores[n], workers[n], 20, first=1000 * n + 20 * round_)
            await stores[n].settle(workers[n], [a_settlement(claim) for claim in claims])

    await asyncio.gather(*(work(n) for n in (0, 1)))

    assert (await given.counts(stores[0]))[ACCEPTED] == (await given.counts(stores[0]))[DELIVERED] == 200
    assert {row.part for row in await given.rows(stores[0], tables.counters)} == {0, 1}
    health = (await SqlStats(stores[0]).health(ACCOUNT, [CONFIG_ID], 0))[CONFIG_ID]
    assert (health.delivered, health.last_success_ms) == (200, NOON)
    await given.conserved(stores[0])


async def test_a_delivery_for_a_config_that_went_meanwhile_is_cancelled(opener: Opener) -> None:
    store, other = await both(opener)
    worker, second = await store.enlist("here"), await other.enlist("there")
    gate = asyncio.Event()
    comes_late = asyncio.create_task(accept_and_wait(other, second, given.units(1), gate))
    await asyncio.sleep(0.05)
    await given.config_state(store, "deleted")
    assert await store.bury(10) == 1

    gate.set()
    await comes_late
    assert len(await given.owed_rows(store)) == 1
    while await store.bury(10):
        continue

    assert await given.owed_rows(store) == []
    assert await given.claim(store, worker) == []
    assert await given.verdicts(store) == [Verdict.CANCELLED]
    assert await given.lane_times(store) == {}
    await given.conserved(store)


async def test_a_delivery_that_is_accepted_while_the_lane_of_its_deleted_config_ends_is_cancelled(
    opener: Opener,
) -> None:
    """The end of the lane waited for the accept, and then went by what was owed before: the delivery was left without a
    lane, and nobody found it until it expired."""
    store, other = await both(opener)
    worker, second = await store.enlist("here"), await other.enlist("there")
    await store.accept(worker, given.units(1))
    gate, has_written = asyncio.Event(), asyncio.Event()
    comes_late = asyncio.create_task(accept_and_wait(other, second, given.units(1, first=1), gate, has_written))
    await has_written.wait()
    await given.config_state(store, "deleted")
    burying = asyncio.create_task(store.bury(10))
    async with store._doors.one() as door:
        await given.somebody_waits(door.raw)

    gate.set()
    await comes_late
    await burying
    while await store.bury(10):
        continue

    assert await given.owed_rows(store) == []
    assert await given.verdicts(store) == [Verdict.CANCELLED] * 2
    assert await given.lane_times(store) == {}
    await given.conserved(store)


@pytest.mark.parametrize(
    "under_way",
    ["UPDATE workers SET beat_ms = beat_ms + 1 WHERE id = $1", "SELECT 1 FROM workers WHERE id = $1 FOR KEY SHARE"],
    ids=["a heartbeat", "a claim"],
)
async def test_a_worker_that_retires_while_something_of_its_own_is_under_way_leaves_nothing_behind(
    opener: Opener, under_way: str
) -> None:
    """Its row was locked, and so it was left as it was: what it still had was nobody's for a lease."""
    store, other = await both(opener)
    worker = await store.enlist("here")
    await given.claims_of(store, worker, 2)

    async with other._doors.transaction() as door, store._doors.one() as looking:
        await door.raw.execute(under_way, worker.id)
        retiring = asyncio.create_task(store.retire(worker))
        await given.somebody_waits(looking.raw)
    await retiring

    assert await given.rows(store, tables.workers) == []
    assert [row.worker for row in await given.owed_rows(store)] == [None, None]
    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 2
