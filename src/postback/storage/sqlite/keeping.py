"""What people ask of single deliveries, and what time makes necessary: tests, replay, cancel, bury, expire."""

import sqlite3
from typing import Final

from postback.domain.deliveries import Settlement, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import delivery_text, first_id_at
from postback.domain.wire import Reason
from postback.storage.sqlite.accepting import INSERT_EVENT
from postback.storage.sqlite.journal import INSERT_ATTEMPT, OWED_COLUMNS, Journal, Owed, end, settled_row

# Verdicts of a row that is no outcome of a POST, though it ended the delivery.
_NO_POST: Final = f"'{Reason.POISON}', '{Reason.EXPIRED}', '{Reason.CANCELLED}', '{Reason.CANNOT_RENDER}'"
_OUTCOMES: Final = f"{Verdict.RETRY:d}, {Verdict.DELIVERED:d}, {Verdict.FAILED:d}"

TEST: Final = 2
"""What `manual` says of a test; 1 says that a person asked for the delivery, 0 that nobody did."""

VACUUMED_PAGES: Final = 256
SEEN_MS: Final = 24 * 3600 * 1000
"""Free pages given back to the disk at most when retention has nothing left to remove."""


def keep_test(raw: sqlite3.Connection, now: int, worker: int, settlement: Settlement) -> None:
    """Nobody tries a test again: what was no success has failed."""
    event, claim = settlement.claim.event, settlement.claim
    verdict = Verdict.DELIVERED if settlement.verdict is Verdict.DELIVERED else Verdict.FAILED
    ended = settlement._replace(verdict=verdict, wait_ms=0)
    INSERT_EVENT.run(raw, [(*event[:7], 1, event.data, event.expands)])
    INSERT_ATTEMPT.run(raw, [settled_row(ended, worker, 1, claim.attempts + 1, TEST, now)])


def replay(raw: sqlite3.Connection, now: int, account: str, event_id: int, config_id: int) -> None:
    key = (event_id, config_id)
    event = raw.execute("SELECT subject FROM events WHERE id = ? AND account = ?", (event_id, account)).fetchone()
    if event is None:
        raise NotFound("delivery", delivery_text(*key))
    if raw.execute("SELECT 1 FROM owed WHERE event_id = ? AND config_id = ?", key).fetchone():
        raise Conflict("the delivery is still owed; cancel it first, or let it end")
    attempts, logged = raw.execute(
        f"""
        SELECT
            coalesce(max(counter) FILTER (
                WHERE verdict IN ({_OUTCOMES}) AND (reason IS NULL OR reason NOT IN ({_NO_POST}))
            ), 0),
            max(n)
        FROM attempts
        WHERE event_id = ? AND config_id = ?
        """,  # noqa: S608
        key,
    ).fetchone()
    if logged is None:
        raise NotFound("delivery", delivery_text(*key))
    config = raw.execute("SELECT state FROM configs WHERE id = ? AND account = ?", (config_id, account)).fetchone()
    if config is None or config[0] == "deleted":
        raise Conflict("the delivery's postback config was deleted: there is nowhere to send it")
    raw.execute(
        """
        INSERT INTO owed (
            event_id, config_id, account, order_key, due_at_ms, attempts, forgiven, interruptions, logged, manual
        )
        VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 1)
        """,
        (event_id, config_id, account, event[0], now, attempts, attempts, logged),
    )
    journal = Journal(raw, now)
    journal.due(account, config_id, now)
    journal.write()


def cancel(raw: sqlite3.Connection, now: int, account: str, event_id: int, config_id: int) -> None:
    key = (event_id, config_id, account)
    row = raw.execute(
        f"SELECT {OWED_COLUMNS} FROM owed WHERE event_id = ? AND config_id = ? AND account = ?",  # noqa: S608
        key,
    ).fetchone()
    if row is None:
        was = raw.execute("SELECT 1 FROM attempts WHERE event_id = ? AND config_id = ? AND account = ?", key).fetchone()
        if was is None:
            raise NotFound("delivery", delivery_text(event_id, config_id))
        raise Conflict("the delivery is finished; only an open one can be cancelled")
    journal = Journal(raw, now)
    end(raw, journal, [Owed(*row)], Verdict.CANCELLED, Reason.CANCELLED, now)
    journal.write()


def bury(raw: sqlite3.Connection, now: int, limit: int) -> int:
    journal = Journal(raw, now)
    done = 0
    for (config_id,) in raw.execute("SELECT id FROM configs WHERE state = 'deleted'").fetchall():
        # The index knows the unclaimed ones; for the few that are claimed the table is read, once for a config.
        for which in ("claim IS NULL", "claim IS NOT NULL"):
            rows = raw.execute(
                f"SELECT {OWED_COLUMNS} FROM owed WHERE config_id = ? AND {which} LIMIT ?",  # noqa: S608
                (config_id, limit - done),
            ).fetchall()
            end(raw, journal, [Owed(*row) for row in rows], Verdict.CANCELLED, Reason.CANCELLED, now)
            done += len(rows)
            if done >= limit:
                break
        else:
            raw.execute("DELETE FROM lanes WHERE config_id = ?", (config_id,))
            raw.execute("DELETE FROM configs WHERE id = ?", (config_id,))
            done += 1
        if done >= limit:
            break
    journal.write()
    return done


def expire(raw: sqlite3.Connection, now: int, before_ms: int, limit: int) -> int:
    """First what is still owed, then finished events in their order with all of their log, then old keys.

    What ends here as expired can be seen for a day before it goes.
    """
    before = first_id_at(before_ms)
    rows = raw.execute(
        f"SELECT {OWED_COLUMNS} FROM owed WHERE event_id < ? ORDER BY event_id LIMIT ?",  # noqa: S608
        (before, limit),
    ).fetchall()
    journal = Journal(raw, now)
    end(raw, journal, [Owed(*row) for row in rows], Verdict.FAILED, Reason.EXPIRED, now)
    journal.write()
    done = len(rows)
    if done < limit:
        done += _remove(raw, first_id_at(before_ms - SEEN_MS), limit - done)
    if done < limit:
        done += raw.execute(
            """
            DELETE FROM idempotency
            WHERE (account, key_hash) IN (
                SELECT account, key_hash FROM idempotency WHERE expires_ms <= ? LIMIT ?
            )
            """,
            (now, limit - done),
        ).rowcount
    if done == 0:
        free: int = raw.execute("PRAGMA freelist_count").fetchone()[0]
        for _ in range(min(free, VACUUMED_PAGES)):
            # However many it is asked for, the driver takes one step of it, which is one page.
            raw.execute("PRAGMA incremental_vacuum(1)")
    return done


def _remove(raw: sqlite3.Connection, before: int, limit: int) -> int:
    """Events and their attempts up to where so many rows are counted; always at least one whole event."""
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
    removed = raw.execute("DELETE FROM attempts WHERE event_id < ?", (upto,)).rowcount
    return removed + raw.execute("DELETE FROM events WHERE id < ?", (upto,)).rowcount
