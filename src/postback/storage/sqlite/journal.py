"""What every statement of the hot path writes beside its rows: the log of attempts, the counters, the lanes."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from postback.domain.deliveries import INTERRUPTIONS_MAX, Settlement, Verdict, interruption_wait_ms
from postback.domain.stats import MINUTE_MS
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered, Reason
from postback.storage.measures import ALL_TIME, CANCELLED, FAILED, LAST_ERROR, REPLAYED
from postback.storage.sqlite.connections import uncommitted
from postback.storage.sqlite.statements import Insert

AttemptRow = tuple[Any, ...]
"""The columns of `attempts`, in the order of INSERT_ATTEMPT."""

VERDICT: Final = 5
RENDERED_MS: Final = 10
ENDED_MS: Final = 12
WAIT_MS: Final = 13
REASON: Final = 15
BODY_HASH: Final = 17
"""Where these stand in an AttemptRow."""

_VERDICT_AND_REASON: Final = itemgetter(VERDICT, REASON)

INSERT_ATTEMPT: Final = Insert(
    """
INSERT INTO attempts (
    event_id, config_id, n, account, counter, verdict, manual, config_version, worker,
    started_ms, rendered_ms, sent_ms, ended_ms, wait_ms, status, reason, detail, body_hash,
    answer_headers, answer_body, truncated, notes, dns_ms, connect_ms, tls_ms, first_byte_ms
)
VALUES
    """,
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)


class Owed(NamedTuple):
    """A row of `owed`, as far as ending or freeing it needs. OWED_COLUMNS selects it."""

    event_id: int
    config_id: int
    account: str
    attempts: int
    interruptions: int
    logged: int
    manual: int
    worker: int | None
    claimed_ms: int | None


OWED_COLUMNS: Final = "event_id, config_id, account, attempts, interruptions, logged, manual, worker, claimed_ms"


class Journal:
    """Gathers what one transaction adds to log, counters and lanes, and writes it in a few statements."""

    def __init__(self, raw: sqlite3.Connection, now: int) -> None:
        self._raw = raw
        self._now = now
        self._attempts: list[AttemptRow] = []
        self._counts: dict[tuple[str, int, int], int] = {}
        self._lasts: dict[tuple[str, int, int], int] = {}
        self._dues: dict[int, tuple[str, int]] = {}

    def attempt(self, row: AttemptRow) -> None:
        self._attempts.append(row)

    def count(self, account: str, config_id: int, measure: int) -> None:
        key = (account, config_id, measure)
        self._counts[key] = self._counts.get(key, 0) + 1

    def last(self, account: str, config_id: int, measure: int, value: int) -> None:
        """What LAST_SUCCESS or LAST_ERROR of this config is from now on."""
        self._lasts[account, config_id, measure] = value

    def due(self, account: str, config_id: int, due_at_ms: int) -> None:
        """A delivery of this lane is unclaimed from now on, and due then."""
        known = self._dues.get(config_id)
        if known is None or due_at_ms < known[1]:
            self._dues[config_id] = (account, due_at_ms)

    def write(self) -> None:
        if self._attempts:
            log_attempts(self._raw, self._attempts)
        if self._counts:
            uncommitted(self._raw).replayed += sum(n for key, n in self._counts.items() if key[2] == REPLAYED)
            minute = self._now // MINUTE_MS
            self._raw.executemany(
                """
                INSERT INTO counters (account, config_id, minute, measure, count)
                VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (account, config_id, minute, measure) DO UPDATE SET count = count + excluded.count
                """,
                [(account, config, minute, measure, n) for (account, config, measure), n in self._counts.items()],
            )
        if self._lasts:
            self._raw.executemany(
                """
                INSERT INTO counters (account, config_id, minute, measure, count)
                VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (account, config_id, minute, measure) DO UPDATE SET count = excluded.count
                """,
                [
                    (account, config, ALL_TIME, measure, value)
                    for (account, config, measure), value in self._lasts.items()
                ],
            )
        if self._dues:
            self._raw.executemany(
                """
                INSERT INTO lanes (config_id, account, next_due_ms)
                VALUES (?, ?, ?)
                ON CONFLICT (config_id) DO UPDATE SET next_due_ms = excluded.next_due_ms
                WHERE excluded.next_due_ms < lanes.next_due_ms
                """,
                [(config_id, account, due_at_ms) for config_id, (account, due_at_ms) in self._dues.items()],
            )


def log_attempts(raw: sqlite3.Connection, rows: Sequence[AttemptRow]) -> None:
    """The one way of a delivery's attempts into the log: what is written here is what is counted."""
    INSERT_ATTEMPT.run(raw, rows)
    new = uncommitted(raw)
    new.attempts += map(_VERDICT_AND_REASON, rows)
    new.took_ms += [row[ENDED_MS] - row[RENDERED_MS] for row in rows if row[BODY_HASH] is not None]


