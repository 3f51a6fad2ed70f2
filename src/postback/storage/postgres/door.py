"""One connection to the server: made, set up, and as SQLAlchemy sees it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from postback.storage.postgres.dialing import NEXT, dial
from postback.storage.postgres.failures import OF_DRIVER, Lost, told

T = TypeVar("T")

CONNECT_S: Final = 5
"""How long to wait for a connection to be made, and to be closed."""

COMMAND_S: Final = 30
"""After this the server is taken for gone: a statement of ours ends sooner, by the limits below."""

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
