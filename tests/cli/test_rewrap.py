"""`rewrap` as people run it, and that no secret of a server at work is in its files or its log."""

import json
import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from postback.cli.client import Client, Refused
from postback.domain.secret_keys import key_text, parse_keys
from postback.storage.vault import key_id
from tests.cli.calling import Cli
from tests.cli.served import Served
from tests.patience import PATIENCE_S

OLD, NEW = b"\x01" * 32, b"\x02" * 32
PASSWORD, HEADER = "canary-password", "canary-header"
SECOND_PASSWORD, SECOND_HEADER = "canary-second-password", "canary-second-header"


@pytest.fixture(autouse=True)
def unused_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")


def client_of(served: Served, folder: Path) -> Client:
    return Client(served.url, (folder / "postback.db.key").read_text().strip())


def a_config(client: Client, **fields: Any) -> dict[str, Any]:
    location = client.get("/v2/locations")["locations"][0]["id"]
    config = {
        "location_id": location,
        "resource": "contact",
        "url": "http://127.0.0.1:9/receiver",
        "basic_auth_username": "hookuser",
        "basic_auth_password": PASSWORD,
        "headers": {"X-Api-Key": HEADER},
    }
    return dict(client.post("/v2/postbackconfigs", {"postbackconfig": config | fields})["postbackconfig"])


def serve_once(folder: Path, **settings: str) -> None:
    """A store with a config that has secrets, and no server."""
    served = Served(folder, **settings)
    served.announced()
    a_config(client_of(served, folder))
    assert served.stop() == 0


@pytest.fixture(scope="module")
def served_with_secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder, made once."""
    folder = tmp_path_factory.mktemp("served")
    serve_once(folder)
    return folder


@pytest.fixture
def was_served_with_secrets(served_with_secrets: Path, tmp_path: Path) -> None:
    """The test's folder is a copy of it."""
    shutil.copytree(served_with_secrets, tmp_path, dirs_exist_ok=True)


def ids_in_use(folder: Path) -> set[str]:
    with sqlite3.connect(folder / "postback.db") as database:
        found = {secrets[3:19] for (secrets,) in database.execute("SELECT secrets FROM config_versions")}
    database.close()
    return found


def keys_of(folder: Path) -> tuple[bytes, ...]:
    return parse_keys((folder / "postback.db.secret").read_text())


def secrets_finding(cli: Cli) -> tuple[str, str]:
    found = {one["what"]: one for one in json.loads(cli("doctor", "--json").out)}
    return found["secrets"]["verdict"], found["secrets"]["text"]


def test_no_secret_of_a_server_at_work_is_in_its_files_or_its_log(tmp_path: Path) -> None:
    served = Served(tmp_path, POSTBACK_LOG_LEVEL="debug")
    served.announced()
    client = client_of(served, tmp_path)
    config = a_config(client)
    signed = a_config(client, format="json", resource=None, event_types=["*"])
    client.send(
        "PUT",
        f"/v2/postbackconfigs/{config['id']}",
        {
            "postbackconfig": {
                "url": "http://127.0.0.1:9/second",
                "basic_auth_password": SECOND_PASSWORD,
                "headers": {"X-Api-Key": SECOND_HEADER},
            }
        },
    )
    rotated = client.post(f"/v2/postbackconfigs/{signed['id']}/rotate-secret", {"overlap": 60})["signing_secret"]
    with pytest.raises(Refused):
        client.send(
            "PUT", f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": {"headers": {"X:": "canary-wrong"}}}
        )
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    served.process.terminate()
    said, logged = served.process.communicate(timeout=PATIENCE_S)
    files += b"".join(path.read_bytes() for path in tmp_path.iterdir())

    canaries = [PASSWORD, HEADER, SECOND_PASSWORD, SECOND_HEADER, signed["signing_secret"], rotated]
    assert len(set(canaries)) == 6
    assert b"hookuser" in files
    assert "/second" in files.decode("latin-1")
    for canary in [*canaries, "canary"]:
        assert canary.encode() not in files
        assert canary not in said + logged


