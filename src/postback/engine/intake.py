"""The way in: gathers what has arrived into one durable commit, and hands what it may carry out to the dispatcher."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from postback.domain.configs import Snapshot, expands_of
from postback.domain.deliveries import Accepted, NewDeliveries, Refused, Target
from postback.domain.errors import ConfigsPassed, NotFound, PostbackError, Unavailable
from postback.domain.events import Event
from postback.domain.ids import IdSource
from postback.domain.making import made
from postback.domain.telemetry import EventTraced, InternalError, StoreFailed
from postback.engine.dispatcher import Dispatcher
from postback.engine.snapshots import Snapshots
from postback.formats import is_sayable
from postback.ports import Clock, NewEvent, NewSpan, Queue, Report, Worker

EVENTS_WAITING_MAX: Final = 20_000
"""Events that may wait for a commit: beyond it the publisher is asked to come back, and nothing is dropped."""

BYTES_WAITING_MAX: Final = 128 << 20
EVENTS_A_COMMIT: Final = 1_000

Answer = Accepted | Refused


@dataclass(eq=False, slots=True)
class _Submission:
    """Events that were published together, and their answers as they come in."""

    events: Sequence[NewEvent]
    answered: asyncio.Future[Sequence[Answer]]
    answers: list[Answer | None]
    missing: int
    began_ms: int


class Intake:
    """Whatever is waiting when the last commit ends forms the next one: no timer, and no size to tune.

    With `new_span` the acceptance of each event is a span of its own in the event's trace, and reported as one.
    """

    def __init__(
        self,
        queue: Queue,
        snapshots: Snapshots,
        dispatcher: Dispatcher,
        clock: Clock,
        report: Report,
        new_span: NewSpan | None = None,
    ) -> None:
        self._queue = queue
        self._snapshots = snapshots
        self._dispatcher = dispatcher
        self._clock = clock
        self._report = report
        self._new_span = new_span
        self._ids = IdSource(clock, 0)
        self._worker = Worker(0, 0, 0)
        self._arrived: deque[tuple[_Submission, int]] = deque()
        self._bytes_waiting = 0
        self._something_arrived = asyncio.Event()
        self._is_open = False

    def open(self, worker: Worker) -> None:
        """Accept as this worker from now on."""
        self._worker = worker
        self._ids = IdSource(self._clock, worker.slot, worker.last_id)
        self._is_open = True

    @property
    def waiting(self) -> int:
        """Events that wait for a commit."""
        return len(self._arrived)

    def next_id(self) -> int:
        """The id of an event that comes in by another way; Unavailable while nothing is accepted."""
        if not self._is_open:
            raise Unavailable("the server is stopping; ask again in a moment")
        return self.event_id()

    def event_id(self) -> int:
        """The id of an event of the engine's own."""
        return self._ids()

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Answer]:
        if not events:
            return []
        size = sum(len(event.data) for event in events)
        if not self._is_open:
            raise Unavailable("the server is stopping; ask again in a moment")
        if len(self._arrived) + len(events) > EVENTS_WAITING_MAX or self._bytes_waiting + size > BYTES_WAITING_MAX:
            raise Unavailable("too many events are waiting to be written; ask again in a second")
        began_ms = 0 if self._new_span is None else self._clock()
        answered: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        submission = _Submission(events, answered, [None] * len(events), len(events), began_ms)
        self._bytes_waiting += size
        self._arrived.extend(zip(repeat(submission), range(len(events)), strict=False))
        self._something_arrived.set()
        return await submission.answered

    async def run(self, stopping: asyncio.Event) -> None:
        """Commit what arrives until `stopping`; then refuse what is new and end when the rest is durable."""
        while True:
            await self._something_arrived.wait()
            self._something_arrived.clear()
            if stopping.is_set():
                self._is_open = False
            while self._arrived:
                places = [self._arrived.popleft() for _ in range(min(len(self._arrived), EVENTS_A_COMMIT))]
                await self._commit(places)
            if stopping.is_set():
                return

    def wake(self) -> None:
        """Let `run` notice that it is to stop."""
        self._something_arrived.set()

    async def _commit(self, places: Sequence[tuple[_Submission, int]]) -> None:
        # Only what was matched with configs that changed in the meantime goes round again.
        while places:
            units: list[NewDeliveries] = []
            unsayable: list[int] = []
            matched: list[tuple[_Submission, int]] = []
            try:
                now_ms = self._clock()
                for submission, place in places:
                    try:
                        new = submission.events[place]
                        snapshot = self._snapshots.held(new.account)
                        if snapshot is None:
                            snapshot = await self._snapshots.of(new.account)
                            now_ms = self._clock()
                        unit, count = self._unit(new, snapshot, now_ms)
                        units.append(unit)
                        unsayable.append(count)
                        matched.append((submission, place))
                    except NotFound as error:
                        self._answer(submission, place, Refused(error))
                    except Unavailable:
                        raise
                    except Exception as error:  # noqa: BLE001 - one event must not end the way in for all others
                        self._report(InternalError(error))
                        refusal = PostbackError(f"the event cannot be matched with configs: {type(error).__name__}")
                        refusal.__cause__ = error
                        self._answer(submission, place, Refused(refusal))
                answers = await self._queue.accept(self._worker, units)
            except Unavailable as error:
                self._report(StoreFailed("accept", str(error)))
                for unit in units:
                    self._unreserve(unit)
                for submission, place in places:
                    if submission.answers[place] is None:
                        self._answer(submission, place, Refused(error))
                return
            places = self._accepted(matched, units, unsayable, answers)

    def _unit(self, new: NewEvent, snapshot: Snapshot, now_ms: int) -> tuple[NewDeliveries, int]:
        """The event with its deliveries, and how many of these its configs' formats cannot say."""
        account, event_type, data, location_id, subject, occurred_at, due_at_ms, idempotency, changes, trace = new
        if self._new_span is not None:
            trace = self._new_span(trace)
        event = made(
            Event,
            (
                self._ids.at(now_ms),
                account,
                location_id,
                event_type,
                subject,
                occurred_at,
                now_ms,
                data,
                None,
                trace,
            ),
        )
        wanting = snapshot.wanting(event)
        is_later, size, unsayable = due_at_ms is not None, len(data), 0
        targets = []
        for config in wanting:
            try:
                if not is_sayable(event, config):
                    unsayable += 1
            except Exception as error:  # noqa: BLE001 - one subscriber never blocks a publisher, nor do our bugs in its format
                self._report(InternalError(error))
            claimed = not is_later and not config.holds and self._dispatcher.reserve(config, size)
            targets.append(Target(config.id, claimed))
        unit = made(
            NewDeliveries,
            (event, targets, snapshot.version, idempotency, changes, due_at_ms, expands_of(wanting)),
        )
        return unit, unsayable

    def _accepted(
        self,
        places: Sequence[tuple[_Submission, int]],
        units: Sequence[NewDeliveries],
        unsayable: Sequence[int],
        answers: Sequence[Answer],
    ) -> Sequence[tuple[_Submission, int]]:
        """Begin and answer what is durable now; back come those that have to be matched again."""
        again = []
        for (submission, place), unit, count, answer in zip(places, units, unsayable, answers, strict=True):
            if isinstance(answer, Refused) and isinstance(answer.error, ConfigsPassed):
                self._unreserve(unit)
                self._snapshots.forget(unit.event.account)
                again.append((submission, place))
                continue
            if isinstance(answer, Refused) or answer.known:
                self._unreserve(unit)
            else:
                self._begin(unit, answer)
                if self._new_span is not None:
                    self._report_span(submission, place, unit)
                if count:
                    answer = answer._replace(unsayable=count)  # noqa: PLW2901 - the same answer, told in full
            self._answer(submission, place, answer)
        return again

    def _report_span(self, submission: _Submission, place: int, unit: NewDeliveries) -> None:
        parent = submission.events[place].trace
        self._report(EventTraced(unit.event, parent, submission.began_ms, self._clock(), len(unit.targets)))

    def _begin(self, unit: NewDeliveries, accepted: Accepted) -> None:
        if accepted.claims:
            self._dispatcher.begin(accepted.claims)
            if len(accepted.claims) == len(unit.targets):
                return
        begun = {claim.config_id for claim in accepted.claims}
        for target in unit.targets:
            if target.config_id not in begun:
                # Also a place that was reserved comes to nothing where the store takes this worker for dead.
                if target.claimed:
                    self._dispatcher.unreserve(target.config_id, len(unit.event.data))
                self._dispatcher.stored(target.config_id)

    def _unreserve(self, unit: NewDeliveries) -> None:
        for target in unit.targets:
            if target.claimed:
                self._dispatcher.unreserve(target.config_id, len(unit.event.data))

    def _answer(self, submission: _Submission, place: int, answer: Answer) -> None:
        self._bytes_waiting -= len(submission.events[place].data)
        submission.answers[place] = answer
        submission.missing -= 1
        # A publisher that has gone away has cancelled its future; its events are accepted all the same.
        if not submission.missing and not submission.answered.done():
            submission.answered.set_result([answer for answer in submission.answers if answer is not None])
