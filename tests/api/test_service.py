"""What operators ask of a running server, and what it says when it is itself to blame."""

import logging
from pathlib import Path

import pytest

from tests.api.client import Api, Client, open_api
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


async def test_a_server_that_cannot_accept_says_why(tmp_path: Path) -> None:
    api = await open_api(tmp_path, ClockDouble(), ready=lambda: "the disk is full")

    ready = await api.client.as_(None).get("/ready")
    health = await api.client.as_(None).get("/health")
    await api.store.close()

    assert (ready.status, ready.code, ready.message) == (503, "unavailable", "the disk is full")
    assert int(ready.headers["retry-after"]) >= 1
    assert (health.status, health.json) == (200, {"status": "alive"})


async def test_figures_are_what_the_process_counts(client: Client) -> None:
    reply = await client.get("/metrics")

    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert reply.body == b"postback_events_accepted_total 0\n"


@pytest.mark.parametrize("target", ["/v2/events", "/v2/contacts"])
async def test_a_bug_is_a_500_that_tells_an_id_and_the_log_the_rest(
    api: Api, client: Client, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    api.intake.refuses_with = ZeroDivisionError("the secret of the house")
    location_id = await api.location()
    body = {
        "/v2/events": {"event": {"type": "a.b", "data": {}}},
        "/v2/contacts": {"contact": {"last_name": "x", "location_id": location_id}},
    }[target]

    with caplog.at_level(logging.ERROR, "postback.api"):
        reply = await client.post(target, body)

    assert (reply.status, reply.code) == (500, "internal_error")
    assert b"secret of the house" not in reply.body
    assert b"Traceback" not in reply.body
    assert reply.json["error"]["id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_answers_are_not_kept_and_not_guessed_about(api: Api, client: Client) -> None:
    location_id = await api.location()
    for reply in (
        await client.get("/v2/events"),
        await client.post("/v2/events", {"event": {"type": "a.b", "data": {}}}),
        await client.post("/v2/events", b"{"),
        await client.get("/v2/nothing"),
        await client.delete(f"/v2/locations/{location_id}"),
    ):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("target", ["/metrics", "/openapi.json"])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
async def test_what_comes_through_a_proxy_is_not_from_the_machine_itself(
    client: Client, target: str, header: str
) -> None:
    nobody = client.as_(None)

    direct = await nobody.get(target)
    forwarded = await nobody.send("GET", target, headers={header: "127.0.0.1"})
    with_key = await client.send("GET", target, headers={header: "127.0.0.1"})

    assert (direct.status, forwarded.status, with_key.status) == (200, 401, 200)
