"""How configs have fared since their last success, read from the counters."""

from typing import Final

from sqlalchemy import Connection, func, select

from postback.domain.configs import ConfigState
from postback.domain.notices import Trouble
from postback.domain.stats import MINUTE_MS
from postback.storage import scope
from postback.storage.database import Database
from postback.storage.measures import ALL_TIME, DELIVERED, FAILED, LAST_SUCCESS, RETRIED
from postback.storage.tables import accounts, configs, counters

_FAILED_ATTEMPTS: Final = (FAILED, RETRIED)
"""Each failed attempt ends its delivery, or has it tried again."""


class SqlTroubles:
    """Keeps the port Troubles."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, account: str, config_id: int) -> Trouble:
        mine = scope.rows(account, counters).where(counters.c.config_id == config_id).subquery()
        counted = mine.c.minute > ALL_TIME
        # The minutes of what was long ago are forgotten; the time of the last success is not, where it was kept at all.
        kept = select(mine.c.count).where(mine.c.minute == ALL_TIME, mine.c.measure == LAST_SUCCESS)
        newest = select(func.max(mine.c.minute)).where(mine.c.measure == DELIVERED, counted)

        def read(connection: Connection) -> Trouble:
            last_ms: int | None = connection.execute(kept).scalar()
            if last_ms is None:
                last_ms = _ms(connection.execute(newest).scalar())
            query = select(func.coalesce(func.sum(mine.c.count), 0), func.min(mine.c.minute)).where(
                mine.c.measure.in_(_FAILED_ATTEMPTS), counted, mine.c.minute > (last_ms or 0) // MINUTE_MS
            )
            failures, first = connection.execute(query).one()
            return Trouble(int(failures), _ms(first), last_ms)

        return await self._database.read(read)

    async def told(self, account: str, config_id: int, failing_ms: int | None) -> bool:
        is_known = configs.c.failing_ms.is_(None) if failing_ms is None else configs.c.failing_ms.is_not(None)
        statement = (
            scope.change(account, configs)
            .where(configs.c.id == config_id, configs.c.state != ConfigState.DELETED, ~is_known)
            .values(failing_ms=failing_ms)
        )
        raised = scope.change(account, accounts).values(config_version=accounts.c.config_version + 1)

        def write(connection: Connection) -> bool:
            if connection.execute(statement).rowcount == 0:
                return False
            connection.execute(raised)
            self._database.changed(account)
            return True

        return await self._database.write(write)


def _ms(minute: int | None) -> int | None:
    return None if minute is None else minute * MINUTE_MS
