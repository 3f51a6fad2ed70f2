"""`doctor`: what it finds, and that it changes nothing."""

import json
import os
from pathlib import Path

import pytest

from postback.cli.doctor import examine
from postback.cli.doctor_postgres import _crew
from postback.settings import load_settings
from postback.storage.lockfile import LockFile
from tests.cli.calling import Cli
from tests.cli.served import Served


def findings(cli: Cli) -> tuple[int, dict[str, dict[str, str]]]:
    ended = cli("doctor", "--json")
    return ended.code, {one["what"]: one for one in json.loads(ended.out)}


def test_doctor_finds_nothing_wrong_in_an_empty_folder(cli: Cli, unused_url: None) -> None:
    code, found = findings(cli)

    assert code == 0
    assert found["database"]["verdict"] == "note"


def test_doctor_examines_a_running_and_a_stopped_server_and_changes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(tmp_path)
    served.announced()
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", served.url)
    code, found = findings(cli)
    assert (code, found["server"]["verdict"]) == (0, "ok")
    assert str(served.process.pid) in found["lock"]["text"]
    assert served.stop() == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    code, found = findings(cli)

    assert code == 0
    assert found["server"]["verdict"] == "note"
    assert found["integrity"]["text"] == "quick_check: ok"
    assert found["journal mode"]["text"] == "wal"
    assert found["owed"]["text"] == "pending 0, claimed 0, held 0"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("was_served")
def test_doctor_says_of_a_server_that_listens_elsewhere_that_it_may(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_url: None
) -> None:
    """After `serve --listen` it said only that the server of the settings cannot be reached, while one held the lock."""
    lock = LockFile(tmp_path / "postback.db")
    code, found = findings(cli)
    lock.release()

    assert (code, found["server"]["verdict"]) == (1, "wrong")
    assert "it may listen elsewhere: set POSTBACK_LISTEN" in found["server"]["text"]


def test_workers_are_counted_and_named_by_their_hosts() -> None:
    """`0 on vm, 1 on vm` reads as no workers at all."""
    assert _crew([(0, "vm"), (1, "vm"), (2, "vm")]) == "3: numbers 0, 1, 2 on vm"
    assert _crew([(0, "one"), (1, "other"), (4, "one")]) == "3: numbers 0, 4 on one; 1 on other"
    assert _crew([(7, "vm")]) == "1: number 7 on vm"
    assert _crew([]) == ""


def test_doctor_finds_a_key_that_others_can_read(cli: Cli, tmp_path: Path, unused_url: None) -> None:
    (tmp_path / "postback.db.key").write_text("x")
    (tmp_path / "postback.db.key").chmod(0o644)

    code, found = findings(cli)

    assert (code, found["operator key"]["verdict"]) == (1, "wrong")


def test_doctor_finds_a_file_that_is_no_database_of_ours(cli: Cli, tmp_path: Path, unused_url: None) -> None:
    (tmp_path / "postback.db").write_bytes(b"not a database at all" * 100)

    code, found = findings(cli)

    assert (code, found["database"]["verdict"]) == (1, "wrong")


@pytest.mark.usefixtures("was_served")
def test_doctor_finds_a_database_that_is_broken(cli: Cli, tmp_path: Path, unused_url: None) -> None:
    database = tmp_path / "postback.db"
    with database.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(database.stat().st_size - 8192))

    code, found = findings(cli)

    assert code == 1
    assert any(one["verdict"] == "wrong" for name, one in found.items() if name in ("database", "integrity"))


@pytest.mark.usefixtures("was_served")
def test_doctor_does_not_read_a_large_database_for_long(
    cli: Cli, tmp_path: Path, unused_url: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.cli.doctor.CHECK_S", 0)
    monkeypatch.setattr("postback.cli.conservation.STEPS_BETWEEN_LOOKS", 1)

    code, found = findings(cli)

    assert (code, found["integrity"]["verdict"]) == (0, "note")
    assert "not finished" in found["integrity"]["text"]
    assert found["owed"]["text"] == "pending 0, claimed 0, held 0"


def test_doctor_finds_a_folder_that_does_not_exist(unused_url: None) -> None:
    found = {one.what: one for one in examine(load_settings(database="nowhere/postback.db"))}

    assert found["disk"].verdict == "wrong"


@pytest.fixture
def unused_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")
