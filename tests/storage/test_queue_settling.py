"""Settling: every attempt is journaled, and only a claim that still holds decides."""

import asyncio

import pytest
from sqlalchemy import select

from postback.domain.deliveries import Claim, Settlement, Verdict
from postback.domain.wire import Note, Reason, Timings, Unreachable
from postback.storage.tables import accounts, configs
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, answered
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio


async def test_a_success_ends_the_delivery_and_is_on_record(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    clock.pass_(seconds=1)
    outcome = answered(
        201,
        headers=((b"Server", b"nginx"), (b"X-Odd", b"a: b")),
        body=b"thanks",
        timings=Timings(dns_ms=1, connect_ms=2, tls_ms=3, first_byte_ms=4, total_ms=70, sent_after_ms=20),
        truncated=True,
        notes=(Note.SENT_AGAIN, Note.BODY_INCOMPLETE),
    )

    settled = await store.settle(
        worker,
        [a_settlement(claim, outcome=outcome, config_version=3, body_hash=b"h" * 32, rendered_ms=NOON + 100)],
    )

    assert settled.moved == 1
    assert await given.owed_rows(store) == []
    [row] = await given.log(store)
    assert (row.event_id, row.config_id, row.n, row.account) == (claim.event.id, CONFIG_ID, 1, ACCOUNT)
    assert (row.counter, row.verdict, row.manual, row.config_version) == (1, Verdict.DELIVERED, 0, 3)
    assert (row.worker, row.started_ms, row.rendered_ms) == (worker.id, NOON, NOON + 100)
    assert (row.sent_ms, row.ended_ms, row.wait_ms) == (NOON + 120, NOON + 170, 0)
    assert (row.status, row.reason, row.detail, row.body_hash) == (201, None, None, b"h" * 32)
    assert (row.answer_headers, row.answer_body) == (b"Server: nginx\nX-Odd: a: b\n", b"thanks")
    assert (row.truncated, row.notes) == (1, "sent_again_on_a_fresh_connection,body_incomplete")
    assert (row.dns_ms, row.connect_ms, row.tls_ms, row.first_byte_ms) == (1, 2, 3, 4)


async def test_a_failure_without_an_answer_is_on_record_with_its_reason(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    clock.pass_(seconds=2)
    outcome = Unreachable(Reason.CANNOT_RENDER, "no such layout", Timings())

    await store.settle(worker, [a_settlement(claim, Verdict.FAILED, outcome=outcome, rendered_ms=0)])

    assert await given.owed_rows(store) == []
    [row] = await given.log(store)
    assert (row.verdict, row.status, row.reason, row.detail) == (
        Verdict.FAILED,
        None,
        "cannot_render",
        "no such layout",
    )
    assert (row.rendered_ms, row.sent_ms, row.ended_ms) == (None, None, NOON + 2000)
    assert (row.answer_headers, row.answer_body, row.truncated, row.notes) == (None, None, 0, None)


async def test_a_failure_to_be_tried_again_waits_from_now_on(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    clock.pass_(seconds=7)

    assert (await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=60_000)])).moved == 1

    [row] = await given.owed_rows(store)
    assert (row.due_at_ms, row.attempts, row.logged) == (NOON + 67_000, 1, 1)
    assert (row.worker, row.claim, row.claimed_ms) == (None, None, None)
    assert await given.lane_times(store) == {CONFIG_ID: 67_000}
    [attempt] = await given.log(store)
    assert (attempt.verdict, attempt.wait_ms, attempt.reason) == (Verdict.RETRY, 60_000, "bad_status")
    clock.pass_(ms=59_999)
    assert await given.claim(store, worker) == []
    clock.pass_(ms=1)
    [again] = await given.claim(store, worker)
    assert (again.attempts, again.forgiven, again.interruptions) == (1, 0, 0)


