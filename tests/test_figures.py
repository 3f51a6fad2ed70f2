"""What a running server counts is what its database holds, whatever happened: the figures, the log and what is owed."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from postback.domain.catalog import CATALOG
from postback.domain.deliveries import Verdict
from postback.receiver.server import Behaviour, TestReceiver
from postback.storage.measures import REPLAYED
from tests.live import Live
from tests.ports import free_port

SAMPLE: Final = re.compile(r'^postback_attempts_total\{reason="(\w*)",verdict="(\w+)"\} (\S+)$', re.MULTILINE)
FIGURE: Final = re.compile(r"^(postback_\w+) (\S+)$", re.MULTILINE)
OF_A_TEST: Final = 2
OFTEN: Final = {"number_of_attempts": 3, "attempt_interval": 1}

Attempts = Counter[tuple[str, str]]
"""(verdict, reason) → how many."""


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path) as live:
        yield live


def figures(live: Live) -> dict[str, float]:
    """Those without labels."""
    return {name: float(value) for name, value in FIGURE.findall(live.ask("GET", "/metrics").text)}


def counted(live: Live) -> Attempts:
    found = SAMPLE.findall(live.ask("GET", "/metrics").text)
    return Counter({(verdict, reason): int(float(n)) for reason, verdict, n in found if float(n)})


def logged(live: Live) -> Attempts:
    rows = live.rows("SELECT verdict, coalesce(reason, '') FROM attempts WHERE manual <> ?", OF_A_TEST)
    return Counter((Verdict(verdict).name.lower(), reason) for verdict, reason in rows)


def number(live: Live, query: str, *values: object) -> int:
    [(value,)] = live.rows(query, *values)
    return int(value or 0)


def test_after_a_day_with_everything_in_it_the_figures_are_those_of_the_database(live: Live) -> None:
    with (
        TestReceiver(lambda *_: None) as good,
        TestReceiver(lambda *_: None, Behaviour(503, count=3)) as moody,
        TestReceiver(lambda *_: None, Behaviour(410)) as gone,
    ):
        live.config(f"{good.url}/in", "order.*")
        live.config(f"{moody.url}/in", "order.paid", **OFTEN)
        live.config(f"{gone.url}/in", "order.paid", **OFTEN)
        refuses = live.config(f"http://127.0.0.1:{free_port()}/in", "order.paid", **OFTEN)
        live.config(f"{good.url}/in", "sms.received", format="xml")
        for n in range(10):
            live.publish("order.paid", {"id": str(n % 5)}, {"idempotency-key": f"order-{n % 5}"})
        live.publish("sms.received", {**CATALOG["sms.received"].example, "text": "a bell: \x07"})
        live.ask("POST", f"/v2/postbackconfigs/{refuses}/test", {"event_type": "order.paid"})
        live.until(lambda: not states(live) & {"pending", "claimed"})
        live.publish("order.paid", {"id": "after the 410"})
        live.until(lambda: not states(live) & {"pending", "claimed"})
        for delivery in of(live, state="held"):
            assert live.ask("POST", f"/v2/deliveries/{delivery['id']}/cancel").status == 200
        for delivery in of(live, state="failed", postbackconfig_id=refuses)[:2]:
            assert live.ask("POST", f"/v2/deliveries/{delivery['id']}/replay").status == 202
        live.until_nothing_is_owed()

    found = counted(live)
    assert found == logged(live)
    assert {
        ("delivered", ""),
        ("retry", "bad_status"),
        ("retry", "connection_refused"),
        ("failed", "connection_refused"),
        ("failed", "bad_status"),
        ("failed", "cannot_render"),
        ("cancelled", "cancelled"),
    } <= set(found)
    shown = figures(live)
    of_tests = "SELECT event_id FROM attempts WHERE manual = 2"
    assert shown["postback_events_accepted_total"] == 7
    assert shown["postback_events_accepted_total"] == number(
        live, f"SELECT count(*) FROM events WHERE id NOT IN ({of_tests})"
    )
    assert shown["postback_deliveries_accepted_total"] == number(
        live, f"SELECT sum(deliveries) FROM events WHERE id NOT IN ({of_tests})"
    )
    assert shown["postback_deliveries_replayed_total"] == 2
    assert shown["postback_deliveries_replayed_total"] == number(
        live, "SELECT sum(count) FROM counters WHERE measure = ? AND minute > 0", REPLAYED
    )
    assert shown["postback_attempt_seconds_count"] == number(
        live, "SELECT count(*) FROM attempts WHERE body_hash IS NOT NULL AND manual <> 2"
    )
    ended = {verdict: sum(n for (said, _), n in found.items() if said == verdict) for verdict in STATES}
    assert shown["postback_delivery_latency_seconds_count"] == ended["delivered"]
    came = shown["postback_deliveries_accepted_total"] + shown["postback_deliveries_replayed_total"]
    assert came == sum(ended.values())
    assert shown["postback_deliveries_owed"] == shown["postback_deliveries_due"] == 0


STATES: Final = ("delivered", "failed", "cancelled")


def of(live: Live, **narrowed: str) -> list[dict[str, Any]]:
    return [one for one in live.deliveries() if all(one[name] == value for name, value in narrowed.items())]


def states(live: Live) -> set[str]:
    return {one["state"] for one in live.deliveries()}


def test_what_a_kill_interrupted_is_counted_by_the_process_that_found_it(live: Live) -> None:
    with TestReceiver(lambda *_: None, Behaviour(delay_s=60)) as silent:
        live.config(f"{silent.url}/in", "order.paid", total_timeout=100, response_timeout=60)
        for _ in range(3):
            live.publish("order.paid")
        live.until(lambda: figures(live)["postback_attempts_in_flight"] == 3)
        live.end(signal.SIGKILL)
    before = logged(live)

    live.start()

    live.until(lambda: counted(live)["interrupted", "interrupted"] == 3)
    live.until(lambda: counted(live) == logged(live) - before)


def test_what_waits_and_for_how_long_can_be_seen(live: Live) -> None:
    with TestReceiver(lambda *_: None, Behaviour(delay_s=60)) as slow:
        config = live.config(f"{slow.url}/in", "order.paid", max_in_flight=1, total_timeout=100, response_timeout=60)
        for _ in range(6):
            live.publish("order.paid")
        live.until(lambda: figures(live)["postback_deliveries_due"] > 0)
        shown = figures(live)

        assert shown["postback_deliveries_owed"] == 6
        assert shown["postback_attempts_in_flight"] == 1
        assert shown["postback_deliveries_in_hand"] + shown["postback_deliveries_due"] == 6
        live.until(lambda: figures(live)["postback_oldest_due_seconds"] > 0.05)
        live.ask("POST", f"/v2/postbackconfigs/{config}/pause")
        live.until(lambda: figures(live)["postback_lanes_held"] == 1)
        assert figures(live)["postback_deliveries_due"] == 0
        assert figures(live)["postback_oldest_due_seconds"] == 0
        assert figures(live)["postback_deliveries_owed"] == 6
        live.end(signal.SIGKILL)
