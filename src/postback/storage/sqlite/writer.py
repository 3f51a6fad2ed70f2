"""The one writer: whatever has gathered when the last commit was told forms the next transaction."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from postback.domain.errors import Unavailable
from postback.ports import Report
from postback.storage.sqlite.checkpoints import OwnCheckpoints
from postback.storage.sqlite.transactions import Answers, Job, Transactions, Work

IDLE_S: Final = 0.2
"""Without work for so long, the writer uses the moment to move the log into the database."""

Announce = Callable[[str], None]
"""Called on the loop: with an account whose configs changed, or with why the store will never write again."""


class Writer(Protocol):
    """Either of the two below."""

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        """Run it in the next transaction; answered after its COMMIT."""

    def doubt(self, error: sqlite3.Error) -> None:
        """Called by whoever else touches the file, on any thread: never write again, if it cannot be trusted."""

    async def close(self) -> None:
        """End after what was submitted; whatever comes later is Unavailable."""


class ThreadWriter:
    """Writes on a thread of its own, the only one that ever touches the writing connection."""

    def __init__(
        self,
        transactions: Transactions,
        checkpoints: OwnCheckpoints | None,
        changed: Announce,
        failed: Announce,
        report: Report,
    ) -> None:
        self._transactions = transactions
        self._checkpoints = checkpoints
        self._loop = asyncio.get_running_loop()
        self._answers = _Answers(transactions, changed, failed, report)
        self._inbox: SimpleQueue[Sequence[Job] | None] = SimpleQueue()
        self._waiting: list[Job] = []
        # A group is gathered or written: whoever comes meanwhile is in the next.
        self._is_busy = False
        self._closed: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._run, name="postback-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._closed is not None:
            future.set_exception(Unavailable("the store is closed"))
        else:
            self._waiting.append(Job(work, future))
            if not self._is_busy:
                self._gather()
        return future

    def doubt(self, error: sqlite3.Error) -> None:
        self._transactions.break_off(error)
        self._loop.call_soon_threadsafe(self._answers.report)

    async def close(self) -> None:
        if self._closed is None:
            self._closed = self._loop.create_future()
            self._hand_over()
            self._inbox.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()

    def _gather(self) -> None:
        """In the turn of the loop after the next: what stands at the sockets by now, and what comes of the last commit's
        answers, is in the same transaction. Each costs as much for one event as for a dozen."""
        self._is_busy = True
        self._loop.call_soon(self._loop.call_soon, self._hand_over)

    def _hand_over(self) -> None:
        group, self._waiting = self._waiting, []
        if group:
            self._inbox.put(group)
        else:
            self._is_busy = False

    def _give(self, answers: Answers) -> None:
        self._gather()
        self._answers.give(answers)

    def _fail(self) -> None:
        self._gather()
        self._answers.report()

    def _run(self) -> None:
        is_open = True
        while is_open:
            try:
                is_open = self._write()
            except Exception as error:  # noqa: BLE001 - a thread that ended in silence would leave everyone waiting
                self._transactions.broken = f"the writer failed and must be started anew: {error!r}"
                self._loop.call_soon_threadsafe(self._fail)
        self._loop.call_soon_threadsafe(self._end)

    def _write(self) -> bool:
        """One transaction; False when there is nothing more to wait for."""
        group = self._next_group()
        if group is None:
            return False
        answers = self._transactions.run(group)
        # One wake-up of the loop for a whole commit.
        self._loop.call_soon_threadsafe(self._give, answers)
        if self._checkpoints is not None:
            self._checkpoint(self._checkpoints.run_if_large)
        return True

    def _next_group(self) -> Sequence[Job] | None:
        if self._checkpoints is None:
            return self._inbox.get()
        try:
            return self._inbox.get(timeout=IDLE_S)
        except Empty:
            self._checkpoint(self._checkpoints.run)
            return self._inbox.get()

    def _checkpoint(self, run: Callable[[], None]) -> None:
        if self._transactions.broken is None:
            try:
                run()
            except sqlite3.Error as error:
                self.doubt(error)

    def _end(self) -> None:
        if self._closed is not None:
            self._closed.set_result(None)


class LoopWriter:
    """Writes on the loop itself, without any thread: what was submitted in one turn of it is one transaction."""

    def __init__(
        self,
        transactions: Transactions,
        checkpoints: OwnCheckpoints,
        changed: Announce,
        failed: Announce,
        report: Report,
    ) -> None:
        self._transactions = transactions
        self._checkpoints = checkpoints
        self._loop = asyncio.get_running_loop()
        self._answers = _Answers(transactions, changed, failed, report)
        self._waiting: list[Job] = []
        self._is_closed = False

    def submit(self, work: Work) -> "asyncio.Future[Any]":
        future = self._loop.create_future()
        if self._is_closed:
            future.set_exception(Unavailable("the store is closed"))
            return future
        if not self._waiting:
            self._loop.call_soon(self._write)
        self._waiting.append(Job(work, future))
        return future

    def doubt(self, error: sqlite3.Error) -> None:
        self._transactions.break_off(error)
        self._answers.report()

    async def close(self) -> None:
        self._is_closed = True
        self._write()

    def _write(self) -> None:
        if not self._waiting:
            return
        group, self._waiting = self._waiting, []
        self._answers.give(self._transactions.run(group))
        if self._transactions.broken is None:
            try:
                self._checkpoints.run_if_large()
            except sqlite3.Error as error:
                self.doubt(error)


class _Answers:
    """Gives them, on the loop, to whoever waits."""

    def __init__(self, transactions: Transactions, changed: Announce, failed: Announce, report: Report) -> None:
        self._transactions = transactions
        self._changed = changed
        self._failed = failed
        self._count = report
        self._has_reported = False

    def give(self, answers: Answers) -> None:
        """Watchers hear of changed configs first: whoever changed one may count on it when told so."""
        if answers.committed is not None:
            self._count(answers.committed)
        try:
            for account in dict.fromkeys(answers.changed):
                self._changed(account)
        finally:
            for future, result, error in answers.answers:
                # Whoever asked may have been cancelled meanwhile; what was written stands all the same.
                if future.done():
                    continue
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)
            self.report()

    def report(self) -> None:
        """Once, and after everyone was answered."""
        why = self._transactions.broken
        if why is not None and not self._has_reported:
            self._has_reported = True
            self._failed(why)
