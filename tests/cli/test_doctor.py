"""`doctor`: what it finds, and that it changes nothing."""

import json
import os
from pathlib import Path

import pytest

from postback.cli.doctor import examine
from postback.settings import load_settings
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
