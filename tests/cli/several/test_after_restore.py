"""`serve --after-restore` as people use it: a backup, a day that goes on, the copy started held, and the last word."""

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from postback.bootstrap import Restored
from postback.cli.restored import question
from postback.cli.trial import environment
from postback.domain.configs import ConfigState
from postback.domain.ids import config_text
from postback.domain.restored import COUNTED_MAX, OwedTo, Owing
from postback.domain.restored import Copy as Known
from postback.receiver.server import TestReceiver
from tests import postgres
from tests.build import NOON
from tests.cli.calling import Cli
from tests.cli.nodes import run, until
from tests.live import KEY, Live
from tests.patience import PATIENCE_S
from tests.ports import free_port

pytestmark = pytest.mark.anyio

SECRET = "a1" * 32
QUIET_S = 0.6
"""Longer than what is due takes where nothing holds it."""


class Copy(NamedTuple):
    """A restored copy, to be started in `folder` with these settings; its events, and where they go."""

    folder: Path
    settings: dict[str, str]
    port: int
    events: list[str]
    config: str


def make(folder: Path, settings: dict[str, str], back_up: Callable[[Live], None]) -> tuple[list[str], str, int]:
    """The copy is made while three deliveries are owed; they are delivered afterwards, and one more. Their events, their
    config, and the port that it all goes to."""
    port = free_port()
    with Live(folder, **settings) as node:
        url = f"http://127.0.0.1:{port}/in"
        config = node.config(url, "order.*", format="json", attempt_interval=1, number_of_attempts=50)
        events = [node.publish("order.paid", {"n": n}) for n in range(3)]
        back_up(node)
        with arrivals(port) as arrived:
            node.publish("order.shipped")
            until(lambda: len(set(arrived)) == 4)
            until(lambda: {one["state"] for one in node.deliveries()} == {"delivered"})
        node.end(signal.SIGTERM)
    return events, config, port


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[list[str], str, int]]:
    """A folder with a copy of a file in it, made once."""
    folder = tmp_path_factory.mktemp("made")

    def back_up(node: Live) -> None:
        ended = run(folder, "backup", str(folder / "copy.db"))
        assert ended.returncode == 0, ended

    return folder, make(folder, {}, back_up)


@pytest.fixture
def file_copy(made: tuple[Path, tuple[list[str], str, int]], tmp_path: Path) -> Copy:
    folder, (events, config, port) = made
    shutil.copy(folder / "copy.db", tmp_path / "postback.db")
    shutil.copy(folder / "postback.db.secret", tmp_path / "postback.db.secret")
    return Copy(tmp_path, {}, port, events, config)


@pytest.fixture(params=["sqlite", "postgres"])
async def copy(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Copy]:
    if request.param == "sqlite":
        yield request.getfixturevalue("file_copy")
        return
    async with postgres.empty_database() as first, postgres.empty_database() as second:
        dump = tmp_path / "dump.sql"
        events, config, port = make(tmp_path, on(first), lambda _: call("pg_dump", f"--file={dump}", first))
        call("psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", second)
        yield Copy(tmp_path, on(second), port, events, config)


def on(dsn: str) -> dict[str, str]:
    # Who was alive when the copy was made is waited for, for a part of the lease.
    return {"POSTBACK_DATABASE": dsn, "POSTBACK_SECRET_KEY": SECRET, "POSTBACK_LEASE": "2 s"}


def call(program: str, *arguments: str) -> None:
    subprocess.run([str(postgres._programs() / program), *arguments], check=True, capture_output=True)


@contextmanager
def arrivals(port: int) -> Iterator[list[str | None]]:
    """The ids of the events that arrive there, in order."""
    found: list[str | None] = []
    with TestReceiver(lambda one, _: found.append(one.header("webhook-id")), port=port):
        yield found


def said(node: Live) -> str:
    return (node.folder / "said.txt").read_text("utf-8")


def beside(cli: Cli, node: Live) -> Cli:
    """A command line that speaks to this server."""
    return lambda *words: cli(*words, "--url", node.url, "--key", KEY)


