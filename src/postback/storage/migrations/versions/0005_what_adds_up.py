"""Counters add up with what is owed and with the log: what nobody counted until now is found from both."""

from alembic import op

revision = "0005"
down_revision = "0004"

# Numbers of storage/measures.py: 0 accepted, 1 delivered, 2 failed, 3 retried, 4 cancelled, 5 replayed,
# 6 the last success, from 8 on what retention has removed of the first five. Of minute 0 is what has no minute.

REPLAYED = """
INSERT INTO counters (account, config_id, minute, measure, count)
SELECT account, config_id, 0, 5, sum(n)
FROM (
    SELECT account, config_id, CASE measure WHEN 0 THEN -count ELSE count END AS n
    FROM counters
    WHERE measure IN (0, 1, 2, 4)
    UNION ALL
    SELECT account, config_id, 1 FROM owed
) AS ended_or_owed
GROUP BY account, config_id
HAVING sum(n) > 0
"""

REMOVED = """
INSERT INTO counters (account, config_id, minute, measure, count)
SELECT account, 0, 0, 8 + measure, sum(n)
FROM (
    SELECT account, measure, count AS n FROM counters WHERE measure <= 4
    UNION ALL
    SELECT account, 0, -deliveries FROM events
    UNION ALL
    SELECT account, CASE verdict WHEN 0 THEN 3 WHEN 3 THEN 4 ELSE verdict END, -1
    FROM attempts
    WHERE verdict <= 3 AND manual <> 2
    UNION ALL
    SELECT account, 0, 1 FROM attempts WHERE manual = 2
) AS counted_or_logged
GROUP BY account, measure
HAVING sum(n) > 0
"""

LAST_SUCCESS = """
INSERT INTO counters (account, config_id, minute, measure, count)
SELECT account, config_id, 0, 6, max(minute) * 60000
FROM counters
WHERE measure = 1
GROUP BY account, config_id
"""


def upgrade() -> None:
    # Minutes that are as old as retention allows are found by it, and folded into totals.
    op.create_index("counters_of_minute", "counters", ["minute"])
    op.execute(REPLAYED)
    op.execute(REMOVED)
    op.execute(LAST_SUCCESS)
