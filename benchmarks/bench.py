"""What the benchmark scripts share: a server in a process of its own, receivers, load, and CPU read from /proc."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KEY = "operator-key-of-a-benchmark-run"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    pid: int
    url: str
    port: int

    def call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def location(self) -> str:
        return str(self.call("POST", "/v2/locations", {"location": {"name": "Bench"}})["location"]["id"])

    def config(self, location_id: str, url: str, **more: object) -> str:
        config = {"location_id": location_id, "resource": "contact", "on_create": 1, "url": url, **more}
        return str(self.call("POST", "/v2/postbackconfigs", {"postbackconfig": config})["postbackconfig"]["id"])


@contextlib.contextmanager
def server(port: int, cpu: int | None = None, **settings: str) -> Iterator[Server]:
    """`postback serve` on a database in a folder of its own, pinned to a core when asked."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "POSTBACK_DATABASE": f"{folder}/bench.db",
            "POSTBACK_LISTEN": f"127.0.0.1:{port}",
            "POSTBACK_API_KEY": KEY,
            "PYTHONPATH": str(HERE.parent / "src"),
            **settings,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "postback", "serve"],
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if cpu is not None:
            # Threads that it starts later inherit the core.
            os.sched_setaffinity(process.pid, {cpu})
        try:
            started = Server(process.pid, f"http://127.0.0.1:{port}", port)
            _until(lambda: _answers(f"{started.url}/ready"))
            yield started
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@contextlib.contextmanager
def receiver(ports: str, *, hangs: bool = False) -> Iterator["Receiver"]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "receiver.py"), ports, *(["hang"] if hangs else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield Receiver(process)
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Receiver:
    process: "subprocess.Popen[str]"

    def counts(self, *, clear: bool = False) -> dict[str, float]:
        """Requests so far, and p50 and p99 (ms) since the last call that cleared."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("clear\n" if clear else "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def wait_for(self, requests: int, timeout_s: float = 120) -> None:
        _until(lambda: self.counts()["requests"] >= requests, timeout_s)


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def publish_request(location_id: str, batch: int, padding: int = 300) -> "bytes":
    """The raw request of a batch of events (or of one), with a place for the stamp of the moment it leaves."""
    event = {
        "type": "contact.created",
        "location_id": location_id,
        "data": {"id": "c1", "stamp": 1000000000000000000, "note": "x" * padding},
    }
    body = json.dumps({"event": event} if batch == 1 else {"events": [event] * batch}, separators=(",", ":")).encode()
    return (
        b"POST /v2/events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (KEY.encode(), len(body), body)
    )


async def publish(port: int, request: bytes, times: int, connections: int, rate: float | None = None) -> int:
    """Post the request so many times over so many connections (at `rate` a second in all); how many were accepted."""
    left = times
    accepted = 0
    started = time.monotonic()
    begun = 0

    async def one() -> None:
        nonlocal left, accepted, begun
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            if rate:
                begun += 1
                await asyncio.sleep(max(0.0, started + begun / rate - time.monotonic()))
            writer.write(request.replace(b"1000000000000000000", b"%d" % time.time_ns()))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            accepted += head.startswith(b"HTTP/1.1 202")
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return accepted


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def _until(holds: Any, timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen in time")
        time.sleep(0.02)
