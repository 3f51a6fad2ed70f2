"""The command line against a real server: events, deliveries, keys, accounts, doctor, and the demo itself."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from postback.cli.client import Client, NotReachable
from postback.cli.doctor import examine
from postback.cli.trial import environment, free_port
from postback.receiver.server import TestReceiver
from postback.settings import load_settings
from tests.cli.calling import Cli

SECONDS = 20


def a_config(server: Client, url: str, **fields: Any) -> tuple[str, str]:
    """(its id, its location's id)"""
    location = server.post("/v2/locations", {"location": {"name": "Here"}})["location"]
    config = {
        "location_id": location["id"],
        "resource": "contact",
        "on_create": "1",
        "on_update": "0",
        "on_delete": "0",
        "url": url,
        "is_active": "1",
        "number_of_attempts": 1,
        "attempt_interval": 300,
    } | fields
    return server.post("/v2/postbackconfigs", {"postbackconfig": config})["postbackconfig"]["id"], location["id"]


def wait_for(cli: Cli, config: str, state: str) -> dict[str, Any]:
    """The config's one delivery, once it is in that state."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        found = json.loads(cli("deliveries", "list", "--config", config, "--json").out)
        if found and found[0]["state"] == state:
            return dict(found[0])
        time.sleep(0.05)
    raise AssertionError(f"no delivery became {state}: {found}")


def test_an_event_is_sent_delivered_listed_and_shown(cli: Cli, here: Client) -> None:
    with TestReceiver(lambda *_: None) as receiver:
        config, location = a_config(here, f"{receiver.url}/in")

        sent = cli("events", "send", "contact.created", '{"id": "con_1", "name": "Zoë"}', "--location", location)
        delivery = wait_for(cli, config, "delivered")

    assert sent.code == 0
    assert "evt_" in sent.out
    shown = cli("deliveries", "show", delivery["id"])
    assert "attempt 1: 200 → delivered" in shown.out
    assert "number_of_attempts=1" in shown.out
    listed = cli("deliveries", "list", "--state", "delivered", "--config", config)
    assert delivery["id"] in listed.out


def test_an_event_is_read_from_a_file_and_repeated_by_its_key(cli: Cli, here: Client, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"id": "1"}')
    words = ["events", "send", "some.thing", "@data.json", "--idempotency-key", "once-only", "--json"]

    first, again = cli(*words), cli(*words)

    assert first.code == 0
    assert json.loads(first.out)["id"] == json.loads(again.out)["id"]


@pytest.mark.parametrize("data", ["{", "@nowhere.json"])
def test_data_that_cannot_be_read_is_a_usage_error(cli: Cli, here: Client, data: str) -> None:
    ended = cli("events", "send", "some.thing", data)

    assert ended.code == 2
    assert ended.err.startswith("error: the data ")


def test_a_refused_event_says_why_by_field(cli: Cli, here: Client) -> None:
    ended = cli("events", "send", "no type", "[]")

    assert ended.code == 1
    assert "error: type: " in ended.err
    assert "error: data: " in ended.err


def test_a_failed_delivery_is_replayed_and_one_that_waits_is_cancelled(cli: Cli, here: Client) -> None:
    with TestReceiver(lambda *_: None) as receiver:
        port = receiver.port
    config, location = a_config(here, f"http://127.0.0.1:{port}/in")
    cli("events", "send", "contact.created", "{}", "--location", location)
    delivery = wait_for(cli, config, "failed")
    assert delivery["last_reason"] == "connection_refused"

    with TestReceiver(lambda *_: None, port=port):
        replayed = cli("deliveries", "replay", delivery["id"])
        wait_for(cli, config, "delivered")
    assert replayed.code == 0

    again = cli("deliveries", "cancel", delivery["id"])
    assert (again.code, again.err.count("\n")) == (1, 1)

    waiting, location = a_config(here, f"http://127.0.0.1:{port}/in", number_of_attempts=2)
    cli("events", "send", "contact.created", "{}", "--location", location)
    delivery = wait_for(cli, waiting, "pending")
    assert cli("deliveries", "cancel", delivery["id"]).code == 0
    wait_for(cli, waiting, "cancelled")


def test_what_is_not_there_is_named(cli: Cli, here: Client) -> None:
    ended = cli("deliveries", "show", "dlv_nowhere")

    assert ended.code == 1
    assert "dlv_nowhere" in ended.err


def test_a_key_is_made_used_listed_and_revoked(cli: Cli, here: Client) -> None:
    made = json.loads(cli("keys", "create", "reporting", "--scope", "read", "--json").out)
    assert cli("deliveries", "list", "--key", made["secret"]).code == 0
    assert cli("events", "send", "some.thing", "--key", made["secret"]).code == 4
    assert made["id"] in cli("keys", "list").out

    assert cli("keys", "revoke", made["id"]).code == 0

    assert made["id"] not in cli("keys", "list").out
    assert cli("deliveries", "list", "--key", made["secret"]).code == 4


def test_an_account_is_made_and_acted_for(cli: Cli, here: Client) -> None:
    assert cli("accounts", "create", "acme", "--name", "Acme").code == 0
    assert "Acme" in cli("accounts", "list").out

    sent = cli("events", "send", "some.thing", "--account", "acme")

    assert sent.code == 0
    assert cli("deliveries", "list", "--account", "nobody").code == 1


def test_without_a_key_a_person_is_told_where_one_may_come_from(cli: Cli, server: Client) -> None:
    ended = cli("deliveries", "list", "--url", server.url)

    assert ended.code == 4
    assert "--key" in ended.err
    assert "postback.db.key" in ended.err


def test_demo_shows_the_whole_way_and_ends_well(cli: Cli) -> None:
    ended = cli("demo")

    assert ended.code == 0, ended.err
    assert "All was right." in ended.out
    assert [f"number_of_attempts={n}" in ended.out for n in (1, 2, 3)] == [True, True, True]


def test_demo_names_what_was_not_right(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postback.cli.demo.PARAMETERS", ["resource", "type", "number_of_attempts", "data"])

    ended = cli("demo")

    assert ended.code == 1
    assert ended.err.startswith("error: not right: the parameters and their order: found ['type', 'resource'")


class Served:
    """`serve` as a process of its own in a folder."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "postback", "serve", "--listen", self.url.removeprefix("http://")],
            cwd=folder,
            env=environment() | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def announced(self) -> str:
        """What it says up to the last of the lines to paste."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if " deliveries list " in line:
                return "".join(lines)
        raise AssertionError(f"it ended: {self.process.communicate()[1]}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=SECONDS)
        return self.process.returncode


def test_serve_says_where_the_key_is_and_its_lines_work_when_pasted(tmp_path: Path) -> None:
    first = Served(tmp_path)
    said = first.announced()
    key = (tmp_path / "postback.db.key").read_text().strip()
    lines = [line.strip() for line in said.splitlines()]
    pasted = "\n".join(line for line in lines if line.startswith(("KEY=", "curl ")))
    answered = subprocess.run(
        ["bash", "-ec", pasted.replace("curl ", "curl -sS ")], capture_output=True, text=True, check=False
    )
    assert first.stop() == 0

    assert f"postback listens on {first.url}" in said
    assert f"shown this once: {key}" in said
    assert "loopback" in said
    assert stat.S_IMODE((tmp_path / "postback.db.key").stat().st_mode) == 0o600
    assert answered.returncode == 0, answered.stderr
    config, contact = answered.stdout.split("}}}{")
    assert '"postbackconfig"' in config
    assert '"last_name":"Jones"' in contact

    second = Served(tmp_path)
    said = second.announced()
    assert second.stop() == 0
    assert key not in said
    assert str(tmp_path / "postback.db.key") in said


def test_a_server_serves_although_nobody_reads_its_greeting(tmp_path: Path) -> None:
    served = Served(tmp_path)
    assert served.process.stdout is not None
    served.process.stdout.close()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            answer = Client(served.url, None).get("/health")
            break
        except NotReachable:
            time.sleep(0.05)

    assert answer is not None
    served.process.stdout = None
    assert served.stop() == 0


def test_a_given_key_is_neither_printed_nor_written(tmp_path: Path) -> None:
    given = "an-operator-key-of-the-platform"
    served = Served(tmp_path, POSTBACK_API_KEY=given)
    said = served.announced()
    allowed = Client(served.url, given).get("/v2/locations")
    assert served.stop() == 0

    assert given not in said
    assert allowed["locations"]
    assert not (tmp_path / "postback.db.key").exists()


def test_a_second_server_on_the_same_database_gets_one_clear_line(tmp_path: Path) -> None:
    first = Served(tmp_path)
    first.announced()
    second = Served(tmp_path)
    _, said = second.process.communicate(timeout=SECONDS)
    first.stop()

    assert second.process.returncode == 1
    assert f"(pid {first.process.pid})" in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_a_port_that_is_taken_gets_one_clear_line(cli: Cli) -> None:
    with TestReceiver(lambda *_: None) as receiver:
        ended = cli("serve", "--listen", f"127.0.0.1:{receiver.port}")

    assert ended.code == 1
    assert "Address already in use" in ended.err
    assert ended.err.count("\n") == 1


def test_keys_and_accounts_are_managed_while_no_server_runs(cli: Cli, tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.announced()
    assert served.stop() == 0

    made = json.loads(cli("keys", "create", "night shift", "--scope", "read", "--json").out)
    assert cli("accounts", "create", "acme", "--name", "Acme").code == 0
    assert [one["id"] for one in json.loads(cli("accounts", "list", "--json").out)] == ["acme", "default"]
    assert [one["name"] for one in json.loads(cli("keys", "list", "--json").out)] == ["night shift"]
    theirs = json.loads(cli("keys", "create", "theirs", "--account", "acme", "--json").out)
    assert theirs["account"] == "acme"
    unknown = cli("keys", "create", "x", "--account", "nobody")
    assert (unknown.code, "nobody" in unknown.err) == (1, True)

    served = Served(tmp_path)
    served.announced()
    assert Client(served.url, made["secret"]).get("/v2/locations")["locations"]
    assert served.stop() == 0
    assert cli("keys", "revoke", made["id"]).code == 0
    assert json.loads(cli("keys", "list", "--json").out) == []


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


def test_doctor_finds_a_database_that_is_broken(cli: Cli, tmp_path: Path, unused_url: None) -> None:
    served = Served(tmp_path)
    served.announced()
    assert served.stop() == 0
    database = tmp_path / "postback.db"
    with database.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(database.stat().st_size - 8192))

    code, found = findings(cli)

    assert code == 1
    assert any(one["verdict"] == "wrong" for name, one in found.items() if name in ("database", "integrity"))


def test_doctor_finds_a_folder_that_does_not_exist(unused_url: None) -> None:
    found = {one.what: one for one in examine(load_settings(database="nowhere/postback.db"))}

    assert found["disk"].verdict == "wrong"


@pytest.fixture
def unused_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")
