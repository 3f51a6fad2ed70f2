"""Workers: who lives, and what becomes of the claims of those who do not."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from postback.domain.crews import Peer, in_touch_ms, keys_of, keys_text
from postback.domain.errors import Unavailable, WorkerDeclaredDead
from postback.domain.ids import SLOTS, first_id_at
from postback.ports import Worker
from postback.storage.journal import OWED_COLUMNS, Owed
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.journal import Raw, interrupt
from postback.storage.postgres.now import turn_back
from postback.storage.postgres.tasks import Task
from postback.storage.postgres.witness import Registered

DECLARED_DEAD: Final = 0
"""`beat_ms` of a worker whose claims are being freed: it stays in the table until none is left, however many processes
die meanwhile."""

AT_ONCE: Final = 500
"""Claims freed in one transaction."""

_LOCK: Final = 0x70_6F_73_74_0004
_FREEING: Final = 0x70_6F_73_74_0008

# A time before the last heartbeat is not written: by that others know that the clock went back.
BEAT: Final = f"""
UPDATE workers
SET beat_ms = greatest(beat_ms, t.now), goes_by = $3, keeps = $4, leaves = $5
FROM (SELECT {NOW} AS now OFFSET 0) AS t
WHERE id = $2 AND beat_ms > {DECLARED_DEAD}
RETURNING t.now
"""  # noqa: S608

BEATS: Final = "SELECT id, goes_by, keeps, leaves, beat_ms, lease_ms FROM workers ORDER BY id"

OTHERS: Final = f"""
SELECT w.id, w.beat_ms, w.lease_ms, t.now, w.beat_ms = {DECLARED_DEAD}
FROM (SELECT {NOW} AS now OFFSET 0) AS t, workers AS w
WHERE w.id <> $2
"""  # noqa: S608

LOCK: Final = "SELECT 1 FROM workers WHERE id = ANY($1) FOR UPDATE"

# Whoever gives the worker something shares this lock until that is durable; one who frees it already has it.
DECLARE_DEAD: Final = f"""
WITH dead AS (
    SELECT w.id
    FROM workers AS w, {unnested(("bigint", "bigint"), 1)} AS d (id, heard_ms)
    WHERE w.id = d.id AND w.beat_ms <= d.heard_ms
    FOR UPDATE OF w SKIP LOCKED
)
UPDATE workers SET beat_ms = {DECLARED_DEAD} FROM dead WHERE workers.id = dead.id RETURNING workers.id
"""  # noqa: S608

# There is no index on the worker: it would cost every delivery, and this is asked a few times in a worker's life.
HELD: Final = "SELECT event_id, config_id FROM owed WHERE worker = ANY($1) ORDER BY event_id, config_id"

STILL_HELD: Final = f"""
SELECT {OWED_COLUMNS}
FROM {unnested(("bigint", "bigint"), 1)} AS k (of_event, of_config) JOIN owed AS o
    ON o.event_id = k.of_event AND o.config_id = k.of_config
