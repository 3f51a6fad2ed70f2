"""What time takes away: a few rows a commit, each table by an index that knows its oldest rows.

Ids are times as well, so most tables need no index of their own for this.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Reason
from postback.storage.journal import OWED_COLUMNS, Owed
from postback.storage.retention import SEEN_MS, UNNEEDED_AFTER, audited_before_ms, first_job_at
from postback.storage.sqlite.counting import count_removed, fold_counters
from postback.storage.sqlite.journal import Journal, end

VACUUMED_PAGES: Final = 256
"""Free pages given back to the disk at most when there is nothing left to remove."""


def expire(raw: sqlite3.Connection, now: int, before_ms: int, limit: int) -> int:
    """One commit's worth of what is older than `before_ms`, a step after the other; how many rows, 0 at the end."""
    done = 0
    for step in _STEPS:
        done += step(raw, now, before_ms, limit - done)
        if done >= limit:
            return done
    if done == 0:
        _give_back_pages(raw)
    return done


def forget_accounts(raw: sqlite3.Connection, limit: int) -> int:
    """What accounts that were removed have left behind: then their ids are free again."""
    done = 0
    for (account,) in raw.execute("SELECT account FROM removed_accounts").fetchall():
        if done >= limit:
            break
        left = limit - done
        done += _forget_events(raw, account, left) or _forget_the_rest(raw, account, left)
    return done


def _give_back_pages(raw: sqlite3.Connection) -> None:
    free: int = raw.execute("PRAGMA freelist_count").fetchone()[0]
    for _ in range(min(free, VACUUMED_PAGES)):
        # However many it is asked for, the driver takes one step of it, which is one page.
        raw.execute("PRAGMA incremental_vacuum(1)")


# --- the steps, in their order ----------------------------------------------------------------------------------


def _end_owed(raw: sqlite3.Connection, now: int, before_ms: int, limit: int) -> int:
    rows = raw.execute(
        f"SELECT {OWED_COLUMNS} FROM owed WHERE event_id < ? ORDER BY event_id LIMIT ?",  # noqa: S608
        (first_id_at(before_ms), limit),
    ).fetchall()
    journal = Journal(raw, now)
    end(raw, journal, [Owed(*row) for row in rows], Verdict.FAILED, Reason.EXPIRED)
    journal.write()
    return len(rows)


def _remove_events(raw: sqlite3.Connection, _: int, before_ms: int, limit: int) -> int:
    """Events and their attempts up to where so many rows are counted; always at least one whole event."""
    before = first_id_at(before_ms - SEEN_MS)
    half = max(limit // 2, 1)
    ends = [before]
    for key, table in (("id", "events"), ("event_id", "attempts")):
        at = raw.execute(
            f"SELECT {key} FROM {table} WHERE {key} < ? ORDER BY {key} LIMIT 1 OFFSET ?",  # noqa: S608
            (before, half),
        ).fetchone()
        if at is not None:
            ends.append(at[0])
    first = raw.execute(
        "SELECT min(id) FROM (SELECT min(id) AS id FROM events UNION ALL SELECT min(event_id) FROM attempts)"
    ).fetchone()[0]
    if first is None or first >= before:
        return 0
    upto = max(min(ends), first + 1)
    count_removed(raw, upto)
    removed = raw.execute("DELETE FROM attempts WHERE event_id < ?", (upto,)).rowcount
    return removed + raw.execute("DELETE FROM events WHERE id < ?", (upto,)).rowcount


def _remove_keys(raw: sqlite3.Connection, now: int, _: int, limit: int) -> int:
    return raw.execute(
        """
        DELETE FROM idempotency
        WHERE (account, key_hash) IN (
            SELECT account, key_hash FROM idempotency WHERE expires_ms <= ? LIMIT ?
        )
        """,
        (now, limit),
    ).rowcount


def _fold_counters(raw: sqlite3.Connection, _: int, before_ms: int, limit: int) -> int:
    return fold_counters(raw, before_ms // MINUTE_MS, limit)


def _remove_changelogs(raw: sqlite3.Connection, _: int, before_ms: int, limit: int) -> int:
    return raw.execute(
        "DELETE FROM changelogs WHERE id IN (SELECT id FROM changelogs WHERE id < ? ORDER BY id LIMIT ?)",
        (first_id_at(before_ms), limit),
    ).rowcount


def _remove_audit(raw: sqlite3.Connection, now: int, before_ms: int, limit: int) -> int:
    return raw.execute(
        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE id < ? ORDER BY id LIMIT ?)",
        (first_id_at(audited_before_ms(now, before_ms)), limit),
    ).rowcount


def _remove_jobs(raw: sqlite3.Connection, _: int, before_ms: int, limit: int) -> int:
    """One that still runs stays, however long."""
    return raw.execute(
        """
        DELETE FROM replays
        WHERE id IN (SELECT id FROM replays WHERE id < ? AND state = 'done' ORDER BY id LIMIT ?)
        """,
        (first_job_at(before_ms), limit),
    ).rowcount


def _remove_versions(raw: sqlite3.Connection, _: int, before_ms: int, limit: int) -> int:
    return raw.execute(
        f"DELETE FROM config_versions WHERE (config_id, version) IN (SELECT config_id, version {UNNEEDED} LIMIT ?)",  # noqa: S608
        (before_ms, *UNNEEDED_AFTER, limit),
    ).rowcount


_STEPS: Final[tuple[Callable[[sqlite3.Connection, int, int, int], int], ...]] = (
    _end_owed,
    _remove_events,
    _remove_keys,
    _fold_counters,
    _remove_changelogs,
    _remove_audit,
    _remove_jobs,
    _remove_versions,
)

# Which attempt was made with a version no index knows; but it was one of an event from before the version was replaced.
UNNEEDED: Final = """
FROM config_versions AS v
WHERE v.replaced_ms < ? AND NOT EXISTS (
    SELECT 1 FROM attempts AS tried WHERE tried.config_id = v.config_id AND tried.event_id < (v.replaced_ms + ?) * ?
)
"""
# --- accounts ---------------------------------------------------------------------------------------------------


def _forget_events(raw: sqlite3.Connection, account: str, limit: int) -> int:
    done = 0
    ids = raw.execute("SELECT id FROM events WHERE account = ? ORDER BY id LIMIT ?", (account, limit)).fetchall()
    for key in ids:
        done += raw.execute("DELETE FROM attempts WHERE event_id = ?", key).rowcount
        done += raw.execute("DELETE FROM events WHERE id = ?", key).rowcount
        if done >= limit:
            break
    return done


def _forget_the_rest(raw: sqlite3.Connection, account: str, limit: int) -> int:
    done = 0
    for statement in _FORGET:
        done += raw.execute(statement, (account, limit - done)).rowcount
        if done >= limit:
            return done
    return done + raw.execute("DELETE FROM removed_accounts WHERE account = ?", (account,)).rowcount


_FORGET: Final = (
    "DELETE FROM changelogs WHERE id IN (SELECT id FROM changelogs WHERE account = ? LIMIT ?)",
    "DELETE FROM replays WHERE id IN (SELECT id FROM replays WHERE account = ? LIMIT ?)",
)
