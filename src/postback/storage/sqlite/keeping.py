"""What people ask of single deliveries, and the end of those of deleted configs: tests, replay, cancel, bury."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from postback.domain.deliveries import Settlement, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import delivery_text
from postback.domain.wire import Reason
from postback.storage.accepting import event_row
from postback.storage.journal import OWED_COLUMNS, TEST, Owed, settled_row
from postback.storage.measures import REPLAYED
from postback.storage.sqlite.accepting import INSERT_EVENT
from postback.storage.sqlite.counting import fold_config
from postback.storage.sqlite.journal import INSERT_ATTEMPT, Journal, end

# Verdicts of a row that is no outcome of a POST, though it ended the delivery.
_NO_POST: Final = f"'{Reason.POISON}', '{Reason.EXPIRED}', '{Reason.CANCELLED}', '{Reason.CANNOT_RENDER}'"
_OUTCOMES: Final = f"{Verdict.RETRY:d}, {Verdict.DELIVERED:d}, {Verdict.FAILED:d}"

_OWE_AGAIN: Final = f"""
INSERT INTO owed (
    event_id, config_id, account, order_key, due_at_ms, attempts, forgiven, interruptions, logged, manual
)
SELECT :event_id, :config_id, e.account, e.subject, :now, a.made, a.made, 0, a.logged, 1
FROM events e CROSS JOIN (
    SELECT
        coalesce(max(counter) FILTER (
            WHERE verdict IN ({_OUTCOMES}) AND (reason IS NULL OR reason NOT IN ({_NO_POST}))
        ), 0) AS made,
        max(n) AS logged
    FROM attempts
    WHERE event_id = :event_id AND config_id = :config_id
) a
WHERE e.id = :event_id
"""  # noqa: S608

DELETED: Final = "SELECT account, id FROM configs WHERE state = 'deleted'"

RETIRE_VERSIONS: Final = "UPDATE config_versions SET replaced_ms = ? WHERE config_id = ? AND replaced_ms IS NULL"


def keep_test(raw: sqlite3.Connection, now: int, worker: int, settlement: Settlement) -> None:
    """Nobody tries a test again: what was no success has failed."""
    event, claim = settlement.claim.event, settlement.claim
    verdict = Verdict.DELIVERED if settlement.verdict is Verdict.DELIVERED else Verdict.FAILED
    ended = settlement._replace(verdict=verdict, wait_ms=0)
    INSERT_EVENT.run(raw, [event_row(event, 1)])
    INSERT_ATTEMPT.run(raw, [settled_row(ended, worker, 1, claim.attempts + 1, TEST, now)])


def replay(raw: sqlite3.Connection, now: int, account: str, event_id: int, config_id: int) -> None:
    key = (event_id, config_id)
    event = raw.execute("SELECT 1 FROM events WHERE id = ? AND account = ?", (event_id, account)).fetchone()
    if event is None:
        raise NotFound("delivery", delivery_text(*key))
    if raw.execute("SELECT 1 FROM owed WHERE event_id = ? AND config_id = ?", key).fetchone():
        raise Conflict("the delivery is still owed; cancel it first, or let it end")
    if raw.execute("SELECT 1 FROM attempts WHERE event_id = ? AND config_id = ? LIMIT 1", key).fetchone() is None:
        raise NotFound("delivery", delivery_text(*key))
    if not is_there(raw, account, config_id):
        raise Conflict("the delivery's postback config was deleted: there is nowhere to send it")
    journal = Journal(raw, now)
    owe_again(raw, journal, account, [key])
    journal.write()


def owe_again(raw: sqlite3.Connection, journal: Journal, account: str, keys: Sequence[tuple[int, int]]) -> None:
    """Owe finished deliveries (event, config) again: their numbers go on, their policy begins anew."""
    raw.executemany(
        _OWE_AGAIN, [{"now": journal.now, "event_id": event, "config_id": config} for event, config in keys]
    )
    for _, config_id in keys:
        journal.count(account, config_id, REPLAYED)
        journal.due(account, config_id, journal.now)


def is_there(raw: sqlite3.Connection, account: str, config_id: int) -> bool:
    """Whether the config is the account's and not deleted."""
    config = raw.execute("SELECT state FROM configs WHERE id = ? AND account = ?", (config_id, account)).fetchone()
    return config is not None and config[0] != "deleted"


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
    end(raw, journal, [Owed(*row)], Verdict.CANCELLED, Reason.CANCELLED)
    journal.write()


def bury(raw: sqlite3.Connection, now: int, limit: int) -> int:
    journal = Journal(raw, now)
    done = 0
    deleted = raw.execute(DELETED).fetchall()
    for account, config_id in deleted:
        # The index knows the unclaimed ones; for the few that are claimed the table is read, once for a config.
        for which in ("claim IS NULL", "claim IS NOT NULL"):
            rows = raw.execute(
                f"SELECT {OWED_COLUMNS} FROM owed WHERE config_id = ? AND {which} LIMIT ?",  # noqa: S608
                (config_id, limit - done),
            ).fetchall()
            end(raw, journal, [Owed(*row) for row in rows], Verdict.CANCELLED, Reason.CANCELLED)
            done += len(rows)
            if done >= limit:
                break
        else:
            raw.execute("DELETE FROM lanes WHERE config_id = ?", (config_id,))
            raw.execute("DELETE FROM configs WHERE id = ?", (config_id,))
            raw.execute(RETIRE_VERSIONS, (now, config_id))
            fold_config(raw, account, config_id)
            done += 1
        if done >= limit:
            break
    journal.write()
    return done
