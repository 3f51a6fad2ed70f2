"""Connections to the server: a few that work, a few that read and one for the heartbeat, each also as SQLAlchemy sees it,
made anew when lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, NoReturn, TypeVar

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from postback.domain.errors import Unavailable
from postback.storage.postgres.dialing import NEXT, dial
from postback.storage.postgres.outage import Outage

T = TypeVar("T")

WORKING: Final = 6
READING: Final = 4
BEATING: Final = 1
"""How many connections of each kind one process has at most."""

CONNECT_S: Final = 5
WAIT_S: Final = 5
"""How long to wait for a connection to be made, and for one to be free."""

COMMAND_S: Final = 30
"""After this the server is taken for gone: a statement of ours ends sooner, by the limits below."""

TRIES: Final = 5
"""How often a transaction is begun that others' locks or changes end."""

NAME: Final = "postback"
"""What the server knows our connections by."""

SETTINGS: Final[Mapping[str, str]] = {
    "client_min_messages": "warning",
    "default_transaction_isolation": "read committed",
    "jit": "off",
    "statement_timeout": "20s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    # A client that is gone without a word keeps no lock for long.
    "client_connection_check_interval": "5s",
}
SETTINGS_OF_WORK: Final[Mapping[str, str]] = {
    # A batch joins few rows to large tables by their keys. A plan that was made while a table was small must not
    # read the whole of it later.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    # Planned once: to plan a claim costs more than to make it.
    "plan_cache_mode": "force_generic_plan",
}

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READING: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s'"
)

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


class Door:
    """One connection, by hand (`raw`) and through SQLAlchemy (`run`), in the same transaction.

    What its statements raise is asyncpg's or SQLAlchemy's error inside the `async with` of Doors, and one of
    domain.errors behind it where the server or the connection is to blame. After an error of the server the
    transaction takes no further statement: what may fail and be gone on from stands in a `savepoint`.

    `rows` counts what statements through SQLAlchemy have written; whoever writes by hand adds to it.
    """

    def __init__(self, raw: "asyncpg.Connection[Any]") -> None:
        self.raw = raw
        self.rows = 0

        async def same() -> "asyncpg.Connection[Any]":
            return raw

        # What a statement was given stays out of its errors: they are logged, and people's records are in there.
        # It must neither begin nor end a transaction: that is for Doors alone.
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=same,
            poolclass=StaticPool,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "after_cursor_execute", self._count)

    async def run(self, function: Callable[[Connection], T]) -> T:
        """What it answers; it sees the transaction that is under way here, and cannot end it."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(function)

    def _count(self, _1: object, cursor: Any, _2: object, _3: object, context: Any, _4: object) -> None:
        if context is not None and (context.isinsert or context.isupdate or context.isdelete):
            self.rows += max(cursor.rowcount, 0)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Inside a transaction: where the block raises, all it did is undone and the transaction can go on."""
        await self.raw.execute("SAVEPOINT here")
        try:
            yield
        except Exception:
            if not self.raw.is_closed():
                await self.raw.execute("ROLLBACK TO SAVEPOINT here; RELEASE SAVEPOINT here")
            raise
        await self.raw.execute("RELEASE SAVEPOINT here")

    @property
    def is_closed(self) -> bool:
        return self.raw.is_closed()

    def discard(self) -> None:
        """At once, without a word to the server, which undoes what was not committed."""
        self.raw.terminate()

    async def close(self) -> None:
        try:
            await self.raw.close(timeout=CONNECT_S)
        except OF_DRIVER:
            self.raw.terminate()


class Doors:
    """The connections of one process, made when they are needed.

    Each way to use one raises Unavailable when none is to be had within seconds or the server cannot, Lost (an
    Unavailable) when the connection breaks, and Contended (an Unavailable) on a deadlock or a serialization failure.
    A connection that broke, or whose user was cancelled, is thrown away; the next user has a new one made.
    """

    def __init__(
        self, dsn: str, *, working: int = WORKING, reading: int = READING, outage: Outage | None = None
    ) -> None:
        self._working = _Pool(dsn, {**SETTINGS, **SETTINGS_OF_WORK}, working, outage)
        self._reading = _Pool(dsn, SETTINGS, reading, outage)
        self._beating = _Pool(dsn, {**SETTINGS, **SETTINGS_OF_WORK}, BEATING, outage)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Door]:
        """BEGIN … COMMIT, read committed: durable when it is left, undone where it raises (then or at COMMIT)."""
        async with self._working.door(BEGIN) as door:
            try:
                yield door
            except Exception as error:  # noqa: BLE001 (told as it is, or in other words)
                await _undo(door)
                _raise(error, door, unknown=False)
            await _commit(door)

    async def transact(self, work: Callable[[Door], Awaitable[T]]) -> T:
        """What `work` answers, in a `transaction`; it is called again, a few times, after a Contended."""
        for _ in range(TRIES - 1):
            try:
                return await self._once(work)
            except Contended:
                continue
        return await self._once(work)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Door]:
        """A transaction that sees one state of the store, may write nothing, and has five seconds a statement."""
        async with self._reading.door(BEGIN_READING) as door:
            try:
                yield door
                await door.raw.execute("COMMIT")
            except Exception as error:  # noqa: BLE001 (told as it is, or in other words)
                await _undo(door)
                _raise(error, door, unknown=False)

    def one(self) -> AbstractAsyncContextManager[Door]:
        """No transaction: each single statement is its own. Lost says `unknown`, whatever the statement was."""
        return _single(self._working)

    def beating(self) -> AbstractAsyncContextManager[Door]:
        """As `one`, for the heartbeat alone: whatever makes others wait for a connection does not make this worker look dead."""
        return _single(self._beating)

    async def close(self) -> None:
        """After it every use raises Unavailable. Those in use are closed when they come back."""
        for pool in (self._working, self._reading, self._beating):
            await pool.close()

    async def _once(self, work: Callable[[Door], Awaitable[T]]) -> T:
        async with self.transaction() as door:
            return await work(door)


