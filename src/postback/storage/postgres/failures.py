"""What goes wrong with the server or a connection to it, in the words that the store's callers know."""

from typing import Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from postback.domain.errors import Unavailable

LOST: Final = frozenset({"08", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04"})
"""States, or their first two letters, after which the connection is of no use."""

ELSEWHERE: Final = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
"""A server that became a standby, a statement prepared before its table changed: a new connection may do better."""

BUSY: Final = frozenset({"53", "55P03", "57014", "58"})
"""The server cannot now: no place, no memory, no disk, or a limit of time has passed. Nothing of it stands."""

CONTENDED: Final = frozenset({"40001", "40P01"})
"""Others were quicker: from its beginning the same transaction may do."""


OF_DRIVER: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""All that a connection may raise. The last is the driver's word for a connection that is amid something else, and for
addresses of which none is a server that was asked for."""


class Lost(Unavailable):
    """The connection broke, or could not be made. `unknown` says that what was asked may stand nevertheless: it broke
    while COMMIT, or a statement that is its own transaction, was on its way."""

    def __init__(self, message: str, *, unknown: bool = False) -> None:
        super().__init__(message)
        self.unknown = unknown


class Contended(Unavailable):
    """The transaction is undone because of others; it may be tried again from its beginning (`Doors.transact`)."""


def told(error: BaseException) -> str:
    """An error in words that may be logged: without its detail, in which there may be people's records."""
    if isinstance(error, asyncpg.PostgresError):
        return f"{error.args[0] if error.args else type(error).__name__} ({error.sqlstate})"
    if isinstance(error, TargetServerAttributeNotMatched):
        return "none of its servers is the one that target_session_attrs asks for"
    if isinstance(error, asyncpg.InternalClientError):
        return "the connection broke amid a statement"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def cause(error: BaseException) -> BaseException:
    """The driver's own error, where SQLAlchemy has wrapped it; else the error itself."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OF_DRIVER):
            return inner
        inner = inner.__cause__
    return error


def is_of_the_store(error: BaseException) -> bool:
    """Whether the server, the connection or others are at fault, and not the statement: no savepoint helps then."""
    first = cause(error)
    state = first.sqlstate or "" if isinstance(first, asyncpg.PostgresError) else ""
    return (
        isinstance(first, (OSError, TimeoutError, *ELSEWHERE))
        or state in CONTENDED | LOST | BUSY
        or state[:2] in LOST | BUSY
    )


def as_known(error: Exception, *, is_closed: bool, unknown: bool) -> Exception:
    """The error as the store's callers know it; others as they are. `is_closed`: so is the connection."""
    first = cause(error)
    state = first.sqlstate or "" if isinstance(first, asyncpg.PostgresError) else ""
    if state in CONTENDED:
        return Contended("others change the same rows; ask again")
    if (
        isinstance(first, OSError | TimeoutError | asyncpg.InternalClientError)
        or state in LOST
        or state[:2] in LOST
        or is_closed
    ):
        return Lost(f"the connection to the database is lost: {told(first)}", unknown=unknown)
    if isinstance(first, ELSEWHERE):
        return Contended(f"the database cannot do this on that connection: {told(first)}")
    if state in BUSY or state[:2] in BUSY:
        return Unavailable(f"the database cannot do this now: {told(first)}")
    return error
