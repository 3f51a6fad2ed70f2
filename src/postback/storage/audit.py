"""Who changed what: a row for each change, written in its transaction, without anybody's secrets."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from postback.domain.accounts import Actor
from postback.domain.ids import IdSource, first_id_at
from postback.domain.masking import without_secrets
from postback.ports import AuditEntry, AuditFilter, Clock
from postback.storage import scope
from postback.storage.database import Database
from postback.storage.tables import audit

Facts = Mapping[str, object] | None
"""A thing as it was or as it is now; None where it was not there, or is not any more."""

_MS_MAX: Final = (1 << 42) - 1
_COLUMNS: Final = [column.name for column in audit.columns]
_INSERT: Final = f"INSERT INTO audit ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608


class Written(NamedTuple):
    """The id and the time (unix ms) of a row."""

    id: int
    at_ms: int


class Auditor:
    """Writes the rows. Used by whoever writes, alone: `now` is the time of the transaction that is under way.

    `last` is the highest id so far: ids go on from there, so that rows sort by them as they were written.
    """

    def __init__(self, now: Clock, last: int) -> None:
        self._now = now
        self._ids = IdSource(now, 0, last)

    def record(
        self,
        connection: Connection | sqlite3.Connection,
        account: str | None,
        by: Actor | None,
        action: str,
        target: str,
        before: Facts = None,
        after: Facts = None,
    ) -> Written:
        """One change, by whom, None for the server itself; `account` is None for what belongs to none."""
        written = self.stamp(connection)
        values = {
            "id": written.id,
            "at_ms": written.at_ms,
            "key_id": None if by is None else by.key_id,
            "key_name": None if by is None else by.key_name,
            "address": None if by is None else by.address,
            "action": action,
            "target": target,
            "before": _text(before),
            "after": _text(after),
            "is_operator": int(by is not None and by.is_operator),
        }
        if isinstance(connection, sqlite3.Connection):
            connection.execute(_INSERT, {"account": account, **values})
        else:
            connection.execute(scope.add(account, audit).values(**values))
        return written

    def stamp(self, connection: Connection | sqlite3.Connection) -> Written:  # noqa: ARG002
        """The next row's id and time. Here one process writes, and knows both itself."""
        return Written(self._ids(), self._now())


def state_facts(state: str, reason: str | None = None) -> Mapping[str, object]:
    """What is said of a config that is paused, resumed or disabled."""
    return {"state": state, "state_reason": reason}


def last_id(raw: sqlite3.Connection) -> int:
    """The highest that was ever given out, 0 where there is none."""
    highest: int = raw.execute("SELECT coalesce(max(id), 0) FROM audit").fetchone()[0]
    return highest


class SqlAudit:
    """Keeps the port Audit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(
        self, account: str | None, narrowed: AuditFilter, before: int | None, limit: int
    ) -> Sequence[AuditEntry]:
        said = {
            audit.c.action: narrowed.action,
            audit.c.target: narrowed.target,
            audit.c.key_id: narrowed.key_id,
            audit.c.key_name: narrowed.key_name,
        }
        query = scope.rows(account, audit).where(
            *(column == value for column, value in said.items() if value is not None)
        )
        if narrowed.since_ms is not None:
            # No id is older than its row: where a clock went back, ids stand still until it has caught up.
            first = first_id_at(min(max(narrowed.since_ms, 0), _MS_MAX))
            query = query.where(audit.c.id >= first, audit.c.at_ms >= narrowed.since_ms)
        if narrowed.until_ms is not None:
            query = query.where(audit.c.at_ms < narrowed.until_ms)
        if narrowed.is_operator is not None:
            query = query.where(audit.c.is_operator == int(narrowed.is_operator))
        if before is not None:
            query = query.where(audit.c.id < before)
        query = query.order_by(audit.c.id.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_entry(row) for row in rows]

    async def refuse(self, account: str | None, route: str, why: str, *, by: Actor) -> None:
        await self._database.write(
            lambda connection: self._database.auditor.record(
                connection, account, by, "access.refuse", route, after={"why": why}
            )
        )


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at_ms=row.at_ms,
        by=None if row.key_id is None else Actor(row.key_id, row.key_name, row.address, bool(row.is_operator)),
        action=row.action,
        target=row.target,
        before=None if row.before is None else json.loads(row.before),
        after=None if row.after is None else json.loads(row.after),
    )


def _text(facts: Facts) -> str | None:
    return None if facts is None else json.dumps(without_secrets(facts), separators=(",", ":"), allow_nan=False)
