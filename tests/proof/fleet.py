"""Many processes on one database: kept running, killed at random, and published to by clients that never give up."""

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

import postback
from tests.patience import PATIENCE_S
from tests.ports import free_port
from tests.proof.harness import KEY, SECRET_KEY, exchange

WORKS_ALONE: Final = ("worker",) if find_spec("postback.cli.worker") is not None else ("serve",)
FLEET: Final[Sequence[Sequence[str]]] = (("serve",), ("serve",), WORKS_ALONE, WORKS_ALONE)
"""What each of the processes is told to be."""


@dataclass
class Life:
    """One process from its start to its end. Times are seconds of `time.time`."""

    process: "subprocess.Popen[bytes]"
    log: Path
    killed_at: float | None = None
    ended_by_itself_at: float | None = None

    @property
    def workers(self) -> Sequence[int]:
        """The numbers that it worked under."""
        return [line["worker"] for line in self.lines() if line["event"] == "this process works as a worker"]

    def lines(self) -> Iterator[dict[str, Any]]:
        """What it has logged; a kill may have cut the last line off."""
        for line in self.log.read_text("utf-8", "replace").splitlines():
            with suppress(json.JSONDecodeError):
                yield json.loads(line)


@dataclass
class Member:
    """One place of the fleet: a process, and the next one when that has ended, with the same command and port."""

    folder: Path
    command: Sequence[str]
    settings: Mapping[str, str]
    port: int = field(default_factory=free_port)
    lives: list[Life] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        log = self.folder / f"log{len(self.lives)}.txt"
        ours = {key: value for key, value in os.environ.items() if not key.startswith("POSTBACK_")}
        ours |= {
            "POSTBACK_LISTEN": f"127.0.0.1:{self.port}",
            "POSTBACK_API_KEY": KEY,
            "POSTBACK_SECRET_KEY": SECRET_KEY,
            # Also for those that listen nowhere.
            "POSTBACK_ALLOW_NETWORKS": "127.0.0.0/8",
            "PYTHONPATH": str(Path(postback.__file__).parents[1]),
            **self.settings,
        }
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "postback", *self.command],
                cwd=self.folder,
                env=ours,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )
        self.lives.append(Life(process, log))

    @property
    def now(self) -> Life:
        return self.lives[-1]

    @property
    def is_called(self) -> bool:
        """Whether it answers requests at all."""
        return self.command[0] == "serve"

    def kill(self) -> None:
        life = self.now
        life.killed_at = time.time()
        life.process.kill()

    def keep_running(self) -> None:
        """As a supervisor would, until `stop`."""
        while not self.stop.wait(0.05):
            if self.now.process.poll() is not None:
                if self.now.killed_at is None:
                    self.now.ended_by_itself_at = time.time()
                self.start()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            return exchange(connection, method, path, body)
        finally:
            connection.close()


class Fleet:
    """Entered, all of them run and are started again whenever they end; left, all that still run are killed."""

    def __init__(self, folder: Path, dsn: str, **settings: str) -> None:
        self.members: list[Member] = []
        for number, command in enumerate(FLEET):
            own = folder / f"{number}-{command[0]}"
            own.mkdir()
            self.members.append(Member(own, command, {"POSTBACK_DATABASE": dsn, **settings}))
        self._supervisors = [threading.Thread(target=member.keep_running) for member in self.members]

    def __enter__(self) -> Self:
        for member in self.members:
            member.start()
        for thread in self._supervisors:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_end()
        for member in self.members:
            if member.now.process.poll() is None:
                member.now.process.kill()
                member.now.process.wait()

    @property
    def called(self) -> Sequence[Member]:
        return [member for member in self.members if member.is_called]

    @property
    def lives(self) -> Sequence[Life]:
        return [life for member in self.members for life in member.lives]

    def until_ready(self) -> None:
        """All work, and those that are called answer."""
        end = time.monotonic() + PATIENCE_S
        for member in self.members:
            while not member.now.workers or (member.is_called and not _is_ready(member)):
                assert time.monotonic() < end, member.now.log.read_text("utf-8", "replace")[-3000:]
                time.sleep(0.05)

    def terminate(self) -> Sequence[int]:
        """SIGTERM to all, and their exit codes."""
        self._let_end()
        for member in self.members:
            member.now.process.terminate()
        return [member.now.process.wait(PATIENCE_S) for member in self.members]

    def _let_end(self) -> None:
        for member in self.members:
            member.stop.set()
        for thread in self._supervisors:
            if thread.is_alive():
                thread.join()


def _is_ready(member: Member) -> bool:
    try:
        return member.ask("GET", "/ready")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


class Clients:
    """Threads that publish numbered events over some seconds, in batches, each until all of it is acknowledged: again by
    the same idempotency keys after a 503, a broken connection or no answer."""

    def __init__(self, called: Sequence[Member], events: Sequence[dict[str, Any]], over_s: float, threads: int) -> None:
        self.acknowledged: dict[str, str] = {}
        """Idempotency key → the id of the event."""
        self.repeats = 0
        self.surprises: list[object] = []
        self._called = called
        self._lock = threading.Lock()
        shares = [events[number::threads] for number in range(threads)]
        self._threads = [
            threading.Thread(target=self._publish, args=(share, over_s, random.Random(number)), daemon=True)
            for number, share in enumerate(shares)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, within_s: float) -> None:
        end = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
            assert not thread.is_alive(), f"{len(self.acknowledged)} were acknowledged; {self.surprises[:3]}"
        assert self.surprises == []

    def _publish(self, events: Sequence[dict[str, Any]], over_s: float, dice: random.Random) -> None:
        began, at = time.monotonic(), 0
        while at < len(events):
            batch = events[at : at + dice.randint(1, 20)]
            at += len(batch)
            self._until_acknowledged(batch, dice)
            time.sleep(max(0.0, began + over_s * at / len(events) - time.monotonic()))

    def _until_acknowledged(self, batch: Sequence[dict[str, Any]], dice: random.Random) -> None:
        while batch:
            try:
                status, answer = dice.choice(self._called).ask("POST", "/v2/events", {"events": batch})
            except (OSError, http.client.HTTPException):
                status, answer = 503, None
            if status == 202:
                batch = self._note(batch, answer["events"])
            elif status != 503:
                self.surprises.append((status, answer))
                return
            if batch:
                self.repeats += 1
                time.sleep(0.1)

    def _note(self, batch: Sequence[dict[str, Any]], answers: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
        """Those that have to be published again."""
        refused = []
        for event, answer in zip(batch, answers, strict=True):
            if "error" not in answer:
                with self._lock:
                    self.acknowledged[event["idempotency_key"]] = answer["id"]
            elif answer["error"]["code"] == "unavailable":
                refused.append(event)
            else:
                self.surprises.append(answer)
        return refused
