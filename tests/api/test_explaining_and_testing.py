"""Would this config get that event, and why; and what becomes of an example event that is sent now."""

import json
from typing import Any

import pytest

from postback.domain.catalog import CATALOG, SAYABLE, can_say
from postback.domain.configs import ConfigState
from postback.domain.facts import refusals
from postback.domain.ids import parse
from postback.domain.policy import POLICIES
from postback.domain.wire import Reason, Timings, Unreachable
from tests.api.client import Api, Client, Reply
from tests.build import ACCOUNT, answered

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:9000/receiver"
AN_SMS = {"from": "12025550166", "to": "24687", "text": "INFO", "received": "2026-03-02T08:44:57-05:00"}


async def a_config(client: Client, **fields: Any) -> dict[str, Any]:
    reply = await client.post("/v2/postbackconfigs", {"postbackconfig": {"url": URL, **fields}})
    assert reply.status == 201, reply.body
    config: dict[str, Any] = reply.json["postbackconfig"]
    return config


async def an_event(client: Client, event_type: str = "sms.received", **fields: Any) -> str:
    reply = await client.post("/v2/events", {"event": {"type": event_type, "data": AN_SMS, **fields}})
    assert reply.status == 202, reply.body
    event_id: str = reply.json["event"]["id"]
    return event_id


async def explained(client: Client, config: dict[str, Any], event_id: str) -> tuple[bool, list[str]]:
    reply = await client.get(f"/v2/postbackconfigs/{config['id']}/explain?event_id={event_id}")
    assert reply.status == 200, reply.body
    assert list(reply.json) == ["wants", "reasons"]
    return reply.json["wants"], reply.json["reasons"]


async def try_out(client: Client, config: dict[str, Any], body: Any = b"") -> Reply:
    return await client.post(f"/v2/postbackconfigs/{config['id']}/test", body)


async def test_why_an_event_is_wanted_is_said_in_words(api: Api, client: Client) -> None:
    location_id = await api.location()
    by_pattern = await a_config(client, event_types=["order.paid", "sms.*"])
    by_flag = await api.config(location_id, on_update="0")
    event_id = await an_event(client)
    created = await an_event(client, "contact.created", location_id=location_id)

    assert await explained(client, by_pattern, event_id) == (
        True, ["event_types names sms.*; the event is sms.received"],
    )  # fmt: skip
    assert await explained(client, by_flag, created) == (
        True,
        [
            "the config wants changes of contact, and on_create is on; the event is contact.created",
            f"the event is of the config's location {location_id}",
        ],
    )


async def test_every_reason_against_an_event_is_named(api: Api, client: Client) -> None:
    location_id = await api.location()
    config = await a_config(client, location_id=location_id, event_types=["mms.*"], is_active="0")

    wants, reasons = await explained(client, config, await an_event(client))

    assert not wants
    assert len(reasons) == 3
    for words, reason in zip(("is_active", location_id, "mms.*"), reasons, strict=True):
        assert words in reason


async def test_what_the_format_cannot_say_is_a_reason(client: Client) -> None:
    config = await a_config(client, event_types=["*"], format="xml")

    wants, reasons = await explained(client, config, await an_event(client, "order.paid"))

    assert (wants, reasons) == (False, ["the format xml cannot say order.paid"])


async def test_that_a_wanted_event_is_held_or_fails_all_the_same_is_said_too(client: Client) -> None:
    config = await a_config(client, event_types=["*"], format="sms-callback")
    event_id = await an_event(client, data={**AN_SMS, "from": "somebody"})
    await client.post(f"/v2/postbackconfigs/{config['id']}/pause")

    wants, [_, paused, unsayable] = await explained(client, config, event_id)

    assert wants
    assert "paused" in paused
    assert "fails without a POST" in unsayable


async def test_nothing_is_explained_of_what_is_not_there(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["*"])
    other = await api.other_account()
    others_event = await an_event(other)
    own_event = await an_event(client)
    address = f"/v2/postbackconfigs/{config['id']}/explain"

    for event_id in (others_event, "evt_0000000000000", "nonsense", config["id"]):
        assert (await client.get(f"{address}?event_id={event_id}")).status == 404
    assert (await other.get(f"{address}?event_id={others_event}")).status == 404
    assert (await client.get(f"/v2/postbackconfigs/pbc_0000000000000/explain?event_id={own_event}")).status == 404
    assert list((await client.get(address)).errors) == ["event_id"]
    assert list((await client.get(f"{address}?event_id=")).errors) == ["event_id"]
    assert list((await client.get(f"{address}?event={own_event}")).errors) == ["event"]


async def test_a_test_is_sent_now_and_shown_as_an_attempt_of_a_delivery(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["*"], format="json", headers={"X-Api-Key": "s3cret"})

    reply = await try_out(client, config, {"event_type": "sms.received"})

    attempt = reply.json["attempt"]
    [request] = api.sender.sent
    assert (reply.status, attempt["test"], attempt["manual"], attempt["number"]) == (200, True, False, 1)
    assert (attempt["status"], attempt["decision"], attempt["next_at"]) == (200, "delivered", None)
    assert attempt["request"]["body"] == request.body.decode()
    assert json.loads(request.body)["data"] == dict(CATALOG["sms.received"].example)
    assert attempt["request"]["headers"]["X-Api-Key"] == "***"


