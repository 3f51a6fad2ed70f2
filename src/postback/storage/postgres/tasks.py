"""Pieces of work of the queue: each in a transaction, or in a single statement that is its own, tried again where that
helps, and told of when it is durable."""

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from postback.ports import Report
from postback.storage.committed import Uncommitted
from postback.storage.postgres.clock import NOW, ServerClock
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.door import Door
from postback.storage.postgres.failures import Contended, Lost
from postback.storage.postgres.journal import Journal, Raw, go_by_keys
from postback.storage.postgres.now import Moment, Times, WentBack

T = TypeVar("T")

TRIES: Final = 5


class Passed(Exception):
    """What the work went by was not so any more when it wrote, and nothing of it stands: it is to begin anew."""


class Task:
    """One try of a piece of work. `is_sent` is set by it before the one statement that writes, outside a transaction."""

    def __init__(self, door: Door, moment: Moment, new: Uncommitted, part: int) -> None:
        self.door = door
        self.moment = moment
        self.is_sent = False
        self._new = new
        self._part = part
        self._journals: list[Journal] = []
        self._rows = 0

    @property
    def raw(self) -> Raw:
        return self.door.raw

    async def ask_time(self) -> int:
        return self.moment.is_at(await self.raw.fetchval(f"SELECT {NOW}", self.moment.given))

    def journal(self) -> Journal:
        """Of the moment that is known by now."""
        journal = Journal(self.moment.ms, self._new, self._part)
        self._journals.append(journal)
        return journal

    async def go_by_keys(self) -> None:
        await go_by_keys(self.raw)

    def wrote(self, rows: int) -> None:
        """Beside what its journals know of."""
        self._rows += rows

    @property
    def rows(self) -> int:
        return self._rows + sum(journal.rows for journal in self._journals)

    @property
    def due_soon(self) -> Collection[int]:
        return {config_id for journal in self._journals for config_id in journal.due_soon}


class Tasks:
    """`transact` runs a function in a transaction, again where others are in its way, and reports what was added;
    `send_due` tells other processes of lanes."""

    def __init__(
        self,
        doors: Doors,
        clock: ServerClock,
        transact: Callable[[Callable[[Door, Uncommitted], Awaitable[object]]], Awaitable[object]],
        report: Report,
        send_due: Callable[[Collection[int]], None],
    ) -> None:
        self._doors = doors
        self._times = Times(clock)
        self._transact = transact
        self._report = report
        self._send_due = send_due

    async def run(self, work: Callable[[Task], Awaitable[T]], part: int = 0) -> T:
        """In one transaction, whose end may be unknown where Lost says so. Counters go to that part."""
        result: list[T] = []
        task: Task | None = None

        async def once(door: Door, new: Uncommitted) -> None:
            nonlocal task
            task = Task(door, self._times.moment(), new, part)
            result[:] = [await work(task)]
            door.rows += task.rows

        for left in reversed(range(TRIES)):
            try:
                await self._transact(once)
                break
            except WentBack:
                if not left:
                    raise
                await self._turn_back()
            except Passed as error:
                if not left:
                    raise Contended("others change the same things; ask again") from error
        if task is not None:
            self._stands(task)
        return result[0]

    async def one(self, work: Callable[[Task], Awaitable[T]], part: int = 0, *, beats: bool = False) -> T:
        """Single statements, of which the last writes; its end is unknown where Lost says so. `beats` says that it is
        the heartbeat, which has a connection of its own."""
        began = time.monotonic()
        for left in reversed(range(TRIES)):
            new = Uncommitted()
            task: Task | None = None
            try:
                async with self._doors.beating() if beats else self._doors.one() as door:
                    task = Task(door, self._times.moment(), new, part)
                    result = await work(task)
            except Lost as lost:
                # One that had been idle may have been dead before this.
                if not left or task is None or task.is_sent:
                    lost.unknown = task is not None and task.is_sent
                    raise
            except Contended:
                if not left:
                    raise
            except WentBack:
                if not left:
                    raise
                await self._turn_back()
            except Passed as error:
                if not left:
                    raise Contended("others change the same things; ask again") from error
            else:
                self._report(new.committed(time.monotonic() - began, task.rows))
                self._stands(task)
                return result
        raise AssertionError("the last try ends it")

    def _stands(self, task: Task) -> None:
        self._times.passed(task.moment)
        due = task.due_soon
        if due:
            self._send_due(due)

    async def _turn_back(self) -> None:
        await self._doors.transact(lambda door: self._times.turn_back(door.raw))
