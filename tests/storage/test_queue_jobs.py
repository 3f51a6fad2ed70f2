"""Jobs over many deliveries: what they select, that each is done once, and what is left alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Row, Table, insert, update

from postback.actions.replays import Counted, ReplayActions
from postback.domain.accounts import Actor
from postback.domain.deliveries import Accepted, State, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import encode
from postback.domain.jobs import COUNTED_MAX, RUNNING_MAX, SELECTABLE, JobKind
from postback.ports import Job, LogFilter, Sought, Worker
from postback.storage import jobs
from postback.storage.log import SqlLog
from postback.storage.measures import CANCELLED, REPLAYED
from postback.storage.postgres import replaying as postgres_replaying
from postback.storage.sqlite import replaying as sqlite_replaying
from postback.storage.tables import attempts, audit, events, owed, replays
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON, a_settlement, a_unit, an_event
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

REPLAY, CANCEL = JobKind.REPLAY, JobKind.CANCEL
FAILED = LogFilter(state=State.FAILED)


async def ended(
    store: Store, worker: Worker, clock: ClockDouble, n: int, verdict: Verdict = Verdict.FAILED, **changes: Any
) -> list[tuple[int, int]]:
    """Deliveries that have ended, the last of them a second ago: (event, config)."""
    claims = await given.claims_of(store, worker, n, **changes)
    await store.settle(worker, [a_settlement(claim, verdict) for claim in claims])
    clock.pass_(seconds=1)
    return [(claim.event.id, claim.config_id) for claim in claims]


async def a_job(
    store: Store, kind: JobKind = REPLAY, narrowed: LogFilter = FAILED, *, number: int = 1, account: str = ACCOUNT
) -> Job:
    return await store.start_job(account, f"rpl_{encode(number)}", kind, narrowed)


async def to_its_end(store: Store, job: Job, step: int = 3) -> Job:
    while job.ended_ms is None:
        await store.run_job(job.id, step)
        job = await store.find_job(job.account, job.id)
    return job


async def owed_keys(store: Store) -> list[tuple[int, int]]:
    return [(row.event_id, row.config_id) for row in await given.owed_rows(store)]


# --- replaying ------------------------------------------------------------------------------------------------------


async def test_all_that_failed_is_owed_again_once_and_marked_as_asked_for(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    keys = await ended(store, worker, clock, 4, targets=2)

    job = await to_its_end(store, await a_job(store))

    assert (job.selected, job.done, job.skipped) == (8, 8, 0)
    assert await owed_keys(store) == sorted(keys)
    for row in await given.owed_rows(store):
        assert (row.manual, row.attempts, row.forgiven, row.logged, row.due_at_ms) == (1, 1, 1, 1, clock())
    assert await given.lane_times(store) == {CONFIG_ID: 1000, CONFIG_ID + 1: 1000}
    assert (await given.counts(store))[REPLAYED] == 8
    await given.conserved(store)


async def test_the_steps_go_by_the_order_of_acceptance_and_each_is_small(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    keys = await ended(store, worker, clock, 3, targets=3)
    job = await a_job(store)

    did = [await store.run_job(job.id, 2)]
    assert await owed_keys(store) == sorted(keys)[:2]
    assert (await store.find_job(ACCOUNT, job.id)).done == 2
    did += [await store.run_job(job.id, 2) for _ in range(6)]

    assert did == [2, 2, 2, 2, 1, 0, 0]
    assert await owed_keys(store) == sorted(keys)


async def test_a_delivery_that_fails_again_meanwhile_is_not_replayed_twice(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await ended(store, worker, clock, 6)
    job = await a_job(store)

    for _ in range(4):
        await store.run_job(job.id, 2)
        again = await given.claim(store, worker)
        await store.settle(worker, [a_settlement(claim, Verdict.FAILED) for claim in again])
        clock.pass_(seconds=1)

    job = await store.find_job(ACCOUNT, job.id)
    assert (job.selected, job.done, job.skipped) == (6, 6, 0)
    assert await given.owed_rows(store) == []
    assert [(row.n, row.manual) for row in await given.log(store)] == [(1, 0), (2, 1)] * 6


async def test_what_ends_after_a_job_was_made_is_none_of_its(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    under_way = await given.claims_of(store, worker, 2)
    first = await ended(store, worker, clock, 2, first=2)
    job = await a_job(store)
    clock.pass_(seconds=1)

    await store.settle(
        worker, [a_settlement(claim._replace(claimed_ms=clock()), Verdict.FAILED) for claim in under_way]
    )
    await ended(store, worker, clock, 2, first=4)
    job = await to_its_end(store, job)

    assert (job.selected, job.done, job.skipped) == (2, 2, 0)
    assert await owed_keys(store) == first


async def test_what_is_owed_again_is_left_alone_and_counted_as_skipped(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    keys = await ended(store, worker, clock, 5)
    job = await a_job(store)
    await store.replay(ACCOUNT, *keys[1])
    await store.replay(ACCOUNT, *keys[3])
    clock.pass_(seconds=1)
    [first, _] = await given.claim(store, worker)
    await store.settle(worker, [a_settlement(first._replace(claimed_ms=clock()), Verdict.FAILED)])

    job = await to_its_end(store, job)

    assert (job.selected, job.done, job.skipped) == (5, 3, 2)
    assert await owed_keys(store) == [keys[0], keys[2], keys[3], keys[4]]
    assert (await given.counts(store))[REPLAYED] == 5


async def test_what_has_no_config_any_more_is_skipped(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await ended(store, worker, clock, 2, targets=3)
    await given.config_state(store, "deleted")
    await given.config_state(store, "deleted", CONFIG_ID + 1)
    job = await a_job(store)
    await given.config_state(store, "paused", CONFIG_ID + 2)

    job = await to_its_end(store, job)

    assert (job.selected, job.done, job.skipped) == (6, 2, 4)
    assert {config for _, config in await owed_keys(store)} == {CONFIG_ID + 2}


async def test_what_retention_takes_away_meanwhile_is_skipped(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await ended(store, worker, clock, 5)
    job = await a_job(store)
    await store.run_job(job.id, 2)
    await store.write(lambda c: c.execute(attempts.delete().where(attempts.c.event_id > (NOON << 21) + 2)))

    job = await to_its_end(store, job)

    assert (job.selected, job.done, job.skipped) == (5, 3, 2)


async def test_the_example_of_a_test_is_not_replayed(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    [claim] = await given.claims_of(store, worker)
    await store.settle(worker, [a_settlement(claim)])
    example = claim._replace(event=an_event(id=(NOON << 21) + 50))
    await store.keep_test(worker, a_settlement(example, Verdict.FAILED))
    clock.pass_(seconds=1)

    assert await store.count_for_job(ACCOUNT, REPLAY, FAILED) == 0
    assert (await to_its_end(store, await a_job(store))).done == 0


async def test_an_outcome_that_came_too_late_is_no_end(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claim = await given.a_claim_of(store, worker)
    await store.cancel(ACCOUNT, claim.event.id, CONFIG_ID)
    await store.settle(worker, [a_settlement(claim, Verdict.FAILED)])
    clock.pass_(seconds=1)

    assert await store.count_for_job(ACCOUNT, REPLAY, FAILED) == 0
    assert await store.count_for_job(ACCOUNT, REPLAY, LogFilter(state=State.CANCELLED)) == 1


# --- cancelling -----------------------------------------------------------------------------------------------------


async def test_all_that_is_open_is_cancelled_claimed_or_not(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 3)
    await store.accept(worker, given.units(4, first=3, targets=2))
    job = await a_job(store, CANCEL, LogFilter(config_id=CONFIG_ID))

    job = await to_its_end(store, job)

    assert (job.selected, job.done, job.skipped) == (7, 7, 0)
    assert {config for _, config in await owed_keys(store)} == {CONFIG_ID + 1}
    assert (await store.settle(worker, [a_settlement(claim) for claim in claims])).moved == 0
    assert (await given.counts(store))[CANCELLED] == 7
    await given.conserved(store)


async def test_what_is_accepted_after_a_job_was_made_is_not_cancelled(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await store.accept(worker, given.units(3))
    job = await a_job(store, CANCEL, LogFilter())
    await store.accept(worker, given.units(3, first=3))

    job = await to_its_end(store, job, step=2)

    assert job.done == 3
    assert await owed_keys(store) == [(given.event_number(number).id, CONFIG_ID) for number in (3, 4, 5)]


async def test_what_has_ended_in_the_meantime_is_skipped(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 3)
    job = await a_job(store, CANCEL, LogFilter(state=State.CLAIMED))
    await store.settle(worker, [a_settlement(claims[1])])

    job = await to_its_end(store, job)

    assert (job.selected, job.done, job.skipped) == (3, 2, 1)


# --- what is selected -----------------------------------------------------------------------------------------------


@pytest.fixture
async def a_day(store: Store, clock: ClockDouble) -> Store:
    """Deliveries in every state, of two types, with a location and without, to three configs, over an hour."""
    worker = await store.enlist("here")
    ends = (Verdict.FAILED, Verdict.DELIVERED, None, Verdict.CANCELLED, Verdict.RETRY)
    for number in range(30):
        event = given.event_number(
            0,
            type=("a.b", "c.d")[number % 2],
            location_id=(LOCATION_ID, None, LOCATION_ID)[number % 3],
        )._replace(id=(clock() << 21) + number, accepted_ms=clock())
        [unit] = given.units(1, claimed=number % 5 != 3, targets=1 + number % 3)
        [answer] = await store.accept(worker, [unit._replace(event=event)])
        for claim in getattr(answer, "claims", ()):
            verdict = ends[(number + claim.config_id) % 5]
            if verdict in (Verdict.FAILED, Verdict.DELIVERED, Verdict.RETRY):
                await store.settle(worker, [a_settlement(claim, verdict)])
            elif verdict is Verdict.CANCELLED:
                await store.cancel(ACCOUNT, event.id, claim.config_id)
        clock.pass_(seconds=120)
    await given.config_state(store, "paused", CONFIG_ID + 2)
    return store


FILTERS = [
    LogFilter(),
    LogFilter(config_id=CONFIG_ID + 1),
    LogFilter(event_type="c.d"),
    LogFilter(location_id=LOCATION_ID),
    LogFilter(since_ms=NOON),
    LogFilter(since_ms=NOON + 600_000),
    LogFilter(until_ms=NOON + 1_800_000),
    LogFilter(
        config_id=CONFIG_ID, event_type="a.b", location_id=LOCATION_ID, since_ms=NOON + 1, until_ms=NOON + 3_000_000
    ),
    LogFilter(since_ms=-1, until_ms=200_000_000_000_000),
    LogFilter(since_ms=NOON + 1_000_000, until_ms=NOON + 1_000_000),
    LogFilter(config_id=12),
    LogFilter(sought=Sought("crm.example", config_ids=(CONFIG_ID, CONFIG_ID + 1))),
    LogFilter(sought=Sought("pbc_1", config_ids=(CONFIG_ID + 1,))),
    LogFilter(sought=Sought("con_1", subject="con_1"), event_type="a.b"),
    LogFilter(sought=Sought("evt_1", events=((NOON + 600_000) << 21, (NOON + 1_800_000) << 21))),
]


@pytest.mark.parametrize(
    ("kind", "state"),
    [(kind, state) for kind in JobKind for state in (*SELECTABLE[kind], *([None] if kind is CANCEL else []))],
)
async def test_a_job_does_what_the_list_shows_no_more_and_no_less(
    a_day: Store, kind: JobKind, state: State | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when a step ends in the middle of an event, and where most of what a step looks at does not fit."""
    monkeypatch.setattr(jobs, "LOOKED_AT", 4)
    before = {table: await given.rows(a_day, table) for table in (owed, attempts)}
    owed_before = set(await owed_keys(a_day))

    listed: list[set[tuple[int, int]]] = []
    for number, filter_ in enumerate(FILTERS):
        narrowed = replace(filter_, state=state)
        views = await SqlLog(a_day).deliveries(ACCOUNT, narrowed, None, 1000)
        listed.append({(view.event.id, view.config_id) for view in views if view.state in SELECTABLE[kind]})

        counted = await a_day.count_for_job(ACCOUNT, kind, narrowed)
        job = await to_its_end(a_day, await a_job(a_day, kind, narrowed, number=number))

        assert owed_before ^ set(await owed_keys(a_day)) == listed[-1], narrowed
        assert (counted, job.selected, job.done, job.skipped) == (*[len(listed[-1])] * 3, 0), narrowed
        await a_day.write(partial(put_back, before))

    assert len(listed[0]) > 3
    assert len({frozenset(keys) for keys in listed}) >= 4


