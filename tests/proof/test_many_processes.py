"""Many processes on one PostgreSQL, killed all the time while the database is restarted: nothing is lost, nothing hidden,
and whatever came twice came so because of a kill or a restart. Where none is killed, nothing comes twice."""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import asyncpg
import pytest

from postback.domain.deliveries import Verdict
from tests import postgres
from tests.proof.fleet import Clients, Fleet, Life
from tests.proof.harness import SECRET_KEY, Server, until
from tests.proof.quick import QuickReceivers, attempt_of
from tests.proving import times

EVENTS: Final = times(300, 20_000)
SECONDS: Final = times(3, 60)
RESTARTS: Final[Sequence[str]] = ("immediate", "fast", "immediate")[: times(1, 3)]
KILL_EVERY_S: Final = 1.0
LEASE_S: Final = 5

# Where none is killed: the database is never away for a lease, and an attempt may outlast the time between heartbeats.
QUIET_EVENTS: Final = times(300, 3_000)
QUIET_LEASE_S: Final = 15
SLOWEST_S: Final = 4.0
HELD_UP_S: Final = 0.3
LEFT_ALONE_S: Final = 0.5

# Each event goes to the first; of those whose number is even one goes to the second as well, of ten one to the third.
PATHS: Final = ("/all", "/flaky", "/refusing")
ATTEMPTS: Final = {"/all": 50, "/flaky": 50, "/refusing": 2}

Key = tuple[str, int]
"""The path of a receiver, the number of an event."""


class Restart(NamedTuple):
    """Of the database: from when until when it was away, in unix seconds."""

    mode: str
    began: float
    ended: float


class Seen:
    """What the receivers saw: each POST with its attempt, and how it was answered. Half are answered slowly."""

    def __init__(self, seed: int) -> None:
        self.posts: dict[Key, list[tuple[int, int]]] = defaultdict(list)
        self.slowest_s = 0.5
        self._dice = random.Random(seed)

    def answer(self, path: str, body: bytes) -> tuple[int, float]:
        status = 200
        if path == "/refusing" or (path == "/flaky" and self._dice.random() < 0.3):
            status = 500
        number = json.loads(parse_qs(body.decode())["data"][0])["number"]
        self.posts[path, number].append((attempt_of(body), status))
        # Who always refuses is sent one at a time: slowly answered, that would last longer than all the rest.
        is_slow = path != "/refusing" and self._dice.random() < 0.5
        return status, self._dice.uniform(0, self.slowest_s) if is_slow else 0.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[postgres.Server]:
    """A server of the test's own, with what makes commits durable on: a start of ours demands it."""
    server = postgres.Server(postgres.a_folder())
    server.make()
    try:
        server.start()
        yield server
        server.stop("immediate")
    finally:
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def seen() -> Seen:
    return Seen(7)


@pytest.fixture
def receivers(seen: Seen) -> Iterator[QuickReceivers]:
    receivers = QuickReceivers(seen.answer)
    yield receivers
    receivers.close()


def test_processes_that_are_killed_all_the_time_lose_nothing_while_the_database_is_restarted(
    tmp_path: Path, database: postgres.Server, receivers: QuickReceivers, seen: Seen
) -> None:
    settings = {"POSTBACK_LEASE": f"{LEASE_S} s", "POSTBACK_LOG_LEVEL": "info"}
    with Fleet(tmp_path, database.dsn(), **settings) as fleet:
        fleet.until_ready()
        for path in PATHS:
            given_a_config(fleet, receivers, path)
        clients = Clients(fleet.called, [an_event(number) for number in range(EVENTS)], SECONDS, threads=6)
        restarts: list[Restart] = []
        restarting = threading.Thread(target=lambda: restarts.extend(restart(database)))
        restarting.start()
        kill_at_random(fleet, random.Random(1))
        restarting.join()
        clients.wait(300)
        reader = Server(tmp_path, {"POSTBACK_SECRET_KEY": SECRET_KEY}, fleet.called[0].port, database.dsn())
        fleet.until_ready()
        until(lambda: reader.owed() == 0, 300, "everything that is owed comes to an end")
        examined = doctor(reader)
        codes = fleet.terminate()

    assert codes == [0] * len(fleet.members)
    assert len(restarts) == len(RESTARTS)
    events = {row["id"]: json.loads(row["data"])["number"] for row in reader.rows("SELECT id, data FROM events")}
    log = log_of(reader, events)
    assert_nothing_is_lost(clients, seen, events, log)
    assert_nothing_is_hidden(seen, log)
    duplicates = assert_all_that_came_twice_is_explained(seen, log, fleet.lives, restarts)
    assert_no_process_ended_for_nothing(fleet.lives, restarts)
    assert examined["conservation"]["verdict"] == examined["log"]["verdict"] == "ok", examined
    verdicts = Counter(Verdict(row["verdict"]).name for rows in log.values() for row in rows)
    kills = sum(life.killed_at is not None for life in fleet.lives)
    print(
        f"{len(events)} events, {len(log)} deliveries, {sum(map(len, seen.posts.values()))} POSTs, {dict(verdicts)}; "
        f"{kills} kills, {len(restarts)} restarts of the database, {clients.repeats} requests repeated, "
        f"{duplicates} acknowledged twice"
    )
    assert kills >= SECONDS // 2
    assert verdicts["INTERRUPTED"] > 0, "no kill ever hit an attempt under way: the test has tested nothing"


