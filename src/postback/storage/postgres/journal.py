"""What every statement of the hot path writes beside its rows: the log of attempts, the counters, the lanes.

Whoever writes locks in this order, each table's rows by their keys: rows of `owed`, lanes, counters. So those who meet
wait for each other and never in a circle.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final, TypeAlias

import asyncpg

from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Reason
from postback.storage.committed import Uncommitted
from postback.storage.journal import ATTEMPT_COLUMNS, DETAIL, AttemptRow, Gathered, Owed, note_attempts
from postback.storage.measures import ALL_TIME, CERTIFICATE, ERROR_AT, LAST_ERROR, LAST_SUCCESS
from postback.storage.postgres.arrays import columns, unnested

Raw: TypeAlias = "asyncpg.Connection[Any]"

PARTS: Final = 16
"""Counters are kept in so many parts; processes with the same one wait for each other's commits."""

SOON_MS: Final = 1000
"""Everyone looks as often."""

_ATTEMPT_TYPES: Final = (
    *("bigint", "bigint", "int", "text", "int", "smallint", "smallint", "int", "bigint"),
    *("bigint", "bigint", "bigint", "bigint", "bigint", "smallint", "text", "text", "bytea"),
    *("bytea", "bytea", "smallint", "text", "int", "int", "int", "int"),
)
_LANE_TYPES: Final = ("bigint", "text", "bigint")
_COUNTER_TYPES: Final = ("text", "bigint", "bigint", "smallint", "smallint", "bigint")

# A plan is made while a table is empty, and kept while it grows. To walk along all of an index looks cheap then; a bitmap
# cannot be made without a key.
BY_KEYS: Final = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"

LOG_ATTEMPTS: Final = f"""
INSERT INTO attempts ({", ".join(ATTEMPT_COLUMNS)})
SELECT * FROM {unnested(_ATTEMPT_TYPES, 1)}
"""  # noqa: S608

SET_DUE: Final = """
ON CONFLICT (config_id) DO UPDATE SET next_due_ms = excluded.next_due_ms
WHERE excluded.next_due_ms < lanes.next_due_ms
"""
"""Locks the lane also where it is left as it is: a claim that empties the lane comes before this or sees what this adds."""

_LASTS: Final = f"{LAST_SUCCESS}, {LAST_ERROR}, {CERTIFICATE}, {ERROR_AT}"

COUNT: Final = f"""
ON CONFLICT (account, config_id, minute, measure, part) DO UPDATE
SET count = excluded.count + CASE WHEN excluded.measure IN ({_LASTS}) THEN 0 ELSE counters.count END
"""


def lanes_and_counters(first: int, if_any: str = "(SELECT) AS always") -> str:
    """Parts of a statement: lanes, then counters, from parameters `first` and following (`Journal.lanes_and_counters`),
    where the FROM item `if_any` has a row."""
    counters = first + len(_LANE_TYPES)
    return f"""
    due AS (
        INSERT INTO lanes (config_id, account, next_due_ms)
        SELECT l.* FROM {if_any}, {unnested(_LANE_TYPES, first)} AS l
        {SET_DUE}
        RETURNING 1
    ), counted AS (
        INSERT INTO counters (account, config_id, minute, measure, part, count)
        SELECT c.* FROM {if_any}, (SELECT count(*) FROM due) AS all_lanes, {unnested(_COUNTER_TYPES, counters)} AS c
        {COUNT}
    )
    """  # noqa: S608


WRITE: Final = f"""
WITH logged AS ({LOG_ATTEMPTS}),
{lanes_and_counters(1 + len(_ATTEMPT_TYPES))}
SELECT
"""

WRITE_WITHOUT_ATTEMPTS: Final = f"WITH {lanes_and_counters(1)} SELECT"


NOTHING_BESIDE: Final = ((),) * (len(_LANE_TYPES) + len(_COUNTER_TYPES))
"""Parameters of `lanes_and_counters` where there are none."""


