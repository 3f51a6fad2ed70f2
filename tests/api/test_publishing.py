"""Publishing events: one, a batch, a line each; at most once under a key."""

import json
from pathlib import Path
from typing import Any

import pytest

from postback.domain.errors import Unavailable
from postback.ports import LogFilter
from tests.api.client import Api, Client, open_api
from tests.build import ACCOUNT, NOON
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


async def publish(client: Client, event: dict[str, Any] | None = None, **headers: str) -> Any:
    sent = {"type": "order.shipped", "data": {"id": "ord_1"}, **(event or {})}
    return await client.post("/v2/events", {"event": sent}, **headers)


async def stored(api: Api) -> Any:
    """The newest event as the store has it."""
    [(event, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    return event


async def test_an_event_is_answered_with_its_id_and_the_number_of_its_deliveries(
    api: Api, client: Client, location_id: str
) -> None:
    await api.config(location_id)
    await api.config(location_id, on_create="0")

    reply = await publish(client, {"type": "contact.created", "location_id": location_id})

    event = reply.json["event"]
    assert reply.status == 202
    assert event == {"id": event["id"], "type": "contact.created", "deliveries": 1}
    assert (await client.get(f"/v2/events/{event['id']}")).json["event"]["data"] == {"id": "ord_1"}


async def test_data_is_kept_byte_for_byte(api: Api, client: Client) -> None:
    data = b'{ "b" : 1.0e2,\n "a":18446744073709551616 , "a": "\\u00fc\xc3\xbc", "n": 1e999 }'

    reply = await client.post("/v2/events", b'{"event": {"data": ' + data + b' , "type": "a.b"}}')

    assert reply.status == 202
    assert (await stored(api)).data == data


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        ({"data": {"id": "con_1", "to": "1555"}}, "con_1"),
        ({"data": {"id": 17}}, "17"),
        ({"type": "order.sent", "data": {"from": "12345", "to": "15551230000"}}, "15551230000"),
        ({"type": "order.received", "data": {"from": "15551230000", "to": "12345"}}, "15551230000"),
        ({"data": {"mobile": "15551230000"}}, "15551230000"),
        ({"data": {"email": "a@b.example"}}, "a@b.example"),
        ({"data": {"id": None, "to": ["x"], "email": "x" * 300}}, None),
        ({"data": {}}, None),
        ({"data": {"id": "con_1"}, "subject": "order 5"}, "order 5"),
    ],
)
async def test_an_event_is_about_what_its_data_says_first(
    api: Api, client: Client, event: dict[str, Any], subject: str | None
) -> None:
    await publish(client, event)

    assert (await stored(api)).subject == subject
    if subject is not None:
        found = await client.get(f"/v2/events?subject={subject.replace('@', '%40').replace(' ', '%20')}")
        assert len(found.json["events"]) == 1


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"type": None}, "type"),
        ({"type": ""}, "type"),
        ({"type": 5}, "type"),
        ({"type": "contact"}, "type"),
        ({"type": "Contact.created"}, "type"),
        ({"data": None}, "data"),
        ({"data": [1]}, "data"),
        ({"data": "x"}, "data"),
        ({"location_id": "loc_of_nobody"}, "location_id"),
        ({"location_id": 5}, "location_id"),
        ({"subject": ""}, "subject"),
        ({"subject": "x" * 257}, "subject"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 256}, "idempotency_key"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"deliver_at": "2026-09-21"}, "deliver_at"),
        ({"account": "nobody"}, "account"),
        ({"id": "evt_1"}, "id"),
    ],
)
async def test_a_field_of_an_event_that_cannot_be_taken_is_named(
    client: Client, event: dict[str, Any], field: str
) -> None:
    reply = await publish(client, event)

    assert list(reply.errors) == [field]
    assert (await client.get("/v2/events")).json["events"] == []


async def test_all_wrong_fields_are_named_in_one_answer(client: Client) -> None:
    reply = await client.post("/v2/events", {"event": {"type": "x", "location_id": "nowhere", "occurred_at": "now"}})

    assert sorted(reply.errors) == ["data", "location_id", "occurred_at", "type"]
    assert reply.errors["location_id"] == ["location_id provided is not valid"]


