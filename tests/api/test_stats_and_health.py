"""/v2/stats, and configs shown with their health."""

from typing import Any
from urllib.parse import quote

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.ids import parse
from tests.api.client import Api, Client
from tests.build import NOON, a_settlement, answered
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
EMPTY = dict.fromkeys(("accepted", "delivered", "failed", "retried", "cancelled", "replayed"), 0)
NONE_TOOK_TIME = {"p50_ms": None, "p99_ms": None}


async def publish(client: Client, location_id: str, n: int = 1) -> None:
    event = {"type": "contact.created", "location_id": location_id, "data": {}}
    reply = await client.post("/v2/events", {"events": [event] * n})
    assert reply.status == 202, reply.body


async def settle(api: Api, config: dict[str, Any], *verdicts: Verdict, status: int = 500) -> None:
    """What is owed to the config comes to that, one delivery each."""
    claims = await api.store.claim(api.worker, {parse("pbc", config["id"]): len(verdicts)}, 1 << 20)
    settlements = [
        a_settlement(claim, verdict, outcome=answered(200 if verdict is Verdict.DELIVERED else status))
        for claim, verdict in zip(claims, verdicts, strict=True)
    ]
    await api.store.settle(api.worker, settlements)


async def steps(client: Client, query: str = "") -> list[dict[str, Any]]:
    reply = await client.get(f"/v2/stats{query}")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["steps"]
    return found


async def test_each_step_says_what_happened_in_it_and_empty_ones_are_there_too(api: Api, clock: ClockDouble) -> None:
    location_id = await api.location()
    config = await api.config(location_id)
    clock.pass_(ms=-(NOON % 60_000))
    await publish(api.client, location_id, 4)
    clock.pass_(seconds=2 * MINUTE_S)
    await settle(api, config, Verdict.DELIVERED, Verdict.DELIVERED, Verdict.FAILED, Verdict.RETRY)
    [waiting] = [one for one in await api.deliveries() if one["state"] == "pending"]
    await api.client.post(f"/v2/deliveries/{waiting['id']}/cancel")
    await api.client.post(f"/v2/deliveries/{waiting['id']}/replay")

    found = await steps(api.client, "?since=2026-09-21T14:13:00Z&until=2026-09-21T14:16:00Z&step=60")

    took = {"p50_ms": 131071, "p99_ms": 131071}
    assert found == [
        {"at": "2026-09-21T14:13:00.000Z", **EMPTY, "accepted": 4, **NONE_TOOK_TIME},
        {"at": "2026-09-21T14:14:00.000Z", **EMPTY, **NONE_TOOK_TIME},
        {"at": "2026-09-21T14:15:00.000Z", "accepted": 0, "delivered": 2, "failed": 1, "retried": 1,
         "cancelled": 1, "replayed": 1, **took},
    ]  # fmt: skip


async def test_by_default_it_is_the_last_day_in_steps_of_five_minutes(api: Api, clock: ClockDouble) -> None:
    found = await steps(api.client)

    assert len(found) == DAY_S // 300 + 1
    assert (found[0]["at"], found[-1]["at"]) == ("2026-09-20T14:10:00.000Z", "2026-09-21T14:10:00.000Z")


async def test_of_shorter_steps_there_are_as_many_as_a_chart_can_show(client: Client) -> None:
    assert len(await steps(client, "?step=60")) == 301
    assert len(await steps(client, "?step=3600")) == 25
    assert len(await steps(client, "?step=86400")) == 2


@pytest.mark.parametrize(
    ("since", "step_s", "count"),
    [
        ("2026-09-21T14:00:00Z", 60, 14),
        ("2026-09-21T09:13:20Z", 60, 301),
        ("2026-09-21T09:13:00Z", 300, 61),
        ("2026-09-19T00:00:00Z", 900, 249),
        ("2026-09-14T00:00:00Z", 3600, 183),
        ("2026-08-21T00:00:00Z", 21_600, 127),
        ("2026-01-01T00:00:00Z", 86_400, 264),
        ("2024-01-01T00:00:00Z", 86_400, 995),
    ],
)
async def test_without_a_step_the_finest_is_taken_that_a_chart_can_show(
    client: Client, since: str, step_s: int, count: int
) -> None:
    found = await steps(client, f"?since={since}")

    assert len(found) == count
    if step_s >= HOUR_S:
        assert {one["at"][14:] for one in found} == {"00:00.000Z"}


async def test_steps_begin_at_their_multiples_and_cover_all_that_was_asked_for(client: Client) -> None:
    found = await steps(client, "?since=2026-09-21T14:13:20Z&until=2026-09-21T16:00:01Z&step=3600")

    assert [one["at"][11:16] for one in found] == ["14:00", "15:00", "16:00"]


async def test_an_offset_that_was_not_encoded_is_understood(client: Client) -> None:
    query = "?since=2026-09-21T16:00:00+02:00&until=2026-09-21T16:02:00+02:00&step=60"

    assert await steps(client, query) == await steps(client, quote(query, safe="?=&"))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?step=90", "step"),
        ("?step=0", "step"),
        ("?step=-60", "step"),
        ("?step=86460", "step"),
        ("?step=x", "step"),
        ("?step=60&since=2026-09-20T00:00:00Z", "step"),
        ("?since=2020-01-01T00:00:00Z", "step"),
        ("?since=1970-01-01T00:00:00Z&until=2026-09-20T00:00:00Z", "step"),
        ("?since=2026-09-22T00:00:00Z", "since"),
        ("?since=2026-09-20T00:00:00Z&until=2026-09-20T00:00:00Z", "since"),
        ("?since=yesterday", "since"),
        ("?until=2026-09-20", "until"),
        ("?postbackconfig_id=evt_1", "postbackconfig_id"),
        ("?event_type=a.b", "event_type"),
        ("?step=60&step=60", "step"),
    ],
)
async def test_what_cannot_be_shown_is_refused_by_name(client: Client, query: str, field: str) -> None:
    reply = await client.get(f"/v2/stats{query}")

    assert set(reply.errors) == {field}


