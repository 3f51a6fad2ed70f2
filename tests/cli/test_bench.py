"""`bench`: a smoke run of all of it, what it prints, how it refuses, and that it leaves nothing behind."""

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from postback.bench.cases import CASES
from postback.bench.large import LARGE
from postback.bench.portal import PAGES
from postback.cli.bench import show
from postback.cli.trial import environment
from tests.cli.calling import Cli
from tests.patience import PATIENCE_S
from tests.postgres import server_dsn
from tests.proving import IS_PROOF, times

FIGURES = {
    "case",
    "title",
    "rounds",
    "events",
    "deliveries",
    "events_per_s",
    "deliveries_per_s",
    "engine_us",
    "times_raw",
    "database_us",
    "log_bytes",
    "p50_ms",
    "p99_ms",
    "memory_mb",
    "more",
    "pages",
    "targets",
}

ARRIVALS = {"fan-out": 5, "https-cold": 4, "slow": 10, "slow-https": 10, "hanging": 7}
"""How often an event arrives, where that is not once."""


def processes_with(word: str) -> list[int]:
    """Those whose environment names the folder: whatever a bench started there."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                if word in (folder / "environ").read_bytes().decode("utf-8", "replace"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


CASES_RUN = ("publish", "https-cold", "half-load", "mixed") if not IS_PROOF else tuple(case.name for case in CASES)
"""Each kind of load, and all of them as a proof."""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"][: times(1, 2)])
def test_a_smoke_run_goes_through_its_cases_and_leaves_nothing_behind(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    where = kind if kind == "sqlite" else server_dsn()
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    asked = [] if IS_PROOF else [word for name in CASES_RUN for word in ("--case", name)]

    ended = cli("bench", "--quick", "--raw", "bare", "--json", "--database", where, *asked)

    assert ended.code == 0, ended.err
    assert ended.err == ""
    found: dict[str, Any] = json.loads(ended.out)
    assert set(found) == {"machine", "database", "log_level", "latency", "raw", "cases", "errors"}
    assert (found["database"], found["raw"]["client"], found["errors"]) == (kind, "bare", {})
    assert [one["case"] for one in found["cases"]] == list(CASES_RUN)
    assert [one for one in found["cases"] if set(one) != FIGURES] == []
    delivered = {one["case"]: one["deliveries"] for one in found["cases"]}
    events = {one["case"]: one["events"] for one in found["cases"]}
    assert delivered.pop("publish") == 0
    assert delivered.pop("mixed") <= events["mixed"]
    assert delivered == {name: ARRIVALS.get(name, 1) * events[name] for name in delivered}
    # A server's own processes are found and measured; SQLite has none.
    assert {one["database_us"] is None for one in found["cases"]} == {kind == "sqlite"}
    assert all(one["log_bytes"] > 0 for one in found["cases"])
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []

    show(found)

    table = capsys.readouterr().out
    assert [case.title for case in CASES if case.name in CASES_RUN and case.title not in table] == []
    assert "raw limit: bare" in table


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"][: times(1, 2)])
def test_the_cases_on_large_stores_fill_them_measure_and_leave_nothing_behind(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    where = kind if kind == "sqlite" else server_dsn()
    names = ["paused-million", "portal"] if not IS_PROOF else [case.name for case in LARGE]
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    words = [word for name in names for word in ("--case", name)]
    ended = cli("bench", "--quick", "--raw", "bare", "--json", "--database", where, *words)

    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    assert ([one["case"] for one in found["cases"]], found["errors"]) == (names, {})
    more = {one["case"]: one["more"] for one in found["cases"]}
    assert [name for name in names if name != "drain" and not more[name]["start_cpu_s"] > 0] == []
    assert more["paused-million"]["claim_p99_ms"] > 0
    pages = {one["case"]: [page["path"] for page in one["pages"]] for one in found["cases"]}
    assert pages == {name: list(PAGES) if name == "portal" else [] for name in names}
    targets = {one["case"]: {target["figure"] for target in one["targets"]} for one in found["cases"]}
    wanted = {case.name: {target.figure for target in case.targets[kind]} for case in LARGE if case.name in names}
    assert {name: figures - targets[name] for name, figures in wanted.items()} == {
        name: {"database_ratio"} if (name, kind) == ("full-store", "sqlite") else set() for name in names
    }
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []
    # A connection that was not closed is told of when it is collected, in whatever test that was.
    gc.collect()

    show(found)

    table = capsys.readouterr().out
    assert "1,000,000 due of a paused config" in table
    assert "page of the portal" in table


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_ended_halfway_it_takes_its_processes_and_files_with_it(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "postback", "bench", "--case", "slow", "--raw", "bare", "--json"],
        env=environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            end = time.monotonic() + PATIENCE_S
            while not list(tmp_path.glob("*/bench.db-wal")):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < end, "no server was started"
                time.sleep(0.05)

            process.send_signal(number)
            out, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            # Where it has not ended: it and what it has started end by this.
            process.terminate()

    assert (process.returncode, out) == (130 if number is signal.SIGINT else 128 + number, b"")
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []


def test_a_port_that_is_taken_is_told_before_anything_starts(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = cli("bench", "--quick", "--raw", "bare", "--port", str(port))

    assert ended.code == 1
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in ended.err


def test_wrk_that_is_wanted_and_not_installed_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)

    ended = cli("bench", "--raw", "wrk")

    assert ended.code == 1
    assert "wrk is not installed (Debian, Ubuntu: apt-get install wrk" in ended.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--case", "single", "--case", "fast"], "there is no case 'fast'; expected one of publish, single, batch, "),
        (["--raw", "ab"], "--raw is 'ab'; expected wrk or bare"),
        (["--database", "mysql://here"], "--database is 'mysql://here'; expected sqlite, or the address"),
    ],
)
def test_words_that_mean_nothing_are_told(cli: Cli, words: list[str], told: str) -> None:
    ended = cli("bench", *words)

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
