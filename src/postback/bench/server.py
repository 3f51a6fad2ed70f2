"""The server under test: `postback serve` as anybody starts it, with settings, a folder and a core of its own."""

import http.client
import json
import math
import re
import resource
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from postback.bench import proc
from postback.bench.children import stop
from postback.bench.databases import Database, database
from postback.bench.errors import BenchError

START_S: Final = 120.0
"""Over a large store it may take longer than it should; how long it took is a figure then."""

STALE_S: Final = 2.0
LOG_TAIL: Final = 20
FILES: Final = 16_000
"""Open at once, in each process: 5,000 receivers that answer late are as many connections at either end."""

_CLAIMS: Final = re.compile(r'^postback_claim_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)

_OWED: Final = re.compile(r"^postback_deliveries_owed (\S+)$", re.MULTILINE)

_RETRIES: Final = re.compile(r'^postback_attempts_total\{.*verdict="retry".*\} (\S+)$', re.MULTILINE)


class Spent(NamedTuple):
    """What the server has cost so far."""

    engine_s: float
    database_s: float | None
    log_bytes: int
    retries: int


@dataclass(frozen=True, slots=True)
class Store:
    """A database in a folder of its own, which outlives the servers that are started on it; `secret_key` seals its secrets."""

    folder: Path
    kept: Database
    api_key: str
    secret_key: bytes

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            **self.kept.environment,
            "POSTBACK_API_KEY": self.api_key,
            "POSTBACK_SECRET_KEY": self.secret_key.hex(),
        }


class Server:
    """One that runs; `start_server` makes it."""

    def __init__(self, pid: int, port: int, store: Store) -> None:
        self.port = port
        self.key = store.api_key
        self.store = store
        self.start_s = 0.0
        self.start_cpu_s = 0.0
        self._pid = pid
        self._database = store.kept
        self._asked_at = 0.0
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def subscribe(self, event_type: str, url: str, fields: Mapping[str, object]) -> str:
        """A postback config that wants events of this type: signed, as the format json is. Its id."""
        config = {"event_types": [event_type], "url": url, "format": "json", **fields}
        made = json.loads(self.call("POST", "/v2/postbackconfigs", {"postbackconfig": config}))
        return str(made["postbackconfig"]["id"])

    def set_paused(self, config_id: str, *, paused: bool) -> None:
        self.call("POST", f"/v2/postbackconfigs/{config_id}/{'pause' if paused else 'resume'}")

    def is_ready(self) -> bool:
        try:
            return self._ask("GET", "/ready")[0] == 200
        except OSError:
            self._connection.close()
            return False

    def owed(self) -> int:
        found = _OWED.search(self.call("GET", "/metrics"))
        return int(float(found[1])) if found else 0

    def claim_p99_ms(self) -> float:
        """Of all claims since its start, within the bucket by how many of its claims were less."""
        return percentile_ms([(float(le), float(count)) for le, count in _CLAIMS.findall(self.call("GET", "/metrics"))])

    def spent(self) -> Spent:
        retries = sum(int(float(count)) for count in _RETRIES.findall(self.call("GET", "/metrics")))
        return Spent(proc.cpu_s(self._pid), self._database.cpu_s(), self._database.log_bytes(), retries)

    def cpu_s(self) -> float:
        """Of its process so far, without asking it."""
        return proc.cpu_s(self._pid)

    def peak_bytes(self) -> int:
        return proc.peak_bytes(self._pid)

    def bytes_held(self) -> int:
        return proc.bytes_held(self._pid)

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: object = None) -> str:
        status, text = self._ask(method, path, body)
        if status >= 300:
            raise BenchError(f"{method} {path} was answered {status}: {text[:500]}")
        return text

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        if time.monotonic() - self._asked_at > STALE_S:
            # The server closes what is idle for longer, perhaps while we ask.
            self._connection.close()
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        self._asked_at = time.monotonic()
        return answer.status, text


@contextmanager
def make_store(words: str) -> Iterator[Store]:
    """A fresh database (`words`: what --database said); all of it goes away with the block."""
    with TemporaryDirectory(prefix="postback-bench-") as name:
        folder = Path(name)
        with database(words, folder) as kept:
            yield Store(folder, kept, secrets.token_urlsafe(32), secrets.token_bytes(32))


@contextmanager
def start_server(
    store: Store, *, environment: Mapping[str, str], settings: Mapping[str, str], port: int | None, cores: proc.Cores
) -> Iterator[Server]:
    """A server on that store, until the end of the block."""
    port = free_port() if port is None else port
    log = store.folder / "server.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "postback", "serve"],
            cwd=store.folder,
            env={
                **environment,
                **store.environment,
                "POSTBACK_LISTEN": f"127.0.0.1:{port}",
                # No receiver of ours has another, and names would be called at both.
                "POSTBACK_IP": "4",
                "POSTBACK_GRACE": "1",
                **settings,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            process_group=0,
        )
    server = Server(process.pid, port, store)
    try:
        proc.pin(process.pid, cores.engine)
        _wait_until_ready(process, server, log)
        server.start_s, server.start_cpu_s = time.monotonic() - began, proc.cpu_s(process.pid)
        yield server
    finally:
        server.close()
        stop(process)


def percentile_ms(buckets: Sequence[tuple[float, float]], percent: int = 99) -> float:
    """Of a histogram: (at most so many seconds, how many) from the least bound on; 0 where it counted nothing."""
    if not buckets or not buckets[-1][1]:
        return 0.0
    wanted = buckets[-1][1] * percent / 100
    low_s, before = 0.0, 0.0
    for upper_s, count in buckets:
        if count >= wanted:
            break
        low_s, before = upper_s, count
    if math.isinf(upper_s):
        return low_s * 1000
    return (low_s + (upper_s - low_s) * (wanted - before) / (count - before)) * 1000


def until(holds: Callable[[], object], within_s: float, what: str, every_s: float = 0.02) -> None:
    """BenchError that `what` did not happen when it does not hold in time."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            raise BenchError(f"{what} within {within_s:.0f} s")
        time.sleep(every_s)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def check_port(port: int) -> None:
    """BenchError when somebody listens there already, or nobody may."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BenchError(
                f"port {port} of 127.0.0.1 cannot be used: {error.strerror}; give another with --port, or none"
            ) from error


def allow_files(count: int = FILES) -> int:
    """Let this process and those that it starts open so many files, as far as the system lets it; how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return count if soft == resource.RLIM_INFINITY else soft


def _wait_until_ready(process: "subprocess.Popen[bytes]", server: Server, log: Path) -> None:
    try:
        until(lambda: process.poll() is not None or server.is_ready(), START_S, "the server did not start", 0.05)
    except BenchError:
        process.kill()
    if process.poll() is not None:
        lines = log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL:]
        raise BenchError("\n".join(["the server did not start; its last words:", *lines]))
