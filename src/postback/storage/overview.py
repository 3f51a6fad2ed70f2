"""An account at a glance, by bounded looks into indexes: nothing here costs more for a store that has been used for long."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, func, literal, or_

from postback.domain.configs import ConfigState
from postback.domain.stats import MINUTE_MS, PENDING_MAX
from postback.ports import Begun, Failures, Waits
from postback.storage import scope
from postback.storage.causes import cause_of_measure
from postback.storage.database import Database
from postback.storage.measures import (
    ACCEPTED,
    ALL_TIME,
    CAUSE,
    CERTIFICATE,
    CERTIFICATE_BITS,
    ERROR_AT,
    LAST_SUCCESS,
)
from postback.storage.tables import configs, counters, lanes, owed

_HELD: Final = (ConfigState.PAUSED, ConfigState.DISABLED)


class SqlOverview:
    """Keeps the port Overview."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def waits(self, account: str) -> Waits:
        now = self._database.clock()

        def read(connection: Connection) -> Waits:
            count, retrying = connection.execute(waiting_of(account)).one()
            oldest = connection.execute(oldest_due(account)).scalar()
            return Waits(
                deliveries=min(count, PENDING_MAX),
                has_more=count > PENDING_MAX,
                retrying=min(int(retrying or 0), PENDING_MAX),
                oldest_due_ms=oldest if oldest is not None and oldest <= now else None,
            )

        return await self._database.read(read)

    async def failures(
        self, account: str, since_ms: int, until_ms: int, step_ms: int
    ) -> Mapping[int, Sequence[Failures]]:
        query = failures_between(account, (since_ms // MINUTE_MS, until_ms // MINUTE_MS), step_ms // MINUTE_MS)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        found: defaultdict[int, list[Failures]] = defaultdict(list)
        for begins, config_id, measure, count, first, last in rows:
            failed = Failures(cause_of_measure(measure), config_id, int(count), first * MINUTE_MS, last * MINUTE_MS)
            found[begins * MINUTE_MS].append(failed)
        return found

    async def begun(self, account: str) -> Begun:
        queries = (ever_accepted(account), ever_delivered(account))

        def read(connection: Connection) -> Begun:
            return Begun(*(bool(connection.execute(query).scalar()) for query in queries))

        return await self._database.read(read)

    async def troubled(self, account: str, ends_before_ms: int, limit: int) -> Sequence[int]:
        query = troubled_configs(account, ends_before_ms // MINUTE_MS).limit(limit)
        return await self._database.read(lambda connection: connection.execute(query).scalars().all())


def waiting_of(account: str) -> Select[int, Any]:
    """(how many wait, how many of them had an attempt), of no more than PENDING_MAX + 1: by lanes, and what is due of each."""
    waiting = (
        scope.rows(account, configs, owed.c.attempts)
        .join(lanes, lanes.c.config_id == configs.c.id)
        .join(owed, owed.c.config_id == configs.c.id)
        .where(scope.of(account, lanes), scope.of(account, owed), owed.c.claim.is_(None))
        .limit(PENDING_MAX + 1)
        .subquery()
    )
    retrying = func.sum(case((waiting.c.attempts > 0, 1), else_=0))
    return waiting.select().with_only_columns(func.count(), retrying)


def oldest_due(account: str) -> Select[Any]:
    """What is known of a lane is never later than the first that is due of it."""
    return (
        scope.rows(account, configs, func.min(lanes.c.next_due_ms))
        .join(lanes, lanes.c.config_id == configs.c.id)
        .where(scope.of(account, lanes), configs.c.state == ConfigState.ACTIVE)
    )


def failures_between(account: str, minutes: tuple[int, int], step: int) -> Select[Any]:
    """(first minute of a step, config, measure, how many, first minute, last), from the one minute up to the other."""
    first, end = minutes
    # Written out, since the planner takes an index of some rows only where it sees that these are they.
    is_a_cause = counters.c.measure >= literal(CAUSE, literal_execute=True)
    begins = (counters.c.minute - counters.c.minute % literal(step, literal_execute=True)).label("begins")
    key = (begins, counters.c.config_id, counters.c.measure)
    sums = (func.sum(counters.c.count), func.min(counters.c.minute), func.max(counters.c.minute))
    return (
        scope.rows(account, counters, *key, *sums)
        .where(is_a_cause, counters.c.minute >= first, counters.c.minute < end)
        .group_by(*key)
    )


def ever_accepted(account: str) -> Select[Any]:
    """One look into the key: what was counted of a config was accepted for it first."""
    return scope.rows(account, counters, literal(1)).where(counters.c.measure == ACCEPTED).limit(1)


def ever_delivered(account: str) -> Select[Any]:
    return (
        scope.rows(account, configs, literal(1))
        .join(counters, counters.c.config_id == configs.c.id)
        .where(scope.of(account, counters), counters.c.minute == ALL_TIME, counters.c.measure == LAST_SUCCESS)
        .limit(1)
    )


def troubled_configs(account: str, ends_before: int) -> Select[Any]:
    """By what stands in their own rows, and by what the counters say of no minute."""
    error_at, success_at = _last(account, ERROR_AT), _last(account, LAST_SUCCESS)
    return (
        scope.rows(account, configs, configs.c.id)
        .where(
            configs.c.state != ConfigState.DELETED,
            or_(
                configs.c.state.in_(_HELD),
                configs.c.warning.is_not(None),
                configs.c.failing_ms.is_not(None),
                error_at > func.coalesce(success_at, 0),
                _last(account, CERTIFICATE) % (1 << CERTIFICATE_BITS) < ends_before,
            ),
        )
        .order_by(configs.c.modified_ms.desc(), configs.c.id.desc())
    )


def _last(account: str, measure: int) -> ColumnElement[Any]:
    """Of a config. Each process has noted its own: the last of them all is the highest."""
    query = scope.rows(account, counters, func.max(counters.c.count)).where(
        counters.c.config_id == configs.c.id, counters.c.minute == ALL_TIME, counters.c.measure == measure
    )
    return query.correlate(configs).scalar_subquery()