@pytest.mark.usefixtures("was_served_with_secrets")
def test_a_new_key_is_made_and_the_old_one_forgotten(cli: Cli, tmp_path: Path) -> None:
    [old] = keys_of(tmp_path)
    assert ids_in_use(tmp_path) == {key_id(old)}

    ended = cli("rewrap", "--new-key")

    [new] = keys_of(tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == f"encrypted anew: 1 of 1 secrets; the key is {key_id(new)}"
    assert new != old
    assert ids_in_use(tmp_path) == {key_id(new)}
    assert stat.S_IMODE((tmp_path / "postback.db.secret").stat().st_mode) == 0o600
    assert secrets_finding(cli) == ("ok", "can be read")
    assert cli("rewrap").out == f"encrypted anew: 0 of 1 secrets; the key is {key_id(new)}\n"
    again = Served(tmp_path)
    again.announced()
    shown = client_of(again, tmp_path).get("/v2/postbackconfigs")["postbackconfigs"]
    assert again.stop() == 0
    assert "this config cannot be read" not in json.dumps(shown)


def test_a_key_of_the_settings_is_changed_by_the_settings(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_once(tmp_path, POSTBACK_SECRET_KEY=key_text(OLD))
    assert not (tmp_path / "postback.db.secret").exists()
    monkeypatch.setenv("POSTBACK_SECRET_KEY", f"{key_text(NEW)},{OLD.hex()}")

    refused = cli("rewrap", "--new-key")
    verdict, text = secrets_finding(cli)
    ended = cli("rewrap")
    monkeypatch.setenv("POSTBACK_SECRET_KEY", key_text(NEW))

    assert refused.code == 2
    assert "put a new key in front of it, with a comma between them" in refused.err
    assert (verdict, key_id(OLD) in text) == ("note", True)
    assert ended.code == 0
    assert "POSTBACK_SECRET_KEY also has 1 old key, which nothing in the database needs any more" in ended.out
    assert ids_in_use(tmp_path) == {key_id(NEW)}
    assert secrets_finding(cli) == ("ok", "can be read")
    for one in (OLD, NEW):
        assert key_text(one) not in refused.err + ended.out


@pytest.mark.usefixtures("was_served_with_secrets")
def test_a_server_does_not_start_with_a_key_that_does_not_fit(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [key] = keys_of(tmp_path)
    monkeypatch.setenv("POSTBACK_SECRET_KEY", key_text(OLD))

    started = cli("serve", "--listen", "127.0.0.1:0")

    assert started.code == 1
    assert key_id(key) in started.err
    assert "add what stands in" in started.err
    assert "Traceback" not in started.err
    for command in (("rewrap",), ("keys", "list"), ("accounts", "list")):
        assert cli(*command).code == 1
    assert secrets_finding(cli) == ("wrong", f"encrypted with keys that are not there: {key_id(key)}")
    monkeypatch.delenv("POSTBACK_SECRET_KEY")
    for command in (("rewrap",), ("keys", "list"), ("accounts", "list")):
        assert cli(*command).code == 0


@pytest.mark.usefixtures("was_served_with_secrets")
def test_a_lost_key_file_is_not_replaced_in_silence(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "postback.db.secret").rename(tmp_path / "elsewhere")

    ended = cli("rewrap")

    assert ended.code == 1
    assert "postback.db.secret is not there: put the file back from a copy" in ended.err
    assert secrets_finding(cli)[0] == "wrong"
    assert not (tmp_path / "postback.db.secret").exists()


def test_nothing_is_rewrapped_while_a_server_runs_or_where_there_is_no_database(cli: Cli, tmp_path: Path) -> None:
    nowhere = cli("rewrap")
    served = Served(tmp_path)
    served.announced()
    running = cli("rewrap", "--new-key")
    keys = keys_of(tmp_path)
    assert served.stop() == 0

    assert (nowhere.code, "does not exist" in nowhere.err) == (2, True)
    assert running.code == 1
    assert f"in use by a server (pid {served.process.pid})" in running.err
    assert keys == keys_of(tmp_path)
    assert len(keys) == 1
