"""Lists of deliveries and jobs over many of them, narrowed to why they failed."""

from typing import Any

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.ids import parse
from tests.api.client import Api, Client
from tests.build import a_settlement, answered

pytestmark = pytest.mark.anyio

REPLAY = "/v2/deliveries/replay"


@pytest.fixture
async def config(api: Api) -> dict[str, Any]:
    """With deliveries that failed: two with a 503, one with a 500."""
    config = await api.config(await api.location())
    for _ in range(3):
        contact = {"location_id": config["location_id"], "last_name": "Jones"}
        assert (await api.client.post("/v2/contacts", {"contact": contact})).status == 201
    claims = await api.store.claim(api.worker, {parse("pbc", config["id"]): 3}, 1 << 24)
    await api.store.settle(
        api.worker,
        [
            a_settlement(claim, Verdict.FAILED, outcome=answered(status))
            for claim, status in zip(claims, (503, 500, 503), strict=True)
        ],
    )
    api.clock.pass_(seconds=1)
    return config


@pytest.mark.usefixtures("config")
async def test_a_list_is_narrowed_to_a_reason(client: Client) -> None:
    async def statuses(reason: str) -> list[int]:
        reply = await client.get(f"/v2/deliveries?reason={reason}")
        assert reply.status == 200, reply.body
        return [one["last_status"] for one in reply.json["deliveries"]]

    assert await statuses("bad_status") == [503, 500, 503]
    assert await statuses("bad_status.503") == [503, 503]
    assert await statuses("connection_refused") == []
    refused = await client.get("/v2/deliveries?reason=503")
    assert (refused.status, set(refused.errors)) == (422, {"reason"})


@pytest.mark.usefixtures("config")
async def test_a_reason_is_enough_to_replay_by(client: Client) -> None:
    counted = await client.post(REPLAY, {"filter": {"reason": "bad_status.503"}, "dry_run": True})

    reply = await client.post(REPLAY, {"filter": {"reason": "bad_status.503"}})

    assert counted.json == {"count": 2}
    assert reply.status == 202
    assert reply.json["replay"]["filter"] == {"state": "failed", "reason": "bad_status.503"}
    assert reply.json["replay"]["selected"] == 2


@pytest.mark.parametrize("reason", ["", "nonsense", "bad_status.5xx", 503, None, ["bad_status"], {}])
async def test_what_is_no_reason_selects_nothing(client: Client, reason: object) -> None:
    reply = await client.post(REPLAY, {"filter": {"reason": reason}})

    assert (reply.status, set(reply.errors)) == (422, {"filter.reason"})
