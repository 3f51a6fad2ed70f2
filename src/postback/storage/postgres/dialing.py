"""A connection to whichever server of an address takes one: where there are several, each has its own share of the time."""

import os
from typing import Any, Final

import asyncpg
from asyncpg.exceptions import TargetServerAttributeNotMatched

from postback.domain import databases

NEXT: Final = (OSError, TimeoutError, TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError)
"""After these the next server is asked. What else goes wrong, such as a password, goes wrong at each of them."""


async def dial(dsn: str, timeout_s: float, **options: Any) -> "asyncpg.Connection[Any]":
    """The first that takes us, in the order of the address. What asyncpg raises, of the last one that was asked; TimeoutError
    says how long was waited.

    asyncpg has one limit of time for all of them: a machine that went dark would use it up, and the next is never asked.
    """
    servers = databases.servers(dsn, os.environ)
    share_s = timeout_s / len(servers)
    *others, last = [{"host": host, "port": port} for host, port in servers] if len(servers) > 1 else [{}]
    for one in others:
        try:
            return await _dial(dsn, share_s, **one, **options)
        except NEXT:
            continue
    return await _dial(dsn, share_s, **last, **options)


async def _dial(dsn: str, timeout_s: float, **options: Any) -> "asyncpg.Connection[Any]":
    try:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(dsn, timeout=timeout_s, **options)
    except TimeoutError as error:
        if str(error):
            # The system's own, which says what it was.
            raise
        raise TimeoutError(f"no answer within {timeout_s:g} s") from error
    return connection
