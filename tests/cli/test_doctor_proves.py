"""`doctor` proves that no delivery was lost or made up, by the counters and with --log by the log."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from postback.domain.deliveries import Verdict
from postback.storage.sqlite import SqliteStore
from tests.build import ACCOUNT, CONFIG_ID, a_settlement
from tests.cli.calling import Cli
from tests.doubles import ClockDouble
from tests.storage import given

OTHER: Final = "acme"


@pytest.fixture
async def database(tmp_path: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of two accounts; in one of them a delivery of each kind, one of them replayed."""
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")
    store = await SqliteStore.open(tmp_path / "postback.db", ClockDouble())
    await given.an_account_with_configs(store)
    await given.an_account_with_configs(store, OTHER, configs_from=7)
    worker = await store.enlist("here")
    claims = await given.claims_of(store, worker, 5)
    verdicts = (Verdict.DELIVERED, Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY)
    await store.settle(worker, [a_settlement(claim, one) for claim, one in zip(claims, verdicts, strict=False)])
    await store.cancel(ACCOUNT, claims[4].event.id, CONFIG_ID)
    await store.replay(ACCOUNT, claims[0].event.id, CONFIG_ID)
    await store.retire(worker)
    await store.close()
    return tmp_path / "postback.db"


@pytest.fixture
def harm(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        yield connection


def findings(cli: Cli, *options: str) -> tuple[int, dict[str, tuple[str, str]]]:
    ended = cli("doctor", "--json", *options)
    return ended.code, {one["what"]: (one["verdict"], one["text"]) for one in json.loads(ended.out)}


pytestmark = pytest.mark.anyio

BALANCE: Final = "5 accepted + 1 replayed = 2 delivered + 1 failed + 1 cancelled + 2 owed"


async def test_what_was_accepted_is_owed_or_has_ended(cli: Cli, database: Path) -> None:
    code, found = findings(cli)

    assert (code, found["conservation"]) == (0, ("ok", BALANCE))
    assert "log" not in found


async def test_the_log_says_the_same(cli: Cli, database: Path) -> None:
    code, found = findings(cli, "--log")

    assert (code, found["conservation"]) == (0, ("ok", BALANCE))
    assert found["log"] == (
        "ok",
        "5 deliveries, accepted on 1 day: each is owed or has ended, and all is counted",
    )


async def test_a_database_without_deliveries_is_in_order(cli: Cli, harm: sqlite3.Connection) -> None:
    for table in ("counters", "owed", "attempts", "events"):
        harm.execute(f"DELETE FROM {table}")

    code, found = findings(cli, "--log")

    assert (code, found["conservation"]) == (0, ("ok", "nothing was accepted yet"))
    assert found["log"][0] == "ok"


async def test_several_accounts_are_added_up_each_for_itself(cli: Cli, harm: sqlite3.Connection) -> None:
    harm.execute(
        "INSERT INTO counters (account, config_id, minute, measure, count) SELECT ?, 7, minute, measure, count FROM counters WHERE minute > 0",
        (OTHER,),
    )
    harm.execute("DELETE FROM counters WHERE account = ? AND measure IN (3, 5)", (OTHER,))
    harm.execute("UPDATE counters SET count = 4 WHERE account = ? AND measure = 0", (OTHER,))

    code, found = findings(cli)

    assert (code, found["conservation"]) == (
        0,
        (
            "ok",
            "9 accepted + 1 replayed = 4 delivered + 2 failed + 2 cancelled + 2 owed; so in each of 2 accounts",
        ),
    )


async def test_a_delivery_that_is_lost_is_told_with_its_account(cli: Cli, harm: sqlite3.Connection) -> None:
    harm.execute("DELETE FROM owed WHERE event_id = (SELECT max(event_id) FROM owed)")

    code, found = findings(cli, "--log")

    assert code == 1
    verdict, text = found["conservation"]
    assert (verdict, text) == ("wrong", f"account {ACCOUNT}: {BALANCE.replace('2 owed', '1 owed')}; 1 missing")
    assert found["log"][0] == "wrong"
    assert f"account {ACCOUNT}, accepted on 2026-09-21: " in found["log"][1]


async def test_counters_that_the_log_does_not_bear_out_are_told(cli: Cli, harm: sqlite3.Connection) -> None:
    harm.execute("UPDATE counters SET count = count + 3 WHERE measure = 1 AND minute > 0")
    harm.execute("UPDATE counters SET count = count + 3 WHERE measure = 0 AND minute > 0")

    code, found = findings(cli, "--log")

    assert (code, found["conservation"][0]) == (1, "ok")
    assert found["log"] == (
        "wrong",
        "; ".join(
            [
                f"account {ACCOUNT}: 8 accepted by the counters, 5 by the log",
                f"account {ACCOUNT}: 5 delivered by the counters, 2 by the log",
            ]
        ),
    )


async def test_of_much_that_is_wrong_some_is_named(cli: Cli, harm: sqlite3.Connection) -> None:
    for n in range(9):
        harm.execute(
            "INSERT INTO counters (account, config_id, minute, measure, count) VALUES (?, 1, 1, 0, 1)", (f"acc_{n}",)
        )
        harm.execute(
            "INSERT INTO accounts (id, metadata, created_ms, modified_ms, config_version) VALUES (?, '{}', 0, 0, 0)",
            (f"acc_{n}",),
        )

    code, found = findings(cli)

    assert code == 1
    assert found["conservation"][1].count("1 missing") == 5
    assert found["conservation"][1].endswith("; and 4 more")


async def test_it_gives_up_adding_up_before_it_is_in_the_way(
    cli: Cli, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.cli.doctor.CHECK_S", 0)
    monkeypatch.setattr("postback.cli.conservation.STEPS_BETWEEN_LOOKS", 1)

    code, found = findings(cli)
    with_log, thorough = findings(cli, "--log")

    assert (code, found["conservation"][0]) == (0, "note")
    assert "not added up" in found["conservation"][1]
    assert (with_log, thorough["conservation"]) == (0, ("ok", BALANCE))


async def test_it_changes_nothing(cli: Cli, database: Path) -> None:
    before = database.read_bytes()

    findings(cli, "--log")

    assert database.read_bytes() == before
    assert not database.with_name("postback.db-wal").exists()