async def connect(dsn: str, settings: Mapping[str, str], command_s: float | None = COMMAND_S) -> Door:
    """One connection outside any pool: for the start, and for listening. Raises Lost."""
    try:
        raw = await dial(
            dsn,
            CONNECT_S,
            command_timeout=command_s,
            server_settings={"application_name": NAME},
            statement_cache_size=512,
        )
        await _set(raw, settings)
    except (*NEXT, *OF_DRIVER) as error:
        raise Lost(f"the database cannot be reached: {told(error)}") from error
    return Door(raw)


async def _set(raw: "asyncpg.Connection[Any]", settings: Mapping[str, str]) -> None:
    """Not with the start of the connection: PgBouncer refuses settings that it does not know, or is told to ignore them.
    It is also there that a connection waits for a session."""
    try:
        await raw.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()), timeout=CONNECT_S)
    except BaseException:
        raw.terminate()
        raise


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


class _Pool:
    """At most `size` connections; the one that was used last is used next."""

    def __init__(self, dsn: str, settings: Mapping[str, str], size: int, outage: Outage | None) -> None:
        self._outage = outage
        self._dsn = dsn
        self._settings = settings
        self._places = asyncio.Semaphore(size)
        self._idle: list[Door] = []
        self._is_closed = False

    @asynccontextmanager
    async def door(self, begin: str | None = None) -> AsyncIterator[Door]:
        """One of them for the caller alone; `begin` was run on it."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unavailable("the database is busy: no connection became free in time") from error
        try:
            door = await self._take(begin)
            try:
                yield door
            except Exception:
                self._put(door)
                raise
            except BaseException:
                # Cancelled amid a statement: what the server does with it is unknown, and so is the connection.
                door.discard()
                raise
            else:
                self._put(door)
        finally:
            self._places.release()

    async def close(self) -> None:
        self._is_closed = True
        idle, self._idle = self._idle, []
        for door in idle:
            await door.close()

    async def _take(self, begin: str | None) -> Door:
        if self._is_closed:
            raise Unavailable("the store is closed")
        while self._idle:
            door = self._idle.pop()
            if not door.is_closed and await self._begins(door, begin):
                self._found()
                return door
        try:
            door = await connect(self._dsn, self._settings)
        except Lost as lost:
            if self._outage is not None:
                self._outage.failed(told(lost.__cause__ or lost))
            raise
        self._found()
        if begin is not None:
            try:
                await door.raw.execute(begin)
            except BaseException as error:
                door.discard()
                if isinstance(error, Exception):
                    _raise(error, door, unknown=False)
                raise
        return door

    async def _begins(self, door: Door, begin: str | None) -> bool:
        """False where the connection has died in the meantime: nothing was asked of it yet, so another one will do."""
        if begin is None:
            return True
        try:
            await door.raw.execute(begin)
        except Exception:  # noqa: BLE001 (whatever it is, it is not used again)
            door.discard()
            return False
        except BaseException:
            door.discard()
            raise
        return True

    def _found(self) -> None:
        if self._outage is not None:
            self._outage.succeeded()

    def _put(self, door: Door) -> None:
        if door.is_closed:
            return
        if self._is_closed or door.raw.is_in_transaction():
            door.discard()
            return
        self._idle.append(door)


@asynccontextmanager
async def _single(pool: _Pool) -> AsyncIterator[Door]:
    async with pool.door() as door:
        try:
            yield door
        except Exception as error:  # noqa: BLE001 (told as it is, or in other words)
            _raise(error, door, unknown=True)


async def _commit(door: Door) -> None:
    try:
        done = await door.raw.execute("COMMIT")
    except Exception as error:  # noqa: BLE001 (told as it is, or in other words)
        await _undo(door)
        _raise(error, door, unknown=True)
    if done != "COMMIT":
        # An error of the server that the work passed over: it has undone everything.
        raise RuntimeError(f"a transaction in which a statement failed was to be committed; the server said {done}")


async def _undo(door: Door) -> None:
    """Best done by the server where it still listens."""
    if door.is_closed:
        return
    try:
        await door.raw.execute("ROLLBACK")
    except OF_DRIVER:
        door.discard()


def _raise(error: Exception, door: Door, *, unknown: bool) -> NoReturn:
    """The error as the store's callers know it; others as they are."""
    first = cause(error)
    state = first.sqlstate or "" if isinstance(first, asyncpg.PostgresError) else ""
    if state in CONTENDED:
        raise Contended("others change the same rows; ask again") from error
    if (
        isinstance(first, OSError | TimeoutError | asyncpg.InternalClientError)
        or state in LOST
        or state[:2] in LOST
        or door.is_closed
    ):
        door.discard()
        raise Lost(f"the connection to the database is lost: {told(first)}", unknown=unknown) from error
    if isinstance(first, ELSEWHERE):
        door.discard()
        raise Contended(f"the database cannot do this on that connection: {told(first)}") from error
    if state in BUSY or state[:2] in BUSY:
        raise Unavailable(f"the database cannot do this now: {told(first)}") from error
    raise error
