"""A bare receiver in a process of its own: answers every POST with an empty 200 and tells its count on standard output.

    python benchmarks/receiver.py PORT [hang]

A line on standard input is answered with a line of JSON: how many requests came, and the latency percentiles
(ms, from the `stamp` field in the body, unix ns, to arrival) since the last line that said `clear`.
"""

import asyncio
import json
import re
import sys
import time

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
STAMP = re.compile(rb"stamp%22%3A(\d+)")


class Counts:
    requests = 0
    latencies: list[float] = []  # noqa: RUF012 - one receiver a process


class Receiver(asyncio.Protocol):
    """Requests are told apart by their content-length alone: the sender is ours."""

    def __init__(self, *, hangs: bool) -> None:
        self._hangs = hangs
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            at = self._bytes.lower().index(b"content-length:")
            length = int(self._bytes[at + 15 : self._bytes.index(b"\r\n", at)])
            if len(self._bytes) < end + 4 + length:
                return
            body, self._bytes = self._bytes[end + 4 : end + 4 + length], self._bytes[end + 4 + length :]
            Counts.requests += 1
            stamp = STAMP.search(body)
            if stamp:
                Counts.latencies.append((time.time_ns() - int(stamp[1])) / 1e6)
            if not self._hangs:
                self._transport.write(ANSWER)  # type: ignore[attr-defined]


def tell() -> None:
    line = sys.stdin.readline()
    latencies = sorted(Counts.latencies)
    if line == "clear\n":
        Counts.latencies.clear()
    of = (
        {f"p{p}": round(latencies[min(len(latencies) - 1, len(latencies) * p // 100)], 2) for p in (50, 99)}
        if latencies
        else {}
    )
    print(json.dumps({"requests": Counts.requests, **of}), flush=True)


async def main(ports: list[int], *, hangs: bool) -> None:
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(lambda: Receiver(hangs=hangs), "127.0.0.1", port, backlog=4096)
    print("ready", flush=True)
    loop.add_reader(sys.stdin.fileno(), tell)
    await asyncio.Event().wait()


if __name__ == "__main__":
    first, _, last = sys.argv[1].partition("-")
    uvloop.run(main(list(range(int(first), int(last or first) + 1)), hangs="hang" in sys.argv[2:]))
