"""Thousands of deliveries that failed are replayed at once, by a server that is killed twice on the way: each of them once."""

import random
import time
from collections import Counter

from tests.patience import PATIENCE_S
from tests.proof.harness import Receivers, Server, until
from tests.proof.test_kill import VERDICT_DELIVERED, VERDICT_FAILED, VERDICT_INTERRUPTED, config_of, log_of

PATHS = ("/a", "/b", "/c", "/d", "/e")
DELIVERIES = 5_000
"""So many that a kill comes before the last of them also where a look at how far it is takes long."""
KILLS = 2


def test_a_bulk_replay_that_is_killed_twice_replays_each_delivery_once(server: Server) -> None:
    dice = random.Random(5)
    is_well = False
    # A refusal that does not shrink the windows, so that thousands of them take no minute.
    receivers = Receivers(lambda path, seen: (200 if is_well else 400, 0.0))
    server.start()
    given_what_failed(server, receivers)
    is_well = True

    asked = {"filter": {"event_type": "contact.created"}}
    assert server.call("POST", "/v2/deliveries/replay", {**asked, "dry_run": True}) == (
        200,
        {"count": DELIVERIES},
    )
    status, answer = server.call("POST", "/v2/deliveries/replay", asked)
    assert (status, answer["replay"]["selected"]) == (202, DELIVERIES)
    reached = [0]
    for _ in range(KILLS):
        reached.append(kill_on_the_way(server, reached[-1] + DELIVERIES // 5, dice))
        server.start()
    replay = until_done(server, answer["replay"]["id"])
    until(lambda: server.owed() == 0, PATIENCE_S, "everything that is owed comes to an end")
    assert server.terminate() == 0

    assert 0 < reached[1] < reached[2] < DELIVERIES, f"the kills were not on the way: {reached}"
    assert (replay["selected"], replay["done"], replay["skipped"]) == (DELIVERIES, DELIVERIES, 0)
    log, acknowledged = log_of(server), receivers.acknowledged()
    assert len(log) == DELIVERIES
    for (path, number), entries in log.items():
        failed, *again = entries
        assert (failed["verdict"], failed["manual"], failed["status"]) == (VERDICT_FAILED, 0, 400)
        # A kill may have hit the attempt itself; that is on record, and costs nothing.
        ends = [entry for entry in again if entry["verdict"] != VERDICT_INTERRUPTED]
        assert [entry["manual"] for entry in again] == [1] * len(again)
        assert [entry["verdict"] for entry in ends] == [VERDICT_DELIVERED], f"{path} {number}: {entries}"
        assert acknowledged[path, number] >= 1, f"{path} {number} is on record as delivered, and nobody got it"
        assert acknowledged[path, number] <= len(again), f"{path} {number} was sent more often than is on record"
    assert counted(server) == {
        "accepted": DELIVERIES,
        "failed": DELIVERIES,
        "replayed": DELIVERIES,
        "delivered": DELIVERIES,
    }
    receivers.close()


def given_what_failed(server: Server, receivers: Receivers) -> None:
    location_id = server.create("/v2/locations", "location", {"name": "Proof"})
    for path in PATHS:
        server.create("/v2/postbackconfigs", "postbackconfig", config_of(location_id, receivers.url(path)))
    events = [
        {"type": "contact.created", "location_id": location_id, "data": {"number": number}}
        for number in range(DELIVERIES // len(PATHS))
    ]
    assert server.call("POST", "/v2/events", {"events": events})[0] == 202
    until(lambda: server.owed() == 0, PATIENCE_S, "they fail")


def kill_on_the_way(server: Server, after: int, dice: random.Random) -> int:
    """SIGKILL a moment after the job has come further than `after`; how far it had come then."""
    while done(server) <= after:
        time.sleep(0.001)
    time.sleep(dice.uniform(0, 0.01))
    server.kill()
    return done(server)


def done(server: Server) -> int:
    return int(server.rows("SELECT done FROM replays")[0]["done"])


def until_done(server: Server, replay_id: str) -> dict[str, object]:
    seen: list[dict[str, object]] = []

    def is_done() -> bool:
        seen.append(server.call("GET", f"/v2/replays/{replay_id}")[1]["replay"])
        return seen[-1]["state"] == "done"

    until(is_done, PATIENCE_S, "the replay is done")
    assert [one["done"] for one in seen] == sorted(one["done"] for one in seen)  # type: ignore[type-var]
    return seen[-1]


def counted(server: Server) -> dict[str, int]:
    names = {0: "accepted", 1: "delivered", 2: "failed", 4: "cancelled", 5: "replayed"}
    total: Counter[str] = Counter()
    for row in server.rows("SELECT measure, sum(count) AS n FROM counters WHERE minute > 0 GROUP BY measure"):
        if row["measure"] in names:
            total[names[row["measure"]]] += row["n"]
    return dict(total)