def test_a_restored_copy_sends_nothing_until_it_is_released_and_never_what_was_cancelled(copy: Copy, cli: Cli) -> None:
    with Live(copy.folder, "--after-restore", **copy.settings) as node, arrivals(copy.port) as arrived:
        command = beside(cli, node)
        ready = node.ask("GET", "/ready")
        health = node.ask("GET", "/health")
        hold = node.ask("GET", "/v2/hold").json["hold"]
        since = node.publish("order.paid")
        owed = {one["event_id"]: one["id"] for one in node.deliveries()}
        cancelled = command("deliveries", "cancel", owed[copy.events[0]])
        shown = command("release", "--dry-run")
        nobody_asked = command("release")
        time.sleep(QUIET_S)
        before = list(arrived)
        released = command("release", "--yes")
        until(lambda: len(arrived) == 3)
        until(lambda: node.ask("GET", "/ready").status == 200)
        again = command("release")
        time.sleep(QUIET_S)
        until(lambda: "It is let go" in said(node))

    assert (ready.status, ready.json["error"]["code"], health.status) == (503, "unavailable", 200)
    assert "held after a restore" in ready.text
    assert (hold["is_held"], hold["owed"], hold["owed_in_copy"]) == (True, 3, 3)
    [most] = hold["most_owed"]
    assert (most["account"], most["postbackconfig_id"], most["owed"]) == ("default", copy.config, 3)
    greeting = said(node)
    assert "HELD after a restore" in greeting
    assert f"The copy knows of nothing after {hold['known_until']}" in greeting
    assert "3 deliveries owed; accepted before the copy was made: 3" in greeting
    assert f"        3  default  {copy.config}  http://127.0.0.1:{copy.port}/in" in greeting
    assert "SECOND TIME" in greeting
    assert "Try it" not in greeting.rpartition("postback listens on")[2]
    assert "Nobody can answer here" in greeting
    assert cancelled.code == 0, cancelled
    assert "owed          3\nowed_in_copy  2" in shown.out, shown
    assert (nobody_asked.code, before) == (2, [])
    assert released.code == 0, released
    assert again.out == "the server is not held: it delivers\n"
    assert sorted(map(str, arrived)) == sorted([*copy.events[1:], since])
    assert [line["owed"] for line in node.lines("held after a restore")] == [3]
    assert len(node.lines("delivers after a restore")) == 1


def test_a_held_server_that_is_stopped_has_sent_nothing_and_is_held_again_when_asked_to(file_copy: Copy) -> None:
    copy = file_copy
    with Live(copy.folder, "--after-restore", **copy.settings) as node, arrivals(copy.port) as arrived:
        node.end(signal.SIGTERM)
        first = node.process.returncode
        node.start()
        hold = node.ask("GET", "/v2/hold").json["hold"]

    assert (first, arrived) == (0, [])
    assert (hold["is_held"], hold["owed"]) == (True, 3)


def test_where_nothing_is_owed_it_says_so_and_delivers_at_once(tmp_path: Path) -> None:
    port = free_port()
    with Live(tmp_path, "--after-restore") as node, arrivals(port) as arrived:
        ready = node.ask("GET", "/ready").status
        node.config(f"http://127.0.0.1:{port}/in", "order.*", format="json")
        node.publish("order.paid")
        until(lambda: len(arrived) == 1)
        hold = node.ask("GET", "/v2/hold").json["hold"]

    assert (ready, hold["is_held"]) == (200, False)
    assert "Nothing is owed in it, so nothing can be sent twice: it delivers at once." in said(node)


async def never() -> None:
    raise AssertionError("nobody is asked")