async def test_what_is_unknown_or_of_the_wrong_type_hides_nothing_else(client: Client) -> None:
    event = {"type": "x", "subject": 5, "zz": 1, "occurred_at": "now", "location_id": "nowhere", "deliver_at": "soon"}

    reply = await client.post("/v2/events", {"event": {**event, "data": []}})

    assert sorted(reply.errors) == sorted([*event, "data"])


async def test_an_account_that_cannot_be_named_hides_nothing_else(api: Api, client: Client) -> None:
    other = await api.other_account()
    event = {"type": "x", "account": "nobody", "occurred_at": "now"}

    for asking in (client, other):
        reply = await asking.post("/v2/events", {"event": event})

        assert sorted(reply.errors) == ["account", "data", "occurred_at", "type"]


async def test_a_location_that_was_deleted_is_unknown_at_once(client: Client, location_id: str) -> None:
    await publish(client, {"location_id": location_id})
    await client.delete(f"/v2/locations/{location_id}")

    reply = await publish(client, {"location_id": location_id})

    assert list(reply.errors) == ["location_id"]


async def test_a_later_delivery_waits_until_then(api: Api, client: Client, location_id: str) -> None:
    await api.config(location_id)

    await publish(
        client, {"type": "contact.created", "location_id": location_id, "deliver_at": "2026-09-21T16:13:20+01:00"}
    )

    [delivery] = await api.deliveries()
    assert delivery["due_at"] == "2026-09-21T15:13:20.000Z"


async def test_a_delivery_time_that_is_past_means_now(api: Api, client: Client, location_id: str) -> None:
    await api.config(location_id)

    await publish(client, {"type": "contact.created", "location_id": location_id, "deliver_at": "2020-01-01T00:00:00Z"})

    [delivery] = await api.deliveries()
    assert delivery["due_at"] == "2026-09-21T14:13:20.000Z"


async def test_a_delivery_time_is_at_most_thirty_days_ahead(client: Client, clock: ClockDouble) -> None:
    clock.now_ms = NOON // 1000 * 1000

    last = await publish(client, {"deliver_at": "2026-10-21T14:13:20Z"})
    beyond = await publish(client, {"deliver_at": "2026-10-21T14:13:20.001Z"})

    assert last.status == 202
    assert list(beyond.errors) == ["deliver_at"]


async def test_occurred_at_is_kept_as_it_came(api: Api, client: Client) -> None:
    await publish(client, {"occurred_at": "2026-09-21T12:00:00.5+05"})

    assert (await stored(api)).occurred_at == "2026-09-21T12:00:00.5+05"


async def test_the_same_key_and_event_again_is_the_same_event(client: Client) -> None:
    first = await publish(client, {"idempotency_key": "k-1"})
    by_field = await publish(client, {"idempotency_key": "k-1"})
    by_header = await publish(client, idempotency_key="k-1")

    assert first.json == by_field.json == by_header.json
    assert by_header.status == 202
    assert len((await client.get("/v2/events")).json["events"]) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"data": {"id": "ord_2"}},
        {"type": "order.sent"},
        {"occurred_at": "2026-09-21T12:00:00Z"},
        {"deliver_at": "2026-09-22T12:00:00Z"},
    ],
)
async def test_the_same_key_with_another_event_is_a_conflict(client: Client, other: dict[str, Any]) -> None:
    await publish(client, {"idempotency_key": "k-1"})

    reply = await publish(client, {"idempotency_key": "k-1", **other})

    assert (reply.status, reply.code) == (409, "conflict")


async def test_header_and_field_must_name_the_same_key(client: Client) -> None:
    assert list((await publish(client, {"idempotency_key": "a"}, idempotency_key="b")).errors) == ["idempotency_key"]
    assert (await publish(client, {"idempotency_key": "a"}, idempotency_key="a")).status == 202


