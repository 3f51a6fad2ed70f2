"""SIGKILL at any moment loses nothing that was acknowledged, and costs no attempt; SIGTERM loses and repeats nothing."""

import json
import random
import time
from collections import Counter

from tests.patience import PATIENCE_S
from tests.proof.harness import Publishers, Receivers, Server, until
from tests.proving import times

KILLS = {"sqlite": times(2, 20), "postgres": times(1, 20)}
STOPS = times(1, 5)
ONE_ATTEMPT = ("/once/fast", "/once/slow", "/once/refusing")
RETRYING = ("/retry/fast", "/retry/flapping", "/retry/slow")

VERDICT_DELIVERED, VERDICT_FAILED, VERDICT_INTERRUPTED = 1, 2, 4


def answer(path: str, seen: int) -> tuple[int, float]:
    """What each receiver does: refuse for ever, fail the first time, be slow, or just acknowledge."""
    if path.endswith("refusing"):
        return 500, 0.0
    if path.endswith("flapping") and seen == 0:
        return 500, 0.0
    return 200, 0.15 if path.endswith("slow") else 0.0


def given_configs(server: Server, receivers: Receivers) -> str:
    """Half of the configs with the default of one attempt, half with five; the id of their location."""
    location_id = server.create("/v2/locations", "location", {"name": "Proof"})
    for path in ONE_ATTEMPT:
        server.create("/v2/postbackconfigs", "postbackconfig", config_of(location_id, receivers.url(path)))
    for path in RETRYING:
        more = {"number_of_attempts": 5, "attempt_interval": 1}
        server.create("/v2/postbackconfigs", "postbackconfig", config_of(location_id, receivers.url(path)) | more)
    return location_id


def config_of(location_id: str, url: str) -> dict[str, object]:
    return {"location_id": location_id, "resource": "contact", "on_create": "1", "is_active": "1", "url": url}


def log_of(server: Server) -> dict[tuple[str, int], list[dict[str, object]]]:
    """(path, event number) → its attempts as the database has them, in order."""
    paths = {
        row["config_id"]: json.loads(row["body"])["url"]
        for row in server.rows("SELECT config_id, body FROM config_versions")
    }
    log: dict[tuple[str, int], list[dict[str, object]]] = {}
    query = "SELECT a.*, e.data FROM attempts a JOIN events e ON e.id = a.event_id ORDER BY event_id, config_id, n"
    for row in server.rows(query):
        path = "/" + paths[row["config_id"]].split("/", 3)[3]
        log.setdefault((path, json.loads(row["data"])["number"]), []).append(dict(row))
    return log


def test_many_kills_under_load_lose_nothing_hide_nothing_and_use_up_no_attempt(server: Server) -> None:
    dice = random.Random(20)
    receivers = Receivers(answer)
    server.start()
    publishers = Publishers(server, given_configs(server, receivers))

    for _ in range(KILLS[server.kind]):
        before = len(receivers.hits)
        time.sleep(dice.uniform(0.1, 0.7))
        # On a busy machine nothing may have been sent yet, and there would be nothing to interrupt.
        until(lambda before=before: len(receivers.hits) > before, PATIENCE_S, "something is sent")  # type: ignore[misc]
        server.kill()
        server.start()
    until(lambda: len(publishers.acknowledged) > 100, PATIENCE_S, "enough is acknowledged to prove something")
    publishers.stop()
    until(lambda: server.owed() == 0, PATIENCE_S, "everything that is owed comes to an end")
    assert server.terminate() == 0

    acknowledged, log = receivers.acknowledged(), log_of(server)
    for number in publishers.acknowledged:
        for path in (*ONE_ATTEMPT, *RETRYING):
            entries = log[path, number]
            verdict = entries[-1]["verdict"]
            if path.endswith("refusing"):
                # Failed visibly, by an answer of the receiver and not by a kill.
                assert (verdict, entries[-1]["status"]) == (VERDICT_FAILED, 500), f"{path} {number}: {entries}"
            else:
                assert acknowledged[path, number] >= 1, f"{path} {number} was lost: {entries}"
                assert verdict == VERDICT_DELIVERED, f"{path} {number} is not on record as delivered: {entries}"

    for (path, number), counters in receivers.counters().items():
        entries = log[path, number]
        on_record = Counter(entry["counter"] for entry in entries)
        for counter, seen in Counter(counters).items():
            assert seen <= on_record[counter], f"{path} {number}: attempt {counter} is not on record: {entries}"
        for entry in entries:
            if entry["verdict"] == VERDICT_INTERRUPTED:
                assert entry["status"] is None
    interrupted = sum(entry["verdict"] == VERDICT_INTERRUPTED for entries in log.values() for entry in entries)
    assert interrupted > 0, "no kill ever hit an attempt under way: the test has tested nothing"


def test_stops_in_good_order_lose_nothing_and_repeat_nothing(server: Server) -> None:
    dice = random.Random(5)
    receivers = Receivers(lambda path, seen: (200, dice.uniform(0.01, 0.3)))
    server.start()
    location_id = server.create("/v2/locations", "location", {"name": "Proof"})
    for path in ("/a", "/b", "/c"):
        server.create("/v2/postbackconfigs", "postbackconfig", config_of(location_id, receivers.url(path)))
    publishers = Publishers(server, location_id)

    for _ in range(STOPS):
        time.sleep(dice.uniform(0.3, 1.0))
        assert server.terminate() == 0
        server.start()
    until(lambda: len(publishers.acknowledged) > 100, PATIENCE_S, "enough is acknowledged to prove something")
    publishers.stop()
    until(lambda: server.owed() == 0, PATIENCE_S, "everything that is owed comes to an end")
    assert server.terminate() == 0

    acknowledged = receivers.acknowledged()
    for number in publishers.acknowledged:
        assert [acknowledged[path, number] for path in ("/a", "/b", "/c")] == [1, 1, 1]
    assert set(acknowledged.values()) == {1}
    assert {entry["verdict"] for entries in log_of(server).values() for entry in entries} == {VERDICT_DELIVERED}
