"""Claiming: lane by lane, in order of due time, starting where the last claim of the lane ended."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.domain.deliveries import Claim
from postback.domain.events import Event
from postback.domain.ids import IdSource
from postback.domain.making import made
from postback.ports import Waiting
from postback.storage.sqlite.journal import Journal

WAITING: Final = """
SELECT l.account, l.config_id, l.next_due_ms - :now
FROM lanes l CROSS JOIN configs c ON c.id = l.config_id
WHERE l.next_due_ms <= :until AND c.state = 'active'
ORDER BY l.next_due_ms
LIMIT :limit
"""

LANE: Final = """
SELECT l.account, l.next_due_ms
FROM lanes l CROSS JOIN configs c ON c.id = l.config_id
WHERE l.config_id = ? AND l.next_due_ms <= ? AND c.state = 'active'
"""

DUE: Final = """
SELECT
    e.id, e.account, e.location_id, e.type, e.subject, e.occurred_at, e.accepted_ms, e.data, e.expands, e.trace,
    o.attempts, o.forgiven, o.interruptions, o.manual, o.due_at_ms
FROM owed o CROSS JOIN events e ON e.id = o.event_id
WHERE o.config_id = ? AND o.claim IS NULL AND o.due_at_ms BETWEEN ? AND ?
ORDER BY o.due_at_ms, o.event_id
LIMIT ?
"""

FIRST_OPEN: Final = """
SELECT due_at_ms
FROM owed
WHERE config_id = ? AND claim IS NULL AND due_at_ms >= ?
ORDER BY due_at_ms
LIMIT 1
"""

CLAIM: Final = """
UPDATE owed
SET worker = ?, claim = ?, claimed_ms = ?
WHERE event_id = ? AND config_id = ?
"""

RELEASE: Final = """
UPDATE owed
SET worker = NULL, claim = NULL, claimed_ms = NULL
WHERE event_id = ? AND config_id = ? AND claim = ?
RETURNING due_at_ms
"""


def waiting(raw: sqlite3.Connection, now: int, within_ms: int, limit: int) -> Sequence[Waiting]:
    rows = raw.execute(WAITING, {"now": now, "until": now + within_ms, "limit": limit})
    return [Waiting(*row) for row in rows]


def claim(
    raw: sqlite3.Connection, worker: int, now: int, tokens: IdSource, room: Mapping[int, int], max_bytes: int
) -> Sequence[Claim]:
    """A worker that was declared dead gets nothing: nobody would free what it holds."""
    claims: list[Claim] = []
    if raw.execute("SELECT 1 FROM workers WHERE id = ?", (worker,)).fetchone() is None:
        return claims
    left = max_bytes
    for config_id, places in room.items():
        if left <= 0:
            break
        lane = raw.execute(LANE, (config_id, now)).fetchone()
        if lane is None or places <= 0:
            continue
        taken, left = _take(raw, (config_id, lane[1], now, places), left)
        for row in taken:
            event = made(Event, row[:10])
            attempts, forgiven, interruptions, manual = row[10:14]
            counts = (attempts, forgiven, interruptions)
            claims.append(made(Claim, (event, config_id, tokens(), *counts, bool(manual), now)))
        raw.executemany(
            CLAIM, [(worker, c.token, now, c.event.id, config_id) for c in claims[len(claims) - len(taken) :]]
        )
        # All before the last one taken are taken: what is still open comes at its time or later.
        _move_lane(raw, config_id, taken[-1][14] if taken else lane[1])
    return claims


def _take(
    raw: sqlite3.Connection, lane: tuple[int, int, int, int], max_bytes: int
) -> tuple[Sequence[Sequence[Any]], int]:
    """Rows that are due, and how many bytes are left: none is read after the bytes have run out."""
    rows = []
    cursor = raw.execute(DUE, lane)
    for row in cursor:
        rows.append(row)
        max_bytes -= len(row[7])
        if max_bytes <= 0:
            cursor.close()
            break
    return rows, max_bytes


def _move_lane(raw: sqlite3.Connection, config_id: int, from_ms: int) -> None:
    """The lane remembers its first open delivery; a lane that has none is forgotten."""
    first = raw.execute(FIRST_OPEN, (config_id, from_ms)).fetchone()
    if first is None:
        raw.execute("DELETE FROM lanes WHERE config_id = ?", (config_id,))
    else:
        raw.execute("UPDATE lanes SET next_due_ms = ? WHERE config_id = ?", (first[0], config_id))


def release(raw: sqlite3.Connection, now: int, claims: Sequence[Claim]) -> None:
    journal = Journal(raw, now)
    for claim in claims:
        released = raw.execute(RELEASE, (claim.event.id, claim.config_id, claim.token)).fetchone()
        if released is not None:
            journal.due(claim.event.account, claim.config_id, released[0])
    journal.write()
