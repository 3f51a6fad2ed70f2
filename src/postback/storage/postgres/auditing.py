"""Ids and times of the audit's rows, where many processes write them: both are the database's."""

import sqlite3

from sqlalchemy import Connection, text

from postback.storage.audit import Auditor, Written
from postback.storage.postgres.clock import ServerClock

# An id is later than all before it also where the clock went back; two that are given out at once differ by the sequence.
_STAMP = text(
    """
    SELECT
        greatest(now.ms * 2097152 + nextval('ids'), coalesce((SELECT max(id) + 1 FROM audit), 0)) AS id,
        now.ms AS at_ms
    FROM (
        SELECT coalesce(CAST(:given AS bigint), CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)) AS ms
        OFFSET 0
    ) AS now
    """
)


class ServerAuditor(Auditor):
    """Writes rows inside a `write` of any process."""

    def __init__(self, clock: ServerClock) -> None:
        super().__init__(clock, 0)
        self._clock = clock

    def stamp(self, connection: Connection | sqlite3.Connection) -> Written:
        if isinstance(connection, sqlite3.Connection):
            raise TypeError("this is the audit of a PostgreSQL database")
        row = connection.execute(_STAMP, {"given": self._clock.given}).one()
        return Written(row.id, row.at_ms)