async def test_one_bad_event_of_a_batch_does_not_fail_the_others(client: Client) -> None:
    await publish(client, {"idempotency_key": "k-1"})

    reply = await client.post(
        "/v2/events",
        {
            "events": [
                {"type": "a.b", "data": {}},
                {"type": "nonsense", "data": {}},
                {"type": 5, "data": {}},
                "no event",
                {"type": "order.shipped", "data": {}, "idempotency_key": "k-1"},
                {"type": "a.c", "data": {"id": 1}},
            ]
        },
    )

    answers = reply.json["events"]
    assert reply.status == 202
    assert [sorted(answer) for answer in answers] == [
        ["deliveries", "id"],
        ["errors"],
        ["errors"],
        ["errors"],
        ["error"],
        ["deliveries", "id"],
    ]
    assert answers[4]["error"]["code"] == "conflict"
    assert [event["type"] for event in (await client.get("/v2/events")).json["events"]] == [
        "a.c",
        "a.b",
        "order.shipped",
    ]


async def test_a_batch_holds_up_to_a_thousand_events(client: Client) -> None:
    event = {"type": "a.b", "data": {}}

    full = await client.post("/v2/events", {"events": [event] * 1000})
    too_full = await client.post("/v2/events", {"events": [event] * 1001})
    empty = await client.post("/v2/events", {"events": []})

    assert (full.status, len(full.json["events"])) == (202, 1000)
    assert list(too_full.errors) == ["events"]
    assert empty.errors == {"events": ["there are 0 events; expected 1 to 1,000"]}


async def test_a_batch_has_its_keys_with_its_events(client: Client) -> None:
    body = {"events": [{"type": "a.b", "data": {}}]}

    assert list((await client.post("/v2/events", body, idempotency_key="k")).errors) == ["Idempotency-Key"]


async def test_an_event_a_line(client: Client) -> None:
    lines = (
        b'{"type":"a.b","data":{"n":1}}\r\n\n  {"type":"a.c", "data":{}}\n{"type":\n{"type":"a.d","data":{"x":"\xff"}}'
    )

    reply = await client.post("/v2/events", lines, content_type="application/x-ndjson")

    assert reply.status == 202
    first, second, third, fourth = reply.json["events"]
    assert (first["deliveries"], second["deliveries"]) == (0, 0)
    assert third["error"]["code"] == fourth["error"]["code"] == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event": []},
        {"events": {}},
        {"event": {"type": "a.b", "data": {}}, "events": []},
        {"event": {"type": "a.b", "data": {}}, "x": 1},
        [],
    ],
)
async def test_what_holds_no_event_is_refused(client: Client, body: Any) -> None:
    assert "event" in (await client.post("/v2/events", json.dumps(body).encode())).errors


async def test_a_store_that_takes_nothing_now_is_a_503_with_a_time(api: Api, client: Client) -> None:
    api.intake.refuses_with = Unavailable("too many events are waiting", 3)

    one = await publish(client)
    batch = await client.post("/v2/events", {"events": [{"type": "a.b", "data": {}}]})

    for reply in (one, batch):
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unavailable", "3")


async def test_an_operator_may_publish_for_any_account(api: Api, client: Client) -> None:
    other = await api.other_account()

    by_field = await publish(client, {"account": "other"})
    by_header = await publish(client.as_(client.key, "other"))
    by_itself = await publish(other, {"account": "other"})

    assert (by_field.status, by_header.status) == (202, 202)
    assert list(by_itself.errors) == ["account"]
    assert len((await other.get("/v2/events")).json["events"]) == 2
    assert (await client.get("/v2/events")).json["events"] == []


async def test_nothing_is_scheduled_for_later_than_it_is_kept(tmp_path: Path, clock: ClockDouble) -> None:
    """It was accepted, and expired before its time had come."""
    api = await open_api(tmp_path, clock, retention_days=7)

    reply = await publish(api.client, {"deliver_at": "2026-09-30T12:00:00Z"})
    await api.store.close()

    assert (reply.status, list(reply.errors)) == (422, ["deliver_at"])
    assert "7 days" in reply.errors["deliver_at"][0]
