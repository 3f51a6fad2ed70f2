"""What people ask of single deliveries, and what time makes necessary: replay, cancel, bury, expire."""

import pytest
from sqlalchemy import select

from postback.domain.deliveries import Claim, Idempotency, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import Worker
from postback.storage.tables import configs, counters, idempotency
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_claim, a_settlement, a_unit, an_event
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

DAY_S = 86_400


async def test_a_finished_delivery_is_owed_again_and_its_policy_is_anew(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await failed_twice(store, worker, clock)
    clock.pass_(seconds=10)

    await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)

    [again] = await given.claim(store, worker)
    assert (again.event, again.attempts, again.forgiven, again.interruptions) == (claim.event, 2, 2, 0)
    assert again.manual
    await store.settle(worker, [a_settlement(again)])
    last = (await given.log(store))[-1]
    assert (last.n, last.counter, last.manual, last.verdict) == (3, 3, 1, Verdict.DELIVERED)


async def test_only_what_had_an_outcome_counts_as_an_attempt_when_replayed(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [given.interrupted(claim)])
    [claim] = await given.claim(store, worker)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=0)])
    [claim] = await given.claim(store, worker)
    unsayable = Unreachable(Reason.CANNOT_RENDER, "no such layout", Timings())
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED, outcome=unsayable)])

    await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)

    [again] = await given.claim(store, worker)
    assert (again.attempts, again.forgiven) == (1, 1)
    await store.settle(worker, [a_settlement(again)])
    assert [(row.n, row.counter) for row in await given.log(store)] == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.FAILED])
async def test_whatever_has_ended_may_be_replayed(store: Store, verdict: Verdict) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim, verdict)])

    await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)

    assert await given.lane_times(store) == {CONFIG_ID: 0}


async def test_what_was_cancelled_may_be_replayed(store: Store) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID)

    await store.replay(ACCOUNT, given.event_number(0).id, CONFIG_ID)

    [claim] = await given.claim(store, worker)
    assert (claim.attempts, claim.forgiven, claim.manual) == (0, 0, True)


async def test_what_is_still_owed_cannot_be_replayed(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)

    with pytest.raises(Conflict):
        await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY)])
    with pytest.raises(Conflict):
        await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)


async def test_nothing_is_replayed_to_a_config_that_is_gone(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim)])

    await given.config_state(store, "deleted")
    with pytest.raises(Conflict):
        await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)
    await store.bury(10)
    with pytest.raises(Conflict):
        await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)


async def test_a_delivery_of_another_account_does_not_exist(store: Store) -> None:
    worker = await store.enlist("here")
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    done, open_one = await given.claims_of(store, worker, 2)
    await store.settle(worker, [a_settlement(done)])

    for ask, claim in ((store.replay, done), (store.cancel, open_one), (store.cancel, done)):
        with pytest.raises(NotFound):
            await ask("acc_other", claim.event.id, CONFIG_ID)
    for ask in (store.replay, store.cancel):
        with pytest.raises(NotFound):
            await ask(ACCOUNT, done.event.id, CONFIG_ID + 1)
        with pytest.raises(NotFound):
            await ask(ACCOUNT, 12, CONFIG_ID)


async def test_a_cancelled_delivery_is_not_sent(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(1))
    clock.pass_(seconds=1)

    await store.cancel(ACCOUNT, given.event_number(0).id, CONFIG_ID)

    assert await given.claim(store, worker) == []
    [row] = await given.log(store)
    assert (row.n, row.counter, row.verdict, row.reason) == (1, 0, Verdict.CANCELLED, "cancelled")
    assert (row.status, row.worker, row.started_ms, row.sent_ms) == (None, None, None, None)
    assert row.ended_ms == NOON + 1000
    assert (await given.counts(store))[4] == 1
    await given.conserved(store)


async def test_the_outcome_of_a_cancelled_claim_is_on_record_and_decides_nothing(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)

    await store.cancel(ACCOUNT, claim.event.id, CONFIG_ID)

    assert (await store.settle(worker, [a_settlement(claim, Verdict.RETRY)])).moved == 0
    cancelled, late = await given.log(store)
    assert (cancelled.verdict, cancelled.worker, cancelled.started_ms) == (Verdict.CANCELLED, worker.id, NOON)
    assert (late.n, late.verdict) == (2, Verdict.LATE)
    assert await given.owed_rows(store) == []


