"""Accepting: an event with its deliveries and record changes, or none of it."""

import asyncio

import pytest
from sqlalchemy import update

from postback.domain.deliveries import Accepted, Idempotency, Refused, Target
from postback.domain.errors import ConfigsPassed, Conflict, NotFound
from postback.domain.records import Insert
from postback.storage.records import SqlRecords
from postback.storage.tables import accounts, events, records
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_location, a_unit, an_event
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

KEY = Idempotency(key_hash=b"k" * 32, body_hash=b"b" * 32)
DAY_S = 86_400


async def test_an_event_is_kept_as_it_came(store: Store) -> None:
    worker = await store.enlist("here")
    event = an_event(data='{"last_name": "Jönes"}'.encode(), expands=b'{"location":null}', subject=None, trace="00-1")

    await store.accept(worker, [a_unit(event, targets=2)])

    [row] = await given.rows(store, events)
    assert (row.id, row.account, row.location_id, row.type, row.subject) == event[:5]
    assert (row.occurred_at, row.accepted_ms, row.data, row.expands, row.trace) == event[5:]
    assert row.deliveries == 2


async def test_deliveries_for_which_the_worker_has_room_are_born_claimed(store: Store) -> None:
    worker = await store.enlist("here")
    event = an_event()
    targets = [Target(CONFIG_ID, claimed=True), Target(CONFIG_ID + 1, claimed=False)]

    [answer] = await store.accept(worker, [a_unit(event, targets=0)._replace(targets=targets)])

    assert isinstance(answer, Accepted)
    assert (answer.event_id, answer.deliveries, answer.known) == (event.id, 2, False)
    [claim] = answer.claims
    assert (claim.event, claim.config_id, claim.claimed_ms) == (event, CONFIG_ID, NOON)
    assert (claim.attempts, claim.forgiven, claim.interruptions, claim.manual) == (0, 0, 0, False)
    claimed, pending = await given.owed_rows(store)
    assert (claimed.worker, claimed.claim, claimed.claimed_ms) == (worker.id, claim.token, NOON)
    assert (pending.worker, pending.claim, pending.claimed_ms) == (None, None, None)
    assert pending.order_key == event.subject
    assert await given.lane_times(store) == {CONFIG_ID + 1: 0}


async def test_no_two_claims_have_the_same_token(store: Store) -> None:
    worker = await store.enlist("here")

    claims = await given.claims_of(store, worker, 200, targets=3)

    assert len({claim.token for claim in claims}) == 600


async def test_what_is_due_later_is_not_claimed_and_not_given_before(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")

    [answer] = await store.accept(worker, [a_unit(claimed=True, due_at_ms=NOON + 60_000)])

    assert isinstance(answer, Accepted)
    assert answer.claims == []
    assert await given.lane_times(store) == {CONFIG_ID: 60_000}
    clock.pass_(ms=59_999)
    assert await given.claim(store, worker) == []
    clock.pass_(ms=1)
    assert len(await given.claim(store, worker)) == 1


async def test_an_event_that_nobody_wants_is_accepted(store: Store) -> None:
    worker = await store.enlist("here")

    [answer] = await store.accept(worker, [a_unit(targets=0)])

    assert answer == Accepted(an_event().id, 0, [])
    assert await given.event_ids(store) == [an_event().id]


async def test_what_is_given_to_a_worker_that_is_dead_waits_for_another(store: Store) -> None:
    dead = await store.enlist("here")
    alive = await store.enlist("here")

    assert await given.claims_of(store, dead) == []

    assert len(await given.claim(store, alive)) == 1


async def test_an_event_matched_with_old_configs_goes_back(store: Store) -> None:
    worker = await store.enlist("here")
    await store.write(lambda c: c.execute(update(accounts).values(config_version=1)))
    old, new = given.units(2)

    refused, accepted = await store.accept(worker, [old, new._replace(config_version=1)])

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, ConfigsPassed)
    assert isinstance(accepted, Accepted)
    assert await given.event_ids(store) == [new.event.id]
    assert len(await given.owed_rows(store)) == 1


async def test_the_version_is_compared_for_each_account_of_a_batch(store: Store) -> None:
    worker = await store.enlist("here")
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    await store.write(lambda c: c.execute(update(accounts).where(accounts.c.id == ACCOUNT).values(config_version=3)))
    units = [
        a_unit(given.event_number(1)),
        a_unit(given.event_number(2, account="acc_other"), targets=0),
        a_unit(given.event_number(3), config_version=3),
    ]

    answers = await store.accept(worker, units)

    assert [type(answer) for answer in answers] == [Refused, Accepted, Accepted]


async def test_an_event_for_an_account_that_is_gone_is_refused(store: Store) -> None:
    worker = await store.enlist("here")

    [answer] = await store.accept(worker, [a_unit(an_event(account="acc_gone"))])

    assert isinstance(answer, Refused)
    assert isinstance(answer.error, NotFound)


async def test_an_event_that_cannot_be_stored_does_not_harm_its_neighbours(store: Store) -> None:
    worker = await store.enlist("here")
    first, same_id, unstorable, last = given.units(4)
    same_id = same_id._replace(event=first.event)
    unstorable = unstorable._replace(event=unstorable.event._replace(subject="\ud83d"))

    answers = await store.accept(worker, [first, same_id, unstorable, last])

    assert [type(answer) for answer in answers] == [Accepted, Refused, Refused, Accepted]
    assert await given.event_ids(store) == [first.event.id, last.event.id]
    assert len(await given.owed_rows(store)) == 2
    assert (await given.counts(store))[0] == 2


