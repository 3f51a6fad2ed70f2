"""A start after a restore: what the copy knows, who else is at work on it, and its release, on record."""

import asyncio
import socket
from contextlib import suppress
from typing import Final

from sqlalchemy import Connection

from postback.bootstrap.started import CannotStart, Restored
from postback.domain.accounts import Actor
from postback.domain.crews import BEATS_A_LEASE
from postback.domain.restored import Copy, Owing
from postback.domain.times import rfc3339
from postback.engine.engine import Engine
from postback.ports import Configs
from postback.storage.restored import copy_of, heard_of, held_by, hold, let_go, owing
from postback.storage.stores import Store

STARTS_S: Final = 1.0
"""From a look for a hold to the first heartbeat, at most."""

BEATS_WAITED: Final = 1.5
"""Whoever lives is heard of again within so many beats."""


class AfterRestore:
    """Keeps the port Held. An engine that was not made held is never held."""

    def __init__(self, store: Store, configs: Configs, engine: Engine) -> None:
        self._store = store
        self._configs = configs
        self._engine = engine
        self._copy: Copy | None = None
        self._releasing = asyncio.Lock()
        self._released = asyncio.Event()

    @property
    def is_held(self) -> bool:
        return self._engine.is_held

    @property
    def copy(self) -> Copy | None:
        return self._copy

    async def look(self) -> Restored:
        """What the copy knows and owes, before anything is written to it. Where it owes nothing, nothing is held any more."""
        self._copy = await copy_of(self._store)
        found = await self.owing()
        if found.is_nothing:
            await self._store.write(let_go)
            self._let_go()
        return Restored(self._copy, found, self._store.clock(), self.release, self._released.wait)

    async def owing(self) -> Owing:
        return await owing(self._store, self._configs, self._copy or Copy(None, 0))

    async def release(self, *, by: Actor | None = None) -> None:
        async with self._releasing:
            if not self.is_held:
                return
            found = await self.owing()
            after = {"owed": found.owed, "owed_in_copy": found.in_copy, "known_until": self._known_until}

            def write(connection: Connection) -> None:
                let_go(connection)
                self._store.auditor.record(connection, None, by, "hold.release", "hold", after=after)

            await self._store.write(write)
            self._let_go()

    def _let_go(self) -> None:
        self._engine.release()
        self._released.set()

    @property
    def _known_until(self) -> str | None:
        known_ms = None if self._copy is None else self._copy.known_until_ms
        return None if known_ms is None else rfc3339(known_ms)


async def hold_alone(store: Store) -> None:
    """On record, so that whoever else starts on the database refuses to. CannotStart where another worker lives: it
    delivers already, and to hold this one would hold nothing."""
    is_new = await hold(store, socket.gethostname())
    try:
        await _until_others_would_be_seen()
        await demand_alone(store)
    except BaseException:
        if is_new:
            await store.write(let_go)
        raise


async def demand_not_held(store: Store, name: str) -> None:
    """CannotStart where a server is held on it after a restore, or was and is gone: this one would deliver."""
    host = await held_by(store)
    if host is not None:
        raise CannotStart(
            f"{name} is held after a restore by a server on {host}: release it first (`postback release`); where that "
            "server runs no more, start one with --after-restore and release that"
        )


async def _until_others_would_be_seen() -> None:
    """Whoever looked for a hold just before there was one is registered by then."""
    never = asyncio.Event()
    with suppress(TimeoutError):
        async with asyncio.timeout(STARTS_S):
            await never.wait()


async def demand_alone(store: Store) -> None:
    """CannotStart where another worker lives: it delivers already, and to hold this one would hold nothing.

    Who was alive when the copy was made is registered in it, and may have been heard of just before: only who is heard
    of again lives. How often that is follows from its own lease.
    """
    before = {one.id: one for one in await heard_of(store)}
    leases_ms = [one.lease_ms for one in before.values() if one.beat_ms > store.clock() - one.lease_ms]
    if not leases_ms:
        return
    never = asyncio.Event()
    try:
        async with asyncio.timeout(max(leases_ms) / 1000 / BEATS_A_LEASE * BEATS_WAITED):
            await never.wait()
    except TimeoutError:
        after = await heard_of(store)
    alive = sorted({one.host for one in after if one.id not in before or one.beat_ms > before[one.id].beat_ms})
    if alive:
        raise CannotStart(
            f"another server or worker is at work on this database (on {', '.join(alive)}) and delivers what is owed: "
            "stop all of them, start one with --after-restore, and the others when it is released"
        )