async def test_what_is_finished_cannot_be_cancelled(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim)])

    with pytest.raises(Conflict):
        await store.cancel(ACCOUNT, claim.event.id, CONFIG_ID)


async def test_the_open_deliveries_of_a_deleted_config_are_cancelled_in_chunks(store: Store) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 3)
    await store.accept(worker, given.units(7, first=3, targets=2))
    await given.config_state(store, "deleted")

    assert await store.bury(4) == 4
    assert await config_ids(store) == [CONFIG_ID, CONFIG_ID + 1, CONFIG_ID + 2]
    assert await store.bury(4) == 4
    assert await store.bury(4) == 3
    assert await store.bury(4) == 0

    assert await config_ids(store) == [CONFIG_ID + 1, CONFIG_ID + 2]
    assert {row.config_id for row in await given.owed_rows(store)} == {CONFIG_ID + 1}
    assert await given.verdicts(store) == [Verdict.CANCELLED] * 10
    assert CONFIG_ID not in await given.lane_times(store)
    assert (await store.settle(worker, [a_settlement(claims[0])])).moved == 0
    await given.conserved(store)


async def test_a_deleted_config_that_is_owed_nothing_is_removed(store: Store) -> None:
    await given.config_state(store, "deleted")

    assert await store.bury(1) == 1
    assert await store.bury(1) == 0

    assert await config_ids(store) == [CONFIG_ID + 1, CONFIG_ID + 2]


