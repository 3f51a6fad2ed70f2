"""CPU of the engine for each delivery, in units of a bare client's POST to the same receiver in the same run.

    python benchmarks/cpu_per_delivery.py

One event to one config, published in batches of 100 and one a request; three interleaved rounds, medians.
The server (API, engine and SQLite with synchronous=FULL) is pinned to core 0, everything else to the others.
"""

import asyncio
import json
import os
import time

import uvloop
from bench import cpu_s, median, publish, publish_request, receiver, server

PORT, RECEIVER_PORT = 18_080, 18_081
ROUNDS = 3
BATCHES, SINGLES, BARE = 200, 6_000, 60_000
CONNECTIONS = 16


class BareClient(asyncio.Protocol):
    """Writes the next POST as soon as the answer to the last has come: what any client has to do, and nothing else."""

    def __init__(self, request: bytes, left: list[int], ended: asyncio.Event) -> None:
        self._request, self._left, self._ended = request, left, ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.data_received(b"")

    def data_received(self, _: bytes) -> None:
        if self._left[0] <= 0:
            self._ended.set()
            return
        self._left[0] -= 1
        self._transport.write(self._request)  # type: ignore[attr-defined]


async def bare_client(times: int) -> float:
    """CPU seconds of one POST."""
    body = b"x" * 500
    request = b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
    left, ended = [times], asyncio.Event()
    before = time.process_time()
    for _ in range(CONNECTIONS):
        await asyncio.get_running_loop().create_connection(
            lambda: BareClient(request, left, ended), "127.0.0.1", RECEIVER_PORT
        )
    await ended.wait()
    return (time.process_time() - before) / times


def main() -> None:
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})
    figures: dict[str, list[float]] = {"bare client": [], "batches of 100": [], "one event a request": []}
    rates: dict[str, list[float]] = {"batches of 100": [], "one event a request": []}
    with receiver(str(RECEIVER_PORT)) as received, server(PORT, cpu=0) as served:
        location = served.location()
        served.config(location, f"http://127.0.0.1:{RECEIVER_PORT}/in")
        for _ in range(ROUNDS):
            figures["bare client"].append(uvloop.run(bare_client(BARE)) * 1e6)
            for name, batch, times in (("batches of 100", 100, BATCHES), ("one event a request", 1, SINGLES)):
                request = publish_request(location, batch)
                expected = received.counts()["requests"] + batch * times
                before, started = cpu_s(served.pid), time.monotonic()
                accepted = uvloop.run(publish(PORT, request, times, CONNECTIONS if batch == 1 else 2))
                assert accepted == times, f"{times - accepted} of {times} requests were not accepted"
                received.wait_for(int(expected))
                elapsed = time.monotonic() - started
                time.sleep(0.3)  # the last settlements
                figures[name].append((cpu_s(served.pid) - before) / (batch * times) * 1e6)
                rates[name].append(batch * times / elapsed)
    bare = median(figures["bare client"])
    for name, values in figures.items():
        figure = {"case": name, "cpu_us": round(median(values), 1), "times_bare": round(median(values) / bare, 2)}
        if name in rates:
            figure["deliveries_per_s"] = round(median(rates[name]))
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
