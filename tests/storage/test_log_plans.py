"""Lists of the log stay fast: a promise about speed is a fact that one can assert. Plans of PostgreSQL are in
test_postgres_lists.py."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Select, insert
from sqlalchemy.dialects import sqlite

from postback.domain.deliveries import State, Verdict
from postback.ports import LogFilter, Sought
from postback.storage import log_reach, tables
from postback.storage.log_keys import ENDS, OPEN, finished_keys, keys_of_page, owed_keys
from tests.build import ACCOUNT, CONFIG_ID, NOON
from tests.storage import given, watched
from tests.storage.days import ALL, Day, a_numbered, a_varied_day

pytestmark = pytest.mark.anyio


async def plan_of(day: Day, query: Select[Any]) -> str:
    compiled = query.limit(50).compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    names: Sequence[str] = compiled.positiontup or ()
    statement = watched.Statement(str(compiled), [compiled.params[name] for name in names])
    return "\n".join(await watched.plan_of(day.store, statement))


BEFORE = (NOON << 21, CONFIG_ID)
NAMED = {
    "all": ALL,
    "config": LogFilter(config_id=CONFIG_ID),
    "subject": LogFilter(subject="con_1"),
    "tracking_id": LogFilter(sought=Sought("x", tracking_id="x")),
    "type": LogFilter(event_type="contact.created"),
    "config_and_type": LogFilter(config_id=CONFIG_ID, event_type="contact.created"),
    "time": LogFilter(since_ms=NOON, until_ms=NOON + 1),
    "failed": LogFilter(state=State.FAILED),
    "failed_of_type": LogFilter(state=State.FAILED, event_type="contact.created"),
    "delivered": LogFilter(state=State.DELIVERED),
    "cancelled": LogFilter(state=State.CANCELLED),
    "pending": LogFilter(state=State.PENDING),
    "held": LogFilter(state=State.HELD),
    "pending_of_config": LogFilter(state=State.PENDING, config_id=CONFIG_ID),
}


each_page = pytest.mark.parametrize("before", [None, BEFORE], ids=["first_page", "next_page"])


@each_page
@pytest.mark.parametrize("name", [name for name, narrowed in NAMED.items() if narrowed.state not in OPEN])
@given.on_sqlite
async def test_what_is_finished_is_found_in_order_by_an_index(
    day: Day, name: str, before: tuple[int, int] | None
) -> None:
    plan = await plan_of(day, finished_keys(ACCOUNT, NAMED[name], before, BEFORE[0]))

    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan


@each_page
@pytest.mark.parametrize("name", NAMED)
@given.on_sqlite
async def test_what_is_owed_is_walked_in_order(day: Day, name: str, before: tuple[int, int] | None) -> None:
    """Not by the index of what is due, which would have to be sorted. The walk is short where things go well,
    and finds a page soon where they do not."""
    plan = await plan_of(day, owed_keys(ACCOUNT, NAMED[name], before))

    assert "TEMP B-TREE" not in plan
    assert "owed_due" not in plan
    assert [line for line in plan.splitlines() if "SCAN" in line] in ([], ["SCAN owed"])


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("all", "events_of_account"),
        ("config", "attempts_of_config"),
        ("config_and_type", "attempts_of_config"),
        ("subject", "events_of_subject"),
        ("tracking_id", "events_of_tracking_id"),
        ("failed", "attempts_failed"),
        ("failed_of_type", "attempts_failed"),
        ("cancelled", "attempts_cancelled"),
        ("delivered", "events_of_account"),
    ],
)
@given.on_sqlite
async def test_each_list_walks_the_index_made_for_it(day: Day, name: str, index: str) -> None:
    plan = await plan_of(day, finished_keys(ACCOUNT, NAMED[name], BEFORE))

    assert index in plan.splitlines()[0]


@each_page
@pytest.mark.parametrize("name", NAMED)
@given.on_sqlite
async def test_how_far_a_list_looks_back_is_read_from_an_index(
    day: Day, name: str, before: tuple[int, int] | None
) -> None:
    for walk, _ in log_reach.walks(ACCOUNT, NAMED[name], None if before is None else before[0]):
        plan = await plan_of(day, walk)
        assert "TEMP B-TREE" not in plan
        assert [line for line in plan.splitlines() if "SCAN" in line] in ([], ["SCAN owed"])


@given.on_sqlite
async def test_deliveries_to_many_configs_are_walked_in_order(day: Day) -> None:
    """Not config by config, which would have to be sorted."""
    sought = Sought("crm.example", config_ids=(CONFIG_ID, CONFIG_ID + 1))
    for state in (None, State.FAILED, State.DELIVERED):
        plan = await plan_of(day, finished_keys(ACCOUNT, LogFilter(sought=sought, state=state), BEFORE))
        assert "TEMP B-TREE" not in plan
        assert "attempts_of_config" not in plan


@given.on_sqlite
async def test_the_rows_of_a_page_are_found_by_their_keys(day: Day) -> None:
    await a_varied_day(day)

    with watched.statements() as seen:
        await day.log.deliveries(ACCOUNT, LogFilter(state=State.DELIVERED), None, 50)
        await day.log.deliveries_of(ACCOUNT, a_numbered(1).id)
        await day.log.delivery(ACCOUNT, a_numbered(1).id, CONFIG_ID)

    plans = "\n".join([line for statement in seen for line in await watched.plan_of(day.store, statement)])
    assert len(seen) > 10
    for table in ("events", "owed", "attempts", "config_versions", "configs"):
        assert f"SCAN {table}" not in plans
    assert "TEMP B-TREE" not in plans


@given.on_sqlite
async def test_a_page_costs_what_it_shows_and_not_what_there_is(day: Day) -> None:
    """Counted in rows that SQLite steps over, not in time: a page of 20,000 deliveries takes no more than one of 200."""
    spent = []
    for first, count in ((0, 200), (200, 20_000)):
        await fill(day, first, count)
        steps = 0

        def count_steps() -> int:
            nonlocal steps
            steps += 1
            return 0

        for narrowed in (
            ALL,
            LogFilter(config_id=CONFIG_ID),
            LogFilter(state=State.FAILED),
            LogFilter(subject="con_7"),
        ):
            queries = (finished_keys(ACCOUNT, narrowed, None), owed_keys(ACCOUNT, narrowed, None))

            def run(connection: Any, queries: Any = queries) -> None:
                raw = connection.connection.dbapi_connection
                raw.set_progress_handler(count_steps, 100)
                for query in queries:
                    connection.execute(query.limit(50)).all()
                raw.set_progress_handler(None, 0)

            await day.store.read(run)
        spent.append(steps)

    assert spent[1] <= spent[0] * 1.5


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
@given.on_sqlite
async def test_a_page_of_what_was_replayed_since_costs_what_it_looks_at(day: Day, state: State) -> None:
    """Counted in rows as well: of ten times as many that have ended so no more are come past."""
    spent = []
    for first, count in ((0, 2_000), (2_000, 20_000)):
        await fill(day, first, count, [ENDS[state], Verdict.DELIVERED])
        steps = 0

        def count_steps() -> int:
            nonlocal steps
            steps += 1
            return 0

        def run(connection: Any) -> None:
            raw = connection.connection.dbapi_connection
            raw.set_progress_handler(count_steps, 100)
            since = log_reach.reach(connection, ACCOUNT, LogFilter(state=state), None, 600)
            assert keys_of_page(connection, ACCOUNT, LogFilter(state=state), None, 50, since) == []
            raw.set_progress_handler(None, 0)

        await day.store.read(run)
        spent.append(steps)

    assert spent[1] <= spent[0] * 1.5


async def fill(day: Day, first: int, count: int, ends: Sequence[Verdict] = ()) -> None:
    """Finished deliveries in numbers, every tenth of them failed, or each with these ends; and a few that are owed."""
    events = [a_numbered(number)._asdict() | {"deliveries": 1} for number in range(first + 1, first + count + 1)]
    attempts = [
        {
            "event_id": event["id"],
            "config_id": CONFIG_ID,
            "n": n,
            "account": ACCOUNT,
            "counter": 1,
            "verdict": verdict,
            "manual": 0,
            "ended_ms": NOON,
            "wait_ms": 0,
            "truncated": 0,
        }
        for at, event in enumerate(events)
        for n, verdict in enumerate(ends or [Verdict.FAILED if at % 10 == 0 else Verdict.DELIVERED], start=1)
    ]

    def write(connection: Any) -> None:
        connection.execute(insert(tables.events), events)
        connection.execute(insert(tables.attempts), attempts)

    await day.store.write(write)
    if first == 0:
        await day.accepted(10_000_000, claimed=False)
