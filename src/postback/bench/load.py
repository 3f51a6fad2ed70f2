"""The publisher of a bench: posts prepared requests over so many connections, as fast as they are answered or at a rate.

    python -m postback.bench.load null

Each line on standard input is a job (the fields of `Job`), answered with a line when it is done (`Done`).
"""

import asyncio
import json
import math
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

import uvloop

PLACE: Final = b"0000000000000000000"
"""Where the stamp goes, in each event of a request."""
RAW_BODY: Final = b"x" * 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`requests` are posted in turn until `times` are done; without `types`, RAW_BODY is posted to / instead of events."""

    port: int
    times: int
    connections: int
    limit_s: float
    types: Sequence[str] = ()
    accounts: Sequence[str] = ()
    """Whom the requests are for, in turn; none: the key's own."""
    batch: int = 1
    padding: int = 0
    key: str = ""
    rate: float | None = None
    """Requests a second, in all; None: the next when the last was answered."""


@dataclass(slots=True)
class Done:
    """`refused` is what was answered instead of a success, the first of them in words."""

    answered: int = 0
    refused: int = 0
    refusal: str = ""
    started_ns: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0


@dataclass(slots=True)
class Load:
    """One job under way. When a request is due and no connection is free it waits, and its stamp says since when."""

    job: Job
    requests: Sequence[bytes]
    ended: asyncio.Event
    done: Done = field(default_factory=Done)
    idle: list["Connection"] = field(default_factory=list)
    due: deque[int] = field(default_factory=deque)
    begun: int = 0

    def start(self) -> None:
        """Once every connection stands."""
        self.done.started_ns = time.monotonic_ns()
        if self.job.rate is not None:
            self._tick(self.job.rate)
            return
        connections, self.idle = self.idle, []
        for connection in connections:
            self.next(connection)

    def next(self, connection: "Connection") -> None:
        """It has nothing to do: the next request, when there is one."""
        if self.job.rate is not None:
            if self.due:
                connection.send(self._request(), self.due.popleft())
            else:
                self.idle.append(connection)
        elif self.begun < self.job.times:
            connection.send(self._request(), time.monotonic_ns())

    def answered(self, status: bytes, body: bytes) -> None:
        self.done.answered += 1
        if not status.startswith(b"2"):
            self.done.refused += 1
            self.done.refusal = self.done.refusal or f"{status.decode()}: {body.decode('utf-8', 'replace')[:500]}"
        if self.done.answered == self.job.times:
            self.ended.set()

    def _request(self) -> bytes:
        self.begun += 1
        return self.requests[(self.begun - 1) % len(self.requests)]

    def _tick(self, rate: float) -> None:
        now_ns = time.monotonic_ns()
        while (count := self.begun + len(self.due)) < self.job.times:
            due_ns = self.done.started_ns + int(count / rate * 1e9)
            if due_ns > now_ns:
                asyncio.get_running_loop().call_later((due_ns - now_ns) / 1e9, self._tick, rate)
                return
            self.due.append(due_ns)
            if self.idle:
                self.next(self.idle.pop())


class Connection(asyncio.Protocol):
    """Writes a request, waits for the whole answer, and asks for the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._load.idle.append(self)

    def send(self, request: bytes, stamp_ns: int) -> None:
        self._transport.write(request.replace(PLACE, b"%019d" % stamp_ns))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            return
        # The names of headers as the server writes them, or as our receiver does: both in lower case.
        length = self._bytes.index(b"content-length:") + len(b"content-length:")
        whole = end + 4 + int(self._bytes[length : self._bytes.index(b"\r\n", length)])
        if len(self._bytes) < whole:
            return
        status, body = self._bytes[9:12], self._bytes[end + 4 : whole]
        self._bytes = b""
        self._load.answered(status, body)
        self._load.next(self)

    def connection_lost(self, _: Exception | None) -> None:
        if not self._load.ended.is_set():
            self._load.done.refusal = self._load.done.refusal or "the connection was lost"
            self._load.ended.set()


async def run(job: Job) -> Done:
    load = Load(job, prepared(job), asyncio.Event())
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", job.port) for _ in range(job.connections)
    ]
    before_s = time.process_time()
    load.start()
    try:
        async with asyncio.timeout(job.limit_s):
            await load.ended.wait()
    except TimeoutError:
        load.done.refusal = load.done.refusal or f"no answer within {job.limit_s:.0f} s"
    load.done.seconds = (time.monotonic_ns() - load.done.started_ns) / 1e9
    load.done.cpu_s = time.process_time() - before_s
    load.ended.set()
    for transport, _ in opened:
        transport.close()
    return load.done


def prepared(job: Job) -> list[bytes]:
    """The requests, whole, so that nothing is left to do for each but to put in the stamp."""
    if not job.types:
        return [_request("/", job, RAW_BODY)]
    count = len(job.types) // math.gcd(len(job.types), job.batch)
    bodies = []
    for number in range(count):
        events = [
            {
                "type": job.types[(number * job.batch + place) % len(job.types)],
                "data": {"stamp": PLACE.decode(), "note": "x" * job.padding},
            }
            for place in range(job.batch)
        ]
        body = {"event": events[0]} if job.batch == 1 else {"events": events}
        bodies.append(json.dumps(body, separators=(",", ":")).encode())
    accounts = [f"postback-account: {account}\r\n" for account in job.accounts] or [""]
    return [
        _request("/v2/events", job, bodies[number % count], accounts[number % len(accounts)])
        for number in range(math.lcm(count, len(accounts)))
    ]


def _request(path: str, job: Job, body: bytes, account: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{job.port}\r\nauthorization: Bearer {job.key}\r\n{account}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(asdict(uvloop.run(run(Job(**json.loads(line)))))), flush=True)
