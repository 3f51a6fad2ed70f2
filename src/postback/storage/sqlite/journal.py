"""What every statement of the hot path writes beside its rows: the log of attempts, the counters, the lanes."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Reason
from postback.storage.journal import ATTEMPT_COLUMNS, AttemptRow, Gathered, Owed, note_attempts
from postback.storage.measures import ALL_TIME
from postback.storage.sqlite.connections import uncommitted
from postback.storage.sqlite.statements import Insert

INSERT_ATTEMPT: Final = Insert(
    "attempts",
    ATTEMPT_COLUMNS,
    # A success at once, over a connection that was there, answered without a body.
    usual={
        **dict.fromkeys(("reason", "detail", "answer_body", "notes", "dns_ms", "connect_ms", "tls_ms"), None),
        **dict.fromkeys(("manual", "wait_ms", "truncated"), 0),
    },
)

COUNT: Final = """
INSERT INTO counters (account, config_id, minute, measure, count)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account, config_id, minute, measure) DO UPDATE SET count = count + excluded.count
"""

SET_LAST: Final = """
INSERT INTO counters (account, config_id, minute, measure, count)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (account, config_id, minute, measure) DO UPDATE SET count = excluded.count
"""

SET_DUE: Final = """
INSERT INTO lanes (config_id, account, next_due_ms)
VALUES (?, ?, ?)
ON CONFLICT (config_id) DO UPDATE SET next_due_ms = excluded.next_due_ms
WHERE excluded.next_due_ms < lanes.next_due_ms
"""


class Journal(Gathered):
    """Gathers what one transaction adds to log, counters and lanes, and writes it in a few statements."""

    def __init__(self, raw: sqlite3.Connection, now: int) -> None:
        super().__init__(now, uncommitted(raw))
        self._raw = raw

    def write(self) -> None:
        self.note()
        if self.attempts:
            INSERT_ATTEMPT.run(self._raw, self.attempts)
        if self.counts:
            minute = self.now // MINUTE_MS
            self._raw.executemany(
                COUNT, [(account, config, minute, measure, n) for (account, config, measure), n in self.counts.items()]
            )
        if self.lasts:
            self._raw.executemany(
                SET_LAST,
                [
                    (account, config, ALL_TIME, measure, value)
                    for (account, config, measure), value in self.lasts.items()
                ],
            )
        if self.dues:
            self._raw.executemany(
                SET_DUE, [(config_id, account, due_at_ms) for config_id, (account, due_at_ms) in self.dues.items()]
            )


def log_attempts(raw: sqlite3.Connection, rows: Sequence[AttemptRow]) -> None:
    """Into the log without anything beside it; what is written is what is counted."""
    INSERT_ATTEMPT.run(raw, rows)
    note_attempts(uncommitted(raw), rows)


def interrupt(raw: sqlite3.Connection, journal: Journal, held: Sequence[Owed]) -> None:
    """Their worker died: each is on record as interrupted and owed again, or given up after the tenth in a row."""
    freed, ended = journal.interrupt(held)
    raw.executemany("DELETE FROM owed WHERE event_id = ? AND config_id = ?", ended)
    raw.executemany(
        """
        UPDATE owed
        SET interruptions = ?, due_at_ms = ?, logged = logged + 1, worker = NULL, claim = NULL, claimed_ms = NULL
        WHERE event_id = ? AND config_id = ?
        """,
        freed,
    )


def end(raw: sqlite3.Connection, journal: Journal, open_ones: Sequence[Owed], verdict: Verdict, reason: Reason) -> None:
    """End them without an outcome, whether claimed or not: cancelled, expired."""
    journal.end(open_ones, verdict, reason)
    raw.executemany(
        "DELETE FROM owed WHERE event_id = ? AND config_id = ?",
        [(owed.event_id, owed.config_id) for owed in open_ones],
    )