def test_what_is_said_names_what_is_newer_what_is_not_sent_and_what_goes_on() -> None:
    most = [
        OwedTo("default", 1, ConfigState.ACTIVE, "https://a.example/in", 12),
        OwedTo("other", 2, ConfigState.PAUSED, "https://b.example/in", 3),
        OwedTo("other", 3, ConfigState.DELETED, None, 1),
    ]
    owing = Owing(owed=16, in_copy=14, replays=1, most=most)
    day_ms = 86_400_000

    text = question(Restored(Known(NOON, 5), owing, NOON + 2 * day_ms + 3_700_000, never, never))
    many = question(Restored(Known(NOON, 5), replace(owing, owed=COUNTED_MAX), NOON + 61_000, never, never))
    theirs = question(Restored(Known(NOON, 5), replace(owing, most=most[1:]), NOON, never, never))
    only_jobs = question(Restored(Known(NOON, 5), replace(owing, owed=0, in_copy=0, most=[]), NOON, never, never))
    empty = question(Restored(Known(None, 0), replace(owing, owed=0, replays=0, most=[]), NOON, never, never))

    assert "The copy knows of nothing after 2026-09-21T14:13:20.000Z, 2 d 1 h ago." in text
    assert "16 deliveries owed; accepted before the copy was made: 14, since then: 2" in text
    assert "1 job that replays deliveries goes on when it is let go." in text
    assert f"3  other  {config_text(2)}  https://b.example/in  (paused: not sent)" in text
    assert f"1  other  {config_text(3)}  –  (deleted: not sent)" in text
    # They can be pasted as they are; placeholders stood there.
    assert f"deliveries cancel --config {config_text(1)} --dry-run " in text
    assert "deliveries cancel --until 2026-09-21T14:13:20.001Z --dry-run " in text
    assert "--account" not in text
    assert f"deliveries cancel --config {config_text(2)} --account other --dry-run " in theirs
    assert "deliveries cancel --config pbc_… --dry-run " in only_jobs
    assert "1 min 1 s ago" in many
    assert "2,000,000 deliveries or more owed" in many
    assert "The copy knows of nothing that ever happened." in empty
    assert "it delivers at once" in empty


# --- the word on a terminal ---------------------------------------------------------------------------------------


