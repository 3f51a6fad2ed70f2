"""Workers: who lives, and what becomes of the claims of those who do not."""

import secrets
from collections.abc import Sequence
from typing import Final

from postback.domain.crews import Peer, in_touch_ms, keys_of, keys_text
from postback.domain.errors import Unavailable, WorkerDeclaredDead
from postback.domain.ids import SLOTS, first_id_at
from postback.ports import Heartbeat, Worker
from postback.storage.journal import OWED_COLUMNS, Owed
from postback.storage.postgres.clock import NOW
from postback.storage.postgres.journal import Raw, interrupt
from postback.storage.postgres.now import turn_back
from postback.storage.postgres.tasks import Task

DECLARED_DEAD: Final = 0
"""`beat_ms` of a worker whose claims are being freed: it stays in the table until none is left, however many processes
die meanwhile."""

AT_ONCE: Final = 500
"""Claims freed in one transaction."""

_LOCK: Final = 0x70_6F_73_74_0004

# A time before the last heartbeat is not written: by that others know that the clock went back.
BEAT: Final = f"""
UPDATE workers
SET beat_ms = greatest(beat_ms, t.now), goes_by = $3, keeps = $4, leaves = $5
FROM (SELECT {NOW} AS now OFFSET 0) AS t
WHERE id = $2 AND beat_ms > {DECLARED_DEAD}
RETURNING t.now
"""  # noqa: S608

BEATS: Final = "SELECT id, goes_by, keeps, leaves, beat_ms FROM workers ORDER BY id"

# Whoever gives the worker something shares this lock until that is durable; one who frees it already has it.
DECLARE_DEAD: Final = f"""
WITH dead AS (SELECT id FROM workers WHERE id = $1 AND beat_ms < $2 FOR UPDATE SKIP LOCKED)
UPDATE workers SET beat_ms = {DECLARED_DEAD} FROM dead WHERE workers.id = dead.id RETURNING 1
"""  # noqa: S608

# There is no index on the worker: it would cost every delivery, and this is asked a few times in a worker's life.
HELD: Final = f"""
SELECT {OWED_COLUMNS} FROM owed WHERE worker = $1 ORDER BY event_id, config_id LIMIT {AT_ONCE} FOR UPDATE
"""  # noqa: S608


async def enlist(task: Task, host: str) -> Worker:
    """In a transaction, one process at a time."""
    raw = task.raw
    await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    now = await task.ask_time()
    worker = Worker(first_id_at(now) | secrets.randbits(21), await _free_slot(raw), await last_id(raw))
    await raw.execute(
        "INSERT INTO workers (id, slot, host, started_ms, beat_ms) VALUES ($1, $2, $3, $4, $4)",
        worker.id,
        worker.slot,
        host,
        now,
    )
    return worker


async def notice_jump(raw: Raw, given: int | None, lease_ms: int) -> None:
    """In a transaction, before anything else of a process that has seen nothing of the clock yet."""
    await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    now: int = await raw.fetchval(f"SELECT {NOW}", given)
    last_beat: int | None = await raw.fetchval("SELECT max(beat_ms) FROM workers")
    if last_beat is not None and now < last_beat:
        # How much later an event was accepted last is not known, but no more than a worker may live without a beat.
        await turn_back(raw, now, last_beat, asked_for_after_ms=last_beat + lease_ms)


async def beat(raw: Raw, given: int | None, me: Peer) -> int:
    """A statement that is its own transaction; when that was."""
    now: int | None = await raw.fetchval(BEAT, given, me.id, me.goes_by, keys_text(me.keeps), me.leaves)
    if now is None:
        raise WorkerDeclaredDead("this worker was not heard of for too long, and others have its claims now")
    return now


async def registered(raw: Raw) -> Sequence[int]:
    return [row[0] for row in await raw.fetch("SELECT id FROM workers ORDER BY id")]


async def heard_of(raw: Raw, now: int, lease_ms: int) -> Heartbeat:
    """Who was not heard of for a lease, those among them who are declared dead already; and who was lately."""
    silent, peers = [], []
    for worker, goes_by, keeps, leaves, beat_ms in await raw.fetch(BEATS):
        if beat_ms < now - lease_ms:
            silent.append(worker)
        elif beat_ms >= now - in_touch_ms(lease_ms):
            peers.append(Peer(worker, goes_by, keys_of(keeps), leaves))
    return Heartbeat(silent, peers)


async def free(task: Task, worker: int, silent_before_ms: int) -> bool:
    """In a transaction: declare it dead unless it was heard of since then, and free some of what it holds.

    Whether more may be left. Nothing is left for us while another frees it.
    """
    raw = task.raw
    await task.ask_time()
    if await raw.fetchval(DECLARE_DEAD, worker, silent_before_ms) is None:
        return False
    held = [Owed(*row) for row in await raw.fetch(HELD, worker)]
    journal = task.journal()
    await interrupt(raw, journal, held)
    await journal.write(raw)
    if len(held) < AT_ONCE:
        await raw.execute("DELETE FROM workers WHERE id = $1", worker)
    return len(held) == AT_ONCE


async def last_id(raw: Raw) -> int:
    highest: int = await raw.fetchval("SELECT coalesce(max(id), 0) FROM events")
    return highest


async def _free_slot(raw: Raw) -> int:
    taken = {row[0] for row in await raw.fetch("SELECT slot FROM workers")}
    for slot in range(SLOTS):
        if slot not in taken:
            return slot
    raise Unavailable(f"{SLOTS} workers live already")
