"""Conservation on PostgreSQL: what the counters and the log say, for `storage/balance.py` to compare.

Each function reads in the caller's transaction, so that what it compares is of one moment.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Final

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.storage.balance import HOUR_MS, Balance, Counting, Logged, balance, hours_between
from postback.storage.journal import TEST
from postback.storage.measures import CANCELLED, REMOVED, REPLAYED
from postback.storage.postgres.journal import Raw


async def counted(raw: Raw) -> Mapping[str, Mapping[int, int]]:
    """Account → measure → how much, of all time, for the accounts that there are."""
    totals: defaultdict[str, Counter[int]] = defaultdict(Counter)
    rows = await raw.fetch(
        """
        SELECT account, measure, sum(count)::bigint
        FROM counters
        WHERE (measure <= $1 OR measure BETWEEN $2 AND $3) AND account IN (SELECT id FROM accounts)
        GROUP BY account, measure
        """,
        REPLAYED,
        REMOVED,
        REMOVED + CANCELLED,
    )
    for account, measure, count in rows:
        totals[account][measure] = count
    return totals


async def balances(raw: Raw, totals: Mapping[str, Mapping[int, int]]) -> Mapping[str, Balance]:
    """Account → its balance, by what was counted and what is owed."""
    owed: dict[str, int] = {
        row[0]: row[1] for row in await raw.fetch("SELECT account, count(*) FROM owed GROUP BY account")
    }
    return {account: balance(totals.get(account, {}), owed.get(account, 0)) for account in {*totals, *owed}}


async def count_log(raw: Raw, told: Callable[[int, int], None]) -> Logged:
    """Read all of it, an hour of acceptance at a time; `told` hears (hours done, hours in all)."""
    counting = Counting()
    [ends] = await raw.fetch(_ENDS_OF_LOG)
    hours = hours_between(ends[0], ends[1])
    for done, hour in enumerate(hours):
        told(done, len(hours))
        ids = (first_id_at(hour * HOUR_MS), first_id_at((hour + 1) * HOUR_MS))
        counting.add(
            hour,
            [tuple(row) for row in await raw.fetch(_ACCEPTED, *ids)],
            [tuple(row) for row in await raw.fetch(_OWED, *ids)],
            [tuple(row) for row in await raw.fetch(_ENDED, *ids)],
            [tuple(row) for row in await raw.fetch(_ATTEMPTS, *ids)],
        )
    told(len(hours), len(hours))
    return counting.logged()


_ENDS_OF_LOG: Final = """
SELECT
    least((SELECT min(id) FROM events), (SELECT min(event_id) FROM owed), (SELECT min(event_id) FROM attempts)),
    greatest((SELECT max(id) FROM events), (SELECT max(event_id) FROM owed), (SELECT max(event_id) FROM attempts))
"""

_ACCEPTED: Final = "SELECT account, sum(deliveries)::bigint FROM events WHERE id >= $1 AND id < $2 GROUP BY account"

_OWED: Final = "SELECT account, count(*) FROM owed WHERE event_id >= $1 AND event_id < $2 GROUP BY account"

# What came too late decided nothing; of what is left the last word counts, unless the delivery is owed again.
_ENDED: Final = f"""
SELECT account, verdict, count(*)
FROM (
    SELECT DISTINCT ON (event_id, config_id) event_id, config_id, account, verdict
    FROM attempts
    WHERE event_id >= $1 AND event_id < $2 AND verdict <> {Verdict.LATE:d}
    ORDER BY event_id, config_id, n DESC
) AS last
WHERE NOT EXISTS (SELECT 1 FROM owed WHERE owed.event_id = last.event_id AND owed.config_id = last.config_id)
GROUP BY account, verdict
"""  # noqa: S608

_ATTEMPTS: Final = f"""
SELECT account, verdict, manual = {TEST}, count(*)
FROM attempts
WHERE event_id >= $1 AND event_id < $2
GROUP BY 1, 2, 3
"""  # noqa: S608
