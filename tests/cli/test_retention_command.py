"""`retention` as people run it: what would go, and that it goes, beside a server and without one."""

import asyncio
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from postback.domain.deliveries import Accepted, Verdict
from postback.domain.ids import first_id_at
from postback.storage.sqlite import SqliteStore
from tests.build import a_settlement, a_unit, an_event
from tests.cli.calling import Cli
from tests.cli.served import Served
from tests.storage import given

DAY_MS = 86_400_000
EVENTS = 700


@pytest.fixture(autouse=True)
def unused_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")


@pytest.fixture
def long_ago(tmp_path: Path) -> int:
    """A database in which something happened a hundred days ago; when that was."""
    at_ms = time.time_ns() // 1_000_000 - 100 * DAY_MS

    async def live() -> None:
        store = await SqliteStore.open(tmp_path / "postback.db", lambda: at_ms)
        await given.an_account_with_configs(store)
        worker = await store.enlist("here")
        data = b'{"text":"' + b"x" * 500 + b'"}'
        events = [an_event(id=first_id_at(at_ms) + number, accepted_ms=at_ms, data=data) for number in range(EVENTS)]
        answers = await store.accept(worker, [a_unit(event, claimed=True) for event in events])
        claims = [claim for answer in answers if isinstance(answer, Accepted) for claim in answer.claims]
        await store.settle(worker, [a_settlement(claim, Verdict.FAILED) for claim in claims[:-3]])
        await store.release(claims[-3:])
        await store.close()

    asyncio.run(live())
    return at_ms


def told(cli: Cli) -> dict[str, dict[str, Any]]:
    ended = cli("retention", "--dry-run", "--json")
    assert (ended.code, ended.err) == (0, "")
    return {one["table"]: one for one in json.loads(ended.out)}


def rows(folder: Path, table: str) -> int:
    database = sqlite3.connect(folder / "postback.db")
    try:
        count: int = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        database.close()
    return count


def test_a_dry_run_says_how_much_would_go_and_changes_nothing(cli: Cli, tmp_path: Path, long_ago: int) -> None:
    before = (tmp_path / "postback.db").read_bytes()

    as_json, as_table = told(cli), cli("retention", "--dry-run")

    assert {name: one["rows"] for name, one in as_json.items() if one["rows"]} == {
        "owed": 3,
        "events": EVENTS,
        "attempts": EVENTS - 3,
        "counters": 3,
    }
    assert EVENTS * 500 < as_json["events"]["bytes"] < EVENTS * 800
    assert as_json["owed"]["fate"] == "fail as expired"
    assert as_json["audit"]["oldest_at"] is None
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(long_ago / 1000))
    assert as_json["events"]["oldest_at"].startswith(at)
    lines = [line.split() for line in as_table.out.splitlines()]
    assert ["events", "removed", str(EVENTS)] in [line[:3] for line in lines]
    assert as_table.code == 0
    assert (tmp_path / "postback.db").read_bytes() == before


def test_without_a_server_it_goes_and_the_file_shrinks(cli: Cli, tmp_path: Path, long_ago: int) -> None:
    size = (tmp_path / "postback.db").stat().st_size
    expected = sum(one["rows"] for one in told(cli).values())

    ended = cli("retention")

    # What expires leaves an attempt each and is counted as failed, and both go as well.
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"taken away: {expected + 3:,} rows; ")
    assert {table: rows(tmp_path, table) for table in ("events", "attempts", "owed")} == dict.fromkeys(
        ("events", "attempts", "owed"), 0
    )
    assert (tmp_path / "postback.db").stat().st_size < size // 2
    assert all(one["rows"] == 0 for one in told(cli).values())
    assert json.loads(cli("retention", "--json").out) == {"rows": 0, "server": None}


def test_what_the_settings_keep_longer_stays(
    cli: Cli, tmp_path: Path, long_ago: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBACK_RETENTION_DAYS", "101")

    ended = cli("retention")

    assert ended.out.startswith("taken away: 0 rows; ")
    assert rows(tmp_path, "events") == EVENTS


def test_a_running_server_does_it_by_itself_and_can_be_looked_over_the_shoulder(cli: Cli, tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.announced()
    pid = str(served.process.pid)

    beside, refused, as_json = told(cli), cli("retention"), cli("retention", "--json")
    assert served.stop() == 0

    assert {one["rows"] for one in beside.values()} == {0}
    assert (refused.code, refused.err) == (0, "")
    assert f"a server (pid {pid}) has postback.db and does this by itself" in refused.out
    assert json.loads(as_json.out) == {"rows": 0, "server": pid}


def test_without_a_database_or_with_one_of_another_program_it_says_so(cli: Cli, tmp_path: Path) -> None:
    nowhere = cli("retention", "--dry-run")
    database = sqlite3.connect(tmp_path / "postback.db")
    database.execute("CREATE TABLE recipes (name TEXT)")
    database.close()
    others = [cli("retention", "--dry-run"), cli("retention")]

    assert (nowhere.code, "does not exist" in nowhere.err) == (2, True)
    assert [one.code for one in others] == [1, 1]
    assert "cannot be read" in others[0].err
    assert "another program" in others[1].err
