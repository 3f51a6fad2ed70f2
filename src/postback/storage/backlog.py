"""How much waits, and for how long: figures for whoever runs the server, of all accounts together."""

from typing import Final

from sqlalchemy import Connection, Select, func, select

from postback.domain.configs import ConfigState
from postback.domain.telemetry import Backlog
from postback.storage.database import Database
from postback.storage.tables import configs, lanes, owed

COUNTED_MAX: Final = 100_000
"""No more than this is counted: beyond it the age says more, and each look would cost more."""


async def backlog(database: Database) -> Backlog:
    """What waits because its config is paused or disabled is owed, and not due."""
    now = database.clock()
    return await database.read(lambda connection: _backlog(connection, now))


def _backlog(connection: Connection, now: int) -> Backlog:
    # What is known of a lane leads to what is due of it: no delivery that is due later is looked at.
    of_active = lanes.join(configs, (configs.c.id == lanes.c.config_id) & (configs.c.state == ConfigState.ACTIVE))
    due = (
        select(owed.c.event_id)
        .select_from(of_active.join(owed, owed.c.config_id == lanes.c.config_id))
        .where(lanes.c.next_due_ms <= now, owed.c.claim.is_(None), owed.c.due_at_ms <= now)
    )
    oldest = connection.execute(
        select(lanes.c.next_due_ms).select_from(of_active).order_by(lanes.c.next_due_ms).limit(1)
    ).scalar()
    return Backlog(
        owed=_count(connection, select(owed.c.event_id)),
        due=_count(connection, due),
        oldest_due_ms=0 if oldest is None else max(0, now - oldest),
    )


def _count(connection: Connection, rows: Select[int]) -> int:
    counted = rows.limit(COUNTED_MAX).subquery()
    return connection.execute(select(func.count()).select_from(counted)).scalar_one()
