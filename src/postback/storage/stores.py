"""Either store by the address of its database; the one on PostgreSQL is loaded only where it is asked for."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from typing import Protocol

from postback.domain import databases
from postback.ports import Clock, Queue, Report
from postback.storage.database import CannotOpen, Database, Sizes
from postback.storage.sqlite import SqliteStore


class Store(Queue, Database, Protocol):
    """What a server needs of a store, beside its ports."""

    @property
    def trouble(self) -> str | None:
        """Why nothing, or not all, can be accepted and delivered at this moment; None while all is well."""

    def alone(self) -> AbstractAsyncContextManager[None]:
        """While it is entered no other process is in it."""

    def on_due(self, woken: Callable[[Collection[int]], None]) -> None:
        """Call `woken(config ids)` on the loop when another process says that something of theirs waits to be claimed; with
        none of them when word may have been lost."""

    async def sizes(self) -> Sizes: ...

    async def close(self) -> None: ...


def _ignore(_: object) -> None:
    """Nobody asked to hear of it."""


async def open_store(
    database: str,
    clock: Clock,
    *,
    secret_keys: Sequence[bytes],
    lease_ms: int = 30_000,
    failed: Callable[[str], None] = _ignore,
    report: Report = _ignore,
) -> Store:
    """The store of a path or an address. On PostgreSQL the clock is the database's own.

    CannotOpen says why not and what would help, Unavailable that nobody answers. `failed` is called with the reason when
    nothing can be made durable ever again; `report` is told of each commit.
    """
    if not databases.is_server(database):
        return await SqliteStore.open(
            database, clock, lease_ms=lease_ms, failed=failed, report=report, secret_keys=secret_keys
        )
    demand_driver()
    from postback.storage.postgres import PostgresStore  # noqa: PLC0415 (an extra)

    return await PostgresStore.open(database, lease_ms=lease_ms, failed=failed, report=report, secret_keys=secret_keys)


def demand_driver() -> None:
    """CannotOpen where what PostgreSQL is spoken to with is not installed."""
    if any(find_spec(name) is None for name in ("asyncpg", "greenlet")):
        raise CannotOpen(
            "POSTBACK_DATABASE names a PostgreSQL database, which needs the extra postgres: "
            "pip install './postback[postgres]' (./postback is the folder that was cloned)"
        )
