"""`serve` as people start and stop it: its greeting, its key, and what is managed while it does not run."""

import json
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postback.bootstrap import Started
from postback.cli.client import Client, NotReachable, Refused
from postback.cli.serve import announcement
from postback.cli.trial import environment
from postback.receiver.server import TestReceiver
from tests.cli.calling import Cli
from tests.cli.served import Served
from tests.patience import PATIENCE_S
from tests.ports import free_port


def test_serve_says_where_the_key_is_and_its_lines_work_when_pasted(tmp_path: Path) -> None:
    first = Served(tmp_path)
    said = first.announced()
    key = (tmp_path / "postback.db.key").read_text().strip()
    lines = [line.strip() for line in said.splitlines()]
    pasted = "\n".join(line for line in lines if line.startswith(("KEY=", "LOCATION=", "curl ")))
    answered = subprocess.run(
        ["bash", "-ec", pasted.replace("curl ", "curl -sS ")], capture_output=True, text=True, check=False
    )
    listed = next(line for line in lines if " deliveries list " in line).partition(" deliveries list ")[2]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    key_line = next(line for line in lines if line.startswith("KEY="))
    found = subprocess.run(
        ["bash", "-ec", f"{key_line}\n{sys.executable} -m postback deliveries list {listed}"],
        cwd=elsewhere,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert first.stop() == 0

    assert first.last_words.strip() == "postback has stopped; nothing that was accepted is lost"
    assert "contact.created" in found.stdout, found.stderr
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
    # It has configs by now.
    assert "Try it" not in said


@pytest.mark.usefixtures("was_served")
def test_the_key_of_a_database_that_was_removed_is_the_key_of_the_next_one(tmp_path: Path) -> None:
    """The server named a key that its new database did not know, and refused it."""
    key = (tmp_path / "postback.db.key").read_text().strip()
    for path in tmp_path.glob("postback.db*"):
        if path.suffix != ".key":
            path.unlink()

    served = Served(tmp_path)
    said = served.announced()
    allowed = Client(served.url, key).get("/v2/locations")
    assert served.stop() == 0

    assert allowed["locations"]
    assert "shown this once" not in said


@pytest.mark.usefixtures("was_served")
def test_a_revoked_key_stays_revoked_and_the_next_start_makes_another(cli: Cli, tmp_path: Path) -> None:
    revoked = (tmp_path / "postback.db.key").read_text().strip()
    with sqlite3.connect(tmp_path / "postback.db") as database:
        [key_id] = database.execute("SELECT id FROM api_keys").fetchone()
    database.close()
    assert cli("keys", "revoke", key_id).code == 0

    served = Served(tmp_path)
    said = served.announced()
    made = (tmp_path / "postback.db.key").read_text().strip()
    with pytest.raises(Refused) as refused:
        Client(served.url, revoked).get("/v2/locations")
    allowed = Client(served.url, made).get("/v2/locations")
    assert served.stop() == 0

    assert refused.value.status == 401
    assert allowed["locations"]
    assert f"shown this once: {made}" in said
    assert stat.S_IMODE((tmp_path / "postback.db.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", ["", "short", "no ASCII: é"])
def test_a_key_file_without_a_key_gets_one(tmp_path: Path, kept: str) -> None:
    (tmp_path / "postback.db.key").write_text(kept)

    served = Served(tmp_path)
    served.announced()
    allowed = Client(served.url, (tmp_path / "postback.db.key").read_text().strip()).get("/v2/locations")
    assert served.stop() == 0

    assert allowed["locations"]


def test_whoever_listens_on_all_addresses_is_told_to_name_one(tmp_path: Path) -> None:
    unnamed = Served(tmp_path, "0.0.0.0")
    hinted = unnamed.announced()
    assert unnamed.stop() == 0
    named = Served(tmp_path, "0.0.0.0", POSTBACK_PUBLIC_URL="https://postback.example.com")
    said = named.announced()
    assert named.stop() == 0

    assert "set POSTBACK_PUBLIC_URL" in hinted
    assert "set POSTBACK_PUBLIC_URL" not in said
    assert f"postback listens on {named.url}\n" in said
    assert "links begin with https://postback.example.com" in said


@pytest.mark.usefixtures("was_served")
def test_a_key_that_is_made_beside_others_is_said_to_be_one_more(cli: Cli, tmp_path: Path) -> None:
    """After a restore without postback.db.key it looked like the operator key of a new database."""
    (tmp_path / "postback.db.key").unlink()

    served = Served(tmp_path)
    said = served.announced()
    assert served.stop() == 0

    assert "Operator key, shown this once: " in said
    assert "is one more: " in said
    assert " keys list` shows the others" in said
    assert len(json.loads(cli("keys", "list", "--json").out)) == 2


def test_without_a_location_the_lines_to_try_begin_with_one() -> None:
    said = announcement(
        Started(
            listens_on="http://127.0.0.1:1",
            address="http://127.0.0.1:1",
            key=None,
            key_path=None,
            location_id=None,
            allows_loopback=True,
            needs_public_url=False,
        )
    )

    assert said.index("/v2/locations") < said.index("LOCATION=") < said.index("/v2/postbackconfigs")
    # Of use in the portal as well, where nobody pastes these lines.
    assert "Its URL is http://127.0.0.1:9000/receiver: for a postback that you add in the portal" in said


def test_a_server_serves_although_nobody_reads_its_greeting(tmp_path: Path) -> None:
    served = Served(tmp_path)
    assert served.process.stdout is not None
    served.process.stdout.close()
    end = time.monotonic() + PATIENCE_S
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


def test_a_second_server_on_the_same_database_gets_one_clear_line(cli: Cli, tmp_path: Path) -> None:
    first = Served(tmp_path)
    first.announced()
    second = cli("serve", "--listen", f"127.0.0.1:{free_port()}")
    first.stop()

    assert second.code == 1
    assert f"(pid {first.process.pid})" in second.err
    assert second.err.startswith("error: ")
    assert second.err.count("\n") == 1


def test_a_port_that_is_taken_gets_one_clear_line(cli: Cli) -> None:
    with TestReceiver(lambda *_: None) as receiver:
        ended = cli("serve", "--listen", f"127.0.0.1:{receiver.port}")

    assert ended.code == 1
    assert "Address already in use" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.usefixtures("was_served")
def test_keys_and_accounts_are_managed_while_no_server_runs(cli: Cli, tmp_path: Path) -> None:
    made = json.loads(cli("keys", "create", "night shift", "--scope", "read", "--json").out)
    assert cli("accounts", "create", "acme", "--name", "Acme").code == 0
    assert [one["id"] for one in json.loads(cli("accounts", "list", "--json").out)] == ["acme", "default"]
    listed = {one["name"]: one["account"] for one in json.loads(cli("keys", "list", "--json").out)}
    assert listed == {"first start": None, "night shift": "default"}
    theirs = json.loads(cli("keys", "create", "theirs", "--account", "acme", "--json").out)
    assert theirs["account"] == "acme"
    unknown = cli("keys", "create", "x", "--account", "nobody")
    assert (unknown.code, "nobody" in unknown.err) == (1, True)

    served = Served(tmp_path)
    served.announced()
    assert Client(served.url, made["secret"]).get("/v2/locations")["locations"]
    assert served.stop() == 0
    assert cli("keys", "revoke", made["id"]).code == 0
    assert [one["name"] for one in json.loads(cli("keys", "list", "--json").out)] == ["first start"]


def test_who_waits_for_a_test_when_the_server_stops_gets_a_503_and_the_log_no_traceback(tmp_path: Path) -> None:
    """It was a 500 in plain text, and an error with its traceback in the log for each."""
    served = Served(tmp_path, POSTBACK_GRACE="1")
    served.announced()
    client = Client(served.url, (tmp_path / "postback.db.key").read_text().strip())
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/in"
        config = {"event_types": ["*"], "url": url, "response_timeout": 30}
        made = client.post("/v2/postbackconfigs", {"postbackconfig": config})["postbackconfig"]["id"]
        testing = threads.submit(client.post, f"/v2/postbackconfigs/{made}/test", {"event_type": "sms.sent"})
        under_way, _ = silent.accept()
        with under_way:
            served.process.send_signal(signal.SIGTERM)
            with pytest.raises(Refused, match="the server is stopping"):
                testing.result(PATIENCE_S)
            _, log = served.process.communicate(timeout=PATIENCE_S)

    assert served.process.returncode == 0
    assert "Traceback" not in log
