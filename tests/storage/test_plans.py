"""Plans: a hot statement that begins to read a whole table is seen here and not in production."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from postback.domain.deliveries import Accepted, Idempotency, State, Verdict
from postback.domain.jobs import SELECTABLE, JobKind
from postback.ports import LogFilter
from postback.storage.sqlite import SqliteStore, claiming, keeping, replaying, settling
from postback.storage.sqlite.statements import CHUNKS
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement
from tests.doubles import ClockDouble
from tests.storage import given, watched

pytestmark = pytest.mark.anyio

KEPT_FOR_A_TIME = ("changelogs", "audit", "replays", "config_versions", "v", "tried")

LARGE = ("events", "owed", "attempts", "idempotency", "counters", "lanes", "o", "e", "i", "l", *KEPT_FOR_A_TIME)
"""Tables that grow with the load, and the names that statements give them."""


@pytest.fixture
async def store(tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "postback.db", clock)
    await given.an_account_with_configs(store)
    yield store
    await store.close()


async def test_claiming_walks_the_due_index_in_its_order(store: SqliteStore) -> None:
    plan = await explain(store, claiming.DUE, (CONFIG_ID, NOON, NOON, 10))

    assert plan == [
        "SEARCH o USING INDEX owed_due (config_id=? AND due_at_ms>? AND due_at_ms<?)",
        "SEARCH e USING INTEGER PRIMARY KEY (rowid=?)",
    ]


async def test_the_first_open_delivery_of_a_lane_is_one_look_into_the_index(store: SqliteStore) -> None:
    plan = await explain(store, claiming.FIRST_OPEN, (CONFIG_ID, NOON))

    assert plan == ["SEARCH owed USING INDEX owed_due (config_id=? AND due_at_ms>?)"]


async def test_taking_and_giving_back_go_by_the_primary_key(store: SqliteStore) -> None:
    by_key = ["SEARCH owed USING PRIMARY KEY (event_id=? AND config_id=?)"]

    assert await explain(store, claiming.CLAIM, (1, 1, 1, 1, 1)) == by_key
    assert await explain(store, claiming.RELEASE, (1, 1, 1)) == by_key


@pytest.mark.parametrize("size", CHUNKS)
async def test_settling_finds_what_is_held_by_the_primary_key(store: SqliteStore, size: int) -> None:
    plan = await explain(store, settling.UNLIKE_FIRST.of(size), (1,) * 3 * size)

    assert plan[-1] == "SEARCH o USING PRIMARY KEY (event_id=? AND config_id=?) LEFT-JOIN"
    assert not any("owed" in step or "B-TREE" in step for step in plan)


async def test_settling_ends_and_moves_on_by_the_primary_key(store: SqliteStore) -> None:
    by_key = ["SEARCH owed USING PRIMARY KEY (event_id=? AND config_id=?)"]

    assert await explain(store, settling.END, (1, 1, 1)) == by_key
    assert await explain(store, settling.MOVE_ON, (1,) * 6) == by_key


async def test_waiting_walks_the_lanes_by_their_time(store: SqliteStore) -> None:
    plan = await explain(store, claiming.WAITING, {"now": NOON, "until": NOON, "limit": 10})

    assert plan == [
        "SEARCH l USING INDEX lanes_due (next_due_ms<?)",
        "SEARCH c USING INTEGER PRIMARY KEY (rowid=?)",
    ]


async def test_deleted_configs_are_found_without_a_look_at_the_others(store: SqliteStore) -> None:
    """They are looked for every few seconds, in the writer's own time, and there may be hundreds of thousands."""
    assert await explain(store, keeping.DELETED) == ["SCAN configs USING INDEX configs_deleted"]


NARROWED = [
    LogFilter(),
    LogFilter(since_ms=NOON, until_ms=NOON + 1),
    LogFilter(event_type="a.b", location_id="loc_1"),
    LogFilter(config_id=CONFIG_ID),
    LogFilter(config_id=CONFIG_ID, event_type="a.b", since_ms=NOON),
]


@pytest.mark.parametrize("state", SELECTABLE[JobKind.REPLAY])
@pytest.mark.parametrize("narrowed", NARROWED, ids=lambda narrowed: "-".join(narrowed.as_asked()) or "all")
async def test_what_a_replay_selects_is_counted_and_found_by_indexes(
    store: SqliteStore, narrowed: LogFilter, state: State
) -> None:
    narrowed = replace(narrowed, state=state)
    with watched.statements() as seen:
        job = await store.start_job(ACCOUNT, "rpl_1", JobKind.REPLAY, narrowed)
        await store.run_job(job.id, 200)

    counting, stepping = [statement for statement in seen if "FROM attempts" in statement.sql]
    by = {State.FAILED: "attempts_failed", State.CANCELLED: "attempts_cancelled", State.DELIVERED: "events_of_account"}
    for statement in (counting, stepping):
        plan = await watched.plan_of(store, statement)
        steps = [step for step in plan if step.split()[0] in ("SEARCH", "SCAN") and "anon_1" not in step]
        # Of a config either index will do: its own, or that of all that ended so.
        walked = {by[state]} if narrowed.config_id is None else {"attempts_of_config", by[state]}
        assert any(name in steps[0] for name in walked), plan
        assert all(step.startswith("SEARCH") and " USING " in step for step in steps), plan
        assert not any("B-TREE" in step for step in plan), plan


