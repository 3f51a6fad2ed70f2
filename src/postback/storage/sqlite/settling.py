"""Settling: every attempt is journaled; only deliveries whose claim still holds move on."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from postback.domain.configs import ConfigState
from postback.domain.deliveries import Settled, Settlement
from postback.domain.ids import config_text
from postback.storage.audit import Auditor, state_facts
from postback.storage.settling import Counts, Key, decide, key_of, late_row
from postback.storage.sqlite.journal import Journal, log_attempts
from postback.storage.sqlite.statements import Lookup

# Most are first attempts whose claim holds, and such a row has nothing to tell: to read only the others costs a third.
UNLIKE_FIRST: Final = Lookup(
    """
    WITH s (event_id, config_id, token) AS ({keys})
    SELECT s.event_id, s.config_id, s.token, o.attempts, o.interruptions, o.logged, o.manual
    FROM s LEFT JOIN owed o ON o.event_id = s.event_id AND o.config_id = s.config_id AND o.claim = s.token
    WHERE o.attempts IS NOT 0 OR o.interruptions IS NOT 0 OR o.logged IS NOT 0 OR o.manual IS NOT 0
    """,
    width=3,
)

FIRST: Final[Counts] = (0, 0, 0, 0)

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
    decided = decide(journal, worker, settlements, _held(raw, [key_of(settlement) for settlement in settlements]))
    disabled: dict[int, str] = {}
    for settlement in decided.telling:
        event, config_id = settlement.claim.event, settlement.claim.config_id
        if settlement.disables is not None and _disable(
            raw, event.account, config_id, settlement.disables, now, changed, auditor
        ):
            disabled[config_id] = settlement.disables
        if settlement.warns is not None:
            _warn(raw, settlement, now, changed)
    if decided.ended:
        raw.executemany(END, decided.ended)
    if decided.moved:
        raw.executemany(MOVE_ON, decided.moved)
    journal.write()
    for settlement in decided.late:
        _journal_late(raw, settlement, worker, now)
    return Settled(decided.number, decided.failed, disabled)


def _held(raw: sqlite3.Connection, keys: Sequence[Key]) -> dict[Key, Counts]:
    held = dict.fromkeys(keys, FIRST)
    for event_id, config_id, token, *counts in UNLIKE_FIRST.run(raw, keys):
        if counts[0] is None:
            held.pop((event_id, config_id, token), None)
        else:
            attempts, interruptions, logged, manual = counts
            held[event_id, config_id, token] = (attempts, interruptions, logged, manual)
    return held


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
    key = (settlement.claim.event.id, settlement.claim.config_id)
    n = raw.execute("SELECT coalesce(max(n), 0) + 1 FROM attempts WHERE event_id = ? AND config_id = ?", key)
    number = n.fetchone()[0]
    log_attempts(raw, [late_row(settlement, worker, number, now)])
    raw.execute("UPDATE owed SET logged = ? WHERE event_id = ? AND config_id = ?", (number, *key))
