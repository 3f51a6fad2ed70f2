"""What no port has, asked of either database by its own means."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text

from postback.storage import postgres, sqlite
from postback.storage.balance import Balance, Logged, differences
from postback.storage.postgres import conservation as on_postgres
from postback.storage.postgres import counting as counting_on_postgres
from postback.storage.sqlite import conservation as on_sqlite
from postback.storage.sqlite import counting as counting_on_sqlite
from tests.storage.given import Store


class Proof(NamedTuple):
    """The balances by the counters, where counters and log differ, and what the log says."""

    by_counters: Mapping[str, Balance]
    differing: Sequence[tuple[str, str, int, int]]
    logged: Logged


def _ignore(*_: int) -> None:
    """How far it has come is not asked."""


async def prove(store: Store, told: Callable[[int, int], None] = _ignore) -> Proof:
    if isinstance(store, sqlite.SqliteStore):
        return await store._read(lambda door: _prove(door, told))
    assert isinstance(store, postgres.PostgresStore)
    async with store._doors.reading() as door:
        totals = await on_postgres.counted(door.raw)
        logged = await on_postgres.count_log(door.raw, told)
        balances = await on_postgres.balances(door.raw, totals)
    return Proof(balances, list(differences(totals, logged)), logged)


def _prove(door: sqlite.connections.Door, told: Callable[[int, int], None]) -> Proof:
    totals = on_sqlite.counted(door.raw)
    logged = on_sqlite.count_log(door.raw, told)
    return Proof(on_sqlite.balances(door.raw, totals), list(differences(totals, logged)), logged)


async def fold(store: Store, before_minute: int, limit: int = 1000) -> int:
    """Counters of the minutes before that one, into totals: how many rows of them."""
    if isinstance(store, sqlite.SqliteStore):
        return await store._submit(lambda raw: counting_on_sqlite.fold_counters(raw, before_minute, limit))
    assert isinstance(store, postgres.PostgresStore)
    return await store._doors.transact(lambda door: counting_on_postgres.fold_counters(door.raw, before_minute, limit))


async def run(store: Store, statement: str) -> None:
    await store.write(lambda connection: connection.execute(text(statement)))