async def test_attempts_are_numbered_in_their_order(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    for _ in range(3):
        await store.settle(worker, [a_settlement(claim, Verdict.RETRY, wait_ms=1000)])
        clock.pass_(seconds=2)
        [claim] = await given.claim(store, worker)

    await store.settle(worker, [a_settlement(claim)])

    assert [(row.n, row.counter) for row in await given.log(store)] == [(1, 1), (2, 2), (3, 3), (4, 4)]


async def test_a_late_worker_cannot_overwrite_the_one_that_took_over(store: Store) -> None:
    late = await store.enlist("here")
    first = await given.a_claim_of(store, late)
    current = await store.enlist("here")
    [second] = await given.claim(store, current)

    assert (await store.settle(late, [a_settlement(first)])).moved == 0

    assert await given.verdicts(store) == [Verdict.INTERRUPTED, Verdict.LATE]
    assert (await store.settle(current, [a_settlement(second, Verdict.RETRY)])).moved == 1
    assert [(row.n, row.verdict, row.worker) for row in await given.log(store)] == [
        (1, Verdict.INTERRUPTED, late.id),
        (2, Verdict.LATE, late.id),
        (3, Verdict.RETRY, current.id),
    ]
    [row] = await given.owed_rows(store)
    assert (row.attempts, row.logged) == (1, 3)


async def test_a_late_outcome_is_on_record_after_the_delivery_has_ended(store: Store) -> None:
    late = await store.enlist("here")
    first = await given.a_claim_of(store, late)
    current = await store.enlist("here")
    [second] = await given.claim(store, current)
    await store.settle(current, [a_settlement(second)])

    await store.settle(late, [a_settlement(first, Verdict.FAILED), a_settlement(first, Verdict.RETRY)])

    rows = await given.log(store)
    assert [(row.n, row.verdict, row.wait_ms) for row in rows[2:]] == [(3, Verdict.LATE, 0), (4, Verdict.LATE, 0)]
    assert [row.status for row in rows[2:]] == [500, 500]
    assert await given.owed_rows(store) == []


async def test_the_same_claim_settled_twice_counts_once(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)

    settled = await store.settle(worker, [a_settlement(claim), a_settlement(claim)])

    assert settled.moved == 1
    assert await given.verdicts(store) == [Verdict.DELIVERED, Verdict.LATE]
    assert (await given.counts(store))[1] == 1


async def test_of_settlements_at_the_same_time_each_moves_its_own(store: Store) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 150)

    counts = await asyncio.gather(*(store.settle(worker, [a_settlement(claim)]) for claim in claims))

    assert [one.moved for one in counts] == [1] * 150
    assert len(await given.log(store)) == 150
    await given.conserved(store)


async def test_a_batch_of_any_size_and_kind_is_settled_in_full(store: Store) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 301)
    kinds = (Verdict.DELIVERED, Verdict.RETRY, Verdict.FAILED)
    settlements = [a_settlement(claim, kinds[n % 3]) for n, claim in enumerate(claims)]

    assert (await store.settle(worker, settlements)).moved == 301

    assert len(await given.owed_rows(store)) == 100
    assert [row.verdict for row in await given.log(store)] == [kinds[n % 3] for n in range(301)]
    await given.conserved(store)


async def test_an_attempt_that_its_own_worker_broke_off_is_owed_again_at_once(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)

    assert (await store.settle(worker, [given.interrupted(claim)])).moved == 1

    [row] = await given.owed_rows(store)
    assert (row.attempts, row.interruptions, row.due_at_ms) == (0, 1, NOON)
    [again] = await given.claim(store, worker)
    assert (again.attempts, again.interruptions) == (0, 1)


