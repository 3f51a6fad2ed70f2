"""What the bench reads of processes and of the database, and what it makes of several rounds."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread
import asyncpg
import pytest

from postback.bench import proc
from postback.bench.bench import Wanted, result
from postback.bench.cases import CASES, POSTGRESQL, SQLITE, Case, Target
from postback.bench.databases import database, with_name
from postback.bench.errors import BenchError, WrongWord
from postback.bench.large import LARGE
from postback.bench.load import Job, prepared
from postback.bench.plans import Measured
from postback.bench.raw import Raw
from postback.bench.server import percentile_ms
from tests import postgres

BURN = "import time\nwhile time.process_time() < 0.2: pass\n"
FAMILY = f"""
import subprocess, sys
burn = {BURN!r}
subprocess.run([sys.executable, "-c", burn])
child = subprocess.Popen([sys.executable, "-c", burn + "print('burnt', flush=True); input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
child.communicate(b"\\n")
"""

ROUND = Measured(
    events=100,
    deliveries=200,
    seconds=2.0,
    engine_s=0.02,
    database_s=None,
    log_bytes=2_000,
    p50_ms=3.0,
    p99_ms=9.0,
    peak_bytes=100_000_000,
)


@contextmanager
def running(code: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.communicate("\n")


def said(process: "subprocess.Popen[str]", lines: int) -> list[str]:
    assert process.stdout is not None
    return sorted(process.stdout.readline().strip() for _ in range(lines))


def test_the_cpu_of_a_family_is_that_of_the_parent_its_children_and_those_that_have_ended() -> None:
    """PostgreSQL is such a family: a process for each connection, and for each task of its own."""
    with running(FAMILY) as parent:
        said(parent, 2)

        family_s = proc.family_cpu_s(parent.pid)

        assert proc.cpu_s(parent.pid) < 0.2
        assert family_s >= 0.38


def test_a_process_has_a_name_a_parent_and_a_peak() -> None:
    with running("held = b'x' * 50_000_000\nprint('held', flush=True)\ninput()") as process:
        said(process, 1)

        assert proc.parent_of(process.pid) == os.getpid()
        assert proc.name_of(process.pid).startswith("python")
        assert proc.peak_bytes(process.pid) > 50_000_000

    assert proc.name_of(process.pid) == ""


def test_the_log_of_sqlite_is_added_up_when_it_begins_anew(tmp_path: Path) -> None:
    with database(SQLITE, tmp_path) as measured:
        assert (measured.log_bytes(), measured.cpu_s()) == (0, None)
        path = measured.environment["POSTBACK_DATABASE"]
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = wal")
            writer.execute("PRAGMA wal_autocheckpoint = 0")
            writer.execute("CREATE TABLE things (body)")
            first = measured.log_bytes()
            writer.execute("INSERT INTO things VALUES (zeroblob(100000))")
            second = measured.log_bytes()
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            writer.execute("INSERT INTO things VALUES (zeroblob(100000))")

            assert 0 < first < 100_000
            assert 100_000 <= second - first < 150_000
            assert 100_000 <= measured.log_bytes() - second < 150_000


def test_of_several_rounds_the_medians_are_shown_and_costs_are_for_each_delivery() -> None:
    case = Case(
        name="one",
        title="One",
        run=lambda _: ROUND,
        targets={SQLITE: (Target("times_raw", 11), Target("p99_ratio", 1.3))},
    )
    rounds = [
        (Raw(8.0, 100_000), replace(ROUND, more={"p99_ratio": 1.1})),
        (Raw(10.0, 90_000), replace(ROUND, engine_s=0.04, more={"p99_ratio": 1.5})),
        (Raw(8.0, 100_000), replace(ROUND, engine_s=9.0, p99_ms=500.0, more={"p99_ratio": 1.4})),
    ]

    shown = result(case, rounds, SQLITE)

    assert (shown["events_per_s"], shown["deliveries_per_s"]) == (50, 100)
    assert (shown["engine_us"], shown["times_raw"], shown["p99_ms"]) == (200.0, 20.0, 9.0)
    assert (shown["log_bytes"], shown["database_us"], shown["memory_mb"]) == (10, None, 100)
    assert shown["targets"] == [
        {"figure": "times_raw", "at_most": 11, "value": 20.0, "is_met": False},
        {"figure": "p99_ratio", "at_most": 1.3, "value": 1.4, "is_met": False},
    ]
    assert result(case, rounds, POSTGRESQL)["targets"] == []


def test_where_nobody_wants_the_events_costs_are_for_each_event() -> None:
    shown = result(CASES[0], [(Raw(8.0, 1), replace(ROUND, deliveries=0, p50_ms=None, p99_ms=None))], SQLITE)

    assert (shown["engine_us"], shown["p50_ms"]) == (200.0, None)


def test_a_target_may_be_a_least() -> None:
    share = Target("share_of_openssl", 0.7, at_least=True)

    assert (share.is_met(0.7), share.is_met(0.69)) == (True, False)


@pytest.mark.parametrize(("types", "batch", "requests"), [(1, 1, 1), (5, 1, 5), (100, 100, 1), (6, 4, 3)])
def test_the_prepared_requests_come_to_each_type_equally_often(types: int, batch: int, requests: int) -> None:
    job = Job(port=1, times=1, connections=1, limit_s=1, types=[f"bench.n{n}" for n in range(types)], batch=batch)

    bodies: list[Any] = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in prepared(job)]

    assert len(bodies) == requests
    events = [event for body in bodies for event in body.get("events") or [body["event"]]]
    assert len({event["type"] for event in events}) == types
    assert len(events) % types == 0


def test_an_address_that_is_none_of_postgresql_is_refused() -> None:
    with pytest.raises(WrongWord, match="--database is 'mysql://here'; expected sqlite, or"):
        database("mysql://here", Path()).__enter__()


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("postgresql://one:word@host:5433/first", "postgresql://one:word@host:5433/bench"),
        ("postgresql://host", "postgresql://host/bench"),
        ("postgresql:///first?host=/run/postgresql&port=5433", "postgresql:///bench?host=/run/postgresql&port=5433"),
        ("postgres:///?host=/run/postgresql", "postgres:///bench?host=/run/postgresql"),
    ],
)
def test_another_database_of_a_server_is_reached_in_the_same_way(address: str, other: str) -> None:
    assert with_name(address, "bench") == other


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ([], 0),
        ([(0.01, 0), (float("inf"), 0)], 0),
        ([(0.01, 50), (0.02, 100), (float("inf"), 100)], 19.8),
        ([(0.01, 100), (0.02, 100), (float("inf"), 100)], 9.9),
        # Beyond the last bound nobody knows by how much.
        ([(0.01, 50), (0.02, 60), (float("inf"), 100)], 20),
    ],
)
def test_a_percentile_of_a_histogram_lies_within_its_bucket(
    buckets: list[tuple[float, float]], expected: float
) -> None:
    assert percentile_ms(buckets) == pytest.approx(expected)


def test_requests_may_be_for_many_accounts_in_turn() -> None:
    job = Job(port=1, times=1, connections=1, limit_s=1, types=["bench.n"], accounts=["acc_a", "acc_b"])

    heads = [request.partition(b"\r\n\r\n")[0] for request in prepared(job)]

    assert [b"postback-account: acc_%b" % letter in head for letter, head in zip((b"a", b"b"), heads, strict=True)] == [
        True,
        True,
    ]


def test_the_cases_on_large_stores_run_when_they_are_asked_for_or_named() -> None:
    asked = Wanted(environment={})

    assert list(asked.cases) == list(CASES)
    assert list(replace(asked, is_large=True).cases) == [*CASES, *LARGE]
    assert [case.name for case in replace(asked, names=["drain", "batch"]).cases] == ["batch", "drain"]


@pytest.mark.proof
@pytest.mark.anyio
async def test_a_server_that_makes_no_database_is_named_with_what_would_help(anyio_backend: str) -> None:
    """It said `at its socket`, and `permission denied to create database`."""
    async with postgres.empty_database() as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE ROLE guest_of_the_bench LOGIN")
        try:
            guest = dsn.replace("postgres@", "guest_of_the_bench:hush@")
            with pytest.raises(BenchError) as refused:
                await anyio.to_thread.run_sync(lambda: database(guest, Path()).__enter__())
        finally:
            await connection.execute("DROP ROLE guest_of_the_bench")
            await connection.close()
    with pytest.raises(BenchError, match=r"PostgreSQL at /nowhere:7 did not do it: No such file"):
        await anyio.to_thread.run_sync(lambda: database("postgresql:///x?host=/nowhere&port=7", Path()).__enter__())

    folder = dsn.partition("host=")[2]
    assert f"PostgreSQL at {folder} did not do it: permission denied to create database" in str(refused.value)
    assert "name a user with CREATEDB" in str(refused.value)
    assert "hush" not in str(refused.value)
