"""Opening a database: fit to be trusted, its schema brought up to date, the keys of its secrets at hand."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

from postback.domain.errors import Unavailable
from postback.storage import migrations, sealing
from postback.storage.database import CannotOpen
from postback.storage.postgres.clock import ServerClock
from postback.storage.postgres.door import SETTINGS, Door, connect
from postback.storage.postgres.exclusive import exclusively
from postback.storage.postgres.failures import OF_DRIVER, Lost, as_known, cause, told
from postback.storage.postgres.keys import demand_sealed, demand_some, enrol
from postback.storage.postgres.partitions import make_ahead
from postback.storage.postgres.reaching import demand_writable, in_words, reach, shown
from postback.storage.vault import Vault

VERSION_MIN: Final = 150_000
"""PostgreSQL 15, as the server counts."""

_LOCK: Final = 0x70_6F_73_74_0001

_DURABLE: Final = {
    "fsync": "what it commits would be lost, or its files be damaged, with the power",
    "full_page_writes": "its files would be damaged with the power",
    "synchronous_commit": "it would answer before what it commits is on its disk",
}

_TABLES: Final = """
SELECT count(*) FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
"""


async def prepare(
    dsn: str, secret_keys: Sequence[bytes], clock: ServerClock | None = None, *, to_serve: bool = False
) -> Vault:
    """Check the server, make or update the schema, make partitions ahead, and see that the keys fit the secrets.

    Whoever is `to_serve` also has to have the keys that others go by, and is on record with its own from then on.
    CannotOpen says which database, why, and what would help; Unavailable that it cannot be reached, or is too busy, now.
    """
    name = shown(dsn)
    door = await reach(dsn, name)
    try:
        await _demand_sessions(dsn, door, name)
        await demand_fit(door, name)
        await demand_writable(door, name)
        await demand_some(door, name, secret_keys, is_new=await door.run(migrations.version) is None)
        await _migrate(door, name, clock or ServerClock(None))
        if to_serve:
            await enrol(door, name, secret_keys)
        else:
            demand_sealed(await door.run(sealing.held), secret_keys, name)
    except (Lost, *OF_DRIVER, DBAPIError) as error:
        raise _why(error, door, name) from error
    finally:
        await door.close()
    return Vault(secret_keys)


def _why(error: Exception, door: Door, name: str) -> CannotOpen | Unavailable:
    first = cause(error)
    if isinstance(first, _OF_ANOTHER_SESSION):
        return _no_sessions(name)
    known = error if isinstance(error, Lost) else as_known(error, is_closed=door.is_closed, unknown=False)
    if isinstance(known, Lost):
        return Unavailable(f"{name} cannot be reached: {told(first)}")
    if isinstance(known, Unavailable):
        return Unavailable(f"{name} cannot be opened now: {told(first)}")
    return CannotOpen(f"{name} cannot be opened: {in_words(first)}")


async def _demand_sessions(dsn: str, door: Door, name: str) -> None:
    """CannotOpen where two connections turn out to be one session. Where others keep the pooler busy they may not."""
    other = await connect(dsn, SETTINGS)
    try:
        if await other.raw.fetchval(_SESSION) == await door.raw.fetchval(_SESSION):
            raise _no_sessions(name)
    finally:
        await other.close()


_SESSION: Final = "SELECT pg_backend_pid()"

_OF_ANOTHER_SESSION: Final = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
"""A statement that somebody else has prepared, or that was prepared somewhere else."""


def _no_sessions(name: str) -> CannotOpen:
    return CannotOpen(
        f"{name} is reached through a pooler that gives a connection another session for each transaction, and postback "
        "listens, prepares statements and sets limits for a session: set pool_mode = session for it (PgBouncer), or "
        "name the server itself in POSTBACK_DATABASE"
    )


async def demand_fit(door: Door, name: str) -> None:
    """CannotOpen for a server that is too old, or that would lose what it has answered for."""
    version = int(await door.raw.fetchval("SHOW server_version_num"))
    if version < VERSION_MIN:
        found = await door.raw.fetchval("SHOW server_version")
        raise CannotOpen(f"{name} runs PostgreSQL {found}, and postback needs 15 or newer")
    encoding = await door.raw.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise CannotOpen(
            f"{name} keeps text as {encoding}, which cannot hold all of it; make a database with ENCODING 'UTF8' "
            "and TEMPLATE template0"
        )
    for setting, otherwise in _DURABLE.items():
        # Of synchronous_commit every other value waits for this server's own disk.
        if await door.raw.fetchval("SELECT current_setting($1)", setting) == "off":
            raise CannotOpen(f"{name} runs with {setting} = off: {otherwise}; turn it on")


async def _migrate(door: Door, name: str, clock: ServerClock) -> None:
    """All or nothing, one process at a time; a database of another program is refused untouched."""

    async def migrate() -> None:
        if await door.raw.fetchval("SELECT current_schema()") is None:
            raise CannotOpen(f"{name} has no schema that this user may use; create one, or grant it")
        found = await door.run(migrations.version)
        if found is None and await door.raw.fetchval(_TABLES):
            raise CannotOpen(f"{name} has tables of another program; give postback a database of its own")
        await door.run(partial(migrations.upgrade, database=name))
        await make_ahead(door, await clock.ask(door))

    await exclusively(door, _LOCK, migrate)
