"""Partitions of the log, one a day: made ahead of time, and dropped whole when their day is forgotten."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from postback.domain.ids import first_id_at
from postback.storage.postgres.door import Door

DAY_MS: Final = 86_400_000

AHEAD: Final = 7
"""Days: so long may nobody make any, and no event goes without one."""

TABLES: Final = {"events": "id", "attempts": "event_id"}
"""Each with the key that it is parted by."""

_LOCK: Final = 0x70_6F_73_74_0002

_EXISTING: Final = """
SELECT child.relname
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = $1::text::regclass
"""
_DAY: Final = re.compile(r"_(\d{4})(\d\d)(\d\d)$")


class Partition(NamedTuple):
    """Of a table, with the events that were accepted on a day: `first_id` ≤ their ids < `end_id`."""

    name: str
    table: str
    day: int

    @property
    def first_id(self) -> int:
        return first_id_at(self.day * DAY_MS)

    @property
    def end_id(self) -> int:
        return first_id_at((self.day + 1) * DAY_MS)


async def existing(door: Door, table: str) -> Sequence[Partition]:
    """Those of days, the oldest first; not the one for what no day is there for."""
    found = (_read(table, row[0]) for row in await door.raw.fetch(_EXISTING, table))
    return sorted((one for one in found if one is not None), key=lambda one: one.day)


async def make_ahead(door: Door, now_ms: int) -> int:
    """Inside a transaction: those of today and of the next days. How many were made; whoever comes second waits, and
    makes none."""
    today = now_ms // DAY_MS
    days = range(today - 1, today + AHEAD + 1)
    if not await _missing(door, days):
        return 0
    await door.raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    made = 0
    for one in await _missing(door, days):
        made += await _make(door, one)
    return made


async def make_days(door: Door, table: str, days: Collection[int]) -> None:
    """Inside a transaction: those of these days (unix) that are not there yet."""
    there = {one.day for one in await existing(door, table)}
    for day in days:
        if day not in there:
            await _make(door, _of(table, day))


async def drop(door: Door, partition: Partition) -> None:
    """Inside a transaction of its own: short, since all who use the table wait for it; Unavailable where it would have to
    wait for them."""
    await door.raw.execute("SET LOCAL lock_timeout = '1s'")
    await door.raw.execute(f"ALTER TABLE {partition.table} DETACH PARTITION {partition.name}")
    await door.raw.execute(f"DROP TABLE {partition.name}")


async def _missing(door: Door, days: range) -> Sequence[Partition]:
    missing = []
    for table in TABLES:
        there = {one.day for one in await existing(door, table)}
        missing += [_of(table, day) for day in days if day not in there]
    return missing


async def _make(door: Door, one: Partition) -> int:
    """0 where events of the day came before their partition: they, and all of that day, stay in the one for the rest."""
    key = TABLES[one.table]
    # Attached, not made in place: that would wait for everyone who uses the table, and make all others wait.
    await door.raw.execute(f"LOCK TABLE {one.table}_default IN ACCESS EXCLUSIVE MODE")
    taken = await door.raw.fetchval(
        f"SELECT EXISTS (SELECT 1 FROM {one.table}_default WHERE {key} >= $1 AND {key} < $2)",  # noqa: S608
        one.first_id,
        one.end_id,
    )
    if taken:
        return 0
    await door.raw.execute(f"CREATE TABLE {one.name} (LIKE {one.table} INCLUDING ALL)")
    await door.raw.execute(
        f"ALTER TABLE {one.table} ATTACH PARTITION {one.name} FOR VALUES FROM ({one.first_id}) TO ({one.end_id})"
    )
    return 1


def _of(table: str, day: int) -> Partition:
    date = datetime.fromtimestamp(day * DAY_MS / 1000, UTC)
    return Partition(f"{table}_{date:%Y%m%d}", table, day)


def _read(table: str, name: str) -> Partition | None:
    found = _DAY.search(name)
    if found is None:
        return None
    year, month, day = map(int, found.groups())
    return Partition(name, table, int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000) // DAY_MS)
