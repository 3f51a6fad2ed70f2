"""`backup` as people run it: beside a server at work, never over anything, and never half."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from postback.cli.client import Client
from postback.cli.trial import environment
from postback.storage.sqlite.backup import CannotCopy, copy
from postback.storage.sqlite.connections import open_writer
from postback.storage.sqlite.opening import open_file
from tests.cli.calling import Cli
from tests.cli.served import Served

EVENTS = 300


@pytest.fixture(autouse=True)
def unused_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    one = Served(tmp_path)
    one.announced()
    yield one
    if one.process.poll() is None:
        one.stop()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database at rest, of some size: of no server."""
    path = tmp_path / "postback.db"
    opened = open_file(path, ())
    with opened.door.transaction():
        opened.door.raw.executemany(
            "INSERT INTO events (id, account, type, accepted_ms, deliveries, data) VALUES (?, 'default', 't', 0, 0, ?)",
            [(number, bytes(4000)) for number in range(3_000)],
        )
    opened.close()
    return path


def publish(client: Client, first: int, number: int) -> None:
    events = [{"type": "order.paid", "data": {"number": n}} for n in range(first, first + number)]
    client.post("/v2/events", {"events": events})


def numbers(path: Path) -> list[int]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        return sorted(json.loads(data)["number"] for (data,) in database.execute("SELECT data FROM events"))


def test_a_copy_beside_a_server_has_all_that_was_answered_and_a_server_starts_on_it(
    cli: Cli, served: Served, tmp_path: Path
) -> None:
    client = Client(served.url, (tmp_path / "postback.db.key").read_text().strip())
    publish(client, 0, EVENTS)
    goes_on = threading.Event()
    goes_on.set()
    answered = [EVENTS]

    def work() -> None:
        while goes_on.is_set():
            publish(client, answered[0], 10)
            answered[0] += 10

    worker = threading.Thread(target=work)
    worker.start()
    try:
        before = answered[0]
        ended = cli("backup", "copies/monday.db")
        (tmp_path / "copies").mkdir()
        second = cli("backup", "copies/monday.db")
    finally:
        goes_on.clear()
        worker.join()
    assert served.stop() == 0

    monday = tmp_path / "copies" / "monday.db"
    assert (ended.code, "does not exist; make it first" in ended.err) == (2, True)
    assert (second.code, second.err) == (0, "")
    kept = numbers(monday)
    assert kept == list(range(len(kept)))
    assert before <= len(kept) <= answered[0]
    assert second.out.startswith(f"copies/monday.db: {monday.stat().st_size >> 10:,} KiB; {len(kept):,} events, ")
    assert f"keep a copy of {tmp_path / 'postback.db.secret'}" in second.out
    assert "postback.db.key" in second.out
    for secret in ("postback.db.secret", "postback.db.key"):
        assert (tmp_path / secret).read_text().strip() not in second.out
    assert stat.S_IMODE(monday.stat().st_mode) == 0o600
    assert [path.name for path in monday.parent.iterdir()] == ["monday.db"]
    # With the two keys beside it, it is a database like the first.
    for ending in (".secret", ".key"):
        (tmp_path / f"postback.db{ending}").rename(monday.with_name(f"postback.db{ending}"))
    monday.rename(monday.with_name("postback.db"))
    again = Served(monday.parent)
    again.announced()
    key = (monday.parent / "postback.db.key").read_text().strip()
    assert len(Client(again.url, key).get("/v2/events?page_size=5")["events"]) == 5
    assert again.stop() == 0