def test_processes_that_live_send_nothing_twice_while_connections_break_and_the_database_is_restarted(
    tmp_path: Path, database: postgres.Server, receivers: QuickReceivers, seen: Seen
) -> None:
    """A restart alone never hit the few milliseconds of an accept, and with a process killed every second hardly a claim
    was made beside one: what was taken from a living worker, and sent twice, was not seen here."""
    seen.slowest_s = SLOWEST_S
    settings = {"POSTBACK_LEASE": f"{QUIET_LEASE_S} s", "POSTBACK_LOG_LEVEL": "info"}
    with Fleet(tmp_path, database.dsn(), **settings) as fleet:
        fleet.until_ready()
        given_a_config(fleet, receivers, "/all")
        clients = Clients(fleet.called, [an_event(number) for number in range(QUIET_EVENTS)], SECONDS, threads=6)
        broken = 0
        for mode in RESTARTS:
            broken += break_all_the_time(database, SECONDS / len(RESTARTS))
            database.restart(mode)
        clients.wait(300)
        reader = Server(tmp_path, {"POSTBACK_SECRET_KEY": SECRET_KEY}, fleet.called[0].port, database.dsn())
        fleet.until_ready()
        until(lambda: reader.owed() == 0, 300, "everything that is owed comes to an end")
        codes = fleet.terminate()

    assert codes == [0] * len(fleet.members) == [0] * len(fleet.lives)
    assert broken > 0, "nothing was being accepted when connections broke: the test has tested nothing"
    events = {row["id"]: json.loads(row["data"])["number"] for row in reader.rows("SELECT id, data FROM events")}
    log = log_of(reader, events)
    assert set(log) == {("/all", number) for number in range(QUIET_EVENTS)}
    for (path, number), rows in log.items():
        verdicts = [Verdict(row["verdict"]) for row in rows]
        assert verdicts == [Verdict.DELIVERED], f"{path} {number}: {rows}"
        assert len(seen.posts[path, number]) == 1, f"{path} {number} came {len(seen.posts[path, number])} times: {rows}"
    print(
        f"{len(events)} events, {broken} connections broken amid a statement, {len(RESTARTS)} restarts of the database"
    )


def given_a_config(fleet: Fleet, receivers: QuickReceivers, path: str) -> None:
    types = {"/all": ["order.*"], "/flaky": ["order.even", "order.tenth"], "/refusing": ["order.tenth"]}[path]
    config = {
        "event_types": types,
        "url": receivers.url(path),
        "number_of_attempts": ATTEMPTS[path],
        "attempt_interval": 1,
    }
    status, answer = fleet.called[0].ask("POST", "/v2/postbackconfigs", {"postbackconfig": config})
    assert status == 201, answer


def an_event(number: int) -> dict[str, Any]:
    kind = "tenth" if number % 10 == 0 else "even" if number % 2 == 0 else "odd"
    return {"type": f"order.{kind}", "data": {"number": number}, "idempotency_key": f"order-{number}"}


def wanted(number: int) -> Sequence[str]:
    return PATHS if number % 10 == 0 else PATHS[:2] if number % 2 == 0 else PATHS[:1]


def restart(database: postgres.Server) -> Iterator[Restart]:
    """As often as is promised, spread over the time."""
    for mode in RESTARTS:
        time.sleep(SECONDS / (len(RESTARTS) + 1))
        began = time.time()
        database.restart(mode)
        yield Restart(mode, began, time.time())


def break_all_the_time(database: postgres.Server, seconds: float) -> int:
    """How many connections."""
    broken, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        broken += asyncio.run(break_those_that_accept(database.dsn()))
        time.sleep(LEFT_ALONE_S)
    return broken


