"""The connections of one process: a few that work, a few that read and one for the heartbeat, made anew when lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NoReturn, TypeVar

from postback.domain.errors import Unavailable
from postback.storage.postgres.door import SETTINGS, SETTINGS_OF_WORK, Door, connect
from postback.storage.postgres.failures import ELSEWHERE, OF_DRIVER, Contended, Lost, as_known, cause, told
from postback.storage.postgres.outage import Outage

T = TypeVar("T")

WORKING: Final = 6
READING: Final = 4
BEATING: Final = 1
"""How many connections of each kind one process has at most."""

WAIT_S: Final = 5
"""How long to wait for one to be free."""

TRIES: Final = 5
"""How often a transaction is begun that others' locks or changes end."""

BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
BEGIN_READING: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '5s'; SET LOCAL lock_timeout = '2s'"
)


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
    known = as_known(error, is_closed=door.is_closed, unknown=unknown)
    if isinstance(known, Lost) or isinstance(cause(error), ELSEWHERE):
        door.discard()
    if known is error:
        raise error
    raise known from error
