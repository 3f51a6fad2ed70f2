"""The one writer: whatever is waiting when the last commit ended forms the next transaction."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from postback.domain.errors import Unavailable
from postback.storage.sqlite.connections import checkpoints_apart
from postback.storage.sqlite.now import Now
from postback.storage.sqlite.transactions import Answers, Job, Transactions, Work

IDLE_S: Final = 0.2
"""Without work for so long, the writer uses the moment to move the log into the database."""


class Writer(Protocol):
    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Run it in the next transaction; answered after its COMMIT."""

    def changed(self, account: str) -> None:
        """Called by a job: watchers hear of the account when the job is durable."""

    @property
    def broken(self) -> str | None: ...

    async def close(self) -> None:
        """End after what was submitted; whatever comes later is Unavailable."""


class ThreadWriter:
    """Writes on a thread of its own, the only one that ever touches the writing connection."""

    def __init__(
        self,
        raw: sqlite3.Connection,
        now: Now,
        announce: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        self._raw = raw
        self._transactions = Transactions(raw, now)
        self._announce = announce
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._closed: asyncio.Future[None] | None = None
        self._checkpoints_itself = not checkpoints_apart()
        self._thread = threading.Thread(target=self._run, name="postback-writer", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> str | None:
        return self._transactions.broken

    def changed(self, account: str) -> None:
        self._transactions.changed(account)

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._closed is not None:
            future.set_exception(Unavailable("the store is closed"))
        else:
            self._inbox.put(Job(work, future))
        return future

    async def close(self) -> None:
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._inbox.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            group, is_open = self._next_group()
            if not group:
                continue
            answers = self._transactions.run(group)
            # One wake-up of the loop for a whole commit.
            self._loop.call_soon_threadsafe(self._answer, answers)
        self._loop.call_soon_threadsafe(self._end)

    def _next_group(self) -> tuple[list[Job], bool]:
        """What is waiting now, or the first that comes; False when there is nothing more to wait for."""
        group: list[Job] = []
        job = self._first()
        while job is not None:
            group.append(job)
            try:
                job = self._inbox.get_nowait()
            except Empty:
                return group, True
        return group, False

    def _first(self) -> Job | None:
        if not self._checkpoints_itself:
            return self._inbox.get()
        try:
            return self._inbox.get(timeout=IDLE_S)
        except Empty:
            self._checkpoint()
            return self._inbox.get()

    def _checkpoint(self) -> None:
        """PASSIVE waits for nobody: what readers hold back is moved in a later idle moment."""
        if self.broken is not None:
            return
        try:
            self._raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._transactions.failed(error)
            self._loop.call_soon_threadsafe(self._report)

    def _answer(self, answers: Answers) -> None:
        answer(answers, self._announce)
        self._report()

    def _report(self) -> None:
        if self.broken is not None:
            self._failed(self.broken)

    def _end(self) -> None:
        if self._closed is not None:
            self._closed.set_result(None)


class LoopWriter:
    """Writes on the loop itself, without any thread: what was submitted in one turn of it is one transaction."""

    def __init__(
        self,
        raw: sqlite3.Connection,
        now: Now,
        announce: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        self._transactions = Transactions(raw, now)
        self._announce = announce
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Job] = []
        self._is_closed = False

    @property
    def broken(self) -> str | None:
        return self._transactions.broken

    def changed(self, account: str) -> None:
        self._transactions.changed(account)

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._is_closed:
            future.set_exception(Unavailable("the store is closed"))
            return future
        if not self._waiting:
            self._loop.call_soon(self._write)
        self._waiting.append(Job(work, future))
        return future

    async def close(self) -> None:
        self._is_closed = True
        self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        group, self._waiting = self._waiting, []
        answer(self._transactions.run(group), self._announce)
        if self.broken is not None:
            self._failed(self.broken)


def answer(answers: Answers, announce: Callable[[str], None]) -> None:
    """Watchers hear of changed configs first: whoever changed one may count on it when told so."""
    for account in dict.fromkeys(answers.changed):
        announce(account)
    for future, result, error in answers.answers:
        # Whoever asked may have been cancelled meanwhile; what was written stands all the same.
        if future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
