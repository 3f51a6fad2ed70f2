"""Publishing messaging events: their data is judged by the catalog, and what a format cannot say is counted."""

import json
from typing import Any

import pytest

from postback.actions.access import Principal
from postback.domain.accounts import Actor, Scope
from postback.domain.catalog import CATALOG
from postback.domain.deliveries import Accepted
from postback.domain.errors import Malformed
from postback.ports import LogFilter
from tests.api.client import Api, Client
from tests.build import ACCOUNT

pytestmark = pytest.mark.anyio

SMS = {"to": "15551230000", "tracking_id": "U01TXzE="}
JUDGED = [(known.name, row.example) for known in CATALOG.values() for row in known.rows]


async def publish(client: Client, event_type: str, data: Any, **fields: Any) -> Any:
    return await client.post("/v2/events", {"event": {"type": event_type, "data": data, **fields}})


async def stored(api: Api) -> Any:
    [(event, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 1)).items
    return event


@pytest.mark.parametrize(("event_type", "example"), JUDGED, ids=[name for name, _ in JUDGED])
async def test_every_example_of_the_catalog_is_accepted(client: Client, event_type: str, example: Any) -> None:
    reply = await publish(client, event_type, example)

    assert (reply.status, list(reply.json["event"])) == (202, ["id", "type", "deliveries"])


async def test_what_the_catalog_forbids_is_named_by_field_and_nothing_is_kept(client: Client) -> None:
    data = {"tracking_id": 5, "status": "Sent", "timestamp": "noon"}

    reply = await publish(client, "sms.sent", data, occurred_at="yesterday")

    assert reply.status == 422
    assert reply.errors["data.to"] == ["To cannot be blank."]
    assert reply.errors["data.tracking_id"] == ["tracking_id is a number; expected a string"]
    assert reply.errors["data.status"] == ["status is 'Sent'; expected Message Sent"]
    assert sorted(reply.errors) == ["data.status", "data.timestamp", "data.to", "data.tracking_id", "occurred_at"]
    assert (await client.get("/v2/events")).json["events"] == []


@pytest.mark.parametrize("data", [None, [], "x", 5])
async def test_data_that_is_no_object_is_named_as_a_whole(client: Client, data: Any) -> None:
    assert list((await publish(client, "sms.sent", data)).errors) == ["data"]


async def test_in_a_batch_the_errors_stand_in_the_place_of_their_event(client: Client) -> None:
    events = [
        {"type": "sms.sent", "data": SMS},
        {"type": "sms.sent", "data": {"to": "1"}},
        {"type": "order.sent", "data": {"to": 5}},
    ]
    lines = b"\n".join(json.dumps(event).encode() for event in events)

    batch = await client.post("/v2/events", {"events": events})
    by_line = await client.post("/v2/events", lines, content_type="application/x-ndjson")

    for reply in (batch, by_line):
        assert reply.status == 202
        assert [list(answer) for answer in reply.json["events"]] == [
            ["id", "deliveries"],
            ["errors"],
            ["id", "deliveries"],
        ]
        assert list(reply.json["events"][1]["errors"]) == ["data.tracking_id"]


async def test_data_of_other_types_is_not_judged(client: Client) -> None:
    for event_type in ("contact.created", "transaction.deleted", "sms.link.clicked", "order.sent"):
        assert (await publish(client, event_type, {"to": 5, "status": None, "files": []})).status == 202


async def test_what_was_judged_is_kept_byte_for_byte(api: Api, client: Client) -> None:
    data = b'{ "to" : "1555",\n "x":1e999, "tracking_id":"\\u00fc", "n": 18446744073709551616.0 , "to":"15551230000" }'

    reply = await client.post("/v2/events", b'{"event": {"type": "sms.sent", "data": ' + data + b"}}")

    assert reply.status == 202
    assert (await stored(api)).data == data


@pytest.mark.parametrize(
    "free",
    [
        b"9" * 4_300,
        b"-" + b"9" * 4_300,
        b"1." + b"1" * 5_000,
        b"1e999",
        b"-1e-999",
        b'"' + b"x" * 100_000 + b'"',
        b"[" * 200 + b"]" * 200,
    ],
    ids=lambda free: free[:10].decode(),
)
async def test_free_fields_may_hold_whatever_json_can(client: Client, free: bytes) -> None:
    event = b'{"type": "sms.sent", "data": {"to": "1", "tracking_id": "2", "free": ' + free + b"}}"

    assert (await client.post("/v2/events", b'{"event": ' + event + b"}")).status == 202