def put_back(before: Mapping[Table, Sequence[Row[Any]]], connection: Connection) -> None:
    for table, rows in before.items():
        connection.execute(table.delete())
        connection.execute(insert(table), [dict(row._mapping) for row in rows])


async def test_deliveries_of_another_account_are_nobodys_business(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    await ended(store, worker, clock, 2)
    await store.accept(worker, given.units(2, first=2))

    for kind, narrowed in ((REPLAY, FAILED), (REPLAY, replace(FAILED, config_id=CONFIG_ID)), (CANCEL, LogFilter())):
        assert await store.count_for_job("acc_other", kind, narrowed) == 0
        job = await a_job(
            store, kind, narrowed, account="acc_other", number=sum(map(ord, kind)) + bool(narrowed.config_id)
        )
        assert (await to_its_end(store, job)).done == 0

    assert len(await owed_keys(store)) == 2


async def test_counting_ends_where_it_would_take_long_and_the_job_counts_on(
    store: Store, clock: ClockDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "COUNTED_MAX", 4)
    worker = await store.enlist("here")
    await ended(store, worker, clock, 10)
    assert await store.count_for_job(ACCOUNT, REPLAY, FAILED) == 4
    job = await a_job(store)

    seen = []
    while job.ended_ms is None:
        await store.run_job(job.id, 3)
        job = await store.find_job(ACCOUNT, job.id)
        seen.append((job.selected, job.done))

    assert seen == [(4, 3), (6, 6), (9, 9), (10, 10)]
    assert COUNTED_MAX == 100_000


async def test_what_few_fit_is_counted_as_far_back_as_a_list_looks(store: Store, clock: ClockDouble) -> None:
    """Without the last event that is looked at: of its millisecond there may be more."""
    worker = await store.enlist("here")
    for number in range(8):
        kind = "b.c" if number % 2 else "a.b"
        unit = a_unit(an_event(id=(NOON + number) << 21, type=kind), claimed=True)
        [answer] = await store.accept(worker, [unit])
        assert isinstance(answer, Accepted)
        await store.settle(worker, [a_settlement(claim, Verdict.DELIVERED) for claim in answer.claims])
    clock.pass_(seconds=1)
    actions = ReplayActions(store, SqlLog(store), lambda: 1, lambda: None)
    of_a_type = LogFilter(state=State.DELIVERED, event_type="b.c")

    async def counted(narrowed: LogFilter, looked_at: int, at_most: int = 100) -> Counted:
        return await actions.counted(ACCOUNT, REPLAY, narrowed, at_most, looked_at)

    assert await counted(of_a_type, 100) == Counted(4)
    assert await counted(of_a_type, 5) == Counted(2, NOON + 4)
    assert await counted(replace(of_a_type, since_ms=NOON + 4), 5) == Counted(2)
    assert await counted(replace(of_a_type, event_type="never.published"), 5) == Counted(0, NOON + 4)
    # More than anybody wants to know are enough, however far back they are.
    assert await counted(of_a_type, 5, at_most=2) == Counted(2)
    assert await counted(of_a_type, 8, at_most=100) == Counted(4, NOON + 1)


# --- jobs -----------------------------------------------------------------------------------------------------------


async def test_a_job_remembers_what_was_sought_and_counts_as_far_as_it_is_told(
    store: Store, clock: ClockDouble
) -> None:
    worker = await store.enlist("here")
    await ended(store, worker, clock, 5)
    narrowed = replace(FAILED, sought=Sought("con", events=(1, NOON << 22), config_ids=(CONFIG_ID,), subject="con_1"))

    job = await a_job(store, narrowed=narrowed)

    assert (await store.find_job(ACCOUNT, job.id)).narrowed == narrowed
    assert job.narrowed.as_asked() == {"state": "failed", "search": "con"}
    assert await store.count_for_job(ACCOUNT, REPLAY, narrowed) == 5
    assert await store.count_for_job(ACCOUNT, REPLAY, narrowed, 3) == 3


async def test_a_job_is_found_by_its_account_only_and_listed_from_the_newest_on(
    store: Store, clock: ClockDouble
) -> None:
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    narrowed = LogFilter(state=State.FAILED, config_id=CONFIG_ID, since_ms=NOON)
    jobs = [await a_job(store, narrowed=narrowed, number=number) for number in (1, 2, 3)]
    other = await a_job(store, number=4, account="acc_other")

    assert await store.find_job(ACCOUNT, jobs[0].id) == jobs[0]
    assert jobs[0].narrowed == narrowed
    assert await store.list_jobs(ACCOUNT, None, 2) == [jobs[2], jobs[1]]
    assert await store.list_jobs(ACCOUNT, jobs[1].id, 2) == [jobs[0]]
    for account, job_id in ((ACCOUNT, other.id), ("acc_other", jobs[0].id), (ACCOUNT, f"rpl_{encode(9)}")):
        with pytest.raises(NotFound):
            await store.find_job(account, job_id)


async def test_each_account_has_its_oldest_job_in_turn(store: Store, clock: ClockDouble) -> None:
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    first, second = [await a_job(store, number=number) for number in (1, 2)]
    other = await a_job(store, number=3, account="acc_other")

    assert await store.jobs_in_turn() == [first.id, other.id]
    assert await store.jobs_in_turn(JobKind.CANCEL) == []
    cancelling = await a_job(store, number=4, kind=JobKind.CANCEL)
    assert await store.jobs_in_turn(JobKind.CANCEL) == [cancelling.id]
    await to_its_end(store, cancelling)
    await to_its_end(store, first)
    assert await store.jobs_in_turn() == [second.id, other.id]
    await to_its_end(store, second)
    await to_its_end(store, other)
    assert await store.jobs_in_turn() == []


async def test_one_account_has_so_many_jobs_at_a_time(store: Store, clock: ClockDouble) -> None:
    await given.an_account_with_configs(store, "acc_other", configs_from=7)
    jobs = [await a_job(store, number=number) for number in range(1, RUNNING_MAX + 1)]

    with pytest.raises(Conflict):
        await a_job(store, number=50)
    await a_job(store, number=51, account="acc_other")
    await to_its_end(store, jobs[0])

    assert (await a_job(store, number=52)).ended_ms is None
    assert len(await given.rows(store, replays)) == RUNNING_MAX + 2


async def test_a_step_that_fails_leaves_the_job_where_it_was(
    store: Store, clock: ClockDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = await store.enlist("here")
    await ended(store, worker, clock, 4)
    job = await a_job(store)
    await store.run_job(job.id, 1)
    before = await store.find_job(ACCOUNT, job.id)

    def fails(*_: object) -> int:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_replaying, "is_there", fails)
        patch.setattr(postgres_replaying, "those_there", fails)
        with pytest.raises(RuntimeError):
            await store.run_job(job.id, 2)

    assert await store.find_job(ACCOUNT, job.id) == before
    assert len(await owed_keys(store)) == 1
    assert (await to_its_end(store, job)).done == 4


async def test_a_filter_that_a_newer_version_wrote_is_not_half_understood(store: Store, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    await ended(store, worker, clock, 1)
    job = await a_job(store)
    await store.write(lambda c: c.execute(update(replays).values(filter='{"upto":1,"subject_begins":"con_"}')))

    with pytest.raises(ValueError, match="subject_begins"):
        await store.run_job(job.id, 10)

    assert await owed_keys(store) == []


async def test_whose_job_it_is_stands_in_the_audit(store: Store, clock: ClockDouble) -> None:
    by = Actor("key_1", "shop", "127.0.0.1")

    await store.start_job(ACCOUNT, "rpl_1", REPLAY, LogFilter(state=State.FAILED, event_type="a.b"), by=by)

    [row] = await given.rows(store, audit)
    assert (row.account, row.key_id, row.action, row.target) == (ACCOUNT, "key_1", "deliveries.replay", "rpl_1")
    assert row.after == '{"filter":{"state":"failed","event_type":"a.b"},"selected":0}'


async def test_a_step_looks_at_little_however_much_there_is(store: Store, clock: ClockDouble) -> None:
    """A filter that hardly anything fits must not keep the writer busy: other events wait for it."""
    worker = await store.enlist("here")
    await ended(store, worker, clock, 1)
    rows = [dict(row._mapping) for row in await given.log(store)]
    [event] = [dict(row._mapping) for row in await given.rows(store, events)]

    def write(connection: Connection) -> None:
        ids = [event["id"] + number for number in range(1, 3001)]
        connection.execute(insert(events), [{**event, "id": event_id} for event_id in ids])
        connection.execute(insert(attempts), [{**rows[0], "event_id": event_id} for event_id in ids])

    await store.write(write)
    job = await a_job(store, narrowed=LogFilter(state=State.FAILED, event_type="nothing.of.it"))

    steps = 0
    while (await store.find_job(ACCOUNT, job.id)).ended_ms is None:
        assert await store.run_job(job.id, 200) == 0
        steps += 1

    assert steps == 3