ON_THIS_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "postback", *sys.argv[1:]])
"""


class Terminal:
    """`serve --after-restore` on a terminal of its own, and a person who types there."""

    def __init__(self, copy: Copy) -> None:
        self._ours, theirs = pty.openpty()
        self._text = b""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", ON_THIS_TERMINAL),
                *("serve", "--after-restore", "--listen", self.url.removeprefix("http://")),
            ],
            cwd=copy.folder,
            env=environment() | {"POSTBACK_API_KEY": KEY, "TERM": "dumb"} | copy.settings,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._reading.start()

    @property
    def text(self) -> str:
        return self._text.decode(errors="replace").replace("\r\n", "\n")

    def asks(self) -> bool:
        assert self.process.poll() is None, f"it ended by itself: {self.text}"
        return "Type yes and Enter" in self.text

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        self._reading.join(PATIENCE_S)
        os.close(self._ours)
        return code

    def _read(self) -> None:
        while True:
            try:
                found = os.read(self._ours, 4096)
            except OSError:
                return
            if not found:
                return
            self._text += found


@pytest.fixture
def terminal(file_copy: Copy) -> Iterator[Terminal]:
    terminal = Terminal(file_copy)
    try:
        try:
            until(terminal.asks)
        except AssertionError as error:
            error.add_note(f"on the terminal: {terminal.text}")
            raise
        yield terminal
    finally:
        if terminal.process.poll() is None:
            terminal.end()


def test_only_the_word_yes_lets_it_deliver_and_anything_else_is_asked_again(
    file_copy: Copy, terminal: Terminal
) -> None:
    with arrivals(file_copy.port) as arrived:
        for typed in ("y\n", "\n", "no\n"):
            asked = terminal.text.count("Nothing is delivered yet")
            # The question stands above, once.
            assert terminal.text.count("In another terminal, meanwhile") == 1
            terminal.type(typed)
            until(lambda asked=asked: terminal.text.count("Nothing is delivered yet") == asked + 1)  # type: ignore[misc]
        time.sleep(QUIET_S)
        before = list(arrived)
        terminal.type("yes\n")
        until(lambda: "It is let go" in terminal.text)
        until(lambda: len(arrived) == 3)
        code = terminal.end()

    assert before == []
    assert sorted(map(str, arrived)) == sorted(file_copy.events)
    assert code == 0, terminal.text


def test_at_the_end_of_what_is_typed_it_goes_on_waiting_for_a_release_from_elsewhere(
    file_copy: Copy, terminal: Terminal, cli: Cli
) -> None:
    with arrivals(file_copy.port) as arrived:
        terminal.type("\x04")
        until(lambda: "Nobody can answer here" in terminal.text)
        time.sleep(QUIET_S)
        before = list(arrived)
        released = cli("release", "--yes", "--url", terminal.url, "--key", KEY)
        until(lambda: len(arrived) == 3)
        until(lambda: "It is let go" in terminal.text)

    assert before == []
    assert released.code == 0, released


# --- several processes --------------------------------------------------------------------------------------------


async def test_beside_a_process_that_delivers_already_it_does_not_start(tmp_path: Path, anyio_backend: str) -> None:
    async with postgres.empty_database() as dsn:
        with ExitStack() as stack:
            node = stack.enter_context(Live(tmp_path, **on(dsn)))
            beside = run(tmp_path, "serve", "--after-restore", "--listen", "127.0.0.1:0", **on(dsn))
            (tmp_path / "third").mkdir()
            with Live(tmp_path / "third", **on(dsn)):
                # It has left no hold behind.
                pass
            node.end(signal.SIGKILL)
        connection = await asyncpg.connect(dsn)
        # As in a copy: it was alive a moment ago, and nobody is it any more.
        await connection.execute("UPDATE workers SET beat_ms = extract(epoch FROM clock_timestamp())::float8 * 1000")
        await connection.close()
        with Live(tmp_path, "--after-restore", **on(dsn)) as after:
            ready = after.ask("GET", "/ready").status

    assert beside.returncode == 1, beside
    assert "is at work on this database (on " in beside.stderr
    assert ready == 200


def test_whoever_is_asked_is_one_process(cli: Cli) -> None:
    ended = cli("serve", "--after-restore", "--processes", "2")

    assert ended.code == 2
    assert "--after-restore is for one process, and --processes is 2" in ended.err
    assert "start it with --processes 1" in ended.err


@pytest.fixture
async def server_copy(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Copy]:
    """A PostgreSQL database in which one delivery is owed, to a receiver that is not there."""
    async with postgres.empty_database() as dsn:
        port = free_port()
        with Live(tmp_path, **on(dsn)) as node:
            config = node.config(f"http://127.0.0.1:{port}/in", "order.*", format="json", attempt_interval=1)
            event = node.publish("order.paid")
            node.end(signal.SIGTERM)
        yield Copy(tmp_path, on(dsn), port, [event], config)


def test_nobody_else_starts_to_deliver_from_a_database_that_a_server_is_held_on(server_copy: Copy, cli: Cli) -> None:
    folder, settings = server_copy.folder, server_copy.settings
    beside = {**settings, "POSTBACK_API_KEY": KEY, "POSTBACK_LISTEN": f"127.0.0.1:{free_port()}"}
    with Live(folder, "--after-restore", **settings) as held, arrivals(server_copy.port) as arrived:
        refused = [run(folder, "worker", **settings), run(folder, "serve", **beside)]
        held.end(signal.SIGKILL)
        # Its end is no release: a supervisor that starts another one must not deliver either.
        refused.append(run(folder, "worker", **settings))
        before = list(arrived)
    with Live(folder, "--after-restore", **settings) as held, arrivals(server_copy.port) as arrived:
        released = cli("release", "--yes", "--url", held.url, "--key", KEY)
        until(lambda: len(arrived) == 1)
        with Live(folder, **settings):
            pass

    assert before == []
    assert [one.returncode for one in refused] == [1, 1, 1], refused
    for one in refused:
        assert f"is held after a restore by a server on {socket.gethostname()}: release it first" in one.stderr
    assert released.code == 0, released
