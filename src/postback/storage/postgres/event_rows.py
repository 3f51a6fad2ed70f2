"""The rows of a batch of events: what is known beforehand, and the one statement that keeps all of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import asyncpg

from postback.domain.deliveries import NewDeliveries
from postback.storage.accepting import (
    EVENT_COLUMNS,
    IDEMPOTENCY_MS,
    Batch,
    First,
    KeyRow,
)
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.journal import NOTHING_BESIDE, Journal, Raw, lanes_and_counters
from postback.storage.postgres.tasks import Passed, Task

_EVENT_TYPES: Final = (
    *("bigint", "text", "text", "text", "text", "text", "bigint"),
    *("int", "bytea", "bytea", "text", "text"),
)
_OWED_TYPES: Final = ("bigint", "bigint", "text", "text", "bigint", "bigint", "bigint", "bigint")
_KEY_TYPES: Final = ("text", "bytea", "bigint", "bytea", "bigint")

LOOK: Final = f"""
SELECT
    {NOW},
    EXISTS (SELECT 1 FROM workers WHERE id = $2 AND beat_ms > 0),
    ARRAY(
        SELECT a.config_version
        FROM unnest($3::text[]) WITH ORDINALITY AS n (id, nth) LEFT JOIN accounts AS a ON a.id = n.id
        ORDER BY n.nth
    )
"""  # noqa: S608

KNOWN: Final = """
SELECT i.account, i.key_hash, i.event_id, coalesce(e.deliveries, 0), i.body_hash, i.expires_ms
FROM unnest($1::text[], $2::bytea[]) AS k (account, key_hash)
CROSS JOIN LATERAL (
    SELECT * FROM idempotency WHERE account = k.account AND key_hash = k.key_hash OFFSET 0
) AS i
LEFT JOIN LATERAL (SELECT deliveries FROM events WHERE id = i.event_id OFFSET 0) AS e ON true
"""

FREE_KEY: Final = "DELETE FROM idempotency WHERE account = $1 AND key_hash = $2 AND expires_ms <= $3"

_AT: Final = (1, 2, 2 + len(_EVENT_TYPES), 2 + len(_EVENT_TYPES) + len(_OWED_TYPES))
_REST: Final = _AT[3] + len(_KEY_TYPES)

# A worker that is declared dead meanwhile is waited for, or waits: what it is given is freed with the rest, or not
# given to it. A key that another has just used is a violation, and with it nothing of this stands.
KEEP: Final = f"""
WITH ready AS MATERIALIZED (
    SELECT 1 AS one WHERE $1::bigint IS NULL
    UNION ALL
    SELECT 1 FROM (SELECT id FROM workers WHERE id = $1 AND beat_ms > 0 FOR KEY SHARE) AS living
), kept_keys AS (
    INSERT INTO idempotency (account, key_hash, event_id, body_hash, expires_ms)
    SELECT k.* FROM ready, {unnested(_KEY_TYPES, _AT[3])} AS k
), kept_events AS (
    INSERT INTO events ({", ".join(EVENT_COLUMNS)})
    SELECT e.* FROM ready, {unnested(_EVENT_TYPES, _AT[1])} AS e
), kept_owed AS (
    INSERT INTO owed (
        event_id, config_id, account, order_key, due_at_ms, worker, claim, claimed_ms,
        attempts, forgiven, interruptions, logged, manual
    )
    SELECT o.*, 0, 0, 0, 0, 0 FROM ready, {unnested(_OWED_TYPES, _AT[2])} AS o
),
{lanes_and_counters(_REST, "ready")}
SELECT count(*) FROM ready
"""  # noqa: S608

KEYS_RACED: Final = "idempotency_pkey"


class Known(NamedTuple):
    """What the database knows beforehand. `worker` is None where it is dead."""

    worker: int | None
    versions: Mapping[str, int | None]
    firsts: dict[KeyRow, First]


async def look(task: Task, worker: int, units: Sequence[NewDeliveries]) -> Known:
    """Of accounts and keys. Keys that have run out are free after this."""
    accounts = list({unit.event.account for unit in units})
    [row] = await task.raw.fetch(LOOK, task.moment.given, worker, accounts)
    now = task.moment.is_at(row[0])
    firsts = await _firsts(task.raw, now, units)
    return Known(worker if row[1] else None, dict(zip(accounts, row[2], strict=True)), firsts)


async def _firsts(raw: Raw, now: int, units: Iterable[NewDeliveries]) -> dict[KeyRow, First]:
    keys = sorted({(one.event.account, one.idempotency.key_hash) for one in units if one.idempotency is not None})
    if not keys:
        return {}
    rows = await raw.fetch(KNOWN, *columns(keys, 2))
    over = sorted((row[0], row[1]) for row in rows if row[5] <= now)
    if over:
        await raw.executemany(FREE_KEY, [(*key, now) for key in over])
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows if row[5] > now}


async def keep(task: Task, known: Known, batch: Batch, journal: Journal, *, beside: bool = True) -> None:
    """One statement, with what the journal has gathered `beside` it, unless that is to be written later; Passed where the worker has died, or another has used one of the keys, and nothing is kept then."""
    if not batch.events:
        return
    has_claims = any(row[6] is not None for row in batch.owed)
    expires_ms = task.moment.ms + IDEMPOTENCY_MS
    keys = sorted((*key, event_id, body_hash, expires_ms) for key, (event_id, _, body_hash) in batch.keys.items())
    task.is_sent = True
    try:
        is_ready = await task.raw.fetchval(
            KEEP,
            known.worker if has_claims else None,
            *columns(batch.events, len(_EVENT_TYPES)),
            *columns(batch.owed, len(_OWED_TYPES)),
            *columns(keys, len(_KEY_TYPES)),
            *(journal.lanes_and_counters() if beside else NOTHING_BESIDE),
        )
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == KEYS_RACED:
            raise Passed from error
        raise
    if not is_ready:
        raise Passed
    if beside:
        journal.note()
    journal.rows += len(batch.events) + len(batch.owed) + len(keys)
    journal.new.events += len(batch.events)
    journal.new.deliveries += len(batch.owed)