@pytest.mark.parametrize("narrowed", NARROWED, ids=lambda narrowed: "-".join(narrowed.as_asked()) or "all")
async def test_what_a_cancellation_selects_is_walked_by_the_primary_key_of_what_is_owed(
    store: SqliteStore, narrowed: LogFilter
) -> None:
    with watched.statements() as seen:
        job = await store.start_job(ACCOUNT, "rpl_1", JobKind.CANCEL, narrowed)
        await store.run_job(job.id, 200)

    counting, stepping = [statement for statement in seen if "FROM owed" in statement.sql]
    for statement in (counting, stepping):
        plan = await watched.plan_of(store, statement)
        steps = [step for step in plan if step.split()[0] in ("SEARCH", "SCAN") and "anon_1" not in step]
        assert steps[0].startswith(("SCAN owed", "SEARCH owed USING PRIMARY KEY (event_id>?")), plan
        assert all(" USING " in step for step in steps[1:]), plan
        assert not any("B-TREE" in step for step in plan), plan
    assert "SEARCH owed USING PRIMARY KEY" in (await watched.plan_of(store, stepping))[0]


async def test_how_far_a_step_of_a_job_reaches_is_read_off_an_index(store: SqliteStore) -> None:
    ends = replaying.OF_ENDS
    reaches = {
        replaying.OF_CONFIG: "SEARCH attempts USING COVERING INDEX attempts_of_config (config_id=? AND event_id>?)",
        replaying.OF_EVENTS: "SEARCH events USING COVERING INDEX events_of_account (account=? AND id>?)",
        replaying.OF_OWED: "SEARCH owed USING PRIMARY KEY (event_id>?)",
        ends[State.FAILED]: "SEARCH attempts USING INDEX attempts_failed (account=? AND event_id>?)",
        ends[State.CANCELLED]: "SEARCH attempts USING INDEX attempts_cancelled (account=? AND event_id>?)",
    }
    for sql, plan in reaches.items():
        assert await explain(store, sql, (1,) * sql.count("?")) == [plan]


async def test_the_jobs_that_run_are_found_without_those_that_are_done(store: SqliteStore) -> None:
    plan = await explain(store, replaying.IN_TURN, (None,))

    assert plan[0] == "SCAN replays USING INDEX replays_running"


async def test_no_statement_of_a_delivery_s_life_reads_a_whole_table(store: SqliteStore, clock: ClockDouble) -> None:
    worker = await store.enlist("here")
    seen: set[str] = set()
    store._door.raw.set_trace_callback(seen.add)

    answers = await store.accept(worker, given.units(3, claimed=True, targets=2))
    claims = [claim for answer in answers if isinstance(answer, Accepted) for claim in answer.claims]
    await store.accept(worker, given.units(2, first=3, idempotency=Idempotency(b"k", b"b")))
    await store.beat(worker)
    await store.release(claims[:1])
    await given.claim(store, worker)
    verdicts = (Verdict.DELIVERED, Verdict.RETRY, Verdict.FAILED)
    await store.settle(worker, [a_settlement(claims[n + 1], verdict) for n, verdict in enumerate(verdicts)])
    await store.settle(worker, [given.interrupted(claims[4]), a_settlement(claims[1])])
    await store.replay(ACCOUNT, claims[1].event.id, claims[1].config_id)
    await store.cancel(ACCOUNT, claims[1].event.id, claims[1].config_id)
    clock.pass_(seconds=86_400)
    replayed = await store.start_job(ACCOUNT, "rpl_1", JobKind.REPLAY, LogFilter(state=State.FAILED, event_type="a.b"))
    cancelled = await store.start_job(ACCOUNT, "rpl_2", JobKind.CANCEL, LogFilter(config_id=CONFIG_ID))
    for job in (replayed, cancelled):
        await store.run_job(job.id, 10)
    await store.expire(clock(), 100)
    store._door.raw.set_trace_callback(None)

    statements = [sql for sql in seen if sql.strip().split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}]
    assert len(statements) > 25
    for sql in statements:
        steps = [step for step in await explain(store, sql) if "USING" not in step or "B-TREE" in step]
        assert not [step for step in steps if step.split()[0] == "SCAN" and step.split()[1] in LARGE], sql
        assert not any("B-TREE" in step for step in steps), sql


async def test_settling_without_a_word_of_warning_asks_nothing_of_configs(store: SqliteStore) -> None:
    worker = await store.enlist("here")
    quiet, warned = await given.claims_of(store, worker, 2)
    seen: list[str] = []
    store._door.raw.set_trace_callback(seen.append)

    await store.settle(worker, [a_settlement(quiet)])
    of_the_quiet, seen[:] = list(seen), []
    await store.settle(worker, [a_settlement(warned, warns="it answers with a body")])
    store._door.raw.set_trace_callback(None)

    def of_configs(statements: list[str]) -> list[str]:
        return [sql for sql in statements if "configs" in sql or "accounts" in sql]

    assert of_the_quiet
    assert of_configs(of_the_quiet) == []
    assert len(of_configs(seen)) == 2


async def explain(store: SqliteStore, sql: str, parameters: Any = ()) -> list[str]:
    return await store._submit(lambda raw: [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)])
