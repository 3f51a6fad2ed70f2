"""Accepting: events, their deliveries and their record changes become durable together, each event or none of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg

from postback.domain.deliveries import NewDeliveries, Refused
from postback.domain.errors import PostbackError, Unavailable
from postback.domain.events import Event
from postback.ports import Worker
from postback.storage.accepting import Answer, Batch, answer_without, decide
from postback.storage.audit import Auditor
from postback.storage.committed import Uncommitted
from postback.storage.expanding import related
from postback.storage.journal import Gathered
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.event_rows import Known, keep, look
from postback.storage.postgres.failures import Lost, cause, is_of_the_store
from postback.storage.postgres.journal import PARTS, Journal
from postback.storage.postgres.tasks import Passed, Task, Tasks
from postback.storage.postgres.tokens import Tokens
from postback.storage.postgres.unanswered import Unanswered
from postback.storage.records import apply_changes

AT_ONCE: Final = 100
"""Units with record changes in one transaction."""

UNKNOWN_S: Final = 5.0
"""How long to ask whether a batch stands whose answer was lost."""

AGAIN_S: Final = 0.1


class Accepting:
    """Takes the events of one worker in. Claims that may stand in its name without its knowing go to `unanswered`."""

    def __init__(
        self, doors: Doors, tasks: Tasks, tokens: Tokens, unanswered: Unanswered, auditor: Auditor, worker: Worker
    ) -> None:
        self._doors = doors
        self._tasks = tasks
        self._tokens = tokens
        self._unanswered = unanswered
        self._auditor = auditor
        self._worker = worker
        self._part = worker.slot % PARTS

    async def accept(self, units: Sequence[NewDeliveries]) -> Sequence[Answer]:
        """All that have nothing beside them at once; the others, and all where that fails, one after the other."""
        answers: dict[int, Answer] = {}
        together = [at for at, unit in enumerate(units) if not unit.changes and not unit.expands]
        if together:
            kept = await self._try_together([units[at] for at in together])
            answers.update(zip(together, kept, strict=False))
        rest = [at for at in range(len(units)) if at not in answers]
        for at in range(0, len(rest), AT_ONCE):
            some = rest[at : at + AT_ONCE]
            try:
                answers.update(zip(some, await self._each([units[at] for at in some]), strict=True))
            except Unavailable as error:
                if not answers:
                    raise
                # What is durable stays so: only these were not accepted.
                answers.update((at, Refused(error)) for at in some)
        return [answers[at] for at in range(len(units))]

    async def _try_together(self, units: Sequence[NewDeliveries]) -> Sequence[Answer]:
        """Nothing of it, and no answers, when one of them cannot be stored: which one shows when each goes alone."""
        batch: Batch | None = None

        async def work(task: Task) -> None:
            nonlocal batch
            known = await look(task, self._worker.id, units)
            journal = task.journal()
            batch = self._decide(journal, known, units)
            await keep(task, known, batch, journal)

        try:
            await self._tasks.one(work, self._part)
        except Lost as lost:
            if batch is None or not lost.unknown or not await self._stands([batch]):
                raise
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 (each is tried alone next, and the one at fault is answered there)
            return ()
        return () if batch is None else batch.answers

    async def _each(self, units: Sequence[NewDeliveries]) -> Sequence[Answer]:
        """In one transaction, each in a savepoint of its own."""
        answers: list[Answer] = []
        events: list[Batch] = []

        async def work(task: Task) -> None:
            answers.clear()
            events.clear()
            known = await look(task, self._worker.id, units)
            total = task.journal()
            for unit in units:
                one = Journal(total.now, Uncommitted(), self._part)
                try:
                    async with task.door.savepoint():
                        batch = await self._keep_one(task, known, unit, one)
                except (Passed, Unavailable):
                    raise
                except Exception as error:
                    if is_of_the_store(error):
                        raise
                    answers.append(_refused(error))
                    continue
                known.firsts.update(batch.keys)
                total.absorb(one)
                events.append(batch)
                answers.extend(batch.answers)
            await total.write(task.raw)

        try:
            await self._tasks.run(work, self._part)
        except Lost as lost:
            if not lost.unknown or not await self._stands(events):
                raise
        return answers

    async def _keep_one(self, task: Task, known: Known, unit: NewDeliveries, journal: Journal) -> Batch:
        """Its record changes are made with it, and what belongs to it is gathered as it is after them."""
        event = unit.event
        answer = answer_without(unit, known.versions, known.firsts, {})
        if answer is not None:
            return Batch((), (), {}, [answer])
        if unit.changes:
            await task.door.run(lambda connection: apply_changes(connection, unit.changes, self._auditor))
        if unit.expands:
            found = await task.door.run(lambda connection: related(connection, unit.event, unit.expands))
            event = event._replace(expands=found)
        batch = self._decide(journal, known, [unit], lambda _: event)
        await keep(task, known, batch, journal, beside=False)
        return batch

    def _decide(
        self,
        journal: Gathered,
        known: Known,
        units: Sequence[NewDeliveries],
        complete: Callable[[NewDeliveries], Event] = lambda unit: unit.event,
    ) -> Batch:
        return decide(journal, units, known.versions, known.firsts, known.worker, self._tokens, complete)

    async def _stands(self, batches: Sequence[Batch]) -> bool:
        """Whether they are durable, of whose transaction no answer came."""
        kept = [batch.events[0][0] for batch in batches if batch.events]
        if kept and await self._is_stored(kept[0]):
            return True
        for batch in batches:
            # Only these: meanwhile others were given out, and they are being sent.
            self._unanswered.claims([row[6] for row in batch.owed if row[6] is not None])
        return False

    async def _is_stored(self, event_id: object) -> bool:
        """Asked until a server answers, but not for long."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + UNKNOWN_S
        never = asyncio.Event()
        looks = 0
        while loop.time() < ends:
            try:
                async with self._doors.one() as door:
                    if await door.raw.fetchval("SELECT 1 FROM events WHERE id = $1", event_id):
                        return True
                # The server may be at it still, and know nothing of the lost connection.
                looks += 1
                if looks == 3:
                    return False
            except Unavailable:
                looks = 0
            try:
                async with asyncio.timeout(AGAIN_S):
                    await never.wait()
            except TimeoutError:
                continue
        return False


def _refused(error: Exception) -> Refused:
    if isinstance(error, PostbackError):
        return Refused(error)
    first = cause(error)
    told = first.args[0] if isinstance(first, asyncpg.PostgresError) and first.args else type(first).__name__
    refusal = PostbackError(f"the event cannot be stored: {told}")
    refusal.__cause__ = error
    return Refused(refusal)