async def test_what_is_still_owed_after_the_retention_fails_visibly(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.accept(worker, [a_unit(given.event_number(1))])
    clock.pass_(seconds=DAY_S)

    assert await store.expire(NOON + 1, 100) == 2

    assert await given.owed_rows(store) == []
    assert [(row.verdict, row.reason) for row in await given.log(store)] == [(Verdict.FAILED, "expired")] * 2
    assert (await given.counts(store))[2] == 2
    assert (await store.settle(worker, [a_settlement(claim)])).moved == 0


async def test_what_has_expired_can_be_seen_for_a_day(store: Store, clock: ClockDouble) -> None:
    """It was removed by the very commit that had failed it, unless that commit was full."""
    await store.accept(await store.enlist("here"), [a_unit()])
    await store.expire(NOON + 1, 100)

    forgotten_ms = given.forgotten_ms(store, NOON)
    await store.expire(forgotten_ms - 1, 100)
    assert [row.reason for row in await given.log(store)] == ["expired"]

    await store.expire(forgotten_ms, 100)
    assert await given.log(store) == []


@given.on_sqlite
async def test_what_is_finished_is_removed_with_its_log_in_chunks(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 10, targets=3)
    await store.settle(worker, [a_settlement(claim) for claim in claims])
    minutes = sum(row.minute > 0 for row in await given.rows(store, counters))
    clock.pass_(seconds=2 * DAY_S)
    [kept] = await store.accept(worker, [a_unit(given.event_number(0)._replace(id=clock() << 21))])

    rounds = []
    while done := await store.expire(clock(), 8):
        rounds.append(done)
        left = set(await given.event_ids(store))
        assert {row.event_id for row in await given.log(store)} <= left

    assert sum(rounds) == 10 + 30 + minutes
    assert max(rounds) <= 8
    assert await given.event_ids(store) == [kept.event_id]  # type: ignore[union-attr]
    assert len(await given.owed_rows(store)) == 1


@given.on_sqlite
async def test_an_event_with_more_rows_than_a_chunk_is_removed_whole(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 2, targets=3)
    await store.settle(worker, [a_settlement(claim) for claim in claims])

    assert await store.expire(NOON + DAY_S * 1000 + 1, 2) == 4

    assert await given.event_ids(store) == [given.event_number(1).id]
    assert {row.event_id for row in await given.log(store)} == {given.event_number(1).id}


async def test_what_is_younger_than_the_retention_stays(store: Store) -> None:
    worker = await store.enlist("here")
    claim, _ = await given.claims_of(store, worker, 2)
    await store.settle(worker, [a_settlement(claim)])

    assert await store.expire(NOON, 100) == 0

    assert len(await given.event_ids(store)) == 2
    assert len(await given.log(store)) == 1


async def test_keys_that_have_run_out_are_removed(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    for n in range(3):
        await store.accept(worker, given.units(1, first=n, idempotency=Idempotency(bytes([n]), b"b")))
        clock.pass_(seconds=1)
    clock.pass_(seconds=DAY_S - 2)

    assert await store.expire(0, 100) == 2
    assert await store.expire(0, 100) == 0

    assert [row.key_hash for row in await given.rows(store, idempotency)] == [b"\x02"]


@pytest.mark.parametrize(
    ("decided", "stored"),
    [
        (Verdict.DELIVERED, Verdict.DELIVERED),
        (Verdict.FAILED, Verdict.FAILED),
        (Verdict.RETRY, Verdict.FAILED),
        (Verdict.INTERRUPTED, Verdict.FAILED),
    ],
)
async def test_a_test_is_on_record_and_nothing_is_owed_or_counted(
    store: Store, clock: ClockDouble, decided: Verdict, stored: Verdict
) -> None:
    worker = await store.enlist("here")
    event = an_event(subject="con_test")
    heard: list[str] = []
    store.watch(heard.append)

    await store.keep_test(
        worker, a_settlement(a_claim(event=event), decided, disables="410 Gone", warns="late", body_hash=b"h" * 32)
    )

    [row] = await given.log(store)
    assert (row.event_id, row.config_id, row.n, row.counter) == (event.id, CONFIG_ID, 1, 1)
    assert (row.verdict, row.manual, row.wait_ms, row.worker) == (stored, 2, 0, worker.id)
    assert row.body_hash == b"h" * 32
    assert await given.event_ids(store) == [event.id]
    assert await given.owed_rows(store) == []
    assert (await given.counts(store), await given.lane_times(store)) == ({}, {})
    assert heard == []
    await given.conserved(store)
    # Only an accepted event may be accepted again: the id is taken.
    clock.pass_(seconds=1)
    assert (await store.enlist("again")).last_id >= event.id


async def test_a_test_is_removed_with_its_log_like_any_event(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.keep_test(worker, a_settlement(a_claim()))

    clock.pass_(seconds=3 * DAY_S)
    while await store.expire(clock(), 100):
        pass

    assert (await given.event_ids(store), await given.log(store)) == ([], [])


async def test_a_test_may_be_repeated_as_a_delivery(store: Store) -> None:
    worker = await store.enlist("here")
    event = an_event()
    await store.keep_test(worker, a_settlement(a_claim(event=event), Verdict.FAILED))

    await store.replay(ACCOUNT, event.id, CONFIG_ID)

    [claim] = await given.claim(store, worker)
    assert (claim.event, claim.attempts, claim.forgiven, claim.manual) == (event, 1, 1, True)
    await store.settle(worker, [a_settlement(claim)])
    assert [(row.n, row.manual) for row in await given.log(store)] == [(1, 2), (2, 1)]


async def failed_twice(store: Store, worker: Worker, clock: ClockDouble) -> Claim:
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=1000)])
    clock.pass_(seconds=1)
    [claim] = await given.claim(store, worker)
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED)])
    return claim


async def config_ids(store: Store) -> list[int]:
    return list(
        await store.read(
            lambda connection: connection.execute(select(configs.c.id).order_by(configs.c.id)).scalars().all()
        )
    )


@given.on_sqlite
async def test_what_was_removed_is_given_back_to_the_disk_in_several_pages_at_once(
    store: Store, clock: ClockDouble
) -> None:
    """It was one page a minute: the driver takes one step of a statement that has no rows."""
    worker = await store.enlist("here")
    data = b'{"text":"%b"}' % (b"x" * 4000)
    events = [an_event(id=(NOON << 21) + number, data=data) for number in range(100)]
    await store.accept(worker, [a_unit(event, targets=0) for event in events])
    clock.pass_(seconds=2 * DAY_S)

    while await store.expire(clock(), 500):
        free = await store.read(lambda connection: connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())

    assert free > 20
    assert await store.read(lambda connection: connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()) == 0