async def test_a_repeat_with_the_same_key_is_answered_with_the_first_event(store: Store) -> None:
    worker = await store.enlist("here")
    first, repeat = given.units(2, targets=2, claimed=True, idempotency=KEY)
    await store.accept(worker, [first])

    [answer] = await store.accept(worker, [repeat])

    assert answer == Accepted(first.event.id, 2, (), known=True)
    assert await given.event_ids(store) == [first.event.id]


async def test_the_same_key_with_another_body_is_a_conflict(store: Store) -> None:
    worker = await store.enlist("here")
    first, other = given.units(2, idempotency=KEY)
    await store.accept(worker, [first])

    [answer] = await store.accept(worker, [other._replace(idempotency=KEY._replace(body_hash=b"o" * 32))])

    assert isinstance(answer, Refused)
    assert isinstance(answer.error, Conflict)


async def test_a_key_holds_within_one_batch_too(store: Store) -> None:
    worker = await store.enlist("here")
    first, repeat, other, stranger = given.units(4, idempotency=KEY)
    other = other._replace(idempotency=KEY._replace(body_hash=b"o" * 32))
    stranger = stranger._replace(idempotency=KEY._replace(key_hash=b"s" * 32))

    answers = await store.accept(worker, [first, repeat, other, stranger])

    assert answers[1] == Accepted(first.event.id, 1, (), known=True)
    assert isinstance(answers[2], Refused)
    assert await given.event_ids(store) == [first.event.id, stranger.event.id]


async def test_of_many_repeats_at_the_same_time_one_is_kept(store: Store) -> None:
    worker = await store.enlist("here")

    answers = await asyncio.gather(*(store.accept(worker, [unit]) for unit in given.units(20, idempotency=KEY)))

    accepted = [answer for [answer] in answers if isinstance(answer, Accepted)]
    assert len(accepted) == 20
    assert len({answer.event_id for answer in accepted}) == 1
    assert [answer.known for answer in accepted].count(False) == 1
    assert len(await given.event_ids(store)) == 1


async def test_a_key_belongs_to_its_account(store: Store) -> None:
    worker = await store.enlist("here")
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    units = given.units(2, idempotency=KEY)
    units[1] = units[1]._replace(event=units[1].event._replace(account="acc_other"))

    answers = await store.accept(worker, units)

    assert [answer.known for answer in answers if isinstance(answer, Accepted)] == [False, False]


async def test_a_key_holds_for_a_day_and_may_then_be_used_anew(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    first, within, after = given.units(3, idempotency=KEY)
    await store.accept(worker, [first])

    clock.pass_(seconds=DAY_S - 1)
    [known] = await store.accept(worker, [within])
    clock.pass_(seconds=1)
    [new] = await store.accept(worker, [after])

    assert isinstance(known, Accepted)
    assert known.known
    assert new == Accepted(after.event.id, 1, [])


async def test_an_event_that_goes_back_leaves_its_key_free(store: Store) -> None:
    worker = await store.enlist("here")
    passed, matched_again = given.units(2, idempotency=KEY)

    answers = await store.accept(worker, [passed._replace(config_version=9), matched_again])

    assert [type(answer) for answer in answers] == [Refused, Accepted]
    assert await given.event_ids(store) == [matched_again.event.id]


async def test_a_record_and_its_event_are_kept_together(store: Store) -> None:
    worker = await store.enlist("here")

    await store.accept(worker, [a_unit(changes=[Insert(a_location())])])

    found = await SqlRecords(store, {}).find(ACCOUNT, "location", a_location().id)
    assert found.id == a_location().id
    assert len(await given.event_ids(store)) == 1


async def test_a_change_that_is_refused_takes_its_event_with_it_and_no_other(store: Store) -> None:
    worker = await store.enlist("here")
    before, refused, after = given.units(3)
    lost = a_location(id="con_1", resource="contact", location_id="loc_unknown")
    units = [
        before._replace(changes=[Insert(a_location())]),
        refused._replace(changes=[Insert(a_location(id="loc_second")), Insert(lost)]),
        after,
    ]

    answers = await store.accept(worker, units)

    assert [type(answer) for answer in answers] == [Accepted, Refused, Accepted]
    assert await given.event_ids(store) == [before.event.id, after.event.id]
    assert [row.id for row in await given.rows(store, records)] == [a_location().id]
    await given.conserved(store)


async def test_a_change_is_not_made_again_for_a_known_key(store: Store) -> None:
    worker = await store.enlist("here")
    first, repeat = given.units(2, idempotency=KEY, changes=[Insert(a_location())])

    answers = await store.accept(worker, [first, repeat])

    assert answers[1] == Accepted(first.event.id, 1, (), known=True)


async def test_what_was_accepted_is_counted_by_config(store: Store) -> None:
    worker = await store.enlist("here")

    await store.accept(worker, given.units(3, targets=2))
    await store.accept(worker, given.units(2, first=3))

    assert await given.counts(store) == {0: 8}


async def test_a_batch_of_any_size_is_kept_in_full(store: Store) -> None:
    worker = await store.enlist("here")

    answers = await store.accept(worker, given.units(301, targets=3))

    assert len(answers) == 301
    assert len(await given.owed_rows(store)) == 903
    await given.conserved(store)


async def test_nothing_to_accept_is_accepted(store: Store) -> None:
    worker = await store.enlist("here")

    assert list(await store.accept(worker, [])) == []
