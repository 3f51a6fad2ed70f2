"""Many tasks, few requests: events are gathered for a moment and published together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from postback.client.errors import ClientError
from postback.client.events import EVENTS_MAX, AnEvent, Line, Published, Result, Took, line_of
from postback.client.publisher import GATHER_S

AsyncPublish: TypeAlias = Callable[[Sequence[Line], Took], Awaitable[None]]


class AsyncPublisher:
    """Takes events from any task while it is entered, and publishes in order what has gathered.

    It waits for up to `gather_s` seconds for more, or until a request is full; while one is under way the next gathers.
    At the end of the `async with` everything has been answered.

    >>> async with client.publisher() as publisher, asyncio.TaskGroup() as tasks:
    ...     for data in receipts:
    ...         tasks.create_task(publisher.publish(Event("sms.sent", data)))
    """

    def __init__(self, publish: AsyncPublish, *, gather_s: float = GATHER_S) -> None:
        self._publish = publish
        self._gather_s = gather_s
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        self._enough = asyncio.Event()
        self._is_open = False
        self._worker: asyncio.Task[None]

    async def publish(self, event: AnEvent) -> Published:
        """Publish together with what others publish now; when this returns it is durable. What is refused is raised."""
        line = line_of(event)
        if not self._is_open:
            raise RuntimeError("the publisher is not open; use it within its async with statement")
        waiting = _Waiting(line, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._news.set()
        if len(self._waiting) >= EVENTS_MAX:
            self._enough.set()
        return await waiting.future

    async def __aenter__(self) -> Self:
        self._is_open = True
        self._worker = asyncio.create_task(self._work(), name="postback-publisher")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._is_open = False
        self._news.set()
        self._enough.set()
        await self._worker

    async def _work(self) -> None:
        try:
            while self._is_open or self._waiting:
                await self._send(await self._gathered())
        finally:
            # Where this was cancelled there are some left that nobody will send.
            for one in self._waiting:
                one.future.cancel()

    async def _gathered(self) -> Sequence["_Waiting"]:
        await self._news.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._gather_s):
                await self._enough.wait()
        # What was cancelled while it waited is not sent.
        batch = [one for one in self._waiting if not one.future.done()]
        self._waiting.clear()
        if self._is_open:
            self._news.clear()
            self._enough.clear()
        return batch

    async def _send(self, batch: Sequence["_Waiting"]) -> None:
        lines = [one.line._replace(place=place) for place, one in enumerate(batch)]
        try:
            await self._publish(lines, lambda place, result: _tell(batch[place].future, result))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for an answer have to hear of it
            for one in batch:
                if not one.future.done():
                    one.future.set_exception(error)
        finally:
            for one in batch:
                one.future.cancel()


class _Waiting(NamedTuple):
    line: Line
    future: "asyncio.Future[Published]"


def _tell(future: "asyncio.Future[Published]", result: Result) -> None:
    if future.done():
        # Whoever published it was cancelled since; it was published all the same.
        return
    if isinstance(result, ClientError):
        future.set_exception(result)
    else:
        future.set_result(result)
