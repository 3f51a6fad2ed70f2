"""Several processes behind one port: `serve --processes N`, what becomes of them, and how they end."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from postback.cli.trial import environment
from postback.receiver.server import Behaviour, TestReceiver
from tests import postgres
from tests.cli.calling import Cli
from tests.cli.nodes import Arrived, ask, lives, on, run, until
from tests.live import Live
from tests.patience import PATIENCE_S
from tests.ports import free_port

pytestmark = pytest.mark.anyio

LISTEN = "0A"
"""A state of sockets, as the kernel tells it."""


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    async with postgres.database() as found:
        yield found


@pytest.fixture
def start(tmp_path: Path, dsn: str) -> Iterator[Callable[..., Live]]:
    """Starts a server of two processes, each in a folder of its own, and waits until both answer."""
    with ExitStack() as stack:

        def begin(**settings: str) -> Live:
            folder = tmp_path / f"node{len(list(tmp_path.glob('node*')))}"
            folder.mkdir()
            # Not in there: addresses of sockets must be short.
            temporary = stack.enter_context(TemporaryDirectory())
            (folder / "temporary").symlink_to(temporary)
            given = {"POSTBACK_PROCESSES": "2", "TMPDIR": temporary, **on(dsn), **settings}
            node = stack.enter_context(Live(folder, **given))
            node.until(lambda: "deliveries list" in node.said)
            return node

        yield begin


def pids(node: Live) -> dict[int, int]:
    """The process of each number that was started last."""
    return {line["process"]: line["pid"] for line in node.lines("a process was started")}


def figures(text: str, name: str) -> dict[str, float]:
    """By what stands between the braces."""
    return {labels: float(value) for labels, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)}


def up(node: Live) -> float:
    """How many of the processes tell their figures."""
    return sum(figures(node.ask("GET", "/metrics").text, "postback_process_up").values())


def listening(node: Live) -> int:
    """On how many sockets its port is answered: one that has just been started tells its figures before."""
    port = int(node.url.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(address.endswith(f":{port:04X}") and state == LISTEN for _, address, _, state, *_ in rows)


def in_flight(node: Live) -> float:
    return sum(figures(node.ask("GET", "/metrics").text, "postback_attempts_in_flight").values())


def temporary(node: Live) -> list[Path]:
    return list((node.folder / "temporary").iterdir())


def test_processes_share_one_port_and_tell_the_figures_of_all(start: Callable[..., Live]) -> None:
    node = start()
    with Arrived() as arrived:
        node.config(arrived.url, "order.*", format="json")
        for _ in range(40):
            node.publish("order.paid")
        until(lambda: len(arrived.ids) == 40)
        until(lambda: figures(node.ask("GET", "/metrics").text, "postback_deliveries_owed") == {"": 0})
        told = [node.ask("GET", "/metrics").text for _ in range(8)]
    node.end(signal.SIGTERM)

    assert f"postback listens on {node.url}, in 2 processes" in node.said
    for text in told:
        accepted = figures(text, "postback_events_accepted_total")
        assert set(accepted) == {'process="1"', 'process="2"'}
        assert sum(accepted.values()) == 40
        assert min(accepted.values()) > 0
        assert figures(text, "postback_process_up") == {'process="1"': 1, 'process="2"': 1}
        assert list(figures(text, "postback_store_bytes")) == [""]
    assert {line["process"] for line in node.lines("attempt delivered")} == {1, 2}
    assert len(node.lines("attempt delivered")) == 40
    assert len(set(arrived.ids)) == len(arrived.ids) == 40
    assert (node.process.returncode, node.said.count("postback has stopped")) == (0, 1)
    assert "Traceback" not in node.log
    assert temporary(node) == []


def test_while_one_is_dead_the_others_answer_and_it_comes_back(start: Callable[..., Live]) -> None:
    node = start()
    for number in (1, 2, 1):
        killed = pids(node)[number]
        os.kill(killed, signal.SIGKILL)
        until(lambda killed=killed: not lives(killed))
        assert [node.ask("GET", "/health").status for _ in range(10)] == [200] * 10
        until(lambda killed=killed, number=number: pids(node)[number] != killed)
        node.publish("order.paid")
        until(lambda: up(node) == listening(node) == 2)
    node.end(signal.SIGTERM)

    deaths = node.lines("a process ended by itself; it is started again")
    assert [(line["process"], line["how"]) for line in deaths] == [(1, "SIGKILL"), (2, "SIGKILL"), (1, "SIGKILL")]
    assert node.process.returncode == 0


async def test_when_the_parent_is_killed_the_others_end_well_and_the_port_is_free(
    start: Callable[..., Live], dsn: str
) -> None:
    node = start()
    with TestReceiver(lambda *_: None, Behaviour(delay_s=1)) as slow:
        node.config(f"{slow.url}/in", "order.*", format="json")
        for _ in range(10):
            node.publish("order.paid")
        node.end(signal.SIGKILL)
        until(lambda: not any(map(lives, pids(node).values())))
        node.start()
        until(lambda: node.said.count("deliveries list") == 2)
        node.end(signal.SIGTERM)

    assert await ask(dsn, "SELECT count(*) FROM owed") == 0
    # Of the attempts under way none was interrupted.
    assert await ask(dsn, "SELECT count(*) FROM attempts") == 10
    assert len(temporary(node)) == 0
    assert "Traceback" not in node.log


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_for_the_whole_group_is_one_request_to_end_well(
    start: Callable[..., Live], dsn: str, name: signal.Signals
) -> None:
    """A terminal and a supervisor send it to the parent and to each child, which is to pass for one."""
    node = start()
    with TestReceiver(lambda *_: None, Behaviour(delay_s=1)) as slow:
        node.config(f"{slow.url}/in", "order.*", format="json")
        for _ in range(4):
            node.publish("order.paid")
        until(lambda: in_flight(node) == 4)
        os.killpg(node.process.pid, name)
        node.process.wait(PATIENCE_S)

    assert node.process.returncode == 0
    assert await ask(dsn, "SELECT count(*) FROM owed") == 0
    assert await ask(dsn, "SELECT count(*) FROM attempts") == 4
    assert await ask(dsn, "SELECT count(*) FROM workers") == 0
    assert "Traceback" not in node.log


async def test_the_second_request_ends_what_is_under_way_and_nothing_is_lost(
    start: Callable[..., Live], dsn: str
) -> None:
    node = start(POSTBACK_GRACE="10 min")
    with TestReceiver(lambda *_: None, Behaviour(delay_s=90)) as silent:
        config = {"format": "json", "total_timeout": 100, "response_timeout": 60}
        node.config(f"{silent.url}/in", "order.*", **config)
        for _ in range(4):
            node.publish("order.paid")
        until(lambda: in_flight(node) == 4)
        for _ in range(2):
            os.killpg(node.process.pid, signal.SIGINT)
            time.sleep(0.3)
        node.process.wait(PATIENCE_S)

    assert node.process.returncode == 0
    assert await ask(dsn, "SELECT count(*) FROM owed WHERE claim IS NULL") == 4
    assert len(node.lines("attempt interrupted")) == 4


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_request_that_comes_when_it_has_ended_changes_nothing(start: Callable[..., Live], processes: str) -> None:
    """It said that it has stopped, and was killed by the signal that came then: a supervisor saw a failure."""
    node = start(POSTBACK_PROCESSES=processes)
    node.process.send_signal(signal.SIGTERM)
    while node.process.poll() is None:
        node.process.send_signal(signal.SIGTERM)

    assert node.process.returncode == 0
    assert node.said.endswith("postback has stopped; nothing that was accepted is lost\n")


def test_a_second_server_on_the_port_gets_one_clear_line(
    start: Callable[..., Live], cli: Cli, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = start()
    address = node.url.removeprefix("http://")
    for name, value in on(dsn).items():
        monkeypatch.setenv(name, value)

    for processes in ("1", "2"):
        ended = cli("serve", "--listen", address, "--processes", processes)

        assert (ended.code, ended.err.count("\n")) == (1, 1)
        assert f"cannot listen on {address}: Address already in use" in ended.err
        assert node.ask("GET", "/ready").status == 200


def test_of_servers_that_start_at_once_on_one_port_one_has_it(tmp_path: Path, dsn: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    words = [sys.executable, "-m", "postback", "serve", "--listen", address, "--processes", "2"]
    settings = environment() | on(dsn)
    files = [(tmp_path / f"log{number}").open("w+") for number in range(3)]
    servers = [subprocess.Popen(words, env=settings, cwd=tmp_path, stdout=file, stderr=file) for file in files]
    try:
        until(lambda: sum(server.poll() is None for server in servers) == 1)
        [winner] = [server for server in servers if server.poll() is None]
        until(lambda: any("in 2 processes" in (tmp_path / file.name).read_text() for file in files))
        assert winner.poll() is None
    finally:
        for server in servers:
            server.terminate()
            server.wait(PATIENCE_S)
        texts = [Path(file.name).read_text() for file in files]
        for file in files:
            file.close()
    assert sorted(server.returncode for server in servers) == [0, 1, 1], texts
    assert sum("Address already in use" in text for text in texts) == 2


def test_a_process_that_hangs_is_left_out_of_the_figures(start: Callable[..., Live]) -> None:
    node = start()
    hanging = pids(node)[2]
    os.kill(hanging, signal.SIGSTOP)
    try:
        text = asked_of_one_that_answers(node)
    finally:
        os.kill(hanging, signal.SIGCONT)
    until(lambda: up(node) == 2)

    assert figures(text, "postback_process_up") == {'process="1"': 1, 'process="2"': 0}
    assert list(figures(text, "postback_events_accepted_total")) == ['process="1"']
    assert list(figures(text, "postback_deliveries_owed")) == [""]


def asked_of_one_that_answers(node: Live) -> str:
    for _ in range(PATIENCE_S):
        connection = HTTPConnection(node.url.removeprefix("http://"), timeout=2.5)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        except TimeoutError:
            continue
        finally:
            connection.close()
    raise AssertionError("nobody answers")


def test_a_process_that_is_told_to_end_ends_well_and_another_takes_its_place(start: Callable[..., Live]) -> None:
    node = start()
    before = pids(node)[2]
    os.kill(before, signal.SIGTERM)
    until(lambda: pids(node)[2] != before)
    node.end(signal.SIGTERM)

    [renewed] = node.lines("a process ended on SIGTERM; another takes its place")
    assert (renewed["process"], renewed["level"]) == (2, "info")
    assert node.lines("a process ended by itself; it is started again") == []
    assert node.process.returncode == 0


def test_it_is_stopped_while_it_waits_for_its_database(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/postback"
        with (tmp_path / "log").open("w") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "postback", "serve", "--listen", "127.0.0.1:0", "--processes", "2"],
                env=environment() | on(database),
                cwd=tmp_path,
                stdout=log,
                stderr=log,
            )
        silent.settimeout(PATIENCE_S)
        connecting, _ = silent.accept()
        with connecting:
            server.terminate()
            server.wait(PATIENCE_S)

    assert server.returncode == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_what_keeps_the_first_from_starting_is_the_error_of_the_command(tmp_path: Path, dsn: str) -> None:
    missing = re.sub(r"/postback_[^?]*", "/no_such", dsn)

    ended = run(tmp_path, "serve", "--listen", "127.0.0.1:0", "--processes", "2", **on(missing))

    errors = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert (ended.returncode, len(errors)) == (1, 1), ended.stderr
    assert errors[0].startswith("error: ")
    assert "make the database first" in ended.stderr


def test_a_folder_whose_sockets_would_have_too_long_addresses_is_the_error_of_the_command(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (far := tmp_path / ("deep" * 25)).mkdir()
    for name, value in on("postgresql://127.0.0.1:9/nobody").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tempfile.tempdir", str(far))

    ended = cli("serve", "--listen", "127.0.0.1:0", "--processes", "2")

    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith("error: ")
    assert "name a shorter folder in TMPDIR" in ended.err


def test_a_file_has_one_process(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_option = cli("serve", "--processes", "2")
    worker = cli("worker")
    monkeypatch.setenv("POSTBACK_PROCESSES", "3")
    by_setting = cli("serve")

    for ended, what in ((by_option, "--processes is 2"), (worker, "worker"), (by_setting, "POSTBACK_PROCESSES is 3")):
        assert ended.code == 2
        assert what in ended.err
        assert "a file has one process" in ended.err
        assert "postgresql://" in ended.err
        assert "docs/guide/operating.md" in ended.err
    assert list(tmp_path.iterdir()) == []