async def test_a_test_that_fails_shows_why_and_is_not_tried_again(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["*"], number_of_attempts=5)

    api.sender.outcome = answered(503)
    refused = (await try_out(client, config)).json["attempt"]
    api.sender.outcome = Unreachable(Reason.CONNECTION_REFUSED, "nobody listens", Timings())
    unreached = (await try_out(client, config)).json["attempt"]

    assert (refused["status"], refused["reason"], refused["decision"]) == (503, "bad_status", "failed")
    assert (unreached["status"], unreached["reason"], unreached["decision"]) == (None, "connection_refused", "failed")
    assert len(api.sender.sent) == 2


async def test_a_test_is_in_the_log_and_nothing_is_owed_by_it(api: Api, client: Client) -> None:
    config = await a_config(client, event_types=["sms.*"])
    await a_config(client, event_types=["*"])

    await try_out(client, config)

    [delivery] = await api.deliveries()
    full = (await client.get(f"/v2/deliveries/{delivery['id']}")).json["delivery"]
    assert (delivery["postbackconfig_id"], delivery["state"]) == (config["id"], "delivered")
    assert [attempt["test"] for attempt in full["attempts"]] == [True]


@pytest.mark.parametrize("state", ["paused", "disabled", "off"])
async def test_a_test_works_while_nothing_else_is_sent(api: Api, client: Client, state: str) -> None:
    config = await a_config(client, event_types=["*"], is_active="0" if state == "off" else "1")
    if state == "paused":
        await client.post(f"/v2/postbackconfigs/{config['id']}/pause")
    if state == "disabled":
        number = parse("pbc", config["id"])
        await api.services.configs.set_state(ACCOUNT, number, ConfigState.DISABLED, "the receiver answered 410 Gone")

    assert (await try_out(client, config)).json["attempt"]["status"] == 200


@pytest.mark.parametrize(
    ("fields", "event_type"),
    [
        ({"event_types": ["pass.generated"]}, "pass.generated"),
        ({"event_types": ["pass.*", "sms.*"]}, "pass.generated"),
        ({"event_types": ["order.paid"]}, "order.paid"),
        ({"event_types": ["order.*", "mms.received"]}, "mms.received"),
        ({"event_types": ["order.*", "invoice.*"]}, "order.example"),
        ({"event_types": ["subscriber.*"], "format": "sms-callback"}, "subscriber.unsubscribed"),
        ({"resource": "contact", "on_update": "1"}, "contact.updated"),
        ({"resource": "accountvault"}, "accountvault.created"),
    ],
)
async def test_without_a_type_the_first_is_tried_that_the_config_wants(
    api: Api, client: Client, fields: dict[str, Any], event_type: str
) -> None:
    config = await a_config(client, location_id=await api.location(), **fields)

    assert (await try_out(client, config)).status == 200
    [event] = (await client.get("/v2/events")).json["events"]
    assert (event["type"], event["location_id"]) == (event_type, config["location_id"])


async def test_of_a_pattern_that_the_catalog_does_not_know_an_example_is_made_up(api: Api, client: Client) -> None:
    """It once had to be named, and where people choose among the known types there was none to choose."""
    config = await a_config(client, event_types=["order.*"])

    assert (await try_out(client, config)).status == 200
    assert (await try_out(client, config, {"event_type": "order.paid"})).status == 200
    assert [event["type"] for event in (await client.get("/v2/events")).json["events"]] == [
        "order.paid",
        "order.example",
    ]
    assert all(b"%22example%22%3Atrue" in sent.body for sent in api.sender.sent)


@pytest.mark.parametrize(
    ("chosen", "event_type"),
    [
        ("xml", "contact.created"),
        ("sms-callback", "mms.received"),
        ("json", "nonsense"),
        ("json", "a." * 70 + "b"),
        ("json", 5),
    ],
)
async def test_a_type_that_cannot_be_sent_is_refused(api: Api, client: Client, chosen: str, event_type: Any) -> None:
    config = await a_config(client, event_types=["sms.*"], format=chosen)

    assert list((await try_out(client, config, {"event_type": event_type})).errors) == ["event_type"]
    assert list((await try_out(client, config, {"type": "sms.sent"})).errors) == ["type"]
    assert api.sender.sent == []


@pytest.mark.parametrize("chosen", POLICIES)
async def test_every_type_that_a_format_can_say_can_be_tried(api: Api, client: Client, chosen: str) -> None:
    config = await a_config(client, event_types=["*"], format=chosen)

    sayable = [event_type for event_type in CATALOG if can_say(chosen, event_type)]
    for event_type in sayable:
        reply = await try_out(client, config, {"event_type": event_type})
        assert (reply.status, reply.json["attempt"]["status"]) == (200, 200), (event_type, reply.body)

    assert len(api.sender.sent) == len(sayable) == len(SAYABLE[chosen] or CATALOG)


def test_the_examples_are_data_that_may_be_published() -> None:
    assert {name: refusals(name, one.example) for name, one in CATALOG.items() if refusals(name, one.example)} == {}
