"""Servers on one database that were not given the same keys: no delivery ends for want of one."""

import signal
from collections.abc import Callable

import pytest

from postback.storage.vault import key_id
from tests.cli.nodes import Arrived, run, until
from tests.live import Live

pytestmark = pytest.mark.anyio

OLD, NEW = "0d" * 32, "3e" * 32
NEW_ID = key_id(bytes.fromhex(NEW))


def test_what_is_owed_under_a_key_that_a_server_lacks_waits_for_one_that_has_it(nodes: Callable[..., Live]) -> None:
    behind = nodes(POSTBACK_SECRET_KEY=OLD)
    ahead = nodes(POSTBACK_SECRET_KEY=f"{NEW},{OLD}")
    with Arrived() as arrived:
        config = ahead.config(arrived.url, "order.*", format="json")
        ahead.end(signal.SIGTERM)
        published = behind.ask("POST", "/v2/events", {"event": {"type": "order.paid", "data": {}}})
        until(lambda: behind.ask("GET", "/ready").status == 503)
        until(lambda: behind.lines(LINE))
        ready = behind.ask("GET", "/ready")
        shown = behind.ask("GET", f"/v2/postbackconfigs/{config}?expand=state").json["postbackconfig"]
        change = behind.ask("PUT", f"/v2/postbackconfigs/{config}", {"postbackconfig": {"is_active": "1"}})
        test = behind.ask("POST", f"/v2/postbackconfigs/{config}/test", {"event_type": "order.paid"})
        [waiting] = behind.deliveries()
        before = list(arrived.ids)
        behind.end(signal.SIGTERM)
        again = nodes(POSTBACK_SECRET_KEY=f"{OLD},{NEW}")
        until(lambda: again.deliveries()[0]["state"] == "delivered")

    why = f"encrypted with the key {NEW_ID}, which this process was not given (POSTBACK_SECRET_KEY)"
    assert published.status == 202
    assert "unsayable" not in published.text
    assert (waiting["state"], before) == ("pending", [])
    assert arrived.ids == [published.json["event"]["id"]]
    assert why in ready.text
    assert why in shown["state_reason"]
    assert shown["url"] == arrived.url
    assert (change.status, test.status) == (503, 503), (change, test)
    assert why in change.text
    assert why in test.text
    assert [line["keys"] for line in behind.lines(LINE)] == [NEW_ID]


LINE = "secrets are encrypted with keys that this process was not given (POSTBACK_SECRET_KEY); deliveries of configs that need them wait"


def test_a_server_with_another_key_is_not_started_beside_the_first_on_a_new_database(
    nodes: Callable[..., Live],
) -> None:
    first = nodes(POSTBACK_SECRET_KEY=OLD)

    other = run(
        first.folder, "serve", **{**first.settings, "POSTBACK_SECRET_KEY": NEW, "POSTBACK_LISTEN": "127.0.0.1:1"}
    )

    assert other.returncode == 1, other
    assert f"was set up with the key {key_id(bytes.fromhex(OLD))}" in other.stderr