async def test_interruptions_wait_longer_and_the_tenth_in_a_row_is_poison(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    waits = []
    for _ in range(9):
        await store.settle(worker, [given.interrupted(claim)])
        [row] = await given.owed_rows(store)
        waits.append(row.due_at_ms - clock())
        clock.pass_(ms=waits[-1])
        [claim] = await given.claim(store, worker)

    await store.settle(worker, [given.interrupted(claim)])

    assert waits == [0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]
    assert await given.owed_rows(store) == []
    assert await given.verdicts(store) == [Verdict.INTERRUPTED] * 9 + [Verdict.FAILED]
    last = (await given.log(store))[-1]
    assert (last.n, last.counter, last.reason, last.status) == (10, 1, "poison", None)
    assert (await given.counts(store))[2] == 1


async def test_an_outcome_forgets_the_interruptions_before_it(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    for _ in range(3):
        await store.settle(worker, [given.interrupted(claim)])
        clock.pass_(seconds=60)
        [claim] = await given.claim(store, worker)

    await store.settle(worker, [a_settlement(claim, Verdict.RETRY)])

    [row] = await given.owed_rows(store)
    assert (row.attempts, row.interruptions, row.logged) == (1, 0, 4)


async def test_a_410_disables_the_config_and_tells_those_who_watch(store: Store) -> None:
    worker = await store.enlist("here")
    told: list[str] = []
    store.watch(told.append)
    claim = await given.a_claim_of(store, worker)

    await store.settle(worker, [a_settlement(claim, Verdict.FAILED, disables="410 Gone")])

    assert told == [ACCOUNT]
    assert await config(store) == ("disabled", "410 Gone", 1)


async def test_a_late_410_disables_nothing(store: Store) -> None:
    late = await store.enlist("here")
    claim = await given.a_claim_of(store, late)
    await store.enlist("here")

    await store.settle(late, [a_settlement(claim, Verdict.FAILED, disables="410 Gone")])

    assert await config(store) == ("active", None, 0)


async def test_what_is_disabled_or_deleted_already_keeps_its_reason(store: Store) -> None:
    worker = await store.enlist("here")
    first, second = await given.claims_of(store, worker, 2)

    await store.settle(worker, [a_settlement(first, Verdict.FAILED, disables="first")])
    await store.settle(worker, [a_settlement(second, Verdict.FAILED, disables="second")])

    assert await config(store) == ("disabled", "first", 1)


async def test_a_warning_stands_until_it_ends_and_those_who_watch_hear_of_both(
    store: Store, clock: ClockDouble
) -> None:
    worker = await store.enlist("here")
    told: list[str] = []
    store.watch(told.append)
    said: list[tuple[object, ...]] = []

    for warns in (None, "it answers with a body", "it answers with a body", None, "it answers too late", "", ""):
        clock.pass_(seconds=1)
        claim = await given.a_claim_of(store, worker, first=len(said), config_version=len(told))
        await store.settle(worker, [a_settlement(claim, warns=warns)])
        said.append(await warning(store))

    body, late = ("it answers with a body", NOON + 2000), ("it answers too late", NOON + 5000)
    assert said == [(None, None), body, body, body, late, (None, None), (None, None)]
    assert told == [ACCOUNT] * 3
    assert (await config(store))[2] == 3


async def test_nobody_is_warned_of_what_an_older_version_or_a_late_claim_was_told(store: Store) -> None:
    late = await store.enlist("here")
    lost = await given.a_claim_of(store, late)
    worker = await store.enlist("here")
    [claim] = await given.claim(store, worker)

    await store.settle(late, [a_settlement(lost, warns="late")])
    await store.settle(worker, [a_settlement(claim, config_version=2, warns="of another version")])

    assert await warning(store) == (None, None)
    assert await config(store) == ("active", None, 0)


async def test_ends_and_retries_are_counted_and_successes_by_their_latency(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 5)
    clock.pass_(seconds=1)
    verdicts = (Verdict.DELIVERED, Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY)
    settlements = [a_settlement(claim, verdict) for claim, verdict in zip(claims[:4], verdicts, strict=True)]
    settlements[1] = took(claims[1], 1000)

    await store.settle(worker, [*settlements, given.interrupted(claims[4])])

    # 5 ms have three binary digits, 1,000 ms have ten; what failed was answered 500.
    assert await given.counts(store) == {0: 5, 1: 2, 2: 1, 3: 1, 16 + 3: 1, 16 + 10: 1, 1000 + 500: 1}


async def test_a_success_that_seems_earlier_than_its_event_took_no_time(store: Store) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)

    await store.settle(worker, [took(claim, -5000)])

    assert (await given.counts(store))[16] == 1


async def test_who_settles_learns_what_has_failed_and_what_was_disabled(store: Store) -> None:
    worker = await store.enlist("here")
    late, gone, again, tried = await given.claims_of(store, worker, 4)
    await store.cancel(late.event.account, late.event.id, late.config_id)
    settlements = [a_settlement(claim, Verdict.FAILED, disables="410 Gone") for claim in (late, gone, again)]

    settled = await store.settle(worker, [*settlements, a_settlement(tried, Verdict.RETRY)])

    assert (settled.moved, settled.failed, settled.disabled) == (3, settlements[1:], {CONFIG_ID: "410 Gone"})
    assert await store.settle(worker, [settlements[1]]) == (0, [], {})


async def test_nothing_to_settle_is_settled(store: Store) -> None:
    worker = await store.enlist("here")

    assert (await store.settle(worker, [])).moved == 0


def took(claim: Claim, ms: int) -> Settlement:
    return a_settlement(claim, rendered_ms=claim.event.accepted_ms + ms, outcome=answered(200, timings=Timings()))


async def config(store: Store) -> tuple[str, str | None, int]:
    """(state, its reason, the account's version of configs)"""
    query = (
        select(configs.c.state, configs.c.state_reason, accounts.c.config_version)
        .join(accounts, accounts.c.id == configs.c.account)
        .where(configs.c.id == CONFIG_ID)
    )
    state, reason, version = await store.read(lambda connection: connection.execute(query).one())
    return state, reason, version


async def warning(store: Store) -> tuple[str | None, int | None]:
    """(what the config's owner is warned of, since when)"""
    query = select(configs.c.warning, configs.c.warned_ms).where(configs.c.id == CONFIG_ID)
    text, since_ms = await store.read(lambda connection: connection.execute(query).one())
    return text, since_ms
