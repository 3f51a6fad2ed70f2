"""What `doctor` says of each thing that it has looked at."""

from typing import Final, NamedTuple


class Finding(NamedTuple):
    """`verdict` is ok, note (worth knowing) or wrong (makes the exit code 1)."""

    what: str
    verdict: str
    text: str


OWED_BY_STATE: Final = """
SELECT CASE
           WHEN owed.claim IS NOT NULL THEN 'claimed'
           WHEN configs.state IN ('paused', 'disabled') THEN 'held'
           ELSE 'pending'
       END AS state, count(*)
FROM owed LEFT JOIN configs ON configs.id = owed.config_id
GROUP BY 1
"""
"""For both databases. What is finished is not owed any more; held is what waits for a config that is paused or disabled."""
