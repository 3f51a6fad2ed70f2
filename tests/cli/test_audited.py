"""Changes that come by other ways than the API are on record as well, under their own names."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from postback.cli.client import Client
from postback.storage.sqlite import SqliteStore
from tests.cli.calling import Cli
from tests.doubles import ClockDouble


def test_what_the_first_start_makes_is_the_servers_own(server: Client) -> None:
    made = server.get("/v2/audit?page_size=500")["audit"][-2:]

    assert [(one["action"], one["key_id"], one["address"]) for one in made] == [
        ("location.create", None, None),
        ("account.save", None, None),
    ]
    assert made[0]["after"]["name"] == "Main"


def test_what_is_done_without_a_server_is_the_command_lines(cli: Cli, empty_folder: Path) -> None:
    asyncio.run(an_empty_store(empty_folder / "postback.db"))

    assert cli("accounts", "create", "acme", "--name", "Acme").code == 0
    assert cli("keys", "create", "shop", "--account", "acme").code == 0

    with closing(sqlite3.connect(empty_folder / "postback.db")) as connection:
        rows = connection.execute("SELECT account, key_id, key_name, action FROM audit ORDER BY id").fetchall()

    assert rows == [
        ("acme", "command-line", "the command line", "account.save"),
        ("acme", "command-line", "the command line", "key.create"),
    ]


async def an_empty_store(path: Path) -> None:
    await (await SqliteStore.open(path, ClockDouble())).close()
