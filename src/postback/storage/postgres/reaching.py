"""The first connection to a server, in words for whoever set its address, and whether it is one that takes writes."""

import os
from collections.abc import Mapping
from typing import Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from postback.domain import databases
from postback.domain.errors import Unavailable
from postback.storage.database import CannotOpen
from postback.storage.postgres.door import SETTINGS, Door, connect
from postback.storage.postgres.failures import Lost, told

UNLIMITED: Final = {**SETTINGS, "statement_timeout": "0"}


async def reach(
    dsn: str, name: str, *, setting: str = "POSTBACK_DATABASE", settings: Mapping[str, str] = UNLIMITED
) -> Door:
    """The first connection, without limits of time. `setting` is where the address was given. CannotOpen where it would not
    be let in another time either, else Unavailable."""
    try:
        return await connect(dsn, settings, command_s=None)
    except Lost as lost:
        why = lost.__cause__ or lost
        advice = next((text for kind, text in _ADVICE if isinstance(why, kind)), None)
        if advice is not None:
            raise CannotOpen(f"{name} does not let us in: {told(why)}; {advice.format(setting=setting)}") from lost
        if isinstance(why, TargetServerAttributeNotMatched):
            raise Unavailable(
                f"{name} cannot be reached: none of its servers takes writes, as target_session_attrs asks; it will do "
                "once one of them is promoted"
            ) from lost
        if isinstance(why, OSError | TimeoutError):
            raise Unavailable(
                f"{name} cannot be reached: {told(why)}; is the server running there, and are host and port in "
                f"{setting} right?"
            ) from lost
        raise Unavailable(f"{name} cannot be reached: {told(why)}") from lost


_ADVICE: Final = (
    (
        asyncpg.InvalidPasswordError,
        (
            "the user or the password in {setting} is wrong (in it @ is written %40, : %3A, / %2F, % %25), or there is none "
            "in it: give the password as PGPASSWORD"
        ),
    ),
    (
        asyncpg.InvalidAuthorizationSpecificationError,
        "the user in {setting} must exist, and pg_hba.conf of the server let it come from here",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "make the database first: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
    ),
    (
        asyncpg.InsufficientPrivilegeError,
        "the user in {setting} needs the right to connect, and to create tables",
    ),
    (
        (asyncpg.InterfaceError, asyncpg.UndefinedObjectError),
        (
            "what stands after the ? in {setting} may be sslmode, sslrootcert, host, target_session_attrs, or a setting of "
            "the server"
        ),
    ),
)
"""What would help, by what the first connection was refused with."""


def shown(dsn: str) -> str:
    """A DSN as it may be logged: the database and where its servers are, nobody's password."""
    return databases.named(dsn, os.environ)


async def demand_writable(door: Door, name: str) -> None:
    """CannotOpen for a standby, and for a server or a user that may write only where it is asked for anew each time."""
    if await door.raw.fetchval("SELECT pg_is_in_recovery()"):
        raise CannotOpen(
            f"{name} is a standby, which takes no writes: name the primary, or both with target_session_attrs=read-write "
            "(postgresql://user@one,other/name?target_session_attrs=read-write)"
        )
    if await door.raw.fetchval("SELECT current_setting('default_transaction_read_only')") == "on":
        raise CannotOpen(
            f"{name} runs with default_transaction_read_only = on: nothing would be written; turn it off, for the server, "
            "the database or the user"
        )


def in_words(error: BaseException) -> str:
    """What a server has refused us once we were in, with what would help where we know it."""
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return (
            f"{told(error)}; the user must be able to create tables: ALTER DATABASE … OWNER TO the user, or GRANT CREATE, "
            "USAGE ON SCHEMA public"
        )
    return told(error)
