"""Receivers on 127.0.0.1: one that behaves, and many that do not, each in its own way.

async with receiving(answers(503)) as receiver:
    ...  # POST to receiver.url
assert receiver.received[0].body == b"..."
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.patience import PATIENCE_S

_WAIT_FOR_EVER = 3600.0


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """What a sender sees of it, and what it saw of the sender."""

    host: str
    port: int
    scheme: str
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    errors: list[Exception] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def has(self, requests: int, *, within_s: float = PATIENCE_S) -> None:
        """Wait until so many requests have arrived."""
        async with asyncio.timeout(within_s):
            while len(self.received) < requests:
                self.arrived.clear()
                await self.arrived.wait()

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/receiver"

    def url_of(self, name: str) -> str:
        return f"{self.scheme}://{name}:{self.port}/receiver"


class Visit:
    """One connection to a receiver."""

    def __init__(self, receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.receiver = receiver
        self.reader = reader
        self.writer = writer

    async def request(self) -> Received:
        """The next request, whole. IncompleteReadError when the sender has gone."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in rest)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        received = Received(line, headers, body)
        self.receiver.received.append(received)
        self.receiver.arrived.set()
        return received

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def stay(self) -> None:
        """Keep the connection open, and do nothing, until the sender has had enough."""
        await self.reader.read()
        await asyncio.sleep(_WAIT_FOR_EVER)

    def finish(self) -> None:
        """FIN: nothing more is said."""
        self.writer.close()

    def reset(self) -> None:
        """RST: as if the process had been killed."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Visit], Awaitable[None]]


@asynccontextmanager
async def receiving(
    behaviour: Behaviour, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Receiver]:
    """A receiver that meets each connection with the behaviour; an error in it fails the test that uses it."""
    visits: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        writers.append(writer)
        visit = asyncio.ensure_future(_meet(behaviour, Visit(receiver, reader, writer)))
        visits.add(visit)
        visit.add_done_callback(visits.discard)

    server = await asyncio.start_server(met, host, port, ssl=tls, limit=2**20)
    receiver = Receiver(host, server.sockets[0].getsockname()[1], "http" if tls is None else "https")
    try:
        yield receiver
    finally:
        server.close()
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        for writer in writers:
            with suppress(OSError):
                await writer.wait_closed()
    if receiver.errors:
        raise receiver.errors[0]


async def _meet(behaviour: Behaviour, visit: Visit) -> None:
    try:
        await behaviour(visit)
        if not visit.writer.is_closing():
            await visit.writer.drain()
            visit.finish()
    except (OSError, asyncio.IncompleteReadError):
        visit.writer.transport.abort()  # the sender has gone: many tests are about that
    except Exception as error:
        visit.receiver.errors.append(error)
        raise


def answer(
    status: int = 200, body: bytes = b"ok", headers: Iterable[tuple[str, str]] = (), *, reason: str = "Whatever"
) -> bytes:
    """A whole, correct answer."""
    lines = [f"HTTP/1.1 {status} {reason}", f"content-length: {len(body)}", *(f"{n}: {v}" for n, v in headers)]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


# --- those that behave -----------------------------------------------------------------------------------------------


def answers(
    *statuses: int, body: bytes = b"ok", headers: Sequence[tuple[str, str]] = (), delay_s: float = 0.0
) -> Behaviour:
    """Answers each request, over connections that stay; with these statuses in turn, the last for ever (default 200)."""
    left = list(statuses or (200,))

    async def behave(visit: Visit) -> None:
        while True:
            await visit.request()
            status = left.pop(0) if len(left) > 1 else left[0]
            if delay_s:
                await asyncio.sleep(delay_s)
            await visit.say(answer(status, body, headers))

    return behave


def answers_once(data: bytes | None = None, *, linger: bool = False) -> Behaviour:
    """One request, one answer, then the connection is closed (or, lingering, left open)."""

    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer() if data is None else data)
        if linger:
            await visit.stay()

    return behave


# --- those that do not -----------------------------------------------------------------------------------------------


def says(data: bytes, *, linger: bool = True) -> Behaviour:
    """Answers with these bytes, whatever they are."""
    return answers_once(data, linger=linger)


def greets(data: bytes) -> Behaviour:
    """Speaks first, as SSH and SMTP servers do."""

    async def behave(visit: Visit) -> None:
        await visit.say(data)
        await visit.stay()

    return behave


async def never_answers(visit: Visit) -> None:
    """Takes the request and is silent."""
    await visit.request()
    await visit.stay()


async def never_reads(visit: Visit) -> None:
    """Accepts, and does not even take the request."""
    visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(_WAIT_FOR_EVER)


def drips(first: bytes, drop: bytes, *, every_s: float = 0.05) -> Behaviour:
    """Says something, then a little more and more, for ever."""

    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(first)
        while True:
            await visit.say(drop)
            await asyncio.sleep(every_s)

    return behave


def floods(first: bytes, wave: bytes, *, waves: int, last: bytes = b"") -> Behaviour:
    """Says very much, as fast as it is taken."""

    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(first)
        for _ in range(waves):
            await visit.say(wave)
        await visit.say(last)

    return behave


def resets(after: bytes = b"", *, reads: bool = True) -> Behaviour:
    """Reads the request (or not), says this much, and breaks the connection."""

    async def behave(visit: Visit) -> None:
        if reads:
            await visit.request()
        if after:
            await visit.say(after)
            await asyncio.sleep(0.05)  # a RST overtakes what the sender's kernel has not handed over
        visit.reset()

    return behave


def closes(after: bytes = b"", *, reads: bool = True) -> Behaviour:
    """Reads the request (or not), says this much, and closes the connection."""

    async def behave(visit: Visit) -> None:
        if reads:
            await visit.request()
        await visit.say(after)

    return behave


def answers_before_reading(status: int = 200) -> Behaviour:
    """Answers at the first bytes of the request, leaves the rest unread, and breaks the connection."""

    async def behave(visit: Visit) -> None:
        await visit.reader.read(1)
        visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await visit.say(answer(status))
        await asyncio.sleep(0.1)
        visit.reset()

    return behave


@asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """A port of 127.0.0.1 whose queue of connections is full: the kernel drops every further SYN."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    fillers = [socket.socket() for _ in range(3)]
    try:
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port
    finally:
        for each in (*fillers, listener):
            each.close()


def closed_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
