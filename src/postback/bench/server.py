"""The server under test: `postback serve` as anybody starts it, with settings, a folder and a core of its own."""

import http.client
import json
import re
import resource
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from postback.bench import proc
from postback.bench.children import stop
from postback.bench.databases import Database, database
from postback.bench.errors import BenchError

START_S: Final = 30.0
UNUSED_S: Final = 1.0
LOG_TAIL: Final = 20
FILES: Final = 16_000
"""Open at once, in each process: 5,000 receivers that answer late are as many connections at either end."""

_OWED: Final = re.compile(r"^postback_deliveries_owed (\S+)$", re.MULTILINE)

_RETRIES: Final = re.compile(r'^postback_attempts_total\{.*verdict="retry".*\} (\S+)$', re.MULTILINE)


class Spent(NamedTuple):
    """What the server has cost so far."""

    engine_s: float
    database_s: float | None
    log_bytes: int
    retries: int


class Server:
    """One that runs; `start_server` makes it."""

    def __init__(self, pid: int, port: int, key: str, kept: Database) -> None:
        self.port = port
        self.key = key
        self._pid = pid
        self._database = kept
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._asked = 0.0

    def subscribe(self, event_type: str, url: str, fields: Mapping[str, object]) -> None:
        """A postback config that wants events of this type: signed, as the format json is."""
        config = {"event_types": [event_type], "url": url, "format": "json", **fields}
        self.call("POST", "/v2/postbackconfigs", {"postbackconfig": config})

    def is_ready(self) -> bool:
        try:
            return self._ask("GET", "/ready")[0] == 200
        except OSError:
            self._connection.close()
            return False

    def owed(self) -> int:
        found = _OWED.search(self.call("GET", "/metrics"))
        return int(float(found[1])) if found else 0

    def spent(self) -> Spent:
        retries = sum(int(float(count)) for count in _RETRIES.findall(self.call("GET", "/metrics")))
        return Spent(proc.cpu_s(self._pid), self._database.cpu_s(), self._database.log_bytes(), retries)

    def peak_bytes(self) -> int:
        return proc.peak_bytes(self._pid)

    def close(self) -> None:
        self._connection.close()

    def call(self, method: str, path: str, body: object = None) -> str:
        status, text = self._ask(method, path, body)
        if status >= 300:
            raise BenchError(f"{method} {path} was answered {status}: {text[:500]}")
        return text

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        now = time.monotonic()
        if now > self._asked + UNUSED_S:
            # The server closes what nobody uses, perhaps in this very moment; the next request opens it anew.
            self._connection.close()
        self._asked = now
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()


@contextmanager
def start_server(
    *, words: str, environment: Mapping[str, str], settings: Mapping[str, str], port: int | None, cores: proc.Cores
) -> Iterator[Server]:
    """A server on a fresh database (`words`: what --database said); all of it goes away with the block."""
    with TemporaryDirectory(prefix="postback-bench-") as name:
        folder = Path(name)
        with database(words, folder) as kept:
            key = secrets.token_urlsafe(32)
            port = free_port() if port is None else port
            log = folder / "server.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", "postback", "serve"],
                    cwd=folder,
                    env={
                        **environment,
                        **kept.environment,
                        "POSTBACK_LISTEN": f"127.0.0.1:{port}",
                        "POSTBACK_API_KEY": key,
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
            server = Server(process.pid, port, key, kept)
            try:
                proc.pin(process.pid, cores.engine)
                _wait_until_ready(process, server, log)
                yield server
            finally:
                server.close()
                stop(process)


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
