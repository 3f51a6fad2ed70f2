"""Lists on PostgreSQL cost what they show: counted in pages of the disk that are looked at, among twenty thousand deliveries."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, Select, insert, text

from postback.domain.deliveries import State, Verdict
from postback.ports import LogFilter, Sought
from postback.storage import tables
from postback.storage.log import SqlLog
from postback.storage.log_keys import finished_keys, owed_keys
from postback.storage.postgres import PostgresStore
from postback.storage.stats import counted_configs, pending_of, step_sums
from tests import postgres
from tests.build import ACCOUNT, CONFIG_ID, NOON
from tests.doubles import ClockDouble
from tests.storage import given, watched

pytestmark = pytest.mark.anyio

COUNT = 20_000
PAGE = 50
REPLAYED = "replayed"
LOOKED_AT = 400

NAMED = {
    "all": LogFilter(),
    "config": LogFilter(config_id=CONFIG_ID),
    "subject": LogFilter(subject="con_7"),
    "tracking_id": LogFilter(sought=Sought("x", tracking_id="x")),
    "time": LogFilter(since_ms=NOON, until_ms=NOON + 1),
    "failed": LogFilter(state=State.FAILED),
    "failed_of_type": LogFilter(state=State.FAILED, event_type="contact.created"),
    "delivered": LogFilter(state=State.DELIVERED),
    "cancelled": LogFilter(state=State.CANCELLED),
}
RARE = {
    "type": LogFilter(event_type="never.published"),
    "type_and_location": LogFilter(event_type="contact.created", location_id="loc_nowhere"),
    "reason": LogFilter(reason="response_timeout"),
    "type_and_host": LogFilter(
        event_type="never.published", sought=Sought("x", config_ids=(CONFIG_ID, CONFIG_ID + 1000))
    ),
}
OPEN = {"all": LogFilter(), "pending": LogFilter(state=State.PENDING), "time": NAMED["time"]}
BEFORE = (given.event_number(COUNT // 2).id, CONFIG_ID)

each_page = pytest.mark.parametrize("before", [None, BEFORE], ids=["first_page", "next_page"])


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def full(anyio_backend: str) -> AsyncIterator[PostgresStore]:
    """Finished deliveries in numbers, of two accounts, every tenth of them failed; as many that are owed; and some of a
    third account, which failed, were replayed and delivered."""
    async with postgres.database() as dsn:
        store = await PostgresStore.open(dsn, ClockDouble(), secret_keys=[postgres.KEY])
        await given.an_account_with_configs(store)
        await given.an_account_with_configs(store, "other", configs_from=CONFIG_ID + 100)
        await store.write(fill)
        yield store
        await store.close()


def fill(connection: Connection) -> None:
    events, attempts, owed = [], [], []
    for number in range(COUNT):
        account = "other" if number % 3 == 0 else ACCOUNT
        config_id = CONFIG_ID + 100 if number % 3 == 0 else CONFIG_ID + number % 2
        event = given.event_number(number, account=account, subject=f"con_{number % 1000}")
        key = {"event_id": event.id, "config_id": config_id, "account": account}
        events.append(event._asdict() | {"deliveries": 2})
        attempt = {"n": 1, "counter": 1, "manual": 0, "ended_ms": NOON, "wait_ms": 0, "truncated": 0}
        attempts.append(key | attempt | {"verdict": Verdict.FAILED if number % 10 == 0 else Verdict.DELIVERED})
        counts = {"attempts": 0, "forgiven": 0, "interruptions": 0, "logged": 0, "manual": 0}
        owed.append(key | counts | {"config_id": config_id + 1000, "due_at_ms": NOON + number})
    for number in range(1, COUNT // 10):
        event = given.event_number(-number, account=REPLAYED)
        events.append(event._asdict() | {"deliveries": 1})
        ends = key | attempt | {"event_id": event.id, "account": REPLAYED}
        attempts += [ends | {"verdict": Verdict.FAILED}, ends | {"n": 2, "verdict": Verdict.DELIVERED}]
    counters = [
        {"account": ACCOUNT, "config_id": CONFIG_ID + of, "minute": minute, "measure": measure, "count": 1}
        for of in range(3)
        for minute in range(1, 1500)
        for measure in range(4)
    ]
    for table, rows in (("events", events), ("attempts", attempts), ("owed", owed), ("counters", counters)):
        connection.execute(insert(tables.METADATA.tables[table]), rows)
        connection.execute(text(f"ANALYZE {table}"))


def explained(connection: Connection, sql: str, parameters: tuple[Any, ...] = ()) -> dict[str, Any]:
    found = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters).scalar_one()
    [made] = json.loads(found) if isinstance(found, str) else found
    plan: dict[str, Any] = made["Plan"]
    return plan


async def touched(store: PostgresStore, query: Select[Any]) -> int:
    """How often a page of 8 KiB is looked at, the same one or another."""

    def count(connection: Connection) -> int:
        plan = explained(connection, str(query.compile(connection, compile_kwargs={"literal_binds": True})))
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    return await store.read(count)


@each_page
@pytest.mark.parametrize("name", NAMED)
async def test_a_page_of_what_is_finished_costs_what_it_shows(
    full: PostgresStore, name: str, before: tuple[int, int] | None
) -> None:
    assert await touched(full, finished_keys(ACCOUNT, NAMED[name], before).limit(PAGE)) < PAGE * 40


@each_page
@pytest.mark.parametrize("name", OPEN)
async def test_a_page_of_what_is_owed_costs_what_it_shows(
    full: PostgresStore, name: str, before: tuple[int, int] | None
) -> None:
    assert await touched(full, owed_keys(ACCOUNT, OPEN[name], before).limit(PAGE)) < PAGE * 40


each_rare = pytest.mark.parametrize("name", RARE)


@each_rare
@pytest.mark.parametrize("state", [None, State.PENDING, State.FAILED])
async def test_what_nothing_fits_costs_what_is_looked_at(full: PostgresStore, name: str, state: State | None) -> None:
    narrowed = replace(RARE[name], state=state)
    since = await SqlLog(full).reach(ACCOUNT, narrowed, None, LOOKED_AT)

    pages = 0
    if state is not State.FAILED:
        pages += await touched(full, owed_keys(ACCOUNT, narrowed, None, since).limit(PAGE))
    if state is not State.PENDING:
        pages += await touched(full, finished_keys(ACCOUNT, narrowed, None, since).limit(PAGE))

    assert since is not None
    assert pages < LOOKED_AT * 10


async def test_what_failed_and_was_replayed_since_costs_what_is_looked_at(full: PostgresStore) -> None:
    narrowed = LogFilter(state=State.FAILED)
    since = await SqlLog(full).reach(REPLAYED, narrowed, None, LOOKED_AT)

    pages = await touched(full, finished_keys(REPLAYED, narrowed, None, since).limit(PAGE))

    assert since is not None
    assert pages < LOOKED_AT * 10


@each_rare
async def test_what_is_owed_is_no_reason_to_read_through_all_events(full: PostgresStore, name: str) -> None:
    """As a join would, for there are few that fit, as far as the planner knows."""
    query = owed_keys(ACCOUNT, RARE[name], None).limit(PAGE)

    def kinds(connection: Connection) -> set[str]:
        plan = explained(connection, str(query.compile(connection, compile_kwargs={"literal_binds": True})))
        return {node["Node Type"] for node in walked(plan)}

    assert {kind for kind in await full.read(kinds) if "Join" in kind or kind == "Nested Loop"} == set()


async def test_numbers_are_found_by_keys(full: PostgresStore) -> None:
    assert await touched(full, step_sums(ACCOUNT, [CONFIG_ID], (100, 160), 5)) < 40
    assert await touched(full, counted_configs(ACCOUNT)) < 20
    assert await touched(full, pending_of(ACCOUNT, CONFIG_ID + 1000).limit(5)) < 20


async def test_the_rows_of_a_page_are_found_by_their_keys(full: PostgresStore) -> None:
    """The whole of a page, with its events and attempts: nothing is read through to the end."""
    log = SqlLog(full)

    with watched.statements() as seen:
        assert len(await log.deliveries(ACCOUNT, LogFilter(state=State.DELIVERED), None, PAGE)) == PAGE
        assert len(await log.deliveries_of(ACCOUNT, given.event_number(COUNT - 1).id)) == 2
        assert len(await log.events(ACCOUNT, LogFilter(), None, PAGE)) == PAGE

    assert len(seen) > 8
    assert max(await rows_passed(full, seen)) <= 8 * PAGE


async def rows_passed(store: PostgresStore, seen: Sequence[watched.Statement]) -> list[int]:
    """Of each statement, how many rows the step of its plan that saw most went through."""

    def count(connection: Connection, statement: watched.Statement) -> int:
        return most(explained(connection, statement.sql, tuple(statement.parameters)))

    return [await store.read(partial(count, statement=one)) for one in seen if "FROM" in one.sql]


def walked(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Its steps, without those of the looks that are made for each row."""
    parts = [part for part in plan.get("Plans", []) if part["Parent Relationship"] != "SubPlan"]
    return [plan, *(node for part in parts for node in walked(part))]


def most(plan: dict[str, Any]) -> int:
    rows = int((plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"])
    return max([rows, *(most(one) for one in plan.get("Plans", []))])
