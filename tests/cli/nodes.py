"""Servers on one database, what they deliver, and how a test looks at them from outside."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import asyncpg

from postback.cli.trial import environment
from postback.receiver.server import Behaviour, TestReceiver
from tests.patience import PATIENCE_S

SECRET = "a1" * 32


def on(dsn: str) -> dict[str, str]:
    return {"POSTBACK_DATABASE": dsn, "POSTBACK_SECRET_KEY": SECRET}


async def ask(dsn: str, query: str, *values: object) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *values)
    finally:
        await connection.close()


def until(holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come to that within {seconds} s"
        time.sleep(0.02)


def run(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "postback", *words],
        cwd=folder,
        env=environment() | settings,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Arrived:
    """What a local receiver got: the ids of events, in order."""

    def __init__(self, delay_s: float = 0) -> None:
        self.ids: list[str | None] = []
        self._delay_s = delay_s
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        heard = TestReceiver(lambda one, _: self.ids.append(one.header("webhook-id")), Behaviour(delay_s=self._delay_s))
        receiver = self._stack.enter_context(heard)
        self.url = f"http://127.0.0.1:{receiver.port}/in"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def lives(pid: int) -> bool:
    """Until the last of its threads is gone: a zombie whose other threads end only now still has the port."""
    try:
        return any(
            stat.read_text().rpartition(")")[2].split()[0] != "Z" for stat in Path(f"/proc/{pid}/task").glob("*/stat")
        )
    except (FileNotFoundError, ProcessLookupError):
        return False
