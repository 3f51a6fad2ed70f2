"""After everything that can happen to deliveries, the counters, /v2/stats, /metrics, `doctor` and the log say the same.

PROOF_DELIVERIES says how many it happens to: `PROOF_DELIVERIES=50000 python3 run.py test tests/proof/test_numbers.py`.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from postback.domain.deliveries import Verdict
from tests.patience import PATIENCE_S
from tests.proof.harness import KEY, Server, until
from tests.proof.quick import QuickReceivers, attempt_of
from tests.proving import times

DELIVERIES: Final = int(os.environ.get("PROOF_DELIVERIES", times(500, 50_000)))
PATHS: Final = ("/well", "/also/well", "/flapping", "/refusing", "/held")
EVENTS: Final = DELIVERIES // len(PATHS)
BATCH: Final = 500

SINGLE: Final = 40
"""So many deliveries are replayed and cancelled one by one."""

COUNTS: Final = ("accepted", "delivered", "failed", "retried", "cancelled", "replayed")


def answer(path: str, body: bytes) -> tuple[int, float]:
    """What each receiver does: acknowledge, refuse the first time, refuse for ever."""
    if path == "/refusing" or (path == "/flapping" and attempt_of(body) == 1):
        return 500, 0
    return 200, 0


@pytest.fixture
def receivers() -> Iterator[QuickReceivers]:
    receivers = QuickReceivers(answer)
    yield receivers
    receivers.close()


def given_configs(server: Server, receivers: QuickReceivers) -> tuple[str, dict[str, str]]:
    """The location, and path → its config; whatever goes to /held waits."""
    location_id = server.create("/v2/locations", "location", {"name": "Proof"})
    configs = {}
    for path in PATHS:
        wants = {"location_id": location_id, "event_types": ["contact.created"], "url": receivers.url(path)}
        policy = {"number_of_attempts": 3, "attempt_interval": 1} if path == "/flapping" else {}
        configs[path] = server.create("/v2/postbackconfigs", "postbackconfig", wants | policy)
    assert server.call("POST", f"/v2/postbackconfigs/{configs['/held']}/pause")[0] == 200
    return location_id, configs


def publish(server: Server, location_id: str, count: int) -> None:
    event = {"type": "contact.created", "location_id": location_id, "data": {"number": 1}}
    while count > 0:
        status, answered = server.call("POST", "/v2/events", {"events": [event] * min(BATCH, count)})
        assert status == 202, answered
        assert all(one["deliveries"] == len(PATHS) for one in answered["events"])
        count -= BATCH


def deliveries(server: Server, count: int, query: str) -> list[str]:
    """Ids of so many deliveries."""
    status, answered = server.call("GET", f"/v2/deliveries?page_size={count}&{query}")
    assert status == 200, answered
    return [one["id"] for one in answered["deliveries"]]


def wait_for(server: Server, owed: int) -> None:
    until(lambda: server.owed() == owed, PATIENCE_S + DELIVERIES / 500, f"{owed} are owed")


# --- what says how much happened ----------------------------------------------------------------------------------


def by_stats(server: Server, query: str = "") -> dict[str, int]:
    status, answered = server.call("GET", f"/v2/stats?step=60{query}")
    assert status == 200, answered
    total: Counter[str] = Counter()
    for step in answered["steps"]:
        total.update({name: step[name] for name in COUNTS})
    return dict(total)


def by_log(server: Server, config: str = "") -> dict[str, int]:
    """A count over all rows; what was replayed is what has ended or is owed more often than it was accepted."""
    rows = server.rows(f"SELECT verdict, count(*) AS n FROM attempts WHERE manual <> 2 {config} GROUP BY verdict")
    verdicts = Counter({Verdict(row["verdict"]): row["n"] for row in rows})
    ends = verdicts[Verdict.DELIVERED] + verdicts[Verdict.FAILED] + verdicts[Verdict.CANCELLED]
    pairs = "SELECT event_id, config_id FROM attempts WHERE manual <> 2 UNION SELECT event_id, config_id FROM owed"
    accepted = server.rows(f"SELECT count(*) AS n FROM ({pairs}) AS pairs WHERE true {config}")[0]["n"]
    owed = server.rows(f"SELECT count(*) AS n FROM owed WHERE true {config}")[0]["n"]
    return {
        "accepted": accepted,
        "delivered": verdicts[Verdict.DELIVERED],
        "failed": verdicts[Verdict.FAILED],
        "retried": verdicts[Verdict.RETRY],
        "cancelled": verdicts[Verdict.CANCELLED],
        "replayed": ends + owed - accepted,
    }


def by_metrics(server: Server) -> dict[str, int]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/metrics", headers={"authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answered:
        text = answered.read().decode()

    def figure(name: str, labels: str = "") -> int:
        found = re.findall(rf"^postback_{name}{{?[^\n]*{labels}[^\n]*\s([0-9.e+]+)$", text, re.MULTILINE)
        return int(sum(map(float, found)))

    def verdict(name: str) -> int:
        return figure("attempts_total", f'verdict="{name}"')

    return {
        "accepted": figure("deliveries_accepted_total"),
        "delivered": verdict("delivered"),
        "failed": verdict("failed"),
        "retried": verdict("retry"),
        "cancelled": verdict("cancelled"),
        "replayed": figure("deliveries_replayed_total"),
    }


def by_doctor(server: Server) -> dict[str, int]:
    """What `doctor --log` adds up; it fails where anything is wrong."""
    ended = subprocess.run(
        [sys.executable, "-m", "postback", "doctor", "--json", "--log"],
        cwd=server.folder,
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = {one["what"]: one for one in json.loads(ended.stdout)}
    assert (found["conservation"]["verdict"], found["log"]["verdict"]) == ("ok", "ok"), found
    assert ended.returncode == 0, found
    said = re.findall(r"([\d,]+) (\w+)", found["conservation"]["text"])
    return {name: int(number.replace(",", "")) for number, name in said}


def assert_all_agree(server: Server, *, metrics: bool) -> dict[str, int]:
    """Nothing happens meanwhile."""
    log = by_log(server)
    assert by_stats(server) == log
    doctor = by_doctor(server)
    assert doctor.pop("owed") == server.owed()
    assert doctor == {name: count for name, count in log.items() if name != "retried"}
    if metrics:
        assert by_metrics(server) == log
    return log


# --- the proof ----------------------------------------------------------------------------------------------------


def test_all_that_counts_agrees_after_failures_retries_replays_cancels_deletes_and_a_kill(
    server: Server, receivers: QuickReceivers
) -> None:
    server.start()
    begins = time.monotonic()
    location_id, configs = given_configs(server, receivers)
    # Where a busy machine keeps a worker from being heard of in time, it is asked to come again.
    test = f"/v2/postbackconfigs/{configs['/well']}/test"
    until(lambda: server.call("POST", test)[0] == 200, PATIENCE_S, "a test is carried out")

    publish(server, location_id, EVENTS)
    wait_for(server, EVENTS)
    first = assert_all_agree(server, metrics=True)
    assert first == {
        "accepted": 5 * EVENTS,
        "delivered": 3 * EVENTS,
        "failed": EVENTS,
        "retried": EVENTS,
        "cancelled": 0,
        "replayed": 0,
    }

    replayed = deliveries(server, SINGLE, "state=failed") + deliveries(server, SINGLE, "state=delivered")
    cancelled = deliveries(server, SINGLE, "state=held")
    for one in replayed:
        assert server.call("POST", f"/v2/deliveries/{one}/replay")[0] == 202
    for one in cancelled:
        assert server.call("POST", f"/v2/deliveries/{one}/cancel")[0] == 200
    assert server.call("DELETE", f"/v2/postbackconfigs/{configs['/held']}")[0] == 204
    wait_for(server, 0)
    second = assert_all_agree(server, metrics=True)
    assert (second["replayed"], second["cancelled"]) == (2 * SINGLE, EVENTS)
    for path in PATHS:
        config = server.rows("SELECT DISTINCT config_id FROM config_versions ORDER BY config_id")[PATHS.index(path)]
        assert by_stats(server, f"&postbackconfig_id={configs[path]}") == by_log(
            server, f"AND config_id = {config['config_id']}"
        )

    # What a kill interrupts is owed again: it is in the log, and no number knows it.
    configs["/held"] = server.create(
        "/v2/postbackconfigs",
        "postbackconfig",
        {"location_id": location_id, "event_types": ["contact.created"], "url": receivers.url("/held")},
    )
    publish(server, location_id, EVENTS // 5)
    server.kill()
    assert server.owed() > 0, "the kill came too late: it has tested nothing"
    server.start()
    wait_for(server, 0)
    third = assert_all_agree(server, metrics=False)
    assert third["accepted"] == 5 * EVENTS + len(PATHS) * (EVENTS // 5)
    print(f"{third} in {time.monotonic() - begins:.1f} s")
