"""Many threads, few requests: events are gathered for a moment and published together."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

from postback.client.errors import ClientError, Refused
from postback.client.events import EVENTS_MAX, AnEvent, Line, Published, Result, Took, line_of

GATHER_S: Final = 0.01
WAITING_MAX: Final = 10_000

Publish: TypeAlias = Callable[[Sequence[Line], Took], None]

_log: Final = logging.getLogger("postback.client")


class Publisher:
    """Takes events from any thread while it is entered, and publishes in order what has gathered.

    It waits for up to `gather_s` seconds for more, or until a request is full; while one is under way the next gathers.
    When too many wait, `publish` does too. At the end of the `with` everything has been answered.

    >>> with client.publisher() as publisher:
    ...     futures = [publisher.publish(Event("sms.sent", data)) for data in receipts]
    >>> ids = [future.result().id for future in futures]
    """

    def __init__(self, publish: Publish, *, gather_s: float = GATHER_S, waiting_max: int = WAITING_MAX) -> None:
        self._publish = publish
        self._gather_s = gather_s
        self._waiting_max = waiting_max
        self._waiting: deque[_Waiting] = deque()
        self._given = self._answered = 0
        self._is_open = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="postback-publisher", daemon=True)

    def publish(self, event: AnEvent) -> "Future[Published]":
        """What came of the event, as soon as that is known. An error that nobody asks for is at least logged."""
        future: Future[Published] = Future()
        try:
            line = line_of(event)
        except Refused as error:
            tell(future, error, "it was not sent")
            return future
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._waiting_max or not self._is_open)
            if not self._is_open:
                raise RuntimeError("the publisher is not open; use it within its with statement")
            self._waiting.append(_Waiting(line, future))
            self._given += 1
            self._changed.notify_all()
        return future

    def flush(self) -> None:
        """Wait until everything that was given so far is answered."""
        with self._changed:
            given = self._given
            self._changed.wait_for(lambda: self._answered >= given)

    def __enter__(self) -> Self:
        self._is_open = True
        self._worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        self._worker.join()

    def _work(self) -> None:
        while batch := self._gathered():
            # What was cancelled while it waited is not sent.
            wanted = [one for one in batch if one.future.set_running_or_notify_cancel()]
            self._send(wanted)
            with self._changed:
                self._answered += len(batch)
                self._changed.notify_all()

    def _gathered(self) -> Sequence["_Waiting"]:
        """What waits; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._is_open)
            self._changed.wait_for(lambda: len(self._waiting) >= EVENTS_MAX or not self._is_open, self._gather_s)
            batch = tuple(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return batch

    def _send(self, batch: Sequence["_Waiting"]) -> None:
        lines = [one.line._replace(place=place) for place, one in enumerate(batch)]
        try:
            self._publish(lines, lambda place, result: tell(batch[place].future, result, batch[place].line.key))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for an answer have to hear of it
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(error)


class _Waiting(NamedTuple):
    line: Line
    future: "Future[Published]"


def tell(future: "Future[Published]", result: Result, what: str) -> None:
    if isinstance(result, ClientError):
        _log.warning("an event was not accepted (%s): %s", what, result)
        future.set_exception(result)
    else:
        future.set_result(result)
