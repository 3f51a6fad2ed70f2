"""Facts for the tests of the store, and questions about what it holds, on any database."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import asyncpg
import pytest
from sqlalchemy import Connection, Row, Table, insert, select, update

from postback.domain.accounts import Account
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, Settlement, Verdict
from postback.domain.events import Event
from postback.domain.telemetry import Committed
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import Queue, Worker
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.database import Database
from postback.storage.journal import TEST
from postback.storage.measures import ACCEPTED, ALL_TIME, CANCELLED, DELIVERED, FAILED, REPLAYED
from postback.storage.retention import SEEN_MS
from postback.storage.sqlite import SqliteStore
from postback.storage.tables import accounts, attempts, configs, counters, events, lanes, owed
from tests.build import ACCOUNT, CONFIG_ID, NOON, a_settlement, a_unit, an_event
from tests.patience import PATIENCE_S

_IN_BALANCE = {ACCEPTED: -1, REPLAYED: -1, DELIVERED: 1, FAILED: 1, CANCELLED: 1}

DAY_MS = 86_400_000
ROOM = 1000
BYTES = 1 << 24


class Store(Queue, Database, Protocol):
    """What every store of the suite is."""

    async def close(self) -> None: ...


Opener = Callable[..., Awaitable[Store]]
"""Opens a store on the database of the test, again and beside others; `alone` is true where nothing else is said."""

on_sqlite = pytest.mark.parametrize("opener", ["sqlite"], indirect=True)
"""For what only a file has."""

on_postgres = pytest.mark.parametrize("opener", ["postgres"], indirect=True)


def forgotten_ms(store: Database, accepted_ms: int) -> int:
    """From this `before_ms` on the log of what was accepted then is removed: on PostgreSQL with all of its day."""
    if isinstance(store, SqliteStore):
        return accepted_ms + SEEN_MS + 1
    return (accepted_ms // DAY_MS + 1) * DAY_MS + SEEN_MS


async def an_account_with_configs(store: Database, account: str = ACCOUNT, *, configs_from: int = CONFIG_ID) -> None:
    def write(connection: Connection) -> None:
        connection.execute(
            insert(accounts).values(id=account, metadata="{}", created_ms=NOON, modified_ms=NOON, config_version=0)
        )
        for config_id in range(configs_from, configs_from + 3):
            connection.execute(
                insert(configs).values(
                    id=config_id, account=account, version=1, state="active", created_ms=NOON, modified_ms=NOON
                )
            )

    await store.write(write)


async def configs_of_two_accounts(store: Database) -> SqlConfigs:
    """Of ACCOUNT and `other`, which have none yet."""
    known = SqlAccounts(store)
    await known.save(Account(id=ACCOUNT))
    await known.save(Account(id="other"))
    return SqlConfigs(store)


async def config_state(store: Database, state: str, config_id: int = CONFIG_ID) -> None:
    await store.write(lambda c: c.execute(update(configs).where(configs.c.id == config_id).values(state=state)))


def units(n: int, *, first: int = 0, **changes: Any) -> list[NewDeliveries]:
    """Units of events with ids in a row."""
    return [a_unit(event_number(number), **changes) for number in range(first, first + n)]


def event_number(number: int, **changes: Any) -> Event:
    return an_event(id=(NOON << 21) + number, **changes)


async def claims_of(store: Queue, worker: Worker, n: int = 1, **changes: Any) -> list[Claim]:
    """Deliveries born claimed by the worker."""
    answers = await store.accept(worker, units(n, claimed=True, **changes))
    return [claim for answer in answers if isinstance(answer, Accepted) for claim in answer.claims]


async def a_claim_of(store: Queue, worker: Worker, **changes: Any) -> Claim:
    [claim] = await claims_of(store, worker, **changes)
    return claim


async def claim(store: Queue, worker: Worker, config_id: int = CONFIG_ID, room: int = ROOM) -> Sequence[Claim]:
    return await store.claim(worker, {config_id: room}, BYTES)


def interrupted(claim: Claim) -> Settlement:
    outcome = Unreachable(Reason.INTERRUPTED, "the worker had to stop", Timings())
    return a_settlement(claim, Verdict.INTERRUPTED, outcome=outcome)


async def rows(store: Database, table: Table) -> Sequence[Row[Any]]:
    query = select(table).order_by(*table.primary_key.columns)
    return await store.read(lambda connection: connection.execute(query).all())


async def owed_rows(store: Database) -> Sequence[Row[Any]]:
    return await rows(store, owed)


async def log(store: Database) -> Sequence[Row[Any]]:
    return await rows(store, attempts)


async def verdicts(store: Database) -> list[Verdict]:
    return [Verdict(row.verdict) for row in await log(store)]


async def somebody_waits(raw: "asyncpg.Connection[Any]") -> None:
    """Return once a connection to the same database waits for a lock."""
    async with asyncio.timeout(PATIENCE_S):
        while not await raw.fetchval(_WAITS):
            # In a transaction the list of connections is the one of the first look.
            await raw.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.005)


_WAITS: Final = """
SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


