"""What configs want: a resource with flags, or patterns of event types, and only what their format can say."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.api.asking import a_config, change, post, stored
from tests.api.client import Api, Client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


async def test_patterns_stand_instead_of_a_resource_and_its_flags(api: Api, client: Client, location_id: str) -> None:
    config = await a_config(client, location_id=location_id, event_types=["sms.*", "pass.generated"])

    assert list(config) == [
        "id", "location_id", "url", "is_active", "format", "number_of_attempts", "attempt_interval", "expands",
        "created_ts", "modified_ts", "event_types", "_links",
    ]  # fmt: skip
    assert config["event_types"] == ["sms.*", "pass.generated"]
    kept = await stored(api, config)
    assert (kept.event_types, kept.resource) == (("sms.*", "pass.generated"), None)


async def test_a_config_of_patterns_may_be_of_all_locations(api: Api, client: Client, location_id: str) -> None:
    config = await a_config(client, event_types=["*"])
    narrowed = await change(client, config, location_id=location_id)
    widened = await change(client, config, location_id=None)

    shown = [config, narrowed.json["postbackconfig"], widened.json["postbackconfig"]]
    assert [one["location_id"] for one in shown] == [None, location_id, None]
    assert (await stored(api, config)).location_id is None


@pytest.mark.parametrize(
    "patterns",
    [
        [], "sms.*", [""], ["sms"], ["sms."], [".*"], ["sms*"], ["*.sent"], ["sms.*.x"], ["sms.**"], ["SMS.*"],
        ["sms.sent\n"], ["sms.*\n"], ["sms .*"], [5], [None], [["*"]], ["a." * 10 + "*"], ["a" * 127 + ".*"], ["*"] * 101,
    ],
)  # fmt: skip
async def test_what_is_no_pattern_is_refused(client: Client, patterns: Any) -> None:
    assert list((await post(client, event_types=patterns)).errors) == ["event_types"]


@pytest.mark.parametrize("pattern", ["*", "a.*", "a.b", "a.b.*", "a-1_.*", "a." * 9 + "*", "a" * 126 + ".*"])
async def test_what_is_a_pattern_is_taken(client: Client, pattern: str) -> None:
    assert (await post(client, event_types=[pattern] * 100)).status == 201


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"resource": "contact"}, ["event_types", "resource"]),
        ({"resource": "contact", "on_create": "1"}, ["event_types", "resource"]),
        ({"on_create": "1"}, ["event_types", "on_create"]),
        ({"on_delete": "0"}, ["event_types", "on_delete"]),
        ({"expands": "location"}, ["event_types", "expands"]),
        ({"product_transaction_id": "prd_1"}, ["event_types", "product_transaction_id"]),
    ],
)
async def test_the_two_ways_exclude_each_other_and_both_are_named(
    client: Client, location_id: str, fields: dict[str, Any], named: Sequence[str]
) -> None:
    reply = await post(client, location_id=location_id, event_types=["contact.*"], **fields)

    assert sorted(reply.errors) == named
    for name in named:
        assert all(other in reply.errors[name][0] for other in named)


async def test_one_of_the_two_ways_must_be_there(client: Client, location_id: str) -> None:
    errors = (await post(client, location_id=location_id)).errors

    assert list(errors) == ["resource"]
    assert "on_create" in errors["resource"][0]
    assert "event_types" in errors["resource"][0]


async def test_a_config_goes_from_one_way_to_the_other_by_null(api: Api, client: Client, location_id: str) -> None:
    config = await api.config(location_id, expands="location")

    half = await change(client, config, event_types=["contact.created"])
    whole = await change(client, config, event_types=["contact.created"], resource=None)
    half_back = await change(client, config, resource="contact", on_create="1")
    back = await change(client, config, resource="contact", event_types=None)

    assert half.errors["event_types"][0].endswith("send resource: null with it")
    assert "resource" not in whole.json["postbackconfig"]
    assert whole.json["postbackconfig"]["expands"] == ""
    assert half_back.errors["resource"][0].endswith("send event_types: null with it")
    # The flags went away with the resource that they were for.
    assert back.json["postbackconfig"]["on_create"] == "0"


@pytest.mark.parametrize(
    ("chosen", "fields", "named", "words"),
    [
        ("xml", {"event_types": ["contact.created"]}, "event_types", "contact.created"),
        ("xml", {"event_types": ["sms.sent", "order.paid"]}, "event_types", "order.paid"),
        ("xml", {"event_types": ["sms.*", "contact.*"]}, "event_types", "contact.*"),
        ("sms-callback", {"event_types": ["mms.sent"]}, "event_types", "mms.sent"),
        ("sms-callback", {"event_types": ["mms.*"]}, "event_types", "mms.*"),
        ("sms-callback", {"event_types": ["subscriber.subscribed"]}, "event_types", "subscriber.subscribed"),
        ("xml", {"resource": "contact", "on_delete": 1}, "resource", "contact.deleted"),
        (
            "sms-callback",
            {"resource": "accountvault"},
            "resource",
            "accountvault.created, accountvault.updated, accountvault.deleted",
        ),
    ],
)
async def test_a_type_that_the_format_can_never_say_is_named(
    client: Client, location_id: str, chosen: str, fields: dict[str, Any], named: str, words: str
) -> None:
    errors = (await post(client, location_id=location_id, format=chosen, **fields)).errors

    assert list(errors) == [named]
    assert f"names {words}, which the format {chosen} cannot say" in errors[named][0]


async def test_a_pattern_means_those_types_that_the_format_can_say(client: Client) -> None:
    await a_config(client, event_types=["*"], format="sms-callback")
    await a_config(client, event_types=["subscriber.*"], format="sms-callback")

    made = {}
    for event_type in ("subscriber.subscribed", "subscriber.unsubscribed", "mms.received", "order.paid"):
        event = {"type": event_type, "data": A_SUBSCRIBER | AN_MMS}
        made[event_type] = (await client.post("/v2/events", {"event": event})).json["event"]["deliveries"]

    assert made == {"subscriber.subscribed": 0, "subscriber.unsubscribed": 2, "mms.received": 0, "order.paid": 0}


async def test_a_change_to_a_format_that_cannot_say_what_is_wanted_is_refused_for_the_format(
    api: Api, client: Client, location_id: str
) -> None:
    of_patterns = await a_config(client, event_types=["order.paid"])
    of_contacts = await api.config(location_id)

    refused = [await change(client, config, format="xml") for config in (of_patterns, of_contacts)]

    assert [list(reply.errors) for reply in refused] == [["format"], ["format"]]


A_SUBSCRIBER: dict[str, Any] = {"mobile": "12025550119", "campaign_id": 1}
AN_MMS: dict[str, Any] = {
    "from": "12025550166",
    "to": "24687",
    "tracking_id": "x",
    "timestamp": "2026-03-12T08:51:20-04:00",
    "files": ["https://media.example/1.jpg"],
}
