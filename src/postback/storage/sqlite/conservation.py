"""Conservation: whatever was accepted is owed or has ended. The counters say it at once, the log at leisure.

Each function reads in the caller's transaction, so that what it compares is of one moment.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.storage.measures import ACCEPTED, CANCELLED, DELIVERED, FAILED, REMOVED, REPLAYED, RETRIED
from postback.storage.sqlite.counting import TEST

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

NAMES: Final = {
    ACCEPTED: "accepted",
    DELIVERED: "delivered",
    FAILED: "failed",
    RETRIED: "retried",
    CANCELLED: "cancelled",
}
"""What both the counters and the log know."""

ENDS: Final = {
    Verdict.DELIVERED.value: DELIVERED,
    Verdict.FAILED.value: FAILED,
    Verdict.CANCELLED.value: CANCELLED,
}


class Balance(NamedTuple):
    """What was accepted, and what became of it: of an account by the counters, of one of its days by the log."""

    accepted: int
    replayed: int
    delivered: int
    failed: int
    cancelled: int
    owed: int

    @property
    def missing(self) -> int:
        """How many are neither owed nor ended; below 0, how many are both or were never accepted."""
        return self.accepted + self.replayed - self.delivered - self.failed - self.cancelled - self.owed

    def __str__(self) -> str:
        return (
            f"{self.accepted:,} accepted + {self.replayed:,} replayed = {self.delivered:,} delivered + "
            f"{self.failed:,} failed + {self.cancelled:,} cancelled + {self.owed:,} owed"
        )


class Logged(NamedTuple):
    """The whole log, counted: account and day of acceptance → its balance; account → how much of each measure."""

    days: Mapping[tuple[str, int], Balance]
    totals: Mapping[str, Mapping[int, int]]


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
    return {account: _balance(totals.get(account, {}), owed.get(account, 0)) for account in {*totals, *owed}}


def _balance(counts: Mapping[int, int], owed: int) -> Balance:
    measures = (ACCEPTED, REPLAYED, DELIVERED, FAILED, CANCELLED)
    return Balance._make([*(counts.get(measure, 0) for measure in measures), owed])


def differences(totals: Mapping[str, Mapping[int, int]], logged: Logged) -> Iterator[tuple[str, str, int, int]]:
    """(account, what, by the counters, by the log) wherever the two are not the same.

    What retention has removed from the log is no difference: the counters know how much it was.
    """
    for account, counts in totals.items():
        in_log = logged.totals.get(account, {})
        for measure, name in NAMES.items():
            expected = counts.get(measure, 0) - counts.get(REMOVED + measure, 0)
            if expected != in_log.get(measure, 0):
                yield account, name, expected, in_log.get(measure, 0)


def count_log(raw: sqlite3.Connection, told: Callable[[int, int], None]) -> Logged:
    """Read all of it, an hour of acceptance at a time; `told` hears (hours done, hours in all)."""
    days: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    totals: defaultdict[str, Counter[int]] = defaultdict(Counter)
    hours = _hours(raw)
    for done, hour in enumerate(hours):
        told(done, len(hours))
        ids = (first_id_at(hour * HOUR_MS), first_id_at((hour + 1) * HOUR_MS))
        day = hour * HOUR_MS // DAY_MS
        for account, deliveries in raw.execute(_ACCEPTED, ids):
            days[account, day]["accepted"] += deliveries
            totals[account][ACCEPTED] += deliveries
        for account, owed in raw.execute(_OWED, ids):
            days[account, day]["owed"] += owed
        for account, verdict, ended in raw.execute(_ENDED, ids):
            if verdict in ENDS:
                days[account, day][NAMES[ENDS[verdict]]] += ended
        for account, verdict, is_test, attempts in raw.execute(_ATTEMPTS, (TEST, *ids)):
            if is_test:
                # It is on record as an event with a delivery, and no count ever knew it.
                totals[account][ACCEPTED] -= attempts
            elif verdict in ENDS:
                totals[account][ENDS[verdict]] += attempts
            elif verdict == Verdict.RETRY:
                totals[account][RETRIED] += attempts
    told(len(hours), len(hours))
    return Logged({key: _balance_of_day(counts) for key, counts in days.items()}, totals)


def _balance_of_day(counts: Mapping[str, int]) -> Balance:
    """A delivery that was replayed is in one state now, like any other: nothing is added for it."""
    return Balance(
        accepted=counts["accepted"],
        replayed=0,
        delivered=counts["delivered"],
        failed=counts["failed"],
        cancelled=counts["cancelled"],
        owed=counts["owed"],
    )


def _hours(raw: sqlite3.Connection) -> range:
    """From the oldest to the newest event that anything in the log is of."""
    first, last = raw.execute(_ENDS_OF_LOG).fetchone()
    if first is None:
        return range(0)
    hour = first_id_at(HOUR_MS)
    return range(first // hour, last // hour + 1)


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
