"""Conservation on SQLite: what the counters and the log say, for `storage/balance.py` to compare.

Each function reads in the caller's transaction, so that what it compares is of one moment.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.storage.balance import HOUR_MS, Balance, Counting, Logged, balance, hours_between
from postback.storage.journal import TEST
from postback.storage.measures import CANCELLED, REMOVED, REPLAYED


def counted(raw: sqlite3.Connection) -> Mapping[str, Mapping[int, int]]:
    """Account → measure → how much, of all time, for the accounts that there are."""
    totals: defaultdict[str, Counter[int]] = defaultdict(Counter)
    rows = raw.execute(
        """
        SELECT account, measure, sum(count)
        FROM counters
        WHERE (measure <= ? OR measure BETWEEN ? AND ?) AND account IN (SELECT id FROM accounts)
        GROUP BY account, measure
        """,
        (REPLAYED, REMOVED, REMOVED + CANCELLED),
    )
    for account, measure, count in rows:
        totals[account][measure] = count
    return totals


def balances(raw: sqlite3.Connection, totals: Mapping[str, Mapping[int, int]]) -> Mapping[str, Balance]:
    """Account → its balance, by what was counted and what is owed."""
    owed = dict(raw.execute("SELECT account, count(*) FROM owed GROUP BY account").fetchall())
    return {account: balance(totals.get(account, {}), owed.get(account, 0)) for account in {*totals, *owed}}


def count_log(raw: sqlite3.Connection, told: Callable[[int, int], None]) -> Logged:
    """Read all of it, an hour of acceptance at a time; `told` hears (hours done, hours in all)."""
    counting = Counting()
    hours = hours_between(*raw.execute(_ENDS_OF_LOG).fetchone())
    for done, hour in enumerate(hours):
        told(done, len(hours))
        ids = (first_id_at(hour * HOUR_MS), first_id_at((hour + 1) * HOUR_MS))
        counting.add(
            hour,
            raw.execute(_ACCEPTED, ids),
            raw.execute(_OWED, ids),
            raw.execute(_ENDED, ids),
            raw.execute(_ATTEMPTS, (TEST, *ids)),
        )
    told(len(hours), len(hours))
    return counting.logged()


_ENDS_OF_LOG: Final = """
SELECT min(first), max(last)
FROM (
    SELECT (SELECT min(id) FROM events) AS first, (SELECT max(id) FROM events) AS last
    UNION ALL SELECT (SELECT min(event_id) FROM owed), (SELECT max(event_id) FROM owed)
    UNION ALL SELECT (SELECT min(event_id) FROM attempts), (SELECT max(event_id) FROM attempts)
)
"""

_ACCEPTED: Final = "SELECT account, sum(deliveries) FROM events WHERE id >= ? AND id < ? GROUP BY account"

_OWED: Final = "SELECT account, count(*) FROM owed WHERE event_id >= ? AND event_id < ? GROUP BY account"

# What came too late decided nothing; of what is left the last word counts, unless the delivery is owed again.
_ENDED: Final = f"""
SELECT account, verdict, count(*)
FROM (
    SELECT event_id, config_id, account, verdict, max(n)
    FROM attempts
    WHERE event_id >= ? AND event_id < ? AND verdict <> {Verdict.LATE:d}
    GROUP BY event_id, config_id
) AS last
WHERE NOT EXISTS (SELECT 1 FROM owed WHERE owed.event_id = last.event_id AND owed.config_id = last.config_id)
GROUP BY account, verdict
"""  # noqa: S608 - a number of ours

_ATTEMPTS: Final = """
SELECT account, verdict, manual = ?, count(*)
FROM attempts
WHERE event_id >= ? AND event_id < ?
GROUP BY 1, 2, 3
"""