@pytest.mark.parametrize(
    "query",
    [
        "?since=0001-01-01T00:00:00%2B23:59&until=0001-01-02T00:00:00Z",
        "?since=9999-12-31T00:00:00Z&until=9999-12-31T23:59:59-23:59",
        "?until=1970-01-01T00:00:00Z",
    ],
)
async def test_times_that_no_event_can_have_are_refused(client: Client, query: str) -> None:
    assert set((await client.get(f"/v2/stats{query}")).errors) == {"since"}


async def test_it_is_narrowed_to_a_config_also_to_one_that_is_gone(api: Api) -> None:
    location_id = await api.location()
    first, second = await api.config(location_id), await api.config(location_id, on_delete="0")
    await publish(api.client, location_id, 3)
    await api.client.delete(f"/v2/postbackconfigs/{second['id']}")
    await api.store.bury(100)
    other = await api.other_account()

    async def count(client: Client, name: str, query: str = "") -> int:
        return sum(one[name] for one in await steps(client, query))

    assert await count(api.client, "accepted") == 6
    assert await count(api.client, "accepted", f"?postbackconfig_id={first['id']}") == 3
    assert await count(api.client, "cancelled", f"?postbackconfig_id={second['id']}") == 3
    assert await count(other, "accepted") == 0
    assert await count(other, "accepted", f"?postbackconfig_id={first['id']}") == 0


async def test_a_config_is_shown_with_its_health(api: Api, clock: ClockDouble) -> None:
    location_id = await api.location()
    config = await api.config(location_id)
    await publish(api.client, location_id, 5)
    await settle(api, config, Verdict.DELIVERED, Verdict.FAILED)
    clock.pass_(seconds=HOUR_S)
    await settle(api, config, Verdict.DELIVERED, Verdict.RETRY, status=503)

    shown = (await api.client.get(f"/v2/postbackconfigs/{config['id']}?expand=health,state")).json["postbackconfig"]

    retried = next(one for one in await api.deliveries() if one["last_status"] == 503)
    assert shown["state"] == "active"
    health = shown["health"]
    assert health.pop("last_error").pop("at") > "2026-09-21T15"
    assert health == {
        "delivered": 1,
        "failed": 0,
        "retried": 1,
        "pending": 2,
        "pending_is_more": False,
        "last_success_at": "2026-09-21T15:13:20.000Z",
        "certificate_expires_at": None,
    }
    again = (await api.client.get(f"/v2/postbackconfigs/{config['id']}?expand=health")).json["postbackconfig"]
    assert "state" not in again
    assert {**again["health"]["last_error"], "at": None} == {
        "at": None,
        "delivery_id": retried["id"],
        "status": 503,
        "reason": "bad_status",
    }


async def test_of_a_config_that_has_done_nothing_there_is_nothing_to_say(api: Api) -> None:
    config = await api.config(await api.location())

    shown = (await api.client.get(f"/v2/postbackconfigs/{config['id']}?expand=health")).json["postbackconfig"]

    assert shown["health"] == {
        "delivered": 0,
        "failed": 0,
        "retried": 0,
        "pending": 0,
        "pending_is_more": False,
        "last_success_at": None,
        "certificate_expires_at": None,
        "last_error": None,
    }


async def test_health_says_when_the_certificate_of_the_receiver_expires(api: Api, clock: ClockDouble) -> None:
    location_id = await api.location()
    config = await api.config(location_id)
    await publish(api.client, location_id, 1)
    [claim] = await api.store.claim(api.worker, {parse("pbc", config["id"]): 1}, 1 << 24)
    shown_ms = clock() + 30 * 86_400_000
    await api.store.settle(api.worker, [a_settlement(claim, outcome=answered(certificate_ends_ms=shown_ms))])

    shown = (await api.client.get(f"/v2/postbackconfigs/{config['id']}?expand=health")).json["postbackconfig"]

    assert shown["health"]["certificate_expires_at"] == "2026-10-21T14:13:00.000Z"


async def test_a_list_of_configs_shows_what_is_asked_for_and_so_do_its_links(api: Api) -> None:
    location_id = await api.location()
    for _ in range(3):
        await api.config(location_id)
    await publish(api.client, location_id, 2)

    reply = await api.client.get("/v2/postbackconfigs?expand=health,policy&page_size=2")

    assert [one["health"]["pending"] for one in reply.json["postbackconfigs"]] == [2, 2]
    assert all("policy" in one and "state" not in one for one in reply.json["postbackconfigs"])
    following = reply.json["meta"]["pagination"]["links"]["next"]["href"]
    again = await api.client.get(following.removeprefix("https://api.example"))
    assert [one["health"]["pending"] for one in again.json["postbackconfigs"]] == [2]
    assert set((await api.client.get("/v2/postbackconfigs?expand=health,mood")).errors) == {"expand"}
    assert "health" not in (await api.client.get("/v2/postbackconfigs")).json["postbackconfigs"][0]
