"""What only one process at a time may do to a database."""

from collections.abc import Awaitable, Callable
from typing import Final

from postback.storage.postgres.connections import BEGIN
from postback.storage.postgres.door import Door

WAIT_FOR_OTHERS: Final = "120s"
"""As long may another process take."""

WAIT_FOR_TABLES: Final = "10s"
"""Whoever is at work on a table makes us wait, and we all who come later: not for long."""


async def exclusively(door: Door, lock: int, work: Callable[[], Awaitable[None]]) -> None:
    """In a transaction, all or nothing, while no other process holds the lock of that number."""
    await door.raw.execute(BEGIN)
    try:
        await door.raw.execute(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHERS}'")
        await door.raw.execute("SELECT pg_advisory_xact_lock($1)", lock)
        await door.raw.execute(f"SET LOCAL lock_timeout = '{WAIT_FOR_TABLES}'")
        await work()
        await door.raw.execute("COMMIT")
    except BaseException:
        if not door.is_closed:
            await door.raw.execute("ROLLBACK")
        raise
