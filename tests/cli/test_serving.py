"""The command line against a running server: events, deliveries, keys, accounts, and the demo itself."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from postback.cli.client import Client
from postback.receiver.server import TestReceiver
from tests.cli.calling import Cli
from tests.patience import PATIENCE_S


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
    end = time.monotonic() + PATIENCE_S
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
    assert "number_of_attempts = 1\n" in shown.out
    assert '"name": "Zoë"\n' in shown.out
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
    assert "error: type is " in ended.err
    assert "error: data is " in ended.err


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
    assert "<POSTBACK><ORIGIN>SMS_MT</ORIGIN><CODE>N202</CODE>" in ended.out
    assert ended.out.count("→ 503") == 1
    for field in ("DELIVERY_DATE", "answer_date", "stop_date"):
        assert f"it has {field}, so it is " in ended.out


def test_demo_names_what_was_not_right(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postback.cli.demo_payment.PARAMETERS", ["resource", "type", "number_of_attempts", "data"])

    ended = cli("demo")

    assert ended.code == 1
    assert ended.err.startswith("error: not right: the parameters and their order: found ['type', 'resource'")
