"""A connection that breaks after the server has committed, and before anybody is told: what was done is found out."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from postback.domain.deliveries import Accepted, Refused, Verdict
from postback.domain.errors import Unavailable
from postback.domain.records import Insert
from postback.ports import Worker
from postback.storage.postgres import PostgresStore, accepting
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID, a_location, a_settlement, an_event
from tests.doubles import ClockDouble
from tests.patience import PATIENCE_S
from tests.storage import given
from tests.storage.proxy import Proxy

pytestmark = pytest.mark.anyio

COMMIT = b"COMMIT\0"

ONE_MORE = """
INSERT INTO events SELECT (jsonb_populate_record(e, jsonb_build_object('id', $1::bigint))).* FROM events AS e LIMIT 1
"""


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as dsn:
        yield dsn


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    proxy = Proxy(dsn)
    yield proxy
    await proxy.close()


@pytest.fixture
async def store(proxy: Proxy, clock: ClockDouble) -> AsyncIterator[PostgresStore]:
    store = await PostgresStore.open(await proxy.start(), clock, secret_keys=[postgres.KEY])
    await given.an_account_with_configs(store)
    yield store
    proxy.refuses = False
    await store.close()


@pytest.fixture
async def worker(store: PostgresStore) -> Worker:
    return await store.enlist("here")


async def test_what_was_accepted_before_the_connection_broke_is_answered_as_accepted(
    store: PostgresStore, proxy: Proxy, worker: Worker
) -> None:
    await given.a_claim_of(store, worker, first=1)
    proxy.cut_after(an_event().data)

    [answer] = await store.accept(worker, given.units(1, claimed=True))

    assert isinstance(answer, Accepted)
    assert (await store.settle(worker, [a_settlement(answer.claims[0])])).moved == 1
    await given.conserved(store)


async def test_what_nobody_could_be_asked_of_is_nobody_s_after_a_moment(
    store: PostgresStore, proxy: Proxy, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "UNKNOWN_S", 0.3)
    kept = await given.a_claim_of(store, worker, first=1)
    proxy.cut_after(an_event().data, refusing=True)

    with pytest.raises(Unavailable):
        await store.accept(worker, given.units(1, claimed=True))
    proxy.refuses = False
    assert await given.claim(store, worker) == []
    await store.free_dead(worker)

    [claim] = await given.claim(store, worker)
    assert claim.event.id == given.event_number(0).id
    assert (await store.settle(worker, [a_settlement(claim), a_settlement(kept)])).moved == 2
    await given.conserved(store)


async def test_what_is_claimed_while_an_accept_stays_unanswered_is_still_its_worker_s(
    store: PostgresStore, proxy: Proxy, worker: Worker, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens lay between the first and the last of the accept's, so the next beat gave away what was being sent."""
    monkeypatch.setattr(accepting, "UNKNOWN_S", 0.1)
    await store.accept(worker, given.units(3, first=1))
    other = await asyncpg.connect(dsn)
    # What waits for a row has come to the server whole; for a table, it may wait while its text is only being read.
    undone = other.transaction()
    await undone.start()
    await other.execute(ONE_MORE, given.event_number(0).id)
    asked = asyncio.create_task(store.accept(worker, given.units(1, claimed=True)))
    await given.somebody_waits(other)
    claims = await given.claim(store, worker)
    proxy.refuses = True
    proxy.break_all()
    with pytest.raises(Unavailable):
        await asked
    await undone.rollback()
    async with asyncio.timeout(PATIENCE_S):
        while await other.fetchval("SELECT count(*) FROM events") < 4:
            await asyncio.sleep(0.005)
    await other.close()
    proxy.refuses = False

    await store.free_dead(worker)

    left = await given.claim(store, worker)
    assert [claim.event.id for claim in left] == [given.event_number(0).id]
    assert (await store.settle(worker, [a_settlement(claim) for claim in [*claims, *left]])).moved == 4
    await given.conserved(store)


