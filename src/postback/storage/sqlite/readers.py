"""Readers: a few connections that change nothing, each used by one caller at a time."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Protocol, TypeVar

from sqlalchemy.exc import DBAPIError

from postback.domain.errors import Unavailable
from postback.storage.sqlite.connections import Door, open_reader
from postback.storage.sqlite.transactions import is_of_the_store

T = TypeVar("T")

READERS: Final = 3
READ_MAX_S: Final = 5.0
"""A reader's transaction keeps the log from being moved away, so none lasts longer."""

_STEPS_BETWEEN_LOOKS: Final = 20_000


class Readers(Protocol):
    async def read(self, query: Callable[[Door], T]) -> T:
        """Run it on a connection, in a transaction that sees one state of the store."""

    async def close(self) -> None: ...


class ThreadReaders:
    """Reads on a small pool of threads, one for each connection."""

    def __init__(self, path: Path) -> None:
        self._doors: SimpleQueue[Door] = SimpleQueue()
        for _ in range(READERS):
            self._doors.put(open_reader(path))
        self._threads = ThreadPoolExecutor(READERS, "postback-reader")
        self._is_closed = False

    async def read(self, query: Callable[[Door], T]) -> T:
        if self._is_closed:
            raise Unavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, query)

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        loop = asyncio.get_running_loop()
        for _ in range(READERS):
            door = await loop.run_in_executor(self._threads, self._doors.get)
            door.close()
        self._threads.shutdown()

    def _run(self, query: Callable[[Door], T]) -> T:
        door = self._doors.get()
        ends = time.monotonic() + READ_MAX_S
        door.raw.set_progress_handler(lambda: time.monotonic() > ends, _STEPS_BETWEEN_LOOKS)
        try:
            return snapshot(door, query)
        except (DBAPIError, sqlite3.Error) as error:
            if time.monotonic() > ends:
                raise Unavailable(f"reading took longer than {READ_MAX_S:g} s") from error
            if is_of_the_store(error):
                raise Unavailable(f"the store cannot be read now: {error}") from error
            raise
        finally:
            self._doors.put(door)


class LoopReader:
    """Reads on the loop itself, without any thread."""

    def __init__(self, path: Path) -> None:
        self._door = open_reader(path)

    async def read(self, query: Callable[[Door], T]) -> T:
        return snapshot(self._door, query)

    async def close(self) -> None:
        self._door.close()


def snapshot(door: Door, query: Callable[[Door], T]) -> T:
    """Every statement of the query sees the same commits."""
    door.raw.execute("BEGIN")
    try:
        return query(door)
    finally:
        if door.raw.in_transaction:
            door.raw.execute("ROLLBACK")
