"""What whoever restores a copy asks of it: how old it is, what it owes, and who else is at work on it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, case, delete, func, insert, select

from postback.domain.configs import ConfigState
from postback.domain.errors import NotFound
from postback.domain.jobs import JobKind, JobState
from postback.domain.restored import COUNTED_MAX, MOST, Copy, OwedTo, Owing
from postback.domain.stats import MINUTE_MS
from postback.ports import Configs
from postback.storage.database import Database
from postback.storage.tables import audit, counters, events, holds, owed, replays, workers

_REASON: Final = "after a restore"


class Heard(NamedTuple):
    """A worker that is registered, when it was last heard of (unix ms), and how long it may be silent."""

    id: int
    host: str
    beat_ms: int
    lease_ms: int


async def copy_of(database: Database) -> Copy:
    """As the database is before anything is written to it."""
    return await database.read(_copy)


async def owing(database: Database, configs: Configs, copy: Copy) -> Owing:
    """What is owed now, claimed or not; every delivery that is counted is looked at."""
    found, replaying = await database.read(lambda connection: _owing(connection, copy.last_event))
    return Owing(
        owed=found[0].all_owed if found else 0,
        in_copy=found[0].all_in_copy if found else 0,
        replays=replaying,
        most=[await _owed_to(configs, row) for row in found],
    )


async def heard_of(database: Database) -> Sequence[Heard]:
    return await database.read(
        lambda connection: [
            Heard(*row)
            for row in connection.execute(select(workers.c.id, workers.c.host, workers.c.beat_ms, workers.c.lease_ms))
        ]
    )


async def hold(database: Database, host: str) -> bool:
    """On record in the database from now on: nobody else delivers from it. Whether it was not so before; a server that was
    held and is gone has left it so."""

    def write(connection: Connection) -> bool:
        if connection.execute(select(holds.c.reason).with_for_update()).one_or_none() is not None:
            return False
        connection.execute(insert(holds).values(reason=_REASON, host=host, since_ms=database.clock()))
        return True

    return await database.write(write)


async def held_by(database: Database) -> str | None:
    """The host of the server that is held on it after a restore; None where nobody is."""
    return await database.read(lambda connection: connection.execute(select(holds.c.host)).scalar_one_or_none())


def let_go(connection: Connection) -> None:
    """Others may deliver from it again."""
    connection.execute(delete(holds))


def _copy(connection: Connection) -> Copy:
    """The newest of what has a time and an index by it: while a server runs there is a heartbeat every few seconds."""
    newest = connection.execute(
        select(events.c.id, events.c.accepted_ms).order_by(events.c.id.desc()).limit(1)
    ).one_or_none()
    changed = select(audit.c.at_ms).order_by(audit.c.id.desc()).limit(1)
    times = [
        0 if newest is None else newest.accepted_ms,
        connection.execute(select(func.max(workers.c.beat_ms))).scalar() or 0,
        (connection.execute(select(func.max(counters.c.minute))).scalar() or 0) * MINUTE_MS,
        connection.execute(changed).scalar() or 0,
    ]
    return Copy(max(times) or None, 0 if newest is None else newest.id)


class _Sums(NamedTuple):
    """What one config is owed, and beside it the sums of all."""

    account: str
    config_id: int
    owed: int
    all_owed: int
    all_in_copy: int


def _owing(connection: Connection, last_event: int) -> tuple[Sequence[_Sums], int]:
    counted = (
        select(owed.c.account, owed.c.config_id, owed.c.event_id)
        .order_by(owed.c.event_id)
        .limit(COUNTED_MAX)
        .subquery()
    )
    in_copy = func.sum(case((counted.c.event_id <= last_event, 1), else_=0))
    of_each = (
        select(counted.c.account, counted.c.config_id, func.count().label("owed"), in_copy.label("in_copy"))
        .group_by(counted.c.account, counted.c.config_id)
        .subquery()
    )
    found = connection.execute(
        select(
            of_each.c.account,
            of_each.c.config_id,
            of_each.c.owed,
            func.sum(of_each.c.owed).over(),
            func.sum(of_each.c.in_copy).over(),
        )
        .order_by(of_each.c.owed.desc(), of_each.c.config_id)
        .limit(MOST)
    )
    replaying = connection.execute(
        select(func.count())
        .select_from(replays)
        .where(replays.c.state == JobState.RUNNING, replays.c.kind == JobKind.REPLAY)
    ).scalar_one()
    # The sum of whole numbers is a decimal one on PostgreSQL.
    return [_Sums(row[0], row[1], row[2], int(row[3]), int(row[4])) for row in found], replaying


async def _owed_to(configs: Configs, one: _Sums) -> OwedTo:
    try:
        config = await configs.find(one.account, one.config_id)
    except NotFound:
        return OwedTo(one.account, one.config_id, ConfigState.DELETED, None, one.owed)
    return OwedTo(one.account, one.config_id, config.state, config.url, one.owed)
