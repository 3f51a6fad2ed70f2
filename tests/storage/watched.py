"""What SQLAlchemy sends to the database while a test looks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, event

from postback.storage.database import Database


class Statement(NamedTuple):
    sql: str
    parameters: Any


@contextmanager
def statements() -> Iterator[list[Statement]]:
    seen: list[Statement] = []

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, _many: bool) -> None:
        seen.append(Statement(sql, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def plan_of(store: Database, statement: Statement) -> Sequence[str]:
    def explain(connection: Connection) -> Sequence[str]:
        rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement.sql, tuple(statement.parameters)).all()
        return [row.detail for row in rows]

    return await store.read(explain)
