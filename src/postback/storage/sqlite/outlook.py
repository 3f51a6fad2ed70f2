"""What the next sweep would take away, told beforehand: counted beside a server at work, and never long at a time."""

import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple

from postback.domain.ids import first_id_at
from postback.domain.stats import MINUTE_MS
from postback.storage.accepting import IDEMPOTENCY_MS
from postback.storage.measures import ALL_TIME
from postback.storage.retention import SEEN_MS, UNNEEDED_AFTER, audited_before_ms, first_job_at
from postback.storage.sqlite.retention import UNNEEDED
from postback.storage.tables import METADATA

ROWS_A_QUESTION: Final = 20_000
"""While one is read, the log of a server at work cannot be emptied."""

SAMPLE: Final = 200
"""Rows whose size stands for that of all."""

_IDS_A_MS: Final = first_id_at(1)


class Going(NamedTuple):
    """Rows of a table that go. `size` is roughly their bytes, without indexes; `oldest_ms` is None where there are none."""

    table: str
    fate: str
    rows: int
    size: int
    oldest_ms: int | None


def outlook(raw: sqlite3.Connection, now: int, before_ms: int) -> Iterator[Going]:
    """Table by table, in the order of the sweep."""
    yield _by_id(raw, "owed", "event_id", "fail as expired", before_ms)
    yield _by_id(raw, "events", "id", "removed", before_ms - SEEN_MS)
    yield _by_id(raw, "attempts", "event_id", "removed", before_ms - SEEN_MS)
    yield _where(
        raw, "idempotency", "FROM idempotency WHERE expires_ms <= ?", (now,), f"min(expires_ms) - {IDEMPOTENCY_MS}"
    )
    yield _where(
        raw,
        "counters",
        f"FROM counters WHERE minute > {ALL_TIME} AND minute < ?",
        (before_ms // MINUTE_MS,),
        f"min(minute) * {MINUTE_MS}",
        "folded into totals",
    )
    yield _by_id(raw, "changelogs", "id", "removed", before_ms)
    yield _by_id(raw, "audit", "id", "removed", audited_before_ms(now, before_ms))
    yield _where(
        raw, "replays", "FROM replays WHERE id < ? AND state = 'done'", (first_job_at(before_ms),), "min(created_ms)"
    )
    yield _where(raw, "config_versions", UNNEEDED, (before_ms, *UNNEEDED_AFTER), "min(created_ms)")


def _by_id(raw: sqlite3.Connection, table: str, key: str, fate: str, before_ms: int) -> Going:
    """Rows whose ids are times."""
    low, below = 0, first_id_at(max(before_ms, 0))
    [first] = raw.execute(f"SELECT min({key}) FROM {table} WHERE {key} < ?", (below,)).fetchone()  # noqa: S608
    rows = 0
    while low < below:
        at = raw.execute(
            f"SELECT {key} FROM {table} WHERE {key} >= ? AND {key} < ? ORDER BY {key} LIMIT 1 OFFSET ?",  # noqa: S608
            (low, below, ROWS_A_QUESTION),
        ).fetchone()
        upto = below if at is None else max(at[0], low + 1)
        rows += raw.execute(
            f"SELECT count(*) FROM {table} WHERE {key} >= ? AND {key} < ?",  # noqa: S608
            (low, upto),
        ).fetchone()[0]
        low = upto
    size = _size(raw, table, f"FROM {table} WHERE {key} < ? ORDER BY {key}", (below,))
    return Going(table, fate, rows, rows * size, None if first is None else first // _IDS_A_MS)


def _where(
    raw: sqlite3.Connection, table: str, rows_from: str, known: tuple[object, ...], oldest: str, fate: str = "removed"
) -> Going:
    """Rows that an index counts."""
    rows, oldest_ms = raw.execute(f"SELECT count(*), {oldest} {rows_from}", known).fetchone()
    return Going(table, fate, rows, rows * _size(raw, table, rows_from, known), oldest_ms if rows else None)


def _size(raw: sqlite3.Connection, table: str, rows_from: str, known: tuple[object, ...]) -> int:
    """Of one row, by the first ones."""
    columns = " + ".join(
        f"coalesce(length(CAST({column.name} AS BLOB)), 0)" for column in METADATA.tables[table].columns
    )
    found = raw.execute(
        f"SELECT avg(size) FROM (SELECT {columns} AS size {rows_from} LIMIT {SAMPLE})",  # noqa: S608
        known,
    ).fetchone()[0]
    return round(found or 0)
