"""Who changed what: a row for each change, written in its transaction, without anybody's secrets."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select

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
        self, account: str | None, narrowed: AuditFilter, before: int | None, limit: int, since: int | None = None
    ) -> Sequence[AuditEntry]:
        query = walk(account, narrowed, before).where(*_fitting(narrowed)).limit(limit)
        if since is not None:
            query = query.where(audit.c.id >= since)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_entry(row) for row in rows]

    async def reach(self, account: str | None, narrowed: AuditFilter, before: int | None, rows: int) -> int | None:
        if narrowed == AuditFilter(since_ms=narrowed.since_ms):
            return None
        query = walk(account, narrowed, before).with_only_columns(audit.c.id).limit(1).offset(rows - 1)
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def first(self, account: str | None, narrowed: AuditFilter, rows: int) -> AuditEntry | None:
        forwards = walk(account, narrowed, None).order_by(None).order_by(audit.c.id).limit(1)

        def read(connection: Connection) -> Row[Any] | None:
            query = forwards.where(*_fitting(narrowed))
            last = connection.execute(forwards.with_only_columns(audit.c.id).offset(rows - 1)).scalar()
            if last is not None:
                query = query.where(audit.c.id <= last)
            return connection.execute(query).one_or_none()

        row = await self._database.read(read)
        return None if row is None else _entry(row)

    async def refuse(self, account: str | None, route: str, why: str, *, by: Actor) -> None:
        await self._database.write(
            lambda connection: self._database.auditor.record(
                connection, account, by, "access.refuse", route, after={"why": why}
            )
        )


def walk(account: str | None, narrowed: AuditFilter, before: int | None) -> Select[Any]:
    """What a list comes past, the newest first: no id is older than its row, so a time is where it ends. Where a clock went
    back, ids stand still until it has caught up, and a time is not where it begins."""
    found = scope.rows(account, audit)
    if narrowed.since_ms is not None:
        found = found.where(audit.c.id >= first_id_at(min(max(narrowed.since_ms, 0), _MS_MAX)))
    if before is not None:
        found = found.where(audit.c.id < before)
    return found.order_by(audit.c.id.desc())


def _fitting(narrowed: AuditFilter) -> Sequence[ColumnElement[bool]]:
    said = {
        "action": narrowed.action,
        "target": narrowed.target,
        "key_id": narrowed.key_id,
        "key_name": narrowed.key_name,
        "is_operator": None if narrowed.is_operator is None else int(narrowed.is_operator),
    }
    conditions = [audit.c[name] == value for name, value in said.items() if value is not None]
    if narrowed.since_ms is not None:
        conditions.append(audit.c.at_ms >= narrowed.since_ms)
    if narrowed.until_ms is not None:
        conditions.append(audit.c.at_ms < narrowed.until_ms)
    return conditions


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
