"""The receivers of a bench: ports of 127.0.0.1 that answer POSTs as they are told, without a library between.

    python -m postback.bench.receiver '{"groups": [{"count": 70}, {"count": 30, "silent": 1}], "certificate": null}'

It says {"ports": […]} first. Each line on standard input then asks for the counts since the last that said
{"clear": true}; with {"latencies": true} also for percentiles.
Requests are told apart by their content-length alone: the sender is ours.
"""

import asyncio
import json
import math
import random
import re
import ssl
import sys
import time
from array import array
from functools import partial
from typing import Any, Final

import uvloop

OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
FAILURE: Final = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
STAMP: Final = re.compile(rb'"stamp":"(\d{19})"')
"""When the publisher sent the event (or should have, had it a connection free): nanoseconds of the monotonic clock."""
BACKLOG: Final = 4096

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Figures:
    """What all receivers of this process have seen since the last time it was cleared."""

    def __init__(self) -> None:
        self.waiting = 0
        self.clear()

    def clear(self) -> None:
        self.requests = 0
        self.delivered = 0
        self.last_ns = 0
        self.waiting_most = self.waiting
        self.latencies = array("q")

    def counts(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "delivered": self.delivered,
            "last_ns": self.last_ns,
            "waiting_most": self.waiting_most,
        }

    def latencies_ms(self) -> dict[str, float | None]:
        ordered = sorted(self.latencies)
        return {"p50_ms": _percentile_ms(ordered, 50), "p99_ms": _percentile_ms(ordered, 99)}


class Group:
    """Receivers that behave alike. `fail` and `silent` are shares of the requests; `delay_s` is the median."""

    def __init__(
        self,
        figures: Figures,
        dice: random.Random,
        *,
        count: int,
        delay_s: float = 0.0,
        spread: float = 0.0,
        fail: float = 0.0,
        silent: float = 0.0,
    ) -> None:
        self.count = count
        self.figures = figures
        self._dice = dice
        self._delay_s, self._spread = delay_s, spread
        self._fail, self._silent = fail, silent
        self.is_plain = not (delay_s or fail or silent)

    def answer(self) -> bytes | None:
        """What is answered to the next request; None: nothing, ever."""
        drawn = self._dice.random()
        if drawn < self._silent:
            return None
        return FAILURE if drawn < self._silent + self._fail else OK

    def delay_s(self) -> float:
        return self._delay_s * math.exp(self._dice.gauss(0, self._spread)) if self._spread else self._delay_s


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._figures = group.figures
        self._bytes = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bytes = self._bytes + data if self._bytes else data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._bytes, 0, end)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._bytes) < end:
                return
            stamp = STAMP.search(self._bytes, 0, end)
            self._bytes = self._bytes[end:]
            self._meet(int(stamp[1]) if stamp else None)

    def _meet(self, stamp_ns: int | None) -> None:
        figures, group = self._figures, self._group
        answer = OK if group.is_plain else group.answer()
        figures.requests += 1
        if answer is OK:
            figures.delivered += 1
            figures.last_ns = now_ns = time.monotonic_ns()
            if stamp_ns is not None:
                figures.latencies.append(now_ns - stamp_ns)
        if group.is_plain:
            self._transport.write(OK)  # type: ignore[attr-defined]
        elif answer is not None:
            figures.waiting += 1
            figures.waiting_most = max(figures.waiting_most, figures.waiting)
            asyncio.get_running_loop().call_later(group.delay_s(), self._say, answer)

    def _say(self, answer: bytes) -> None:
        self._figures.waiting -= 1
        if not self._transport.is_closing():
            self._transport.write(answer)  # type: ignore[attr-defined]


async def main(wanted: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    figures, dice, ended = Figures(), random.Random(1), asyncio.Event()  # noqa: S311 - the same day each time
    context = _context(wanted["certificate"]) if wanted["certificate"] else None
    ports = []
    for fields in wanted["groups"]:
        group = Group(figures, dice, **fields)
        for _ in range(group.count):
            server = await loop.create_server(partial(Receiver, group), "127.0.0.1", 0, ssl=context, backlog=BACKLOG)
            ports.append(server.sockets[0].getsockname()[1])

    def asked() -> None:
        line = sys.stdin.readline()
        if not line:
            ended.set()
            return
        asked_for = json.loads(line)
        # Whoever only waits asks often, and sorting takes its time.
        latencies = figures.latencies_ms() if asked_for.get("latencies") else {}
        print(json.dumps(figures.counts() | latencies), flush=True)
        if asked_for.get("clear"):
            figures.clear()

    loop.add_reader(sys.stdin.fileno(), asked)
    print(json.dumps({"ports": ports}), flush=True)
    await ended.wait()


def _context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _percentile_ms(ordered: list[int], percent: int) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] / 1e6, 3)


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
