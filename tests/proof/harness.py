"""A server that is killed, receivers that are not, and publishers that write down what they were promised."""

import asyncio
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import copyfile
from typing import Any
from urllib.parse import parse_qs

import asyncpg

import postback
from tests.databases import new_database
from tests.patience import PATIENCE_S
from tests.ports import free_port

KEY = "operator-key-of-the-proof-harness"
SECRET_KEY = "a1" * 32


def until(holds: Callable[[], bool], within_s: float, what: str) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"{what} within {within_s:g} s"
        time.sleep(0.02)


@dataclass
class Server:
    """`postback serve` as a process of its own; killed and started again on the same database and port.

    The database is a file in the folder, or the one on PostgreSQL that `dsn` names.
    """

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    dsn: str | None = None
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def database(self) -> str:
        return self.dsn or str(self.folder / "postback.db")

    @property
    def kind(self) -> str:
        return "sqlite" if self.dsn is None else "postgres"

    @property
    def environment(self) -> dict[str, str]:
        """For its own process, and for commands beside it."""
        ours = {key: value for key, value in os.environ.items() if not key.startswith("POSTBACK_")}
        if self.dsn is not None:
            ours["POSTBACK_SECRET_KEY"] = SECRET_KEY
        return ours | {
            "POSTBACK_DATABASE": self.database,
            "POSTBACK_LISTEN": f"127.0.0.1:{self.port}",
            "POSTBACK_API_KEY": KEY,
            "PYTHONPATH": str(Path(postback.__file__).parents[1]),
            **self.settings,
        }

    def start(self) -> None:
        if self.dsn is None and not Path(self.database).exists():
            copyfile(new_database(), self.database)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "postback", "serve"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        until(self.is_ready, PATIENCE_S, f"the server answers (its log: {self.log()[-2000:]})")

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended by itself:\n{self.log()[-4000:]}"
        try:
            return self.call("GET", "/ready")[0] == 200
        except OSError:
            return False

    def log(self) -> str:
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Kill it where it runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def terminate(self, within_s: float = PATIENCE_S) -> int:
        """SIGTERM, and wait for the good end; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            return exchange(connection, method, path, body)
        finally:
            connection.close()

    def create(self, path: str, thing: str, body: dict[str, object]) -> str:
        status, answer = self.call("POST", path, {thing: body})
        assert status == 201, answer
        return str(answer[thing]["id"])

    def rows(self, query: str) -> Sequence[Mapping[str, Any]]:
        """What the database says, read beside the server."""
        if self.dsn is not None:
            return asyncio.run(fetched(self.dsn, query))
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=PATIENCE_S)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()

    def owed(self) -> int:
        return int(self.rows("SELECT count(*) AS n FROM owed")[0]["n"])


async def fetched(dsn: str, query: str) -> Sequence[Mapping[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [dict(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def exchange(connection: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, Any]:
    connection.request(
        method,
        path,
        None if body is None else json.dumps(body),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


@dataclass(frozen=True)
class Hit:
    """A request that a receiver saw: which receiver, which event, which attempt, and what it answered."""

    path: str
    number: int
    counter: int
    status: int
    at: float


class _Listening(ThreadingHTTPServer):
    # After each kill many connections are opened at once. With the library's five places the kernel turned some away,
    # and a receiver that never fails was one that did not answer within its ten seconds.
    request_queue_size = 1024
    daemon_threads = True


class Receivers:
    """One server for all receivers, each a path; `answer(path, hits so far of this event there)` → (status, seconds)."""

    def __init__(self, answer: Callable[[str, int], tuple[int, float]]) -> None:
        self.hits: list[Hit] = []
        self._seen: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()
        receivers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                form = parse_qs(body.decode())
                number = json.loads(form["data"][0])["number"]
                with receivers._lock:
                    status, seconds = answer(self.path, receivers._seen[self.path, number])
                    receivers._seen[self.path, number] += 1
                    counter = int(form["number_of_attempts"][0])
                    receivers.hits.append(Hit(self.path, number, counter, status, time.monotonic()))
                time.sleep(seconds)
                try:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()
                except OSError:
                    self.close_connection = True  # the server was killed while it waited for us

            def log_message(self, *_: object) -> None:
                """Tests read `hits`."""

        self._server = _Listening(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # resets by the killed server
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def acknowledged(self) -> "Counter[tuple[str, int]]":
        """(path, event number) → how often it was answered with 2xx."""
        return Counter((hit.path, hit.number) for hit in self.hits if 200 <= hit.status < 300)

    def counters(self) -> dict[tuple[str, int], list[int]]:
        found = defaultdict(list)
        for hit in self.hits:
            found[hit.path, hit.number].append(hit.counter)
        return found

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Publishers:
    """Threads that publish numbered events until stopped, and remember which were acknowledged (number → event id)."""

    def __init__(self, server: Server, location_id: str, threads: int = 3, pause_s: float = 0.005) -> None:
        self.acknowledged: dict[int, str] = {}
        self.surprises: list[object] = []
        self._server = server
        self._location_id = location_id
        self._pause_s = pause_s
        self._next = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        assert self.surprises == []

    def _run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stopping.is_set():
            with self._lock:
                number, self._next = self._next, self._next + 1
            event = {"type": "contact.created", "location_id": self._location_id, "data": {"number": number}}
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=PATIENCE_S)
                status, answer = exchange(connection, "POST", "/v2/events", {"event": event})
            except (OSError, http.client.HTTPException):
                # Unknown: it may have been accepted or not. Nobody was promised anything.
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.02)
                continue
            if status == 202:
                with self._lock:
                    self.acknowledged[number] = answer["event"]["id"]
            elif status != 503:
                self.surprises.append((status, answer))
            time.sleep(self._pause_s)
        if connection is not None:
            connection.close()
