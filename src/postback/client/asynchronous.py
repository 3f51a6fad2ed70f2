"""The client for programs with asyncio."""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, cast

from postback.client.async_publisher import AsyncPublisher
from postback.client.errors import BadAnswer, ClientError
from postback.client.events import AnEvent, Published, Result, lines_of
from postback.client.publisher import GATHER_S
from postback.client.steps import Listing, Pause, Retrying, Steps, asking, publishing, publishing_one
from postback.client.sync import has_news
from postback.client.wire import (
    ANSWER_MAX,
    CONNECTIONS,
    IDLE_S,
    Address,
    Answer,
    Reading,
    Request,
    address_of,
    common_headers,
    default_tls,
    not_reachable,
    request_bytes,
    request_of,
)

CLOSE_S: Final = 1.0
"""For the other side to agree to the end of an encrypted connection."""

T = TypeVar("T")
Results: TypeAlias = list[Result]


class AsyncClient:
    """One server, one key, for any number of tasks of one event loop; up to `CONNECTIONS` requests are under way at once.

    Everything else is as with `Client`.

    >>> async with AsyncClient("http://127.0.0.1:8080", key) as client:
    ...     await client.publish(Event("contact.created", {"id": "con_1"}, location_id=location))
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        account: str | None = None,
        *,
        timeout: float = 30.0,
        retrying: Retrying = Retrying(),  # noqa: B008 - it never changes
        tls: ssl.SSLContext | None = None,
        answer_max: int = ANSWER_MAX,
    ) -> None:
        self._address = address_of(url)
        self._common = common_headers(self._address, key, account)
        self._timeout = timeout
        self._retrying = retrying
        self._answer_max = answer_max
        self._is_closed = False
        self._pool = _Pool(self._address, (tls or default_tls()) if self._address.is_tls else None)

    async def publish(self, event: AnEvent) -> Published:
        """Publish one event; when this returns it is durable. What the server refuses is raised."""
        return await self._run(publishing_one(event, self._retrying))

    async def publish_many(self, events: Iterable[AnEvent]) -> Results:
        """Publish any number of events, in as few requests as they fit in. One result for each, in order."""
        given = tuple(events)
        results: dict[int, Result] = {}
        took = results.__setitem__
        await self._run(publishing(lines_of(given, took), self._retrying, took))
        return [results[place] for place in range(len(given))]

    def publisher(self, *, gather_s: float = GATHER_S) -> AsyncPublisher:
        """Gathers the events of many tasks into few requests: see `AsyncPublisher`."""
        return AsyncPublisher(lambda lines, took: self._run(publishing(lines, self._retrying, took)), gather_s=gather_s)

    async def get(self, path: str, **query: object) -> Any:
        """The body of the answer."""
        return (await self.send("GET", path, query=query)).body

    async def list(self, path: str, *, limit: int | None = None, **query: object) -> AsyncIterator[Any]:
        """All items of a list, or up to `limit`, page by page as they are asked for: `async for … in client.list(…)`."""
        listing = Listing(limit, query)
        while listing.query is not None:
            for item in listing.take(await self.get(path, **listing.query)):
                yield item

    async def post(self, path: str, body: object = None) -> Any:
        return (await self.send("POST", path, body)).body

    async def put(self, path: str, body: object) -> Any:
        return (await self.send("PUT", path, body)).body

    async def delete(self, path: str) -> Any:
        return (await self.send("DELETE", path)).body

    async def send(
        self, method: str, path: str, body: object = None, *, query: dict[str, object] | None = None
    ) -> Answer:
        """Any request. What only reads is made again when the connection breaks; the rest when it surely had no effect."""
        return await self._run(asking(request_of(method, path, body, query or {}), self._retrying))

    async def close(self) -> None:
        self._is_closed = True
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, steps: Steps[T]) -> T:
        """Do what it says, tell what came of it, until it has a result."""
        told: Answer | ClientError | None = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                await _pause(step.seconds)
                told = None
            else:
                told = await self._exchange(step)

    async def _exchange(self, request: Request) -> Answer | ClientError:
        if self._is_closed:
            raise RuntimeError("the client is closed")
        connection = None
        keeps = sent = False
        async with self._pool.room():
            try:
                async with asyncio.timeout(self._timeout):
                    connection = await self._pool.take()
                    sent = True
                    reading = Reading(request.method, self._answer_max)
                    answer = await connection.exchange(request_bytes(self._address, self._common, request), reading)
                    keeps = reading.keeps
            except BadAnswer as error:
                return error
            except OSError as error:
                return not_reachable(self._address, error, self._timeout, sent=sent)
            finally:
                if connection is not None:
                    # Also where the task is cancelled: what comes later must not be taken for another answer.
                    self._pool.give(connection, keeps=keeps and not self._is_closed)
        return answer


async def _pause(seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()


class _Pool:
    """The connections of one event loop; in the next one (`asyncio.run` was called again) all begins anew."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: deque[tuple[float, _Connection]] = deque()
        self._room = asyncio.Semaphore(CONNECTIONS)

    def room(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._room = asyncio.Semaphore(CONNECTIONS)
            # Their loop has ended, and they with it.
            self._idle.clear()
        return self._room

    async def take(self) -> "_Connection":
        while self._idle:
            since, connection = self._idle.pop()
            if connection.is_open and time.monotonic() - since < IDLE_S:
                return connection
            connection.abort()
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            _Connection,
            self._address.host,
            self._address.port,
            ssl=self._tls,
            server_hostname=self._address.host if self._tls else None,
        )
        return connection

    def give(self, connection: "_Connection", *, keeps: bool) -> None:
        if keeps and connection.is_open:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.abort()

    async def close(self) -> None:
        idle, self._idle = self._idle, deque()
        if self._loop is asyncio.get_running_loop():
            await asyncio.gather(*(connection.close() for _, connection in idle))


class _Connection(asyncio.Protocol):
    """A connection on which one request at a time is made. An answer may come before the request was sent to its end."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._answer: asyncio.Future[Answer] = loop.create_future()
        self._reading: Reading | None = None
        self._transport: asyncio.Transport

    @property
    def is_open(self) -> bool:
        """As the loop knows it, and as the system does where the loop was too busy to look."""
        return not (self._transport.is_closing() or has_news(self._transport.get_extra_info("socket").fileno()))

    async def exchange(self, request: bytes, reading: Reading) -> Answer:
        if self._ended.done():
            raise ConnectionResetError("the connection ended before anything was sent")
        self._answer = asyncio.get_running_loop().create_future()
        self._reading = reading
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._reading = None
            if self._transport.get_write_buffer_size():
                # The rest of this request would be read as the next one.
                reading.keeps = False

    async def close(self) -> None:
        self._transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await asyncio.shield(self._ended)
                return
        self._transport.abort()

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> None:
        self._take(b"")

    def connection_lost(self, error: Exception | None) -> None:
        self._ended.set_result(None)
        if self._reading is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the connection ended before the answer did"))

    def _take(self, data: bytes) -> None:
        if self._reading is None or self._answer.done():
            # Nobody asked for this.
            self._transport.abort()
            return
        try:
            answer = self._reading.feed(data)
        except (BadAnswer, ConnectionError) as error:
            self._answer.set_exception(error)
            self._transport.abort()
        else:
            if answer is not None:
                self._answer.set_result(answer)
