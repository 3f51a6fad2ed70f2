"""What becomes of counters when time passes: totals outlive the minutes that they are made of, and the log too."""

from typing import Final

from postback.storage.counting import removed
from postback.storage.journal import TEST
from postback.storage.measures import ALL_TIME, NO_CONFIG, REMOVED, TOTALS
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.journal import COUNT, Raw

_TOTALS: Final = f"measure >= {TOTALS.start} AND measure < {TOTALS.stop}"

# Totals are of no part: whoever folds them is alone.
FOLD: Final = f"""
WITH old AS MATERIALIZED (
    SELECT account, config_id, minute, measure, part
    FROM counters
    WHERE minute > {ALL_TIME} AND minute < $1
    ORDER BY minute
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM counters AS c USING old
    WHERE
        c.account = old.account AND c.config_id = old.config_id AND c.minute = old.minute
        AND c.measure = old.measure AND c.part = old.part
    RETURNING c.account, c.config_id, c.measure, c.count
), kept AS (
    INSERT INTO counters (account, config_id, minute, measure, part, count)
    SELECT account, kept_as, {ALL_TIME}, measure, 0, sum(count)::bigint
    FROM (
        SELECT
            g.account, g.measure, g.count,
            CASE WHEN EXISTS (SELECT 1 FROM configs WHERE id = g.config_id) THEN g.config_id ELSE {NO_CONFIG} END AS kept_as
        FROM gone AS g
        WHERE {_TOTALS}
    ) AS totals
    GROUP BY account, kept_as, measure
    ORDER BY account, kept_as, measure
    {COUNT}
)
SELECT count(*) FROM gone
"""  # noqa: S608

FOLD_CONFIG: Final = f"""
WITH gone AS (
    DELETE FROM counters WHERE account = $1 AND config_id = $2 AND minute = {ALL_TIME}
    RETURNING measure, count
), kept AS (
    INSERT INTO counters (account, config_id, minute, measure, part, count)
    SELECT $1, {NO_CONFIG}, {ALL_TIME}, measure, 0, sum(count)::bigint
    FROM gone
    WHERE {_TOTALS}
    GROUP BY measure
    ORDER BY measure
    {COUNT}
)
SELECT count(*) FROM gone
"""  # noqa: S608

ADD_REMOVED: Final = f"""
INSERT INTO counters (account, config_id, minute, measure, part, count)
SELECT r.account, {NO_CONFIG}, {ALL_TIME}, r.measure, 0, r.count
FROM {unnested(("text", "smallint", "bigint"), 1)} AS r (account, measure, count)
WHERE EXISTS (SELECT 1 FROM accounts WHERE id = r.account)
{COUNT}
"""  # noqa: S608

_ACCEPTED: Final = "SELECT account, sum(deliveries)::bigint FROM events WHERE id >= $1 AND id < $2 GROUP BY account"
_ATTEMPTS: Final = f"""
SELECT account, verdict, manual = {TEST}, count(*)
FROM attempts
WHERE event_id >= $1 AND event_id < $2
GROUP BY 1, 2, 3
"""  # noqa: S608


async def fold_counters(raw: Raw, before_minute: int, limit: int) -> int:
    """Put up to so many rows of the minutes before that one into the totals of their config. How many they were.

    The totals are what conservation is proved by; how long deliveries took is forgotten.
    """
    folded: int = await raw.fetchval(FOLD, before_minute, limit)
    return folded


async def fold_config(raw: Raw, account: str, config_id: int) -> int:
    """The config is gone: its totals are the account's from now on, and its last times are of no use to anybody.
    How many rows that were."""
    folded: int = await raw.fetchval(FOLD_CONFIG, account, config_id)
    return folded


async def count_removed(raw: Raw, first: int, before: int) -> None:
    """The log of all events from that one on, before the other, is about to be removed: its accounts keep on record how
    much it was."""
    gone = removed(
        [tuple(row) for row in await raw.fetch(_ACCEPTED, first, before)],
        [tuple(row) for row in await raw.fetch(_ATTEMPTS, first, before)],
    )
    rows = sorted((account, REMOVED + measure, count) for (account, measure), count in gone.items() if count)
    await raw.execute(ADD_REMOVED, *columns(rows, 3))