async def break_those_that_accept(dsn: str) -> int:
    """Nobody accepts for a moment, in which all go on claiming and sending; then the connections of those that wait break."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE events IN SHARE MODE")
            await asyncio.sleep(HELD_UP_S)
            broken: int = await connection.fetchval(
                """
                SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
                FROM pg_stat_activity
                WHERE wait_event_type = 'Lock' AND wait_event = 'relation'
                """
            )
            return broken
    finally:
        await connection.close()


def kill_at_random(fleet: Fleet, dice: random.Random) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(KILL_EVERY_S)
        dice.choice(fleet.members).kill()


def doctor(reader: Server) -> Mapping[str, Mapping[str, str]]:
    ended = subprocess.run(
        [sys.executable, "-m", "postback", "doctor", "--json", "--log"],
        cwd=reader.folder,
        env=reader.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return {one["what"]: one for one in json.loads(ended.stdout)}


def log_of(reader: Server, events: Mapping[int, int]) -> Mapping[Key, Sequence[Mapping[str, Any]]]:
    """The attempts of each delivery, in order."""
    paths = {
        row["config_id"]: "/" + json.loads(row["body"])["url"].split("/", 3)[3]
        for row in reader.rows("SELECT config_id, body FROM config_versions")
    }
    log: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    query = (
        "SELECT event_id, config_id, n, counter, verdict, status, worker, started_ms, ended_ms "
        "FROM attempts ORDER BY event_id, config_id, n"
    )
    for row in reader.rows(query):
        log[paths[row["config_id"]], events[row["event_id"]]].append(row)
    return log


def assert_nothing_is_lost(
    clients: Clients, seen: Seen, events: Mapping[int, int], log: Mapping[Key, Sequence[Mapping[str, Any]]]
) -> None:
    """Each event is there once, and each of its deliveries was acknowledged, or failed where all can see it."""
    assert len(clients.acknowledged) == EVENTS
    assert Counter(events.values()) == Counter(range(EVENTS))
    assert set(log) == {(path, number) for number in range(EVENTS) for path in wanted(number)}
    for (path, number), rows in log.items():
        ends = [row for row in rows if row["verdict"] in (Verdict.DELIVERED, Verdict.FAILED)]
        assert len(ends) == 1, f"{path} {number} ended {len(ends)} times: {rows}"
        [end] = ends
        if path == "/refusing":
            assert (end["verdict"], end["status"]) == (Verdict.FAILED, 500), f"{path} {number}: {rows}"
        else:
            assert end["verdict"] == Verdict.DELIVERED, f"{path} {number}: {rows}"
            assert 200 in [status for _, status in seen.posts[path, number]], f"{path} {number} was lost: {rows}"


def assert_nothing_is_hidden(seen: Seen, log: Mapping[Key, Sequence[Mapping[str, Any]]]) -> None:
    """Each POST that a receiver saw is on record as an attempt with its number, if only as one that was interrupted."""
    for (path, number), posts in seen.posts.items():
        on_record = Counter(row["counter"] for row in log[path, number])
        for counter, count in Counter(counter for counter, _ in posts).items():
            assert count <= on_record[counter], (
                f"{path} {number}: attempt {counter} came {count} times: {log[path, number]}"
            )


def assert_all_that_came_twice_is_explained(
    seen: Seen, log: Mapping[Key, Sequence[Mapping[str, Any]]], lives: Sequence[Life], restarts: Sequence[Restart]
) -> int:
    """Of each attempt that was interrupted the worker was killed, or the database was away; what came too late was
    interrupted before; and nothing comes twice without such an attempt. How many were acknowledged more than once."""
    killed_at = {worker: life.killed_at for life in lives for worker in life.workers}
    for (path, number), rows in log.items():
        known = {row["started_ms"] for row in rows if row["verdict"] != Verdict.LATE}
        for row in rows:
            assert row["started_ms"] in known, f"{path} {number} was taken from one that was at work on it: {rows}"
        for row in rows:
            if row["verdict"] in (Verdict.INTERRUPTED, Verdict.LATE):
                assert row["worker"] in killed_at, f"{path} {number}: nobody worked as {row['worker']}: {rows}"
                killed = killed_at[row["worker"]]
                by_a_kill = killed is not None and killed * 1000 <= row["ended_ms"]
                by_a_restart = any(
                    row["started_ms"] <= one.ended * 1000 and row["ended_ms"] >= one.began * 1000 for one in restarts
                )
                assert by_a_kill or by_a_restart, f"{path} {number} was interrupted by nothing: {rows}"
    duplicates = 0
    for (path, number), posts in seen.posts.items():
        rows = log[path, number]
        interrupted = sum(row["verdict"] == Verdict.INTERRUPTED for row in rows)
        acknowledged = sum(status == 200 for _, status in posts)
        assert acknowledged <= 1 + interrupted, f"{path} {number} came {acknowledged} times: {rows}"
        duplicates += acknowledged > 1
    return duplicates


def assert_no_process_ended_for_nothing(lives: Sequence[Life], restarts: Sequence[Restart]) -> None:
    """Without a kill a process ends only where it starts and the database is away."""
    for life in lives:
        if life.ended_by_itself_at is None:
            continue
        said = life.log.read_text("utf-8", "replace")
        assert "cannot be reached" in said or "does not let us in" in said, said[-3000:]
        assert any(one.began <= life.ended_by_itself_at <= one.ended + 5 for one in restarts), said[-3000:]
