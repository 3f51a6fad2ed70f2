"""`postback serve` as a process of its own whose every word is kept, for the tests that look at all that it says."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from postback.cli.trial import environment
from tests.databases import new_database
from tests.patience import PATIENCE_S
from tests.ports import free_port

KEY = "operator-key-of-these-tests-only"


class Reply(NamedTuple):
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Live:
    """Runs while it is entered. `replies` are all the answers that it gave; `words` stand after `serve`."""

    command = "serve"

    def __init__(self, folder: Path, *words: str, **settings: str) -> None:
        self.folder = folder
        self.words = words
        self.url = f"http://127.0.0.1:{free_port()}"
        self.replies: list[str] = []
        self.settings = {"POSTBACK_API_KEY": KEY, **settings}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGTERM)

    def start(self) -> None:
        database = self.folder / "postback.db"
        if "POSTBACK_DATABASE" not in self.settings and not database.exists():
            copyfile(new_database(), database)
        with (self.folder / "said.txt").open("ab") as said, (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "postback", self.command),
                    *("--listen", self.url.removeprefix("http://"), *self.words),
                ],
                cwd=self.folder,
                env=environment() | self.settings,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
                # What is sent to a group reaches no test.
                process_group=0,
            )
        self.until(self._is_ready)

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)

    @property
    def log(self) -> str:
        """All that it logged, also before it was started again."""
        return (self.folder / "log.txt").read_text("utf-8")

    @property
    def said(self) -> str:
        """What it said to whoever started it."""
        return (self.folder / "said.txt").read_text("utf-8")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines that say this."""
        found = [json.loads(line) for line in self.log.splitlines()]
        return [line for line in found if line["event"] == event]

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = KEY,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(self.url + path, data, sent, method=method), timeout=PATIENCE_S) as answer:
                reply = Reply(answer.status, answer.read().decode())
        except HTTPError as error:
            reply = Reply(error.code, error.read().decode())
        self.replies.append(reply.text)
        return reply

    def made(self, path: str, body: object, **more: Any) -> Any:
        """What was created, out of its envelope."""
        reply = self.ask("POST", path, body, **more)
        assert reply.status in (200, 201, 202), reply
        [value] = reply.json.values()
        return value

    def config(self, url: str, *types: str, **fields: object) -> str:
        """The id of a config that wants events of these types."""
        config = {"event_types": list(types), "url": url, **fields}
        return str(self.made("/v2/postbackconfigs", {"postbackconfig": config})["id"])

    def publish(self, event_type: str, data: object = None, headers: Mapping[str, str] | None = None) -> str:
        event = {"type": event_type, "data": data or {}}
        return str(self.made("/v2/events", {"event": event}, headers=headers)["id"])

    def deliveries(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/v2/deliveries?page_size=500").json["deliveries"])

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the database holds."""
        with closing(sqlite3.connect(self.folder / "postback.db")) as connection:
            return connection.execute(query, values).fetchall()

    def until(self, holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, f"it ended: {self.log[-2000:]}"
            assert time.monotonic() < end, f"it did not come to that within {seconds} s"
            time.sleep(0.02)

    def until_nothing_is_owed(self) -> None:
        self.until(lambda: self.rows("SELECT count(*) FROM owed") == [(0,)])

    def _is_ready(self) -> bool:
        try:
            reply = self.ask("GET", "/ready")
        except OSError:
            return False
        # One that is held is as far as it comes by itself.
        return reply.status == 200 or "held after a restore" in reply.text
