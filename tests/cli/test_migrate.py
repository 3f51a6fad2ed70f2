"""`migrate` as people run it: what it says, what it refuses, and no password or key anywhere."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import anyio.to_thread
import pytest

from postback.domain.configs import BasicAuth
from postback.storage.configs import SqlConfigs
from postback.storage.database import CannotOpen
from postback.storage.postgres import moving
from postback.storage.secret_file import SecretFile
from postback.storage.sqlite import SqliteStore
from tests import postgres
from tests.build import CONFIG_ID, a_config
from tests.cli.calling import Cli, Ended
from tests.cli.nodes import run
from tests.doubles import ClockDouble
from tests.ports import free_port
from tests.storage import given

pytestmark = pytest.mark.anyio

PASSWORD = "canary-password"


@pytest.fixture
async def database(tmp_path: Path, anyio_backend: str) -> Path:
    """Five events, of which two were under way when the server was killed."""
    path = tmp_path / "postback.db"
    store = await SqliteStore.open(path, ClockDouble())
    await given.an_account_with_configs(store)
    secret = BasicAuth("user", "canary-basic")
    await SqlConfigs(store).add(a_config(id=CONFIG_ID + 9, location_id=None, basic_auth=secret))
    worker = await store.enlist("here")
    version = 1
    await store.accept(worker, given.units(2, claimed=True, config_version=version))
    await store.accept(worker, given.units(3, first=2, config_version=version))
    await store.close()
    return path


@pytest.fixture
async def dsn(anyio_backend: str) -> AsyncIterator[str]:
    """With a password, which this server does not ask for."""
    async with postgres.empty_database() as dsn:
        yield with_password(dsn)


def with_password(dsn: str) -> str:
    parts = urlsplit(dsn)
    user, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{PASSWORD}{at}{host}"))


async def call(cli: Cli, *words: str) -> Ended:
    """It runs a loop of its own."""
    return await anyio.to_thread.run_sync(lambda: cli(*words))


async def test_it_says_what_arrived_and_what_to_set(cli: Cli, database: Path, dsn: str) -> None:
    ended = await call(cli, "migrate", "--to", dsn)
    again = await call(cli, "migrate", "--to", dsn)

    assert (ended.code, ended.err) == (0, "")
    assert "5 events, 0 attempts, 5 deliveries owed, " in ended.out
    assert "2 deliveries were under way when the server ended: they are owed again" in ended.out
    assert f"to what stands in {database}.secret" in ended.out
    assert "No server starts on postback.db again" in ended.out
    assert (again.code, "is not empty" in again.err) == (1, True)
    for said in (*ended, *again):
        assert PASSWORD not in str(said)
        assert SecretFile(database).path.read_text().strip() not in str(said)
        assert "canary" not in str(said)


async def test_a_file_that_was_moved_is_started_on_no_more(
    cli: Cli, database: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a sentence said so, and a start on it delivered everything a second time."""
    moved = await call(cli, "migrate", "--to", dsn)
    listen = f"127.0.0.1:{free_port()}"
    started = await anyio.to_thread.run_sync(lambda: run(database.parent, "serve", "--listen", listen))
    looked = json.loads((await call(cli, "doctor", "--json")).out)
    mark = database.with_name("postback.db.moved")
    where = mark.read_text().strip()
    mark.unlink()
    store = await SqliteStore.open(database, ClockDouble())
    await store.close()

    assert (moved.code, started.returncode) == (0, 1), started
    assert f"was moved to {where}" in started.stderr
    assert "would deliver what is owed a second time" in started.stderr
    assert PASSWORD not in where
    assert [one["verdict"] for one in looked if one["what"] == "moved"] == ["note"]


async def test_a_move_that_fails_leaves_no_mark_and_one_cut_short_at_its_end_does(
    cli: Cli, database: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = database.with_name("postback.db.moved")

    async def cut(*_: object) -> None:
        raise OSError("the power is gone")

    with monkeypatch.context() as then:
        then.setattr(moving, "_demand_same", cut)
        failed = await call(cli, "migrate", "--to", dsn)
    is_marked = mark.exists()
    with monkeypatch.context() as then:
        then.setattr(moving, "_commit", cut)
        await call(cli, "migrate", "--to", dsn)
    with pytest.raises(CannotOpen, match="give `postback migrate` again"):
        await SqliteStore.open(database, ClockDouble())
    again = await call(cli, "migrate", "--to", dsn)

    assert (failed.code, is_marked, again.code) == (1, False, 0), (failed, again)


async def test_scripts_get_json(cli: Cli, database: Path, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = json.loads((await call(cli, "migrate", "--to", dsn, "--json")).out)

    assert (told["rows"]["events"], told["rows"]["owed"], told["freed"], told["missing"]) == (5, 5, 2, {})
    assert ":***@" in told["to"]


async def test_whoever_names_no_database_is_told_what_one_looks_like(cli: Cli, database: Path) -> None:
    for text in ("postback2.db", "mysql://user:canary@host/name", "postgresql://user:canary@host"):
        ended = await call(cli, "migrate", "--to", text)

        assert ended.code == 2
        assert "postgresql://user:password@host/name" in ended.err
        assert "canary" not in ended.err


async def test_where_there_is_nothing_to_move_it_says_so(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = "postgresql://someone:canary@127.0.0.1:9/postback"
    nowhere = await call(cli, "migrate", "--to", to)
    with closing(sqlite3.connect(tmp_path / "postback.db")) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    recipes = await call(cli, "migrate", "--to", to)
    monkeypatch.setenv("POSTBACK_DATABASE", to)
    server = await call(cli, "migrate", "--to", to)

    assert (nowhere.code, "does not exist" in nowhere.err) == (2, True)
    assert (recipes.code, "not a database of postback" in recipes.err) == (1, True)
    assert (server.code, "only a SQLite file can be moved" in server.err) == (2, True)
    for ended in (nowhere, recipes, server):
        assert "canary" not in ended.err


async def test_a_server_that_does_not_answer_and_a_store_in_use(cli: Cli, database: Path) -> None:
    silent = await call(cli, "migrate", "--to", "postgresql://someone:canary@127.0.0.1:9/postback")
    store = await SqliteStore.open(database, ClockDouble())
    in_use = await call(cli, "migrate", "--to", "postgresql://someone:canary@127.0.0.1:9/postback")
    await store.close()

    assert (silent.code, "cannot be reached" in silent.err, "nothing was moved" in silent.err) == (3, True, True)
    assert (in_use.code, "is in use by another postback process" in in_use.err) == (1, True)
    assert "canary" not in silent.err + in_use.err