def test_scripts_get_json(cli: Cli, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_SECRET_KEY", "00" * 32)
    monkeypatch.setenv("POSTBACK_API_KEY", "canary-key-that-is-long-enough-to-be-one")

    told = json.loads(cli("backup", "copy.db", "--json").out)

    assert told["file"] == "copy.db"
    assert told["bytes"] == (tmp_path / "copy.db").stat().st_size
    assert (told["rows"]["events"], told["rows"]["owed"], told["rows"]["alembic_version"]) == (3_000, 0, 1)
    assert (told["secret_key"], told["operator_key"]) == ("POSTBACK_SECRET_KEY", "POSTBACK_API_KEY")


def test_nothing_that_exists_is_written_over_unless_that_is_said(cli: Cli, database: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("dear")
    (tmp_path / "other.db-wal").write_text("what would be taken for the copy's own log")

    refused, beside = cli("backup", "copy.db"), cli("backup", "other.db")
    kept = (tmp_path / "copy.db").read_text()
    forced = [cli("backup", name, "--force") for name in ("copy.db", "other.db")]

    assert [(one.code, "exists already" in one.err) for one in (refused, beside)] == [(2, True)] * 2
    assert kept == "dear"
    assert [one.code for one in forced] == [0, 0]
    assert not (tmp_path / "other.db-wal").exists()
    for name in ("copy.db", "other.db"):
        with closing(sqlite3.connect(tmp_path / name)) as copied:
            assert copied.execute("SELECT count(*) FROM events").fetchone() == (3_000,)


@pytest.mark.parametrize(
    "name", ["postback.db", "postback.db-wal", "postback.db.secret", "postback.db.lock", "link.db"]
)
def test_the_database_and_its_files_are_never_written_over(cli: Cli, database: Path, name: str) -> None:
    (database.parent / "link.db").symlink_to(database)
    before = database.read_bytes()

    ended = cli("backup", name, "--force")

    assert (ended.code, "belongs to the database itself" in ended.err) == (2, True)
    assert database.read_bytes() == before


def test_a_database_that_another_server_has_is_never_written_over(
    cli: Cli, database: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    other_database = open_file(other / "postback.db", ())
    try:
        ended = cli("backup", "other/postback.db", "--force")
    finally:
        other_database.close()

    assert (ended.code, "is in use by a server" in ended.err) == (1, True)


def test_what_came_meanwhile_is_not_written_over(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"

    with pytest.raises(CannotCopy, match="exists already"):
        copy(database, target, lambda done, total: target.write_text("dear"))

    assert target.read_text() == "dear"
    assert not (tmp_path / "copy.db.part").exists()


def test_two_that_write_the_same_copy_do_not_meet(database: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    refused: list[str] = []

    def told(done: int, total: int) -> None:
        if not refused:
            with pytest.raises(CannotCopy) as second:
                copy(database, target, lambda *_: None)
            refused.append(str(second.value))

    copied = copy(database, target, told)

    assert copied.rows["events"] == 3_000
    assert "is being written by another" in refused[0]


def test_what_is_committed_while_it_copies_is_not_in_it_and_does_not_make_it_begin_anew(
    database: Path, tmp_path: Path
) -> None:
    writer = open_writer(database)
    steps: list[int] = []

    def told(done: int, total: int) -> None:
        steps.append(done)
        number = -len(steps)
        writer.raw.execute(
            "INSERT INTO events (id, account, type, accepted_ms, deliveries, data) VALUES (?, 'a', 't', 0, 0, '')",
            (number,),
        )

    copied = copy(database, tmp_path / "copy.db", told)
    [now] = writer.raw.execute("SELECT count(*) FROM events").fetchone()
    writer.close()

    assert copied.rows["events"] == 3_000
    assert now == 3_000 + len(steps)
    assert steps == sorted(steps)
    assert len(steps) > 2


def test_a_damaged_database_leaves_no_copy(cli: Cli, database: Path, tmp_path: Path) -> None:
    with database.open("r+b") as file:
        file.seek(database.stat().st_size // 2)
        file.write(b"\xff" * 200_000)

    ended = cli("backup", "copy.db")

    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "doctor" in ended.err or "malformed" in ended.err
    assert not list(tmp_path.glob("copy.db*"))


def test_a_full_disk_is_said_before_anything_is_written(
    cli: Cli, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())

    ended = cli("backup", "copy.db")

    assert (ended.code, "has 1,000 bytes left" in ended.err) == (1, True)
    assert not list(tmp_path.glob("copy.db*"))


def test_a_copy_that_was_killed_has_no_name_and_the_next_one_takes_its_place(
    cli: Cli, database: Path, tmp_path: Path
) -> None:
    program = (
        "import sys, time; from pathlib import Path; from postback.storage.sqlite.backup import copy\n"
        "copy(Path(sys.argv[1]), Path(sys.argv[2]), lambda *_: (print('at it', flush=True), time.sleep(20)))"
    )
    half = subprocess.Popen(
        [sys.executable, "-c", program, str(database), str(tmp_path / "copy.db")],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert half.stdout is not None
    assert half.stdout.readline() == "at it\n"
    os.kill(half.pid, signal.SIGKILL)
    half.wait()
    half.stdout.close()

    left = sorted(path.name for path in tmp_path.glob("copy.db*"))
    ended = cli("backup", "copy.db")

    assert left == ["copy.db.part"]
    assert ended.code == 0
    assert sorted(path.name for path in tmp_path.glob("copy.db*")) == ["copy.db"]


def test_a_copy_of_an_older_version_can_be_taken_before_it_is_brought_up_to_date(
    cli: Cli, database: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as older:
        older.execute("DROP TABLE audit")

    assert cli("backup", "copy.db").code == 0


def test_where_there_is_nothing_to_copy_it_says_what_would_be_right(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = cli("backup", "copy.db")
    with closing(sqlite3.connect(tmp_path / "postback.db")) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    recipes = cli("backup", "copy.db")
    monkeypatch.setenv("POSTBACK_DATABASE", "postgresql://someone:canary@127.0.0.1/postback")
    server = cli("backup", "copy.db")

    assert (nowhere.code, "does not exist" in nowhere.err) == (2, True)
    assert (recipes.code, "not a database of postback" in recipes.err) == (1, True)
    assert (server.code, "pg_dump" in server.err, "canary" in server.err) == (2, True, False)
    assert not list(tmp_path.glob("copy.db*"))
