"""What becomes of counters when time passes: totals outlive the minutes that they are made of, and the log too."""

import sqlite3
from collections import Counter

from postback.storage.counting import removed
from postback.storage.journal import TEST
from postback.storage.measures import ALL_TIME, NO_CONFIG, REMOVED, TOTALS
from postback.storage.sqlite.journal import COUNT


def fold_counters(raw: sqlite3.Connection, before_minute: int, limit: int) -> int:
    """Put up to so many rows of the minutes before that one into the totals of their config. How many they were.

    The totals are what conservation is proved by; how long deliveries took is forgotten.
    """
    rows = raw.execute(
        """
        SELECT account, config_id, minute, measure, count
        FROM counters
        WHERE minute > ? AND minute < ?
        ORDER BY minute
        LIMIT ?
        """,
        (ALL_TIME, before_minute, limit),
    ).fetchall()
    totals: Counter[tuple[str, int, int]] = Counter()
    for account, config_id, _, measure, count in rows:
        if measure in TOTALS:
            totals[account, config_id, measure] += count
    known = {config_id: _is_there(raw, config_id) for _, config_id, _ in totals}
    raw.executemany(
        COUNT,
        [
            (account, config_id if known[config_id] else NO_CONFIG, ALL_TIME, measure, count)
            for (account, config_id, measure), count in totals.items()
        ],
    )
    raw.executemany(
        "DELETE FROM counters WHERE account = ? AND config_id = ? AND minute = ? AND measure = ?",
        [row[:4] for row in rows],
    )
    return len(rows)


def fold_config(raw: sqlite3.Connection, account: str, config_id: int) -> None:
    """The config is gone: its totals are the account's from now on, and its last times are of no use to anybody."""
    key = (account, config_id, ALL_TIME)
    rows = raw.execute(
        "SELECT measure, count FROM counters WHERE account = ? AND config_id = ? AND minute = ?", key
    ).fetchall()
    raw.executemany(
        COUNT, [(account, NO_CONFIG, ALL_TIME, measure, count) for measure, count in rows if measure in TOTALS]
    )
    raw.execute("DELETE FROM counters WHERE account = ? AND config_id = ? AND minute = ?", key)


def count_removed(raw: sqlite3.Connection, before: int) -> None:
    """The log of all events before that one is about to be removed: its accounts keep on record how much it was."""
    gone = removed(
        raw.execute("SELECT account, sum(deliveries) FROM events WHERE id < ? GROUP BY account", (before,)),
        raw.execute(
            """
            SELECT account, verdict, manual = ?, count(*)
            FROM attempts
            WHERE event_id < ?
            GROUP BY 1, 2, 3
            """,
            (TEST, before),
        ),
    )
    lives = {
        account: raw.execute("SELECT 1 FROM accounts WHERE id = ?", (account,)).fetchone() is not None
        for account, _ in gone
    }
    raw.executemany(
        COUNT,
        [
            (account, NO_CONFIG, ALL_TIME, REMOVED + measure, count)
            for (account, measure), count in gone.items()
            if count and lives[account]
        ],
    )


def _is_there(raw: sqlite3.Connection, config_id: int) -> bool:
    return raw.execute("SELECT 1 FROM configs WHERE id = ?", (config_id,)).fetchone() is not None