def settled_row(settlement: Settlement, worker: int, n: int, counter: int, manual: int, now: int) -> AttemptRow:
    """The row of an attempt as its settlement tells it: verdict, wait and reason are the settlement's own."""
    claim, verdict, outcome, config_version, wait_ms, body_hash, rendered_ms, *_ = settlement
    timings = outcome.timings
    rendered = rendered_ms or None
    if isinstance(outcome, Answered):
        status, detail, truncated = outcome.status, None, 1 if outcome.truncated else 0
        headers = b"".join([b"%b: %b\n" % header for header in outcome.headers]) or None
        body = outcome.body or None
    else:
        status, detail, truncated, headers, body = None, outcome.detail, 0, None, None
    return (
        claim.event.id,
        claim.config_id,
        n,
        claim.event.account,
        counter,
        verdict.value,
        manual,
        config_version or None,
        worker,
        claim.claimed_ms,
        rendered,
        None if rendered is None or timings.sent_after_ms is None else rendered + timings.sent_after_ms,
        now if rendered is None else rendered + timings.total_ms,
        wait_ms,
        status,
        None if verdict is Verdict.DELIVERED else reason_of(outcome).value,
        detail,
        body_hash,
        headers,
        body,
        truncated,
        ",".join(outcome.notes) or None,
        timings.dns_ms,
        timings.connect_ms,
        timings.tls_ms,
        timings.first_byte_ms,
    )


def bare_row(
    owed: Owed, verdict: Verdict, reason: Reason, now: int, *, wait_ms: int = 0, counts: bool = False
) -> AttemptRow:
    """The row of what came to pass without an outcome; a claim that was on the delivery is kept in it.

    `counts` says that an attempt was under way, whose body may have shown the next number.
    """
    counter = owed.attempts + 1 if counts else owed.attempts
    none = None
    return (
        *(owed.event_id, owed.config_id, owed.logged + 1, owed.account, counter, verdict.value, owed.manual, none),
        *(owed.worker, owed.claimed_ms, none, none, now, wait_ms, none, reason.value, none, none),
        *(none, none, 0, none, none, none, none, none),
    )


def interrupt(raw: sqlite3.Connection, journal: Journal, held: Sequence[Owed], now: int) -> None:
    """Their worker died: each is on record as interrupted and owed again, or given up after the tenth in a row."""
    freed, ended = [], []
    for owed in held:
        times = owed.interruptions + 1
        if times >= INTERRUPTIONS_MAX:
            ended.append((owed.event_id, owed.config_id))
            journal.attempt(bare_row(owed, Verdict.FAILED, Reason.POISON, now, counts=True))
            journal.count(owed.account, owed.config_id, FAILED)
            journal.last(owed.account, owed.config_id, LAST_ERROR, owed.event_id)
            continue
        wait_ms = interruption_wait_ms(times)
        freed.append((times, now + wait_ms, owed.event_id, owed.config_id))
        journal.attempt(bare_row(owed, Verdict.INTERRUPTED, Reason.INTERRUPTED, now, wait_ms=wait_ms, counts=True))
        journal.due(owed.account, owed.config_id, now + wait_ms)
    raw.executemany("DELETE FROM owed WHERE event_id = ? AND config_id = ?", ended)
    raw.executemany(
        """
        UPDATE owed
        SET interruptions = ?, due_at_ms = ?, logged = logged + 1, worker = NULL, claim = NULL, claimed_ms = NULL
        WHERE event_id = ? AND config_id = ?
        """,
        freed,
    )


def end(
    raw: sqlite3.Connection, journal: Journal, open_ones: Sequence[Owed], verdict: Verdict, reason: Reason, now: int
) -> None:
    """End them without an outcome, whether claimed or not: cancelled, expired."""
    measure = CANCELLED if verdict is Verdict.CANCELLED else FAILED
    for owed in open_ones:
        journal.attempt(bare_row(owed, verdict, reason, now))
        journal.count(owed.account, owed.config_id, measure)
        if measure == FAILED:
            journal.last(owed.account, owed.config_id, LAST_ERROR, owed.event_id)
    raw.executemany(
        "DELETE FROM owed WHERE event_id = ? AND config_id = ?",
        [(owed.event_id, owed.config_id) for owed in open_ones],
    )
