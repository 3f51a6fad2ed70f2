"""`keys create --operator`: for whoever has the database and no key any more."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Cli
from tests.cli.nodes import ask, on, run
from tests.live import Live

pytestmark = pytest.mark.anyio


async def test_on_postgresql_it_is_made_beside_the_servers_and_acts_for_any_account(
    nodes: Callable[..., Live], dsn: str
) -> None:
    node = nodes()

    made = run(node.folder, "keys", "create", "found again", "--operator", "--json", **on(dsn))
    secret = json.loads(made.stdout)["secret"]
    hold = node.ask("GET", "/v2/hold", key=secret)
    on_record = await ask(dsn, "SELECT key_name FROM audit WHERE action = 'key.create' ORDER BY id DESC LIMIT 1")
    without = run(node.folder, "release", "--url", node.url, **on(dsn))

    assert made.returncode == 0, made
    assert hold.status == 200, hold
    assert on_record == "the command line"
    assert without.returncode == 4, without
    assert "`postback keys create NAME --operator`" in without.stderr
    assert "postback.db.key" not in without.stderr


def test_on_a_file_it_is_made_while_no_server_runs(tmp_path: Path) -> None:
    with Live(tmp_path) as node:
        beside = run(tmp_path, "keys", "create", "found again", "--operator")
        node.end(signal.SIGTERM)
    made = run(tmp_path, "keys", "create", "found again", "--operator", "--json")
    with Live(tmp_path) as node:
        accounts = node.ask("GET", "/v2/accounts", key=json.loads(made.stdout)["secret"])

    assert (beside.returncode, made.returncode) == (1, 0), (beside, made)
    assert "is in use by a server" in beside.stderr
    assert accounts.status == 200, accounts


def test_it_has_all_rights_and_takes_no_server_to_ask(cli: Cli) -> None:
    ended = cli("keys", "create", "x", "--operator", "--scope", "admin", "--account", "acme")

    assert ended.code == 2
    assert "--operator goes without --scope, --account" in ended.err