async def test_what_nobody_could_be_asked_of_is_nobody_s_also_where_others_of_its_batch_are_accepted(
    store: PostgresStore, proxy: Proxy, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a batch that was refused as a whole was known as unanswered: its worker kept the rest for ever, unsent."""
    monkeypatch.setattr(accepting, "UNKNOWN_S", 0.1)
    [alone, beside_a_change] = given.units(2, claimed=True)
    # What is accepted alone is a single statement.
    proxy.cut_after(COMMIT, refusing=True)

    answers = await store.accept(worker, [alone, beside_a_change._replace(changes=[Insert(a_location())])])
    proxy.refuses = False
    await store.free_dead(worker)

    assert isinstance(answers[0], Accepted)
    assert isinstance(answers[1], Refused)
    claims = [*answers[0].claims, *await given.claim(store, worker)]
    assert [claim.event.id for claim in claims] == [alone.event.id, beside_a_change.event.id]
    assert (await store.settle(worker, [a_settlement(claim) for claim in claims])).moved == 2
    await given.conserved(store)


async def test_what_was_claimed_without_an_answer_is_nobody_s_after_a_moment(
    store: PostgresStore, proxy: Proxy, worker: Worker
) -> None:
    await store.accept(worker, given.units(3))
    proxy.cut_after(COMMIT)

    with pytest.raises(Unavailable):
        await given.claim(store, worker)
    assert [row.worker for row in await given.owed_rows(store)] == [worker.id] * 3
    assert await given.claim(store, worker) == []
    await store.free_dead(worker)

    assert len(await given.claim(store, worker)) == 3
    assert await given.log(store) == []


async def test_a_settlement_that_stands_counts_once_when_it_is_asked_for_again(
    store: PostgresStore, proxy: Proxy, worker: Worker
) -> None:
    claims = await given.claims_of(store, worker, 3)
    verdicts = (Verdict.DELIVERED, Verdict.RETRY, Verdict.FAILED)
    settlements = [a_settlement(claim, verdict) for claim, verdict in zip(claims, verdicts, strict=True)]
    proxy.cut_after(COMMIT)

    with pytest.raises(Unavailable):
        await store.settle(worker, settlements)

    settled = await store.settle(worker, settlements)
    assert (settled.moved, settled.failed) == (3, settlements[2:])
    assert await given.verdicts(store) == list(verdicts)
    assert (await store.settle(worker, settlements[:1])).moved == 0
    assert await given.verdicts(store) == [Verdict.DELIVERED, Verdict.LATE, Verdict.RETRY, Verdict.FAILED]
    await given.conserved(store)


async def test_a_settlement_that_came_to_nothing_is_made_when_it_is_asked_for_again(
    store: PostgresStore, proxy: Proxy, worker: Worker
) -> None:
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(await given.a_claim_of(store, worker, first=1))])
    # Amid the transaction: no COMMIT was sent.
    proxy.cut_after(b"hhhhhhhh")

    with pytest.raises(Unavailable):
        await store.settle(worker, [a_settlement(claim, body_hash=b"h" * 32)])

    assert (await store.settle(worker, [a_settlement(claim)])).moved == 1
    await given.conserved(store)


async def test_a_replay_that_stands_is_not_made_twice(store: PostgresStore, proxy: Proxy, worker: Worker) -> None:
    claim = await given.a_claim_of(store, worker)
    await store.settle(worker, [a_settlement(claim)])
    proxy.cut_after(COMMIT)

    with pytest.raises(Unavailable):
        await store.replay(ACCOUNT, claim.event.id, CONFIG_ID)

    assert len(await given.owed_rows(store)) == 1
    await given.conserved(store)


async def test_connections_that_broke_while_nothing_was_asked_are_nobody_s_trouble(
    store: PostgresStore, proxy: Proxy, worker: Worker
) -> None:
    await given.a_claim_of(store, worker)
    proxy.break_all()

    [answer] = await store.accept(worker, given.units(1, first=1, claimed=True))

    assert isinstance(answer, Accepted)
    await store.beat(worker)
