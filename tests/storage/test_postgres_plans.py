"""Plans of the statements that a delivery's life is made of: by keys and indexes, however little is known of the tables."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from postback.storage.postgres import (
    PostgresStore,
    claiming,
    counting,
    event_rows,
    journal,
    keeping,
    replaying,
    settling,
    unanswered,
)
from postback.storage.postgres.journal import BY_KEYS
from tests.storage import given
from tests.storage.given import Store

pytestmark = [pytest.mark.anyio, given.on_postgres]

LARGE: Final = ("owed", "events", "attempts", "counters", "idempotency", "lanes", "accounts", "configs")

BY_KEY: Final = ("owed", "events", "attempts", "idempotency")

STATEMENTS: Final[Mapping[str, str]] = {
    "look": event_rows.LOOK,
    "known": event_rows.KNOWN,
    "free a key": event_rows.FREE_KEY,
    "keep": event_rows.KEEP,
    "lock lanes": claiming.LOCK_FREE_LANES,
    "wait for lanes": claiming.WAIT_FOR_LANES,
    "seen": claiming.SEEN,
    "claim": claiming.CLAIM,
    "waiting": claiming.WAITING,
    "release": claiming.RELEASE,
    "take out": settling.TAKE_OUT,
    "held": settling.HELD,
    "end": settling.END,
    "move on": settling.MOVE_ON,
    "on record": settling.IS_ON_RECORD,
    "journal": journal.WRITE,
    "remove owed": journal.REMOVE_OWED,
    "owe again": keeping._OWE_AGAIN,
    "open": replaying._OPEN,
    "deleted": keeping._DELETED,
    "lock lanes of the deleted": keeping.LOCK_LANES,
    "fold": counting.FOLD,
    "fold a config": counting.FOLD_CONFIG,
    **{f"reach {name}": sql for name, sql in replaying.REACH.items()},
}


GO_BY_KEYS: Final = (
    claiming.CLAIM,
    claiming.RELEASE,
    settling.TAKE_OUT,
    settling.HELD,
    settling.END,
    settling.MOVE_ON,
    journal.REMOVE_OWED,
    keeping._OWE_AGAIN,
    replaying._OPEN,
)
"""Those that stand after Task.go_by_keys."""


@pytest.mark.parametrize("is_known_to_be_empty", [False, True], ids=["new", "known-to-be-empty"])
async def test_no_statement_of_a_delivery_s_life_reads_a_whole_table(store: Store, is_known_to_be_empty: bool) -> None:
    assert isinstance(store, PostgresStore)
    if is_known_to_be_empty:
        async with store._doors.one() as door:
            await door.raw.execute(f"VACUUM ANALYZE {', '.join(LARGE)}")
    for name, sql in STATEMENTS.items():
        for node in nodes(await plan(store, sql)):
            assert_goes_by_a_key(name, node)


def assert_goes_by_a_key(name: str, node: Mapping[str, Any]) -> None:
    kind = node["Node Type"]
    table = re.sub(r"_(default|\d{8})$", "", node.get("Relation Name", ""))
    assert kind not in ("Hash Join", "Merge Join"), name
    assert not (table in LARGE and kind == "Seq Scan"), f"{name} reads all of {table}"
    if table in BY_KEY and kind != "Bitmap Heap Scan" and "Scan" in kind:
        # Not all of an index either, to find few rows in it.
        assert "Index Cond" in node, f"{name} walks along all of {table}"
    if node.get("Index Name") == "owed_due":
        # Otherwise it is walked along the whole lane for each row.
        assert "due_at_ms" in node["Index Cond"], name


async def test_a_claim_walks_what_is_due_of_its_lanes_in_order(store: Store) -> None:
    scans = [node for node in nodes(await plan(store, claiming.SEEN)) if node.get("Relation Name") == "owed"]

    by_lane = [node for node in scans if node.get("Index Name") == "owed_due"]
    assert len([node for node in by_lane if "due_at_ms >= " in node["Index Cond"]]) == 1
    assert {node.get("Index Name") for node in scans} <= {"owed_due", "owed_pkey", None}


async def test_only_what_a_lost_connection_left_is_looked_for_in_all_that_is_owed(store: Store) -> None:
    assert any(node.get("Relation Name") == "owed" for node in nodes(await plan(store, unanswered.RELEASE)))


async def plan(store: Store, sql: str) -> Mapping[str, Any]:
    """As the server makes it for any parameters, with the settings of the connections that work."""
    assert isinstance(store, PostgresStore)
    number = max(map(int, re.findall(r"\$(\d+)", sql)), default=0)
    nulls = f"({', '.join(['NULL'] * number)})" if number else ""
    async with store._doors.transaction() as door:
        if sql in GO_BY_KEYS:
            await door.raw.execute(BY_KEYS)
        await door.raw.execute(f"PREPARE looked_at AS {sql}")
        found = await door.raw.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE looked_at {nulls}")
        await door.raw.execute("DEALLOCATE looked_at")
    # A connection that SQLAlchemy has used decodes JSON itself.
    made: Mapping[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return made


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)
