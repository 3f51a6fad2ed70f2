"""`serve` on PostgreSQL: one process, several at once, and the database going away and coming back."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copyfile
from urllib.parse import quote

import asyncpg
import pytest

from postback.cli.client import Client
from tests import postgres
from tests.cli.calling import Cli
from tests.cli.nodes import SECRET, Arrived, ask, on, run, until
from tests.databases import new_database
from tests.live import KEY, Live
from tests.patience import PATIENCE_S
from tests.ports import free_port

pytestmark = pytest.mark.anyio

PASSWORD = "the+hush:word/of@the?database"


def test_an_event_goes_its_way_from_the_start_to_the_end(nodes: Callable[..., Live], tmp_path: Path) -> None:
    node = nodes()
    with Arrived() as arrived:
        node.config(arrived.url, "order.*", format="json")
        published = node.publish("order.paid", {"n": 1})
        until(lambda: len(arrived.ids) == 1)
        until(lambda: node.deliveries()[0]["state"] == "delivered")
        figures = node.ask("GET", "/metrics").text
        node.end(signal.SIGTERM)

    assert node.process.returncode == 0, node.log
    assert published
    assert float(re.findall(r"^postback_store_bytes (\S+)$", figures, re.MULTILINE)[0]) > 100_000
    assert "postback_ready 1.0" in figures
    assert "postback_store_log_bytes " not in figures
    assert "Traceback" not in node.log
    # Nothing is kept beside it.
    assert {path.name for path in node.folder.iterdir()} == {"said.txt", "log.txt"}


@pytest.mark.parametrize("lease", ["1 h on the same machine", "2 s on another"])
def test_what_a_killed_server_has_claimed_is_taken_over_by_the_other(
    nodes: Callable[..., Live], lease: str, tmp_path: Path
) -> None:
    """On the same machine at once, elsewhere after its lease."""
    length, _, where = lease.partition(" on ")
    first = nodes(POSTBACK_LEASE=length)
    if where == "another":
        (tmp_path / "elsewhere").mkdir()
        second = nodes(POSTBACK_LEASE=length, TMPDIR=str(tmp_path / "elsewhere"))
    else:
        second = nodes(POSTBACK_LEASE=length)
    with socket.create_server(("127.0.0.1", 0)) as silent, Arrived() as arrived:
        silent_url = f"http://127.0.0.1:{silent.getsockname()[1]}/in"
        config = first.config(silent_url, "order.paid", format="json", response_timeout=30)
        first.publish("order.paid")
        under_way, _ = silent.accept()
        with under_way:
            first.process.kill()
            first.process.wait(PATIENCE_S)
            changed = second.ask("PUT", f"/v2/postbackconfigs/{config}", {"postbackconfig": {"url": arrived.url}})
            assert changed.status == 200, changed
            until(lambda: len(arrived.ids) == 1)
        until(lambda: second.deliveries()[0]["state"] == "delivered")

    assert len(second.lines("a worker was found dead; what it held is owed again")) == 1
    assert len(arrived.ids) == 1


async def test_two_that_start_a_new_database_at_once_make_one_of_each(tmp_path: Path, dsn: str) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        nodes = [Live(folder, **on(dsn)) for folder in folders]
        for node in nodes:
            del node.settings["POSTBACK_API_KEY"]
            stack.callback(node.__exit__)
        list(threads.map(lambda node: node.start(), nodes))
        until(lambda: all("deliveries list" in said(node) for node in nodes))
        made = re.findall(r"Operator key, shown this once and kept nowhere: (\S+)", "".join(map(said, nodes)))
        allowed = [Client(node.url, made[0]).get("/v2/locations")["locations"] for node in nodes]

    assert len(made) == 1
    assert [len(locations) for locations in allowed] == [1, 1]
    assert allowed[0][0]["id"] == allowed[1][0]["id"]
    assert await ask(dsn, "SELECT count(*) FROM accounts") == 1
    assert await ask(dsn, "SELECT count(*) FROM api_keys") == 1
    assert sorted(len(list(folder.iterdir())) for folder in folders) == [2, 2]


def said(node: Live) -> str:
    return (node.folder / "said.txt").read_text("utf-8")


def test_while_the_database_is_away_the_answer_is_503_and_then_all_goes_on(tmp_path: Path) -> None:
    folder, home = postgres.a_folder(), tmp_path / "home"
    home.mkdir()
    server = postgres.Server(folder)
    server.make()
    try:
        server.start()
        with Live(home, **on(server.dsn())) as node, Arrived() as arrived:
            node.config(arrived.url, "order.*", format="json")
            node.publish("order.first")
            until(lambda: len(arrived.ids) == 1)

            server.stop("immediate")
            until(lambda: node.ask("GET", "/ready").status == 503)
            refused = node.ask("POST", "/v2/events", {"event": {"type": "order.refused", "data": {}}})
            figures = node.ask("GET", "/metrics")

            server.start()
            until(lambda: node.ask("GET", "/ready").status == 200)
            node.publish("order.second")
            until(lambda: len(arrived.ids) == 2)
            node.end(signal.SIGTERM)
    finally:
        server.stop("immediate")
        postgres.shutil.rmtree(folder, ignore_errors=True)

    assert refused.status == 503, node.log
    assert (figures.status, "postback_ready 0.0" in figures.text) == (200, True)
    assert node.process.returncode == 0
    assert "Traceback" not in node.log
    [away] = node.lines("the database cannot be reached; it is tried again")
    [back] = node.lines("the database answers again")
    assert away["database"] == back["database"]
    assert away["database"].startswith("the database postgres on the socket ")
    # What was under way when it went, told once for each way in which that ended.
    assert len(node.lines("the store did not take a write; it is tried again")) <= 4, node.log


@pytest.mark.parametrize("processes", ["1", "2"])
def test_it_is_stopped_while_the_database_is_away_and_says_what_that_means(tmp_path: Path, processes: str) -> None:
    """It waited for its whole grace although nothing was under way any more, and ended without a word."""
    folder, home = postgres.a_folder(), tmp_path / "home"
    home.mkdir()
    server = postgres.Server(folder)
    server.make()
    server.start()
    try:
        with (
            Live(home, **on(server.dsn()), POSTBACK_GRACE="10 min", POSTBACK_PROCESSES=processes) as node,
            Arrived(delay_s=2) as slow,
        ):
            node.config(slow.url, "order.*", format="json")
            for _ in range(4):
                node.publish("order.paid")
            until(lambda: len(slow.ids) == 4)
            server.stop("immediate")
            node.end(signal.SIGTERM)
    finally:
        postgres.shutil.rmtree(folder, ignore_errors=True)

    assert node.process.returncode == 1
    assert node.lines("the engine did not end in time; what it held is owed again at the next start")
    assert "postback has stopped, not in good order: what it held is owed again" in node.said
    assert "Traceback" not in node.log


# --- what is said when it cannot start --------------------------------------------------------------------------


@pytest.fixture
async def with_password(anyio_backend: str) -> AsyncIterator[str]:
    """The DSN of a server of its own, over TCP, that asks for a password."""
    folder = postgres.a_folder()
    server = postgres.Server(folder)
    server.make()
    port = free_port()
    try:
        server.start("127.0.0.1", port)
        connection = await asyncpg.connect(server.dsn(), port=port)
        await connection.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{PASSWORD}'")
        await connection.execute("CREATE DATABASE shop OWNER keeper")
        await connection.close()
        (folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        server.stop()
        server.start("127.0.0.1", port)
        yield f"postgresql://keeper:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/shop"
    finally:
        server.stop("immediate")
        postgres.shutil.rmtree(folder, ignore_errors=True)


def test_the_password_of_the_database_is_in_nothing_that_is_said(
    with_password: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs: list[str] = []

    def call(*words: str, database: str = with_password, code: int) -> str:
        for name, value in on(database).items():
            monkeypatch.setenv(name, value)
        ended = cli(*words)
        outputs.extend([ended.out, ended.err])
        assert ended.code == code, ended
        return ended.out + ended.err

    with Live(tmp_path, **on(with_password), POSTBACK_LOG_LEVEL="debug") as node:
        port = with_password.rpartition(":")[2].partition("/")[0]
        config = {"postbackconfig": {"event_types": ["*"], "url": f"http://127.0.0.1:{port}/x"}}
        refused = node.ask("POST", "/v2/postbackconfigs", config)
        node.ask("GET", "/metrics")
        node.ask("GET", "/openapi.json")
        health = call("doctor", code=0)
    call("settings", code=0)
    call("settings", "--json", code=0)
    call("rewrap", code=0)
    call("accounts", "list", code=0)
    wrong = call("serve", "--listen", "127.0.0.1:0", database=with_password.replace("hush", "hosh"), code=1)
    missing = call("serve", "--listen", "127.0.0.1:0", database=with_password.replace("/shop", "/shoq"), code=1)
    nobody = call("serve", "--listen", "127.0.0.1:0", database=with_password.replace(port, "9"), code=1)
    call("serve", "--listen", "127.0.0.1:0", database=with_password.replace(f":{port}", ":port"), code=2)
    copyfile(new_database(), tmp_path / "to_move.db")
    bare = with_password.replace(f":{quote(PASSWORD, safe='')}@", "@")
    to_wrong = call("migrate", "--to", with_password.replace("hush", "hosh"), database="to_move.db", code=1)
    to_bare = call("migrate", "--to", bare, database="to_move.db", code=1)
    call("--traceback", "serve", "--listen", "127.0.0.1:0", database=with_password + "?no_such=1", code=1)
    dry_run = call("retention", "--dry-run", code=2)

    assert refused.status == 422
    assert "where postback itself or its database listens" in refused.text
    assert "the user or the password in POSTBACK_DATABASE is wrong" in wrong
    # It was said to be out of reach, with the exit code of that.
    for told in (to_wrong, to_bare):
        assert "does not let us in" in told
        assert "the user or the password in --to is wrong" in told
        assert "give the password as PGPASSWORD" in told
    assert "make the database first: CREATE DATABASE" in missing
    assert "cannot be reached" in nobody
    assert "is the server running there" in nobody
    assert "by themselves" in dry_run
    for what in ("database", "durability", "schema", "partitions", "workers", "owed", "conservation"):
        assert f"{what} " in health
    everything = "".join([*outputs, *node.replies, node.log, said(node)])
    assert PASSWORD not in everything
    assert quote(PASSWORD, safe="") not in everything
    assert "hush" not in everything


def test_without_a_key_for_its_secrets_the_start_says_how_to_make_one_and_it_works(tmp_path: Path, dsn: str) -> None:
    ended = run(tmp_path, "serve", "--listen", "127.0.0.1:0", POSTBACK_DATABASE=dsn)
    made = re.search(r"export POSTBACK_SECRET_KEY=\$\(.*?\)\)'\)", ended.stderr)
    assert made is not None, ended.stderr
    key = subprocess.run(
        ["bash", "-ec", f"{made[0]}\necho $POSTBACK_SECRET_KEY"], capture_output=True, text=True, check=True
    )

    with Live(tmp_path, POSTBACK_DATABASE=dsn, POSTBACK_SECRET_KEY=key.stdout.strip()) as node:
        assert node.ask("GET", "/v2/locations").status == 200

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)


def test_without_the_extra_the_start_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("postback.storage.stores.find_spec", lambda name: None)
    monkeypatch.setenv("POSTBACK_DATABASE", "postgresql://x/y")
    monkeypatch.setenv("POSTBACK_SECRET_KEY", SECRET)

    started, examined = cli("serve", "--listen", f"127.0.0.1:{free_port()}"), cli("doctor", "--json")

    assert started.code == 1
    assert "pip install './postback[postgres]'" in started.err
    assert examined.code == 1
    assert "pip install './postback[postgres]'" in json.loads(examined.out)[-1]["text"]


# --- the commands beside a server -------------------------------------------------------------------------------


def test_doctor_and_keys_find_a_database_that_servers_are_at_work_on(
    nodes: Callable[..., Live], cli: Cli, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = nodes()
    with Arrived() as arrived:
        node.config(arrived.url, "order.*", format="json")
        node.publish("order.paid")
        until(lambda: node.deliveries()[0]["state"] == "delivered")
    for name, value in on(dsn).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", node.url)

    examined = cli("doctor", "--log", "--json")
    made = json.loads(cli("keys", "create", "night shift", "--json").out)
    monkeypatch.setenv("POSTBACK_SECRET_KEY", "b2" * 32)
    other_key = cli("doctor", "--json")
    monkeypatch.setenv("POSTBACK_SECRET_KEY", f"{'b2' * 32},{SECRET}")
    rewrapped = cli("rewrap")

    found = {one["what"]: one for one in json.loads(examined.out)}
    assert (examined.code, {one["verdict"] for one in found.values()}) == (0, {"ok"}), found
    assert "fsync = on" in found["durability"]["text"]
    assert found["workers"]["text"].startswith("1: number 0 on ")
    assert "7 days more" in found["partitions"]["text"]
    assert found["conservation"]["text"].startswith("1 accepted + 0 replayed = 1 delivered")
    assert found["log"]["text"].startswith("1 deliveries")
    assert found["server"]["text"].startswith("answers at ")
    assert Client(node.url, made["secret"]).get("/v2/locations")["locations"]
    assert Client(node.url, KEY).get("/v2/locations")["locations"]
    assert other_key.code == 1
    assert rewrapped.code == 0, rewrapped
    assert "encrypted anew: 1 of 1 secrets" in rewrapped.out
