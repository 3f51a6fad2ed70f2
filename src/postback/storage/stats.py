"""What the counters say: steps of time for charts, and the health of configs. Nothing here counts rows of the log."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, func, literal

from postback.domain.deliveries import Verdict
from postback.domain.stats import MINUTE_MS, PENDING_MAX, Health, LastError, Tally
from postback.storage import lists, scope
from postback.storage.database import Database
from postback.storage.measures import (
    ACCEPTED,
    ALL_TIME,
    CANCELLED,
    CERTIFICATE,
    CERTIFICATE_BITS,
    DELIVERED,
    FAILED,
    LAST_ERROR,
    LAST_SUCCESS,
    LATENCIES,
    LATENCY,
    NO_CONFIG,
    REPLAYED,
    RETRIED,
)
from postback.storage.tables import attempts, counters, owed

_NAMES: Final = {
    ACCEPTED: "accepted",
    DELIVERED: "delivered",
    FAILED: "failed",
    RETRIED: "retried",
    CANCELLED: "cancelled",
    REPLAYED: "replayed",
}
_OF_HEALTH: Final = (DELIVERED, FAILED, RETRIED)

AT_ONCE: Final = 500
"""Configs that one statement names."""

Lasts = Mapping[tuple[int, int], int]
"""Config and LAST_SUCCESS, LAST_ERROR or CERTIFICATE → its value."""


class SqlStats:
    """Keeps the port Stats."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def steps(
        self, account: str, since_ms: int, until_ms: int, step_ms: int, config_id: int | None = None
    ) -> Mapping[int, Tally]:
        minutes, step = (since_ms // MINUTE_MS, until_ms // MINUTE_MS), step_ms // MINUTE_MS
        counts: defaultdict[int, Counter[int]] = defaultdict(Counter)

        def read(connection: Connection) -> None:
            config_ids = (
                [config_id] if config_id is not None else connection.execute(counted_configs(account)).scalars().all()
            )
            for some in _in_parts(config_ids):
                for minute, measure, count in connection.execute(step_sums(account, some, minutes, step)):
                    counts[minute * MINUTE_MS][measure] += int(count)

        await self._database.read(read)
        return {at_ms: _tally(of_step) for at_ms, of_step in counts.items()}

    async def health(self, account: str, config_ids: Sequence[int], since_ms: int) -> Mapping[int, Health]:
        def read(connection: Connection) -> Mapping[int, Health]:
            recent = _recent(connection, account, config_ids, since_ms // MINUTE_MS)
            lasts = _lasts(connection, account, config_ids)
            errors = _errors(connection, account, {key[0]: last for key, last in lasts.items() if key[1] == LAST_ERROR})
            pending = {one: lists.count(connection, pending_of(account, one)) for one in config_ids}
            return {
                one: Health(
                    **recent[one],
                    pending=min(pending[one], PENDING_MAX),
                    has_more=pending[one] > PENDING_MAX,
                    last_success_ms=lasts.get((one, LAST_SUCCESS)),
                    last_error=errors.get(one),
                    certificate_ends_ms=certificate_end(lasts.get((one, CERTIFICATE))),
                )
                for one in config_ids
            }

        return await self._database.read(read)


def step_sums(account: str, config_ids: Sequence[int], minutes: tuple[int, int], step: int) -> Select[Any]:
    """(first minute of a step, measure, how many) of all minutes from the first up to, not including, the second.

    The configs are named, so that of each the key leads to these minutes and to no others.
    """
    first, end = minutes
    # Steps begin where a multiple of their length does, so every day begins at midnight.
    begins = (counters.c.minute - counters.c.minute % literal(step, literal_execute=True)).label("begins")
    # The minute of what has none is never among them.
    is_within = (counters.c.minute >= max(first, ALL_TIME + 1), counters.c.minute < end)
    return (
        scope.rows(account, counters, begins, counters.c.measure, func.sum(counters.c.count))
        .where(counters.c.config_id.in_(config_ids), *is_within)
        .group_by(begins, counters.c.measure)
    )


def counted_configs(account: str) -> Select[Any]:
    """All that anything was ever counted of, also those that are gone by now: one look into the key for each."""
    found = (
        scope.rows(account, counters, func.min(counters.c.config_id).label("config_id"))
        .where(counters.c.config_id > NO_CONFIG)
        .cte(recursive=True)
    )
    later = counters.alias("later")
    following = scope.rows(account, later, func.min(later.c.config_id)).where(later.c.config_id > found.c.config_id)
    is_one = found.c.config_id.is_not(None)
    step = found.select().with_only_columns(following.correlate(found).scalar_subquery()).where(is_one)
    walk = found.union_all(step)
    return walk.select().where(walk.c.config_id.is_not(None))


def _in_parts(config_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for at in range(0, len(config_ids), AT_ONCE):
        yield config_ids[at : at + AT_ONCE]


def _tally(counts: Mapping[int, int]) -> Tally:
    return Tally(
        **{name: counts.get(measure, 0) for measure, name in _NAMES.items()},
        latencies={measure - LATENCY: count for measure, count in counts.items() if measure in LATENCIES},
    )


def _recent(
    connection: Connection, account: str, config_ids: Sequence[int], since: int
) -> defaultdict[int, dict[str, int]]:
    query = (
        scope.rows(account, counters, counters.c.config_id, counters.c.measure, func.sum(counters.c.count))
        .where(counters.c.config_id.in_(config_ids), counters.c.minute >= since, counters.c.measure.in_(_OF_HEALTH))
        .group_by(counters.c.config_id, counters.c.measure)
    )
    recent: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for config_id, measure, count in connection.execute(query):
        recent[config_id][_NAMES[measure]] = int(count)
    return recent


def _lasts(connection: Connection, account: str, config_ids: Sequence[int]) -> Lasts:
    # Each process has noted its own: the last of them all is the highest.
    query = (
        scope.rows(account, counters, counters.c.config_id, counters.c.measure, func.max(counters.c.count))
        .where(
            counters.c.config_id.in_(config_ids),
            counters.c.minute == ALL_TIME,
            counters.c.measure.in_((LAST_SUCCESS, LAST_ERROR, CERTIFICATE)),
        )
        .group_by(counters.c.config_id, counters.c.measure)
    )
    return {(config_id, measure): last for config_id, measure, last in connection.execute(query)}


def certificate_end(seen: int | None) -> int | None:
    """Unix ms, of the value of CERTIFICATE."""
    return None if seen is None else (seen & (1 << CERTIFICATE_BITS) - 1) * MINUTE_MS


def _errors(connection: Connection, account: str, last: Mapping[int, int]) -> Mapping[int, LastError]:
    """Config → its last error; `last` is config → event. Of those that retention has removed nothing is known."""
    columns = (attempts.c[name] for name in ("event_id", "config_id", "ended_ms", "status", "reason"))
    query = (
        scope.rows(account, attempts, *columns)
        .where(
            attempts.c.event_id.in_(set(last.values())),
            attempts.c.config_id.in_(last),
            attempts.c.verdict.in_((Verdict.RETRY, Verdict.FAILED)),
        )
        .order_by(attempts.c.n)
    )
    return {
        row.config_id: LastError(event_id=row.event_id, at_ms=row.ended_ms, status=row.status, reason=row.reason)
        for row in connection.execute(query)
        if last[row.config_id] == row.event_id
    }


def pending_of(account: str, config_id: int) -> Select[Any]:
    """What the config is owed and nobody has claimed, up to the cap, by the index of what is due."""
    return (
        scope.rows(account, owed, owed.c.event_id)
        .where(owed.c.config_id == config_id, owed.c.claim.is_(None))
        .limit(PENDING_MAX + 1)
    )