async def event_ids(store: Database) -> list[int]:
    return [row.id for row in await rows(store, events)]


async def lane_times(store: Database) -> dict[int, int]:
    """Config → when its first unclaimed delivery is due, in ms after NOON."""
    return {row.config_id: row.next_due_ms - NOON for row in await rows(store, lanes)}


async def counts(store: Database) -> dict[int, int]:
    """Measure → count, over all configs and minutes; not what has no minute."""
    total: Counter[int] = Counter()
    for row in await rows(store, counters):
        if row.minute != ALL_TIME:
            total[row.measure] += row.count
    return dict(total)


async def conserved(store: Database) -> None:
    """Every delivery that was accepted is owed or has ended, and never both."""
    accepted = {(row.id, row.deliveries) for row in await rows(store, events)}
    still = {(row.event_id, row.config_id) for row in await owed_rows(store)}
    last = {
        (row.event_id, row.config_id): Verdict(row.verdict) for row in await log(store) if row.verdict != Verdict.LATE
    }
    ended = {key for key, verdict in last.items() if verdict.ends and key not in still}
    assert len(still) + len(ended) == sum(deliveries for _, deliveries in accepted)
    assert {key for key, verdict in last.items() if not verdict.ends} <= still
    balance: Counter[str] = Counter(row.account for row in await owed_rows(store))
    for row in await rows(store, counters):
        balance[row.account] += row[-1] * _IN_BALANCE.get(row.measure, 0)
    assert {account: missing for account, missing in balance.items() if missing} == {}, "the counters do not add up"


async def counted(store: Database, facts: Iterable[object]) -> None:
    """What was reported of the commits is what the log holds, tests left out: no figure can differ from it."""
    committed = [fact for fact in facts if isinstance(fact, Committed)]
    reported = Counter(attempt for fact in committed for attempt in fact.attempts)
    written = [row for row in await log(store) if row.manual != TEST]
    assert reported == Counter((row.verdict, row.reason) for row in written)
    took = Counter(took_ms for fact in committed for took_ms in fact.took_ms)
    assert took == Counter(row.ended_ms - row.rendered_ms for row in written if row.body_hash is not None)
    delivered = sum(row.verdict == Verdict.DELIVERED for row in written)
    assert sum(len(fact.latencies_ms) for fact in committed) == delivered
    tests = {row.event_id for row in await log(store) if row.manual == TEST}
    kept = [row for row in await rows(store, events) if row.id not in tests]
    assert sum(fact.events for fact in committed) == len(kept)
    assert sum(fact.deliveries for fact in committed) == sum(row.deliveries for row in kept)
    assert sum(fact.replayed for fact in committed) == (await counts(store)).get(REPLAYED, 0)


def adding(account: str) -> Callable[[Connection], None]:
    """A `write` that adds an account: the smallest one there is."""

    def write(connection: Connection) -> None:
        connection.execute(
            insert(accounts).values(id=account, metadata="{}", created_ms=NOON, modified_ms=NOON, config_version=0)
        )

    return write


async def account_ids(store: Database) -> list[str]:
    return [row.id for row in await rows(store, accounts)]