@pytest.mark.parametrize("digits", [19, 20, 4_300])
async def test_an_id_may_have_as_many_digits_as_numbers_have(api: Api, client: Client, digits: int) -> None:
    reply = await client.post(
        "/v2/events", b'{"event": {"type": "mms.saved", "data": {"mms_id": ' + b"7" * digits + b"}}}"
    )

    assert reply.status == 202
    assert (await stored(api)).subject == ("7" * digits if digits <= 256 else None)


async def test_a_number_that_no_number_can_hold_is_malformed(api: Api) -> None:
    """The API looks for these in the text before; whoever publishes by other ways gets an answer too."""
    principal = Principal(ACCOUNT, frozenset(Scope), is_operator=True, actor=Actor("key_1", "of the test"))
    text = b'{"type": "mms.saved", "data": {"mms_id": ' + b"7" * 5_000 + b"}}"

    [answer] = await api.services.publishing.publish(principal, [text])

    assert isinstance(answer, Malformed)
    assert "too many digits" in str(answer)


@pytest.mark.parametrize("depth", [1_000, 10_000, 100_000])
@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
async def test_data_that_is_nested_too_deeply_is_malformed(client: Client, bracket: bytes, depth: int) -> None:
    data = b'{"to": "1", "tracking_id": "2", "free": ' + bracket * depth

    closed = data + b"1" + (b"]" if bracket == b"[" else b"}") * depth + b"}"
    for text in (data, closed):
        reply = await client.post("/v2/events", b'{"event": {"type": "sms.sent", "data": ' + text + b"}}")
        assert (reply.status, reply.code) == (400, "malformed")


@pytest.mark.parametrize(
    ("event_type", "data", "subject"),
    [
        ("sms.sent", {**SMS, "from": "12345"}, "15551230000"),
        ("sms.delivered", {**SMS, "id": "msg_1"}, "msg_1"),
        ("sms.received", CATALOG["sms.received"].example, "12025550166"),
        ("mms.undelivered", CATALOG["mms.undelivered"].example, "12025550177"),
        ("mms.received", CATALOG["mms.received"].example, "12025550166"),
        ("mms.saved", {"mms_id": 51307}, "51307"),
        ("mms.save_failed", {"mms_id": "m-7", "audio_name": "a.mp3"}, "m-7"),
        ("queue.failed", CATALOG["queue.failed"].example, "12025550177"),
        ("subscriber.subscribed", {"mobile": "15551230000", "campaign_id": 1}, "15551230000"),
        ("subscriber.unsubscribed", {"mobile": "15551230000", "campaign_id": 1, "id": True}, "15551230000"),
        ("email.subscribed", {"email": "a@b.example", "campaign_id": 1}, "a@b.example"),
        ("pass.generated", CATALOG["pass.generated"].example, "ana.ruiz@example.com"),
        ("pass.failed", {"referenced_by": "Phone", "reference_value": "15551230000"}, "15551230000"),
        ("pass.failed", {"referenced_by": "Phone", "reference_value": ""}, None),
        ("email.subscribed", {"email": "x" * 257, "campaign_id": 1}, None),
    ],
)
async def test_a_message_is_about_the_other_party_a_pass_about_whom_it_is_for(
    api: Api, client: Client, event_type: str, data: Any, subject: str | None
) -> None:
    assert (await publish(client, event_type, data)).status == 202

    assert (await stored(api)).subject == subject


async def test_a_subject_that_was_sent_goes_first(api: Api, client: Client) -> None:
    await publish(client, "sms.sent", SMS, subject="campaign 7")

    assert (await stored(api)).subject == "campaign 7"


async def test_deliveries_that_cannot_be_said_are_counted_only_where_there_are_some(
    client: Client, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = api.intake.publish

    async def counting(events: Any) -> list[Accepted]:
        return [
            answer._replace(unsayable=event.data.count(b"\\u0007"))
            for event, answer in zip(events, await accept(events), strict=True)
            if isinstance(answer, Accepted)
        ]

    monkeypatch.setattr(api.intake, "publish", counting)
    texts = ["bell \u0007\u0007", "no bell"]
    events = [{"type": "sms.received", "data": {**CATALOG["sms.received"].example, "text": text}} for text in texts]

    one = await client.post("/v2/events", {"event": events[0]})
    other = await client.post("/v2/events", {"event": events[1]})
    batch = await client.post("/v2/events", {"events": events})

    assert one.status == other.status == batch.status == 202
    assert list(one.json["event"].items())[1:] == [("type", "sms.received"), ("deliveries", 0), ("unsayable", 2)]
    assert list(other.json["event"]) == ["id", "type", "deliveries"]
    assert [answer.get("unsayable") for answer in batch.json["events"]] == [2, None]
    assert list(batch.json["events"][1]) == ["id", "deliveries"]
