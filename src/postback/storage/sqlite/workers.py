"""Workers: who lives, and what becomes of the claims of those who do not."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from postback.domain.crews import Peer, in_touch_ms, keys_of, keys_text
from postback.domain.errors import Unavailable, WorkerDeclaredDead
from postback.domain.ids import SLOTS, IdSource
from postback.ports import Worker
from postback.storage.journal import OWED_COLUMNS, Owed
from postback.storage.sqlite.journal import Journal, interrupt
from postback.storage.sqlite.now import turn_back

LEASE_MS: Final = 30_000
"""A worker that has not been heard of for so long is dead."""


def enlist(raw: sqlite3.Connection, now: int, ids: IdSource, host: str, lease_ms: int, *, frees: bool) -> Worker:
    """`frees` says that whoever is registered is dead, and every claim void."""
    last_beat, may_live_until = raw.execute("SELECT max(beat_ms), max(beat_ms + lease_ms) FROM workers").fetchone()
    if last_beat is not None and now < last_beat:
        # How much later it accepted its last event is not known, but no more than it may live without a beat.
        turn_back(raw, now, last_beat, asked_for_after_ms=may_live_until)
    if frees:
        raw.execute("DELETE FROM workers")
        _free(raw, now, raw.execute(f"SELECT {OWED_COLUMNS} FROM owed WHERE claim IS NOT NULL"))  # noqa: S608
    worker = Worker(ids(), _free_slot(raw), last_id(raw))
    raw.execute(
        "INSERT INTO workers (id, slot, host, started_ms, beat_ms, lease_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (worker.id, worker.slot, host, now, now, lease_ms),
    )
    return worker


def beat(raw: sqlite3.Connection, now: int, me: Peer) -> Sequence[Peer]:
    own = raw.execute("SELECT 1 FROM workers WHERE id = ?", (me.id,)).fetchone()
    if own is None:
        raise WorkerDeclaredDead("this worker was not heard of for too long, and others have its claims now")
    raw.execute(
        "UPDATE workers SET beat_ms = ?, goes_by = ?, keeps = ?, leaves = ? WHERE id = ?",
        (now, me.goes_by, keys_text(me.keeps), me.leaves, me.id),
    )
    return [
        Peer(other, goes_by, keys_of(keeps), bool(leaves))
        for other, goes_by, keeps, leaves, beat_ms, lease_ms in raw.execute(
            "SELECT id, goes_by, keeps, leaves, beat_ms, lease_ms FROM workers ORDER BY id"
        )
        if beat_ms >= now - in_touch_ms(lease_ms)
    ]


def free_dead(raw: sqlite3.Connection, now: int, worker: int, *, alone: bool) -> Sequence[int]:
    """What others held who were not heard of for their lease; where the lock file admits one process (`alone`), all others."""
    dead = [
        row[0]
        for row in raw.execute(
            "SELECT id FROM workers WHERE (? OR beat_ms < ? - lease_ms) AND id <> ?", (alone, now, worker)
        )
    ]
    for one in dead:
        retire(raw, now, one)
    return dead


def retire(raw: sqlite3.Connection, now: int, worker: int) -> None:
    # There is no index on the worker: it would cost every delivery, and this is asked once in a worker's life.
    _free(raw, now, raw.execute(f"SELECT {OWED_COLUMNS} FROM owed WHERE worker = ?", (worker,)))  # noqa: S608
    raw.execute("DELETE FROM workers WHERE id = ?", (worker,))


def last_id(raw: sqlite3.Connection) -> int:
    highest: int = raw.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    return highest


def _free(raw: sqlite3.Connection, now: int, held: sqlite3.Cursor) -> None:
    journal = Journal(raw, now)
    interrupt(raw, journal, [Owed(*row) for row in held])
    journal.write()


def _free_slot(raw: sqlite3.Connection) -> int:
    taken = {row[0] for row in raw.execute("SELECT slot FROM workers")}
    for slot in range(SLOTS):
        if slot not in taken:
            return slot
    raise Unavailable(f"{SLOTS} workers live already")
