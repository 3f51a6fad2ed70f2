"""The client for programs with threads."""

import os
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar
from weakref import finalize

from postback.client.errors import BadAnswer, ClientError
from postback.client.events import AnEvent, Published, Result, lines_of
from postback.client.publisher import GATHER_S, Publisher
from postback.client.steps import Listing, Pause, Retrying, Steps, asking, publishing, publishing_one
from postback.client.wire import (
    ANSWER_MAX,
    CONNECTIONS,
    IDLE_S,
    PIECE,
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

CONNECT_S: Final = 10.0
"""For one address of the host; the next one gets what is left of the time."""

T = TypeVar("T")
Results: TypeAlias = list[Result]


class Client:
    """One server, one key. May be used by any number of threads; each has a connection of its own while it asks.

    `timeout` is for one request with its answer, in seconds; `retrying` says how often one is made again. Redirects are
    not followed, and proxies of the environment not used: the key is for the address that was named, and for no other.

    >>> with Client("http://127.0.0.1:8080", key) as client:
    ...     client.publish(Event("contact.created", {"id": "con_1"}, location_id=location))
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
        self._closed = threading.Event()
        self._pool = _Pool(self._address, (tls or default_tls()) if self._address.is_tls else None)
        # A client that nobody closed gives back its connections when nobody has it any more.
        self._forget = finalize(self, self._pool.clear)

    def publish(self, event: AnEvent) -> Published:
        """Publish one event; when this returns it is durable. What the server refuses is raised.

        Asked again as often as it takes, it is accepted once: every event has an idempotency key. An `Event` has it from
        its making on, so publishing the same object again after an error does no harm either.
        """
        return self._run(publishing_one(event, self._retrying))

    def publish_many(self, events: Iterable[AnEvent]) -> Results:
        """Publish any number of events, in as few requests as they fit in. One result for each, in order.

        A result is `Published` or the error of that event, for nothing that was accepted shall be lost in an exception;
        `all_published` raises what is wrong. After a request that fails for good the rest is not sent, and gets its error.
        """
        given = tuple(events)
        results: dict[int, Result] = {}
        took = results.__setitem__
        self._run(publishing(lines_of(given, took), self._retrying, took))
        return [results[place] for place in range(len(given))]

    def publisher(self, *, gather_s: float = GATHER_S) -> Publisher:
        """Gathers the events of many threads into few requests: see `Publisher`."""
        return Publisher(lambda lines, took: self._run(publishing(lines, self._retrying, took)), gather_s=gather_s)

    def get(self, path: str, **query: object) -> Any:
        """The body of the answer."""
        return self.send("GET", path, query=query).body

    def list(self, path: str, *, limit: int | None = None, **query: object) -> Iterator[Any]:
        """All items of a list, or up to `limit`, page by page as they are asked for.

        >>> for delivery in client.list("/v2/deliveries", state="failed"):
        ...     client.post(f"/v2/deliveries/{delivery['id']}/replay")
        """
        listing = Listing(limit, query)
        while listing.query is not None:
            yield from listing.take(self.get(path, **listing.query))

    def post(self, path: str, body: object = None) -> Any:
        return self.send("POST", path, body).body

    def put(self, path: str, body: object) -> Any:
        return self.send("PUT", path, body).body

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path).body

    def send(self, method: str, path: str, body: object = None, *, query: dict[str, object] | None = None) -> Answer:
        """Any request. What only reads is made again when the connection breaks; the rest when it surely had no effect."""
        return self._run(asking(request_of(method, path, body, query or {}), self._retrying))

    def close(self) -> None:
        """Close the connections; whoever waits for the next try gets a RuntimeError."""
        self._closed.set()
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self, steps: Steps[T]) -> T:
        """Do what it says, tell what came of it, until it has a result."""
        told: Answer | ClientError | None = None
        while True:
            try:
                step = steps.send(told)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                self._closed.wait(step.seconds)
                told = None
            else:
                told = self._exchange(step)

    def _exchange(self, request: Request) -> Answer | ClientError:
        if self._closed.is_set():
            raise RuntimeError("the client is closed")
        end = time.monotonic() + self._timeout
        connection = None
        keeps = sent = False
        try:
            connection = self._pool.take(end)
            sent = True
            reading = Reading(request.method, self._answer_max)
            answer = connection.exchange(request_bytes(self._address, self._common, request), reading, end)
            keeps = reading.keeps
        except BadAnswer as error:
            return error
        except OSError as error:
            return not_reachable(self._address, error, self._timeout, sent=sent)
        finally:
            if connection is not None:
                # Also where the program is interrupted: what comes later must not be taken for another answer.
                self._pool.give(connection, keeps=keeps and not self._closed.is_set())
        return answer


class _Pool:
    """The connections that wait for the next request."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._idle: deque[tuple[float, _Connection]] = deque()
        self._process = os.getpid()

    def take(self, end: float) -> "_Connection":
        if self._process != os.getpid():
            # A child must not write into its parent's conversation.
            self.clear()
            self._process = os.getpid()
        while self._idle:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                break
            if time.monotonic() - since < IDLE_S and not connection.has_news():
                return connection
            connection.close()
        return _Connection.open(self._address, self._tls, end)

    def give(self, connection: "_Connection", *, keeps: bool) -> None:
        if keeps and len(self._idle) < CONNECTIONS:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.close()

    def clear(self) -> None:
        while self._idle:
            _, connection = self._idle.pop()
            connection.close()


class _Connection:
    """A socket on which one request at a time is made. Everything raises TimeoutError after `end`."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def open(cls, address: Address, tls: ssl.SSLContext | None, end: float) -> "_Connection":
        connected = socket.create_connection((address.host, address.port), min(_left(end), CONNECT_S))
        try:
            # The last part of a long body shall not wait until the part before is acknowledged.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                connected.settimeout(_left(end))
                connected = tls.wrap_socket(connected, server_hostname=address.host)
        except BaseException:
            connected.close()
            raise
        return cls(connected)

    def exchange(self, request: bytes, reading: Reading, end: float) -> Answer:
        broken: OSError | None = None
        self._socket.settimeout(_left(end))
        try:
            self._socket.sendall(request)
        except (BrokenPipeError, ConnectionResetError) as error:
            # It may have been answered before it was read to its end.
            broken = error
        while True:
            self._socket.settimeout(_left(end))
            try:
                piece = self._socket.recv(PIECE)
                answer = reading.feed(piece)
            except ConnectionError as error:
                raise (broken or error) from error
            if answer is not None:
                reading.keeps = reading.keeps and broken is None
                return answer

    def has_news(self) -> bool:
        return has_news(self._socket.fileno())

    def close(self) -> None:
        self._socket.close()


def has_news(descriptor: int) -> bool:
    """Whether something has come on a connection. While nothing is asked, that can only be its end."""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
