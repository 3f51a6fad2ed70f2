"""The inbox's way to a database: the same few statements for every DB-API driver, and transactions that hold."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

_PARAMETER: Final = re.compile(r":([a-z_]+)")
_MARK: Final[Mapping[str, Callable[[str, int], str]]] = {
    "qmark": lambda _name, _number: "?",
    "format": lambda _name, _number: "%s",
    "numeric": lambda _name, number: f":{number}",
    "named": lambda name, _number: f":{name}",
    "pyformat": lambda name, _number: f"%({name})s",
}
_BY_NAME: Final = frozenset({"named", "pyformat"})


class Connection(Protocol):
    """What is used of a connection of DB-API 2.0."""

    def cursor(self) -> Any: ...

    def commit(self) -> Any: ...

    def rollback(self) -> Any: ...

    def close(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a driver wants its parameters, and which table is meant."""

    paramstyle: str
    table: str

    def __post_init__(self) -> None:
        if self.paramstyle not in _MARK:
            raise ValueError(f"paramstyle is {self.paramstyle!r}; expected one of {', '.join(_MARK)}")
        # It becomes a part of the statements, and with "_due" the name of an index.
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,58}", self.table):
            raise ValueError(f"table is {self.table!r}; expected a name of letters, digits and _, at most 59")


class Statements:
    """Runs statements whose parameters are written `:name`."""

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self.connection = connection
        self._dialect = dialect
        self._cursor = connection.cursor()

    def run(self, statement: str, **values: object) -> int:
        """How many rows it changed."""
        self._execute(statement, values)
        return int(self._cursor.rowcount)

    def rows(self, statement: str, **values: object) -> Sequence[Sequence[Any]]:
        self._execute(statement, values)
        found: Sequence[Sequence[Any]] = self._cursor.fetchall()
        return found

    def _execute(self, statement: str, values: Mapping[str, object]) -> None:
        text, order = _written(statement, self._dialect)
        if not order:
            # With an empty list of them, some drivers still look for marks.
            self._cursor.execute(text)
        elif self._dialect.paramstyle in _BY_NAME:
            self._cursor.execute(text, values)
        else:
            self._cursor.execute(text, [values[name] for name in order])


@contextmanager
def transaction(connect: Callable[[], Connection], dialect: Dialect, *, is_shared: bool) -> Iterator[Statements]:
    """A connection of its own: committed at the end, rolled back by whatever is raised, closed in any case.

    `is_shared`: others write in it too, so it has to be a transaction in earnest.
    """
    connection = connect()
    try:
        if is_shared and not is_sqlite(connection) and getattr(connection, "autocommit", False) is True:
            raise ValueError("the connection commits each statement by itself; connect without autocommit")
        ends_by_statement = _begin(connection)
        try:
            yield Statements(connection, dialect)
        except BaseException:
            if ends_by_statement and getattr(connection, "in_transaction", False):
                connection.cursor().execute("ROLLBACK")
            else:
                connection.rollback()
            raise
        if ends_by_statement:
            connection.cursor().execute("COMMIT")
        else:
            connection.commit()
    finally:
        connection.close()


def is_sqlite(connection: object) -> bool:
    """Also behind the wrapper of a pool that says what it wraps."""
    return isinstance(getattr(connection, "driver_connection", connection), sqlite3.Connection)


def check_open(connection: Any) -> None:
    """RuntimeError when the transaction has ended meanwhile; only SQLite says whether it has."""
    if is_sqlite(connection) and not connection.in_transaction:
        raise RuntimeError(
            "the handler ended the transaction that it was given, so its work and the mark cannot be one: "
            "it must not commit, roll back, use `with connection` or executescript"
        )


def _begin(connection: Any) -> bool:
    """All drivers begin by themselves, but SQLite's only before it writes, or never: whether we must end it as well."""
    if not is_sqlite(connection) or connection.in_transaction:
        return False
    # At once with the right to write: one that gets it later can find that another was faster, and has to give up.
    connection.cursor().execute("BEGIN IMMEDIATE")
    return True


@lru_cache(maxsize=256)
def _written(statement: str, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The statement in the words of the driver, and the names of its parameters in their order."""
    order: list[str] = []
    mark = _MARK[dialect.paramstyle]

    def marked(match: re.Match[str]) -> str:
        order.append(match[1])
        return mark(match[1], len(order))

    return _PARAMETER.sub(marked, statement.replace("{table}", dialect.table)), tuple(order)