class Journal(Gathered):
    """Gathers what one transaction adds to log, counters and lanes, and writes it in one statement.

    `rows` counts the rows that the transaction writes; whoever writes others adds to it.
    """

    def __init__(self, now: int, new: Uncommitted, part: int) -> None:
        super().__init__(now, new)
        self._part = part
        self.rows = 0

    async def write(self, raw: Raw) -> None:
        self.note()
        rest = self.lanes_and_counters()
        self.rows += len(self.attempts)
        if self.attempts:
            await raw.execute(WRITE, *attempt_columns(self.attempts), *rest)
        elif self.dues or self.counts or self.lasts:
            await raw.execute(WRITE_WITHOUT_ATTEMPTS, *rest)

    def lanes_and_counters(self) -> Sequence[Sequence[Any]]:
        """Parameters, in order of their keys: whoever locks many of these locks them in the same order."""
        minute, part = self.now // MINUTE_MS, self._part
        lanes = sorted((config, account, due_at_ms) for config, (account, due_at_ms) in self.dues.items())
        counters = [
            (account, config, minute, measure, part, n) for (account, config, measure), n in self.counts.items()
        ]
        counters += [
            (account, config, ALL_TIME, measure, part, n) for (account, config, measure), n in self.lasts.items()
        ]
        counters.sort()
        self.rows += len(lanes) + len(counters)
        return (*columns(lanes, len(_LANE_TYPES)), *columns(counters, len(_COUNTER_TYPES)))

    def absorb(self, other: "Journal") -> None:
        """What the other has gathered is part of this one."""
        for (account, config_id, measure), number in other.counts.items():
            key = (account, config_id, measure)
            self.counts[key] = self.counts.get(key, 0) + number
        for config_id, (account, due_at_ms) in other.dues.items():
            self.due(account, config_id, due_at_ms)
        self.attempts += other.attempts
        self.lasts.update(other.lasts)
        self.rows += other.rows
        self.new.events += other.new.events
        self.new.deliveries += other.new.deliveries

    @property
    def due_soon(self) -> Collection[int]:
        """Configs that have something unclaimed by this which is due now, or nearly: for others to be told."""
        return [config for config, (_, due_at_ms) in self.dues.items() if due_at_ms <= self.now + SOON_MS]


async def go_by_keys(raw: Raw) -> None:
    """From here to the end of the transaction statements join what they are given to large tables by their keys,
    whatever the server thinks of the size of these. The same statement must stand after this always or never, since its
    plan is kept; one that walks along an index stands before."""
    await raw.execute(BY_KEYS)


async def log_attempts(raw: Raw, journal: Journal, rows: Sequence[AttemptRow]) -> None:
    """Into the log without anything beside it; what is written is what is counted."""
    await raw.execute(LOG_ATTEMPTS, *attempt_columns(rows))
    note_attempts(journal.new, rows)
    journal.rows += len(rows)


def attempt_columns(rows: Sequence[AttemptRow]) -> Sequence[Sequence[Any]]:
    found = columns(rows, len(_ATTEMPT_TYPES))
    found[DETAIL] = [None if text is None else storable(text) for text in found[DETAIL]]
    return found


def storable(text: str) -> str:
    """What somebody's server or a library has said, as PostgreSQL can keep it: without NUL, in whole characters."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


async def interrupt(raw: Raw, journal: Journal, held: Sequence[Owed]) -> None:
    """Their worker died: each is on record as interrupted and owed again, or given up after the tenth in a row."""
    freed, ended = journal.interrupt(held)
    journal.rows += len(held)
    await go_by_keys(raw)
    if ended:
        await raw.execute(REMOVE_OWED, *columns(ended, 2))
    if freed:
        await raw.execute(
            f"""
            UPDATE owed AS o
            SET
                interruptions = f.interruptions, due_at_ms = f.due_at_ms, logged = logged + 1,
                worker = NULL, claim = NULL, claimed_ms = NULL
            FROM {unnested(("int", "bigint", "bigint", "bigint"), 1)} AS f (interruptions, due_at_ms, event_id, config_id)
            WHERE o.event_id = f.event_id AND o.config_id = f.config_id
            """,  # noqa: S608
            *columns(freed, 4),
        )


REMOVE_OWED: Final = f"""
DELETE FROM owed AS o USING {unnested(("bigint", "bigint"), 1)} AS k (event_id, config_id)
WHERE o.event_id = k.event_id AND o.config_id = k.config_id
"""  # noqa: S608


async def end(raw: Raw, journal: Journal, open_ones: Sequence[Owed], verdict: Verdict, reason: Reason) -> None:
    """End them without an outcome, whether claimed or not: cancelled, expired. Their rows are locked already."""
    if not open_ones:
        return
    journal.end(open_ones, verdict, reason)
    journal.rows += len(open_ones)
    await go_by_keys(raw)
    await raw.execute(REMOVE_OWED, [one.event_id for one in open_ones], [one.config_id for one in open_ones])
