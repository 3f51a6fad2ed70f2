"""Settling: every attempt is journaled; only deliveries whose claim still holds move on."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from postback.domain.configs import ConfigState
from postback.domain.deliveries import (
    INTERRUPTIONS_MAX,
    Settled,
    Settlement,
    Verdict,
    again_at_ms,
    interruption_wait_ms,
)
from postback.domain.ids import config_text
from postback.domain.wire import Reason, Unreachable
from postback.storage import measures
from postback.storage.audit import Auditor, state_facts
from postback.storage.sqlite import journal as journals
from postback.storage.sqlite.connections import uncommitted
from postback.storage.sqlite.journal import Journal, settled_row
from postback.storage.sqlite.statements import Lookup

Key = tuple[int, int, int]
"""Event, config, token."""

HELD: Final = Lookup(
    """
    WITH s (event_id, config_id, token) AS ({keys})
    SELECT s.event_id, s.config_id, s.token, o.attempts, o.interruptions, o.logged, o.manual
    FROM s CROSS JOIN owed o ON o.event_id = s.event_id AND o.config_id = s.config_id
    WHERE o.claim = s.token
    """,
    width=3,
)

END: Final = "DELETE FROM owed WHERE event_id = ? AND config_id = ? AND claim = ?"

MOVE_ON: Final = """
UPDATE owed
SET attempts = ?, interruptions = ?, due_at_ms = ?, logged = logged + 1, worker = NULL, claim = NULL, claimed_ms = NULL
WHERE event_id = ? AND config_id = ? AND claim = ?
"""


def settle(
    raw: sqlite3.Connection,
    worker: int,
    now: int,
    changed: Callable[[str], None],
    auditor: Auditor,
    settlements: Sequence[Settlement],
) -> Settled:
    journal = Journal(raw, now)
    late: list[Settlement] = []
    latencies_ms = uncommitted(raw).latencies_ms
    ended: list[Key] = []
    moved: list[tuple[int, ...]] = []
    failed: list[Settlement] = []
    disabled: dict[int, str] = {}
    keys = [(claim.event.id, claim.config_id, claim.token) for claim, *_ in settlements]
    held = {row[:3]: row[3:] for row in HELD.run(raw, keys)}
    count = 0

    for given, key in zip(settlements, keys, strict=True):
        claim, verdict = given.claim, given.verdict
        event, config_id = claim.event, claim.config_id
        # Taken out, so that the same claim settled twice in one batch is late the second time.
        owed = held.pop(key, None)
        if owed is None or verdict is Verdict.LATE:
            late.append(given)
            continue
        count += 1
        attempts, interruptions, logged, manual = owed
        settlement = _interrupted(given, interruptions) if verdict is Verdict.INTERRUPTED else given
        row = settled_row(settlement, worker, logged + 1, attempts + 1, manual, now)
        journal.attempt(row)

        if verdict is Verdict.DELIVERED:
            ended.append(key)
            journal.count(event.account, config_id, measures.DELIVERED)
            journal.last(event.account, config_id, measures.LAST_SUCCESS, now)
            took_ms = max(row[journals.ENDED_MS] - event.accepted_ms, 0)
            journal.count(event.account, config_id, measures.LATENCY + took_ms.bit_length())
            latencies_ms.append(took_ms)
        elif settlement.verdict.ends:
            ended.append(key)
            failed.append(settlement)
            journal.count(event.account, config_id, measures.FAILED)
            journal.last(event.account, config_id, measures.LAST_ERROR, event.id)
        else:
            due_at_ms = again_at_ms(now, row[journals.ENDED_MS], settlement.wait_ms)
            journal.due(event.account, config_id, due_at_ms)
            if verdict is Verdict.RETRY:
                journal.count(event.account, config_id, measures.RETRIED)
                journal.last(event.account, config_id, measures.LAST_ERROR, event.id)
                moved.append((attempts + 1, 0, due_at_ms, *key))
            else:
                moved.append((attempts, interruptions + 1, due_at_ms, *key))
        if given.disables is not None and _disable(
            raw, event.account, config_id, given.disables, now, changed, auditor
        ):
            disabled[config_id] = given.disables
        if given.warns is not None:
            _warn(raw, given, now, changed)

    raw.executemany(END, ended)
    raw.executemany(MOVE_ON, moved)
    journal.write()
    for settlement in late:
        _journal_late(raw, settlement, worker, now)
    return Settled(count, failed, disabled)


def _interrupted(settlement: Settlement, interruptions: int) -> Settlement:
    """The tenth interruption in a row ends the delivery; any other makes it wait."""
    times = interruptions + 1
    if times < INTERRUPTIONS_MAX:
        return settlement._replace(wait_ms=interruption_wait_ms(times))
    outcome = settlement.outcome
    poison = Unreachable(Reason.POISON, f"interrupted {times} times in a row", outcome.timings, outcome.notes)
    return settlement._replace(verdict=Verdict.FAILED, outcome=poison)


def _disable(
    raw: sqlite3.Connection,
    account: str,
    config_id: int,
    why: str,
    now: int,
    changed: Callable[[str], None],
    auditor: Auditor,
) -> bool:
    """Whether it was not disabled before."""
    row = raw.execute("SELECT state FROM configs WHERE id = ?", (config_id,)).fetchone()
    disabled = raw.execute(
        """
        UPDATE configs
        SET state = 'disabled', state_reason = ?, modified_ms = ?, failing_ms = coalesce(failing_ms, ?)
        WHERE id = ? AND state IN ('active', 'paused')
        """,
        (why, now, now, config_id),
    )
    if disabled.rowcount:
        _announce(raw, account, changed)
        before, after = state_facts(row[0]), state_facts(ConfigState.DISABLED, why)
        auditor.record(raw, account, None, "postbackconfig.disable", config_text(config_id), before, after)
    return disabled.rowcount > 0


def _warn(raw: sqlite3.Connection, settlement: Settlement, now: int, changed: Callable[[str], None]) -> None:
    """What a receiver does is said of the version it was sent with: a later one is not warned of it."""
    claim, warning = settlement.claim, settlement.warns or None
    warned = raw.execute(
        """
        UPDATE configs
        SET warning = ?, warned_ms = ?
        WHERE id = ? AND version = ? AND state <> 'deleted' AND warning IS NOT ?
        """,
        (warning, None if warning is None else now, claim.config_id, settlement.config_version, warning),
    )
    if warned.rowcount:
        _announce(raw, claim.event.account, changed)


def _announce(raw: sqlite3.Connection, account: str, changed: Callable[[str], None]) -> None:
    raw.execute("UPDATE accounts SET config_version = config_version + 1 WHERE id = ?", (account,))
    changed(account)


def _journal_late(raw: sqlite3.Connection, settlement: Settlement, worker: int, now: int) -> None:
    """On record under the next free number, which whoever has the delivery now must not take."""
    claim = settlement.claim
    key = (claim.event.id, claim.config_id)
    n = raw.execute("SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE event_id = ? AND config_id = ?", key)
    number = n.fetchone()[0]
    row = list(settled_row(settlement, worker, number, claim.attempts + 1, int(claim.manual), now))
    row[journals.VERDICT] = Verdict.LATE.value
    row[journals.WAIT_MS] = 0
    journals.log_attempts(raw, [tuple(row)])
    raw.execute("UPDATE owed SET logged = ? WHERE event_id = ? AND config_id = ?", (number, *key))
