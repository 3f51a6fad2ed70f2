"""What a commit tells whoever counts: all that became durable with it, and nothing that did not."""

import asyncio
import sqlite3

import pytest

from postback.domain.deliveries import Target, Verdict
from postback.domain.errors import Conflict, Unavailable
from postback.domain.telemetry import Committed, Fact
from postback.storage.journal import settled_row
from postback.storage.sqlite import SqliteStore
from postback.storage.sqlite.journal import log_attempts
from tests.build import ACCOUNT, CONFIG_ID, a_settlement, a_unit
from tests.storage import given
from tests.storage.given import Opener, Store

pytestmark = pytest.mark.anyio


class Watched:
    """A store, and what it told of its commits."""

    def __init__(self, store: Store, facts: list[Fact]) -> None:
        self.store = store
        self.facts = facts

    def told(self) -> list[Committed]:
        """Since this was asked last."""
        told = [fact for fact in self.facts if isinstance(fact, Committed)]
        self.facts.clear()
        return told


@pytest.fixture
async def watched(opener: Opener) -> Watched:
    facts: list[Fact] = []
    store = await opener(report=facts.append)
    await given.an_account_with_configs(store)
    facts.clear()
    return Watched(store, facts)


async def test_events_and_their_deliveries_are_told_once_they_are_durable(watched: Watched) -> None:
    store = watched.store
    worker = await store.enlist("here")
    watched.told()

    await store.accept(worker, given.units(2, targets=3))

    [commit] = watched.told()
    assert (commit.events, commit.deliveries, commit.attempts) == (2, 6, ())
    assert commit.rows >= 8
    assert commit.took_s > 0


async def test_a_repeat_and_what_is_refused_are_not_told(watched: Watched) -> None:
    store = watched.store
    worker = await store.enlist("here")
    watched.told()
    passed = a_unit(given.event_number(1), config_version=7)
    unknown = a_unit(given.event_number(2, account="nobody"))

    await store.accept(worker, [passed, unknown, a_unit(given.event_number(3))])

    [commit] = watched.told()
    assert (commit.events, commit.deliveries) == (1, 1)


async def test_an_event_that_cannot_be_stored_is_not_told_and_its_neighbours_once(watched: Watched) -> None:
    """They are tried together first, and each alone when that fails."""
    store = watched.store
    worker = await store.enlist("here")
    watched.told()
    twice = [Target(CONFIG_ID, claimed=False)] * 2
    broken = a_unit(given.event_number(1))._replace(targets=twice)

    await store.accept(worker, [a_unit(given.event_number(0)), broken, a_unit(given.event_number(2))])

    [commit] = watched.told()
    assert (commit.events, commit.deliveries) == (2, 2)


async def test_what_an_attempt_came_to_is_told_as_it_stands_in_the_log(watched: Watched) -> None:
    store = watched.store
    worker = await store.enlist("here")
    delivered, late, again = await given.claims_of(store, worker, 3)
    await store.cancel(ACCOUNT, late.event.id, CONFIG_ID)
    watched.told()
    body = {"body_hash": b"h" * 32}

    await store.settle(
        worker,
        [a_settlement(delivered, **body), a_settlement(late, **body), a_settlement(again, Verdict.RETRY, **body)],
    )

    [commit] = watched.told()
    assert sorted(commit.attempts, key=str) == [
        (Verdict.RETRY, "bad_status"),
        (Verdict.DELIVERED, None),
        (Verdict.LATE, None),
    ]
    assert (len(commit.took_ms), len(commit.latencies_ms)) == (3, 1)


async def test_what_ends_or_begins_anew_without_an_attempt_is_told(watched: Watched) -> None:
    store = watched.store
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    watched.told()

    await store.cancel(ACCOUNT, claim.event.id, CONFIG_ID)
    await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)

    cancelled, replayed = watched.told()
    assert cancelled.attempts == ((Verdict.CANCELLED, "cancelled"),)
    assert cancelled.took_ms == ()
    assert (cancelled.replayed, replayed.replayed) == (0, 1)


@given.on_sqlite
async def test_work_that_was_taken_back_is_not_told_though_its_commit_is(watched: Watched) -> None:
    store = watched.store
    assert isinstance(store, SqliteStore)
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    watched.told()

    def settles_and_fails(raw: sqlite3.Connection) -> None:
        log_attempts(raw, [settled_row(a_settlement(claim, body_hash=b"h" * 32), worker.id, 1, 1, 0, 1)])
        raise Conflict("not after all")

    with pytest.raises(Conflict):
        await store._submit(settles_and_fails)

    [commit] = watched.told()
    assert (commit.attempts, commit.took_ms, commit.rows) == ((), (), 1)
    assert await given.log(store) == []


@given.on_sqlite
async def test_a_commit_that_failed_tells_nothing_and_the_next_one_only_its_own(watched: Watched) -> None:
    store = watched.store
    assert isinstance(store, SqliteStore)
    worker = await store.enlist("here")
    watched.told()

    def fails(raw: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    accepted, failed = await asyncio.gather(
        store.accept(worker, given.units(2)), store._submit(fails), return_exceptions=True
    )
    assert isinstance(failed, Unavailable)
    told = watched.told()
    assert sum(commit.events for commit in told) == (0 if isinstance(accepted, Unavailable) else 2)

    await store.accept(worker, given.units(1, first=10))

    [commit] = watched.told()
    assert commit.events == 1
    assert len(await given.event_ids(store)) == sum(one.events for one in [*told, commit])


async def test_what_is_told_is_told_before_the_answer(watched: Watched) -> None:
    """Whoever was answered and looks at the figures finds it there."""
    store = watched.store
    worker = await store.enlist("here")
    watched.told()

    await store.accept(worker, given.units(1))

    assert [commit.events for commit in watched.told()] == [1]