WHERE o.worker = ANY($3)
ORDER BY event_id, config_id
FOR UPDATE OF o
"""  # noqa: S608


async def enlist(task: Task, host: str, lease_ms: int) -> Worker:
    """In a transaction, one process at a time."""
    raw = task.raw
    await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    now = await task.ask_time()
    worker = Worker(first_id_at(now) | secrets.randbits(21), await _free_slot(raw), await last_id(raw))
    await raw.execute(
        "INSERT INTO workers (id, slot, host, started_ms, beat_ms, lease_ms) VALUES ($1, $2, $3, $4, $4, $5)",
        worker.id,
        worker.slot,
        host,
        now,
        lease_ms,
    )
    return worker


async def notice_jump(raw: Raw, given: int | None) -> None:
    """In a transaction, before anything else of a process that has seen nothing of the clock yet."""
    await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    now: int = await raw.fetchval(f"SELECT {NOW}", given)
    [(last_beat, may_live_until)] = await raw.fetch("SELECT max(beat_ms), max(beat_ms + lease_ms) FROM workers")
    if last_beat is not None and now < last_beat:
        # How much later an event was accepted last is not known, but no more than a worker may live without a beat.
        await turn_back(raw, now, last_beat, asked_for_after_ms=may_live_until)


async def beat(raw: Raw, given: int | None, me: Peer) -> int:
    """A statement that is its own transaction; when that was."""
    now: int | None = await raw.fetchval(BEAT, given, me.id, me.goes_by, keys_text(me.keeps), me.leaves)
    if now is None:
        raise WorkerDeclaredDead("this worker was not heard of for too long, and others have its claims now")
    return now


async def registered(raw: Raw) -> Sequence[int]:
    return [row[0] for row in await raw.fetch("SELECT id FROM workers ORDER BY id")]


async def heard_of(raw: Raw, now: int) -> Sequence[Peer]:
    """Who was heard of lately, by the lease of each."""
    return [
        Peer(worker, goes_by, keys_of(keeps), bool(leaves))
        for worker, goes_by, keeps, leaves, beat_ms, lease_ms in await raw.fetch(BEATS)
        if beat_ms >= now - in_touch_ms(lease_ms)
    ]


async def others(raw: Raw, given: int | None, worker: int) -> Sequence[Registered]:
    return [Registered(*row) for row in await raw.fetch(OTHERS, given, worker)]


@asynccontextmanager
async def freeing_alone(raw: Raw) -> AsyncIterator[bool]:
    """Whether no other process frees the dead while it is entered."""
    is_alone: bool = await raw.fetchval("SELECT pg_try_advisory_lock($1)", _FREEING)
    try:
        yield is_alone
    finally:
        if is_alone and not raw.is_closed():
            await raw.execute("SELECT pg_advisory_unlock($1)", _FREEING)


async def retire(raw: Raw, worker: int) -> bool:
    """In a transaction: waits for what is under way in its name, then it is gone, if it holds nothing. Whether it is."""
    await raw.execute(LOCK, [worker])
    if await held(raw, [worker]):
        return False
    await raw.execute("DELETE FROM workers WHERE id = $1", worker)
    return True


async def declare_dead(raw: Raw, silent: Mapping[int, int], *, waits: bool = False) -> Sequence[int]:
    """In a transaction: of these those that were not heard of since. Nothing is given to them from its end on.

    Who has something under way in its name is left out, unless this `waits` for the end of that.
    """
    if waits:
        await raw.execute(LOCK, list(silent))
    return [row[0] for row in await raw.fetch(DECLARE_DEAD, *columns(sorted(silent.items()), 2))]


async def held(raw: Raw, dead: Sequence[int]) -> Sequence[tuple[int, int]]:
    """In a transaction: the keys of all that is claimed by those who are declared dead."""
    await raw.execute("SET LOCAL enable_seqscan = on")
    return [(row[0], row[1]) for row in await raw.fetch(HELD, dead)]


async def free(task: Task, dead: Sequence[int], keys: Sequence[tuple[int, int]]) -> None:
    """In a transaction: what of these the dead still hold is owed again."""
    raw = task.raw
    await task.ask_time()
    await task.go_by_keys()
    still = [Owed(*row) for row in await raw.fetch(STILL_HELD, *columns(keys, 2), dead)]
    journal = task.journal()
    await interrupt(raw, journal, still)
    await journal.write(raw)


async def forget(raw: Raw, dead: Sequence[int]) -> None:
    """They hold nothing any more."""
    await raw.execute(f"DELETE FROM workers WHERE id = ANY($1) AND beat_ms = {DECLARED_DEAD}", dead)  # noqa: S608


async def last_id(raw: Raw) -> int:
    highest: int = await raw.fetchval("SELECT coalesce(max(id), 0) FROM events")
    return highest


async def _free_slot(raw: Raw) -> int:
    taken = {row[0] for row in await raw.fetch("SELECT slot FROM workers")}
    for slot in range(SLOTS):
        if slot not in taken:
            return slot
    raise Unavailable(f"{SLOTS} workers live already")
