"""What time takes away: whole days of the log at once, and of all else a few rows a commit.

The log of a day is a partition, and goes when all of the day is old enough: up to a day later than on SQLite. What no
day was there for, in the default partition, goes row by row. Of several processes one does it at a time.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Reason
from postback.storage.balance import HOUR_MS
from postback.storage.journal import OWED_COLUMNS, Owed
from postback.storage.postgres.counting import count_removed, fold_counters
from postback.storage.postgres.door import Door
from postback.storage.postgres.journal import Journal, Raw, end
from postback.storage.postgres.partitions import Partition, drop, existing
from postback.storage.retention import SEEN_MS, UNNEEDED_AFTER, audited_before_ms, first_job_at

_LOCK: Final = 0x70_6F_73_74_0006

Step = Callable[[Door, Journal, int, int], Awaitable[int]]
"""In a transaction: up to so many rows (the last argument) of what is older than a time. How many."""


async def alone(raw: Raw) -> bool:
    """In a transaction: whether no other process is at it."""
    is_alone: bool = await raw.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK)
    return is_alone


# --- the steps, in their order ----------------------------------------------------------------------------------


async def _end_owed(door: Door, journal: Journal, before_ms: int, limit: int) -> int:
    rows = await door.raw.fetch(
        f"SELECT {OWED_COLUMNS} FROM owed WHERE event_id < $1 ORDER BY event_id, config_id LIMIT $2 FOR UPDATE",  # noqa: S608
        first_id_at(before_ms),
        limit,
    )
    await end(door.raw, journal, [Owed(*row) for row in rows], Verdict.FAILED, Reason.EXPIRED)
    await journal.write(door.raw)
    return len(rows)


async def _drop_day(door: Door, journal: Journal, before_ms: int, _: int) -> int:
    """The oldest day of the log that has rows, and days before it that have none."""
    before = first_id_at(max(before_ms - SEEN_MS, 0))
    parts = [one for table in ("attempts", "events") for one in await existing(door, table) if one.end_id <= before]
    for day in sorted({one.day for one in parts}):
        rows = await _drop(door, [one for one in parts if one.day == day])
        if rows is None:
            return 0
        if rows:
            journal.rows += rows
            return rows
    return 0


async def _drop(door: Door, parts: Sequence[Partition]) -> int | None:
    """How many rows they had; None where something of that day is still owed, and they stay."""
    first, end_id = parts[0].first_id, parts[0].end_id
    # Nobody writes there but who comes very late: now nobody does, and what is counted is what goes.
    await door.raw.execute(
        f"SET LOCAL statement_timeout = 0; LOCK TABLE {', '.join(one.name for one in parts)} IN SHARE MODE"
    )
    if await door.raw.fetchval(
        "SELECT EXISTS (SELECT 1 FROM owed WHERE event_id >= $1 AND event_id < $2)", first, end_id
    ):
        return None
    for at in range(first, end_id, first_id_at(HOUR_MS)):
        await count_removed(door.raw, at, min(at + first_id_at(HOUR_MS), end_id))
    rows = sum([await _rows(door.raw, one) for one in parts])
    for one in parts:
        await drop(door, one)
    return rows


async def _rows(raw: Raw, one: Partition) -> int:
    rows: int = await raw.fetchval(f"SELECT count(*) FROM {one.name}")  # noqa: S608
    return rows


async def _remove_events(door: Door, journal: Journal, before_ms: int, limit: int) -> int:
    """Events without a day of their own and their attempts, up to where so many rows are counted; always at least one
    whole event."""
    raw = door.raw
    before = first_id_at(max(before_ms - SEEN_MS, 0))
    half = max(limit // 2, 1)
    ends = [before]
    for key, table in (("id", "events_default"), ("event_id", "attempts_default")):
        at = await raw.fetchval(
            f"SELECT {key} FROM {table} WHERE {key} < $1 ORDER BY {key} LIMIT 1 OFFSET $2",  # noqa: S608
            before,
            half,
        )
        if at is not None:
            ends.append(at)
    first = await raw.fetchval(
        "SELECT least((SELECT min(id) FROM events_default), (SELECT min(event_id) FROM attempts_default))"
    )
    if first is None or first >= before:
        return 0
    upto = max(min(ends), first + 1)
    await count_removed(raw, first, upto)
    removed = await _deleted(raw, "DELETE FROM attempts_default WHERE event_id < $1", upto)
    removed += await _deleted(raw, "DELETE FROM events_default WHERE id < $1", upto)
    journal.rows += removed
    return removed


async def _remove_keys(door: Door, journal: Journal, _: int, limit: int) -> int:
    return await _deleted(
        door.raw,
        """
        DELETE FROM idempotency AS i
        USING (
            SELECT account, key_hash FROM idempotency WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2
            FOR UPDATE SKIP LOCKED
        ) AS old
        WHERE i.account = old.account AND i.key_hash = old.key_hash
        """,
        journal.now,
        limit,
    )


async def _fold_counters(door: Door, _: Journal, before_ms: int, limit: int) -> int:
    return await fold_counters(door.raw, before_ms // MINUTE_MS, limit)


async def _remove_changelogs(door: Door, _: Journal, before_ms: int, limit: int) -> int:
    return await _deleted(door.raw, _OLDEST.format(table="changelogs"), first_id_at(before_ms), limit)


async def _remove_audit(door: Door, journal: Journal, before_ms: int, limit: int) -> int:
    before = first_id_at(audited_before_ms(journal.now, before_ms))
    return await _deleted(door.raw, _OLDEST.format(table="audit"), before, limit)


async def _remove_jobs(door: Door, _: Journal, before_ms: int, limit: int) -> int:
    """One that still runs stays, however long."""
    return await _deleted(
        door.raw,
        """
        DELETE FROM replays
        WHERE id = ANY(ARRAY(SELECT id FROM replays WHERE id < $1 AND state = 'done' ORDER BY id LIMIT $2))
        """,
        first_job_at(before_ms),
        limit,
    )


async def _remove_versions(door: Door, _: Journal, before_ms: int, limit: int) -> int:
    return await _deleted(
        door.raw,
        f"""
        DELETE FROM config_versions AS old
        USING (SELECT config_id, version {UNNEEDED} LIMIT $4) AS unneeded
        WHERE old.config_id = unneeded.config_id AND old.version = unneeded.version
        """,  # noqa: S608
        before_ms,
        *UNNEEDED_AFTER,
        limit,
    )


STEPS: Final[Sequence[Step]] = (
    _end_owed,
    _drop_day,
    _remove_events,
    _remove_keys,
    _fold_counters,
    _remove_changelogs,
    _remove_audit,
    _remove_jobs,
    _remove_versions,
)

_OLDEST: Final = "DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE id < $1 ORDER BY id LIMIT $2))"

# Which attempt was made with a version no index knows; but it was one of an event from before the version was replaced.
UNNEEDED: Final = """
FROM config_versions AS v
WHERE v.replaced_ms < $1 AND NOT EXISTS (
    SELECT 1 FROM attempts AS tried
    WHERE tried.config_id = v.config_id AND tried.event_id < (v.replaced_ms + $2::bigint) * $3::bigint
)
"""


# --- accounts ---------------------------------------------------------------------------------------------------


async def forget_accounts(raw: Raw, limit: int) -> int:
    """In a transaction: what accounts that were removed have left behind; then their ids are free again."""
    done = 0
    for row in await raw.fetch("SELECT account FROM removed_accounts ORDER BY account FOR UPDATE SKIP LOCKED"):
        if done >= limit:
            break
        left = limit - done
        done += await _forget_events(raw, row[0], left) or await _forget_the_rest(raw, row[0], left)
    return done


async def _forget_events(raw: Raw, account: str, limit: int) -> int:
    done = 0
    for row in await raw.fetch("SELECT id FROM events WHERE account = $1 ORDER BY id LIMIT $2", account, limit):
        done += await _deleted(raw, "DELETE FROM attempts WHERE event_id = $1", row[0])
        done += await _deleted(raw, "DELETE FROM events WHERE id = $1", row[0])
        if done >= limit:
            break
    return done


async def _forget_the_rest(raw: Raw, account: str, limit: int) -> int:
    done = 0
    for table in ("changelogs", "replays"):
        done += await _deleted(raw, _OF_ACCOUNT.format(table=table), account, limit - done)
        if done >= limit:
            return done
    return done + await _deleted(raw, "DELETE FROM removed_accounts WHERE account = $1", account)


_OF_ACCOUNT: Final = "DELETE FROM {table} WHERE id = ANY(ARRAY(SELECT id FROM {table} WHERE account = $1 LIMIT $2))"


async def _deleted(raw: Raw, statement: str, *known: object) -> int:
    """How many rows the statement deleted."""
    done = await raw.execute(statement, *known)
    return int(done.rpartition(" ")[2])
