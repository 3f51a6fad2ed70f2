"""`doctor` on PostgreSQL: whether the server may be trusted, who works on the database, and that nothing was lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from postback.cli.conservation import of_accounts, of_log, progress
from postback.cli.findings import OWED_BY_STATE, Finding
from postback.domain.errors import PostbackError
from postback.settings import Settings
from postback.storage import migrations, sealing
from postback.storage.balance import differences
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.conservation import balances, count_log, counted
from postback.storage.postgres.door import Door
from postback.storage.postgres.failures import cause, told
from postback.storage.postgres.keys import registered
from postback.storage.postgres.opening import demand_fit
from postback.storage.postgres.partitions import AHEAD, DAY_MS, TABLES, existing
from postback.storage.postgres.reaching import demand_writable, reach, shown
from postback.storage.vault import key_id

CHECK_S: Final = 5
_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def examine_database(settings: Settings, *, with_log: bool) -> Sequence[Finding]:
    return asyncio.run(_examine(settings, with_log=with_log))


async def _examine(settings: Settings, *, with_log: bool) -> Sequence[Finding]:
    found: list[Finding] = []
    name = shown(settings.database)
    try:
        door = await reach(settings.database, name)
    except PostbackError as error:
        return [Finding("database", "wrong", str(error))]
    try:
        async for one in _look(door, settings, with_log=with_log):
            found.append(one)  # noqa: PERF401 (what was found before an error counts)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        found.append(Finding("database", "wrong", f"{name} cannot be read: {told(cause(error))}"))
    finally:
        await door.close()
    return found


async def _look(door: Door, settings: Settings, *, with_log: bool) -> AsyncIterator[Finding]:
    raw = door.raw
    name = shown(settings.database)
    yield Finding("database", "ok", f"{name} answers, PostgreSQL {await raw.fetchval('SHOW server_version')}")
    try:
        await demand_fit(door, name)
    except PostbackError as error:
        yield Finding("durability", "wrong", str(error))
    else:
        durable = [f"{one} = {await raw.fetchval('SELECT current_setting($1)', one)}" for one in _DURABLE]
        yield Finding("durability", "ok", ", ".join(durable))
    try:
        await demand_writable(door, name)
    except PostbackError as error:
        yield Finding("writes", "wrong", str(error))
    else:
        yield Finding("writes", "ok", "taken: it is a primary")
    version = await door.run(migrations.version)
    if version is None:
        yield Finding("schema", "note", "there is none yet; the first `serve` makes it")
        return
    if version != migrations.HEAD:
        yield Finding("schema", "wrong", f"{version}, and this postback needs {migrations.HEAD}; its start makes it so")
        return
    yield Finding("schema", "ok", version)
    size = await raw.fetchval("SELECT pg_database_size(current_database())")
    yield Finding("size", "ok", f"{size >> 10:,} KiB")
    await raw.execute(_BEGIN)
    await raw.execute(f"SET LOCAL statement_timeout = '{0 if with_log else CHECK_S}s'")
    try:
        now: int = await raw.fetchval(f"SELECT {NOW}", None)
        yield await _partitions(door, now)
        yield await _workers(door, now, settings.lease.total_seconds())
        yield await _secrets(door, settings)
        counts = dict([tuple(row) for row in await raw.fetch(OWED_BY_STATE)])
        text = ", ".join(f"{state} {counts.get(state, 0):,}" for state in ("pending", "claimed", "held"))
        yield Finding("owed", "ok", text)
        totals = await counted(raw)
        yield of_accounts(await balances(raw, totals))
        if with_log:
            with progress() as told_of:
                logged = await count_log(raw, told_of)
            yield of_log(list(differences(totals, logged)), logged)
    except asyncpg.QueryCanceledError:
        yield Finding("conservation", "note", f"not added up within {CHECK_S} s; with --log it may take longer")
    finally:
        await raw.execute("ROLLBACK")


_DURABLE: Final = ("fsync", "synchronous_commit", "full_page_writes")


async def _partitions(door: Door, now: int) -> Finding:
    today = now // DAY_MS
    ahead = min([await _days_from(door, table, today) for table in TABLES])
    stray = [await door.raw.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table}_default)") for table in TABLES]  # noqa: S608
    text = f"made for today and {ahead - 1} days more" if ahead else "none for today"
    if ahead <= 1:
        return Finding(
            "partitions", "wrong", f"{text}; a server makes them each hour, {AHEAD} days ahead: does one run?"
        )
    if any(stray):
        return Finding(
            "partitions", "note", f"{text}; some rows came before their day's, and go one by one when they are old"
        )
    return Finding("partitions", "ok", text)


async def _days_from(door: Door, table: str, today: int) -> int:
    """For how many days in a row there are partitions, today's the first."""
    there = {one.day for one in await existing(door, table)}
    days = 0
    while today + days in there:
        days += 1
    return days


async def _workers(door: Door, now: int, lease_s: float) -> Finding:
    rows = await door.raw.fetch("SELECT slot, host, beat_ms FROM workers ORDER BY slot")
    alive = [row for row in rows if row[2] >= now - lease_s * 1000]
    silent = len(rows) - len(alive)
    text = _crew([(row[0], row[1]) for row in alive]) or "none: no server runs on this database"
    if silent and not alive:
        return Finding("workers", "note", f"{text}; of {silent} that ended without a word the next start takes over")
    return Finding("workers", "ok", text + (f"; {silent} not heard of, others take over" if silent else ""))


def _crew(workers: Sequence[tuple[int, str]]) -> str:
    """How many they are, and their numbers by host."""
    hosts: dict[str, list[int]] = {}
    for number, host in workers:
        hosts.setdefault(host, []).append(number)
    of_each = [f"{', '.join(map(str, numbers))} on {host}" for host, numbers in hosts.items()]
    return f"{len(workers)}: {'number' if len(workers) == 1 else 'numbers'} {'; '.join(of_each)}" if workers else ""


async def _secrets(door: Door, settings: Settings) -> Finding:
    """Whether all keys are at hand that the secrets were encrypted with; none of them is opened."""
    if not settings.secret_keys:
        return Finding("secrets", "wrong", "POSTBACK_SECRET_KEY is not set, and no server starts without it")
    held = await door.run(sealing.held)
    used = held.key_ids | await registered(door)
    known = [key_id(key) for key in settings.secret_keys]
    if missing := sorted(used - set(known)):
        what = "encrypted" if held.key_ids - set(known) else "to be encrypted, as the database was set up,"
        return Finding("secrets", "wrong", f"{what} with keys that are not there: {', '.join(missing)}")
    if old := sorted(held.key_ids - set(known[:1])):
        return Finding("secrets", "note", f"can be read, some with old keys ({', '.join(old)}); `rewrap` changes that")
    return Finding("secrets", "ok", "can be read" if held.key_ids else "there are none")
