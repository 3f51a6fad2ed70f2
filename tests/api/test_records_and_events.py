"""Locations and contacts through the API, and the events that tell of them."""

import asyncio
import json
from typing import Any

import pytest

from postback.domain.errors import Unavailable
from postback.ports import LogFilter
from tests.api.client import Api, Client
from tests.build import ACCOUNT
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


async def contact(client: Client, location: str, **fields: Any) -> Any:
    return await client.post("/v2/contacts", {"contact": {"location_id": location, "last_name": "Jones", **fields}})


async def events(client: Client) -> list[dict[str, Any]]:
    """Every event with its data, the newest first."""
    listed = (await client.get("/v2/events")).json["events"]
    return [(await client.get(f"/v2/events/{event['id']}")).json["event"] for event in listed]


async def test_a_location_needs_a_name_only_and_makes_no_event(client: Client) -> None:
    reply = await client.post("/v2/locations", {"location": {"name": "Main Street"}})

    location = reply.json["location"]
    assert (reply.status, location["name"], location["tz"]) == (201, "Main Street", "America/New_York")
    assert location["_links"]["self"]["href"].endswith(f"/v2/locations/{location['id']}")
    assert await events(client) == []


async def test_a_location_is_shown_changed_listed_and_deleted(client: Client, location_id: str) -> None:
    address = f"/v2/locations/{location_id}"

    changed = await client.put(address, {"location": {"city": "Springfield"}})
    shown = await client.get(address)
    listed = await client.get("/v2/locations?city=Springfield")
    deleted = await client.delete(address)

    assert changed.json == shown.json
    assert (shown.json["location"]["city"], shown.json["location"]["name"]) == ("Springfield", "Main Street")
    assert [found["id"] for found in listed.json["locations"]] == [location_id]
    assert (deleted.status, (await client.get(address)).status) == (204, 404)


async def test_a_location_in_use_is_not_deleted(api: Api, client: Client, location_id: str) -> None:
    await api.config(location_id)

    reply = await client.delete(f"/v2/locations/{location_id}")

    assert (reply.status, reply.code) == (409, "conflict")
    assert (await client.get(f"/v2/locations/{location_id}")).status == 200


async def test_each_change_of_a_contact_is_an_event_with_the_record_as_it_then_was(
    api: Api, client: Client, location_id: str, clock: ClockDouble
) -> None:
    config = await api.config(location_id)
    created = (await contact(client, location_id)).json["contact"]
    clock.pass_(seconds=10)
    address = f"/v2/contacts/{created['id']}"

    changed = (await client.put(address, {"contact": {"first_name": "Ann", "city": "Ulm"}})).json["contact"]
    deleted = await client.delete(address)

    assert (changed["first_name"], changed["last_name"], deleted.status) == ("Ann", "Jones", 204)
    assert changed["modified_ts"] == created["created_ts"] + 10
    told = await events(client)
    assert [event["type"] for event in told] == ["contact.deleted", "contact.updated", "contact.created"]
    assert {event["subject"] for event in told} == {created["id"]}
    assert {event["location_id"] for event in told} == {location_id}
    assert [event["data"]["first_name"] for event in told] == ["Ann", "Ann", None]
    assert told[2]["data"]["modified_ts"] == created["created_ts"]
    assert [event["deliveries"][0]["postbackconfig_id"] for event in told] == [config["id"]] * 3
    assert (await client.get(address)).status == 404


async def test_data_of_a_record_is_compact_and_escaped(api: Api, client: Client, location_id: str) -> None:
    created = (await contact(client, location_id, last_name="Müller 😀")).json["contact"]

    [(event, _)] = (await api.services.log_actions.events(ACCOUNT, LogFilter(), None, 5)).items
    assert b'"last_name":"M\\u00fcller \\ud83d\\ude00"' in event.data
    assert created["last_name"] == "Müller 😀"


async def test_neither_record_nor_event_stays_when_they_cannot_be_written_together(
    api: Api, client: Client, location_id: str
) -> None:
    api.intake.refuses_with = Unavailable("the disk is full", 7)

    reply = await contact(client, location_id)

    assert (reply.status, reply.headers["retry-after"]) == (503, "7")
    api.intake.refuses_with = None
    assert (await client.get("/v2/contacts")).json["contacts"] == []
    assert await events(client) == []


async def test_update_if_exists_changes_the_contact_with_the_same_key(client: Client, location_id: str) -> None:
    first = await contact(client, location_id, contact_api_id="c-1", update_if_exists=1)

    again = await contact(client, location_id, contact_api_id="c-1", update_if_exists="1", city="Ulm")

    assert (first.status, again.status) == (201, 200)
    assert again.json["contact"]["id"] == first.json["contact"]["id"]
    assert again.json["contact"]["city"] == "Ulm"
    assert "update_if_exists" not in again.json["contact"]
    assert [event["type"] for event in await events(client)] == ["contact.updated", "contact.created"]


async def test_a_second_contact_with_the_same_key_is_refused(client: Client, location_id: str) -> None:
    await contact(client, location_id, contact_api_id="c-1")

    reply = await contact(client, location_id, contact_api_id="c-1")

    assert list(reply.errors) == ["contact_api_id"]
    assert len(await events(client)) == 1


async def test_many_update_if_exists_at_once_make_one_contact(client: Client, location_id: str) -> None:
    asked = [contact(client, location_id, contact_api_id="c-1", update_if_exists=1) for _ in range(8)]

    replies = await asyncio.gather(*asked)

    assert sorted(reply.status for reply in replies) == [200] * 7 + [201]
    assert len({reply.json["contact"]["id"] for reply in replies}) == 1


async def test_changes_of_different_fields_at_the_same_time_all_count(client: Client, location_id: str) -> None:
    created = (await contact(client, location_id)).json["contact"]
    address = f"/v2/contacts/{created['id']}"
    fields = {"first_name": "Ann", "city": "Ulm", "zip": "89073", "company_name": "Acme", "contact_c1": "x"}

    replies = await asyncio.gather(*(client.put(address, {"contact": {name: value}}) for name, value in fields.items()))

    assert [reply.status for reply in replies] == [200] * 5
    shown = (await client.get(address)).json["contact"]
    assert {name: shown[name] for name in fields} == fields


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"last_name": None}, "last_name"),
        ({"location_id": "loc_of_nobody"}, "location_id"),
        ({"location_id": None}, "location_id"),
        ({"cell_phone": "123"}, "cell_phone"),
        ({"date_of_birth": "1990-02-30"}, "date_of_birth"),
        ({"email_trx_receipt": "maybe"}, "email_trx_receipt"),
        ({"update_if_exists": 1}, "contact_api_id"),
        ({"nickname": "x"}, "nickname"),
    ],
)
async def test_a_field_of_a_contact_that_cannot_be_taken_is_named(
    client: Client, location_id: str, fields: dict[str, Any], field: str
) -> None:
    reply = await contact(client, location_id, **fields)

    assert list(reply.errors) == [field]
    assert await events(client) == []


async def test_a_contact_stays_in_its_location(client: Client, location_id: str) -> None:
    created = (await contact(client, location_id)).json["contact"]

    reply = await client.put(f"/v2/contacts/{created['id']}", {"contact": {"location_id": location_id}})

    assert list(reply.errors) == ["location_id"]


async def test_contacts_are_listed_with_exact_filters(client: Client, location_id: str, clock: ClockDouble) -> None:
    for name in ("Jones", "Jonson", "100%", "a_b"):
        await contact(client, location_id, last_name=name)
        clock.pass_(seconds=1)

    async def found(query: str) -> list[str]:
        return [contact["last_name"] for contact in (await client.get(f"/v2/contacts?{query}")).json["contacts"]]

    assert await found("last_name=Jon") == []
    assert await found("last_name=Jones,a_b") == ["a_b", "Jones"]
    assert await found("last_name=100%25") == ["100%"]
    assert await found("sort=last_name&page_size=2") == ["100%", "Jones"]
    assert await found("email_trx_receipt=0&sort=created_ts") == ["Jones", "Jonson", "100%", "a_b"]


async def test_an_id_of_another_kind_of_record_is_unknown(client: Client, location_id: str) -> None:
    assert (await client.get(f"/v2/contacts/{location_id}")).status == 404


async def test_the_body_of_an_event_of_a_record_is_what_a_format_can_say(
    api: Api, client: Client, location_id: str
) -> None:
    await api.config(location_id)
    await contact(client, location_id)

    [delivery] = await api.deliveries()
    event = (await client.get(f"/v2/events/{delivery['event_id']}")).json["event"]

    assert json.dumps(event["data"]).startswith('{"id": "con_')
    assert delivery["state"] == "pending"


@pytest.mark.parametrize(
    "query",
    ["created_ts=abc", "modified_ts=-1", "email_trx_receipt=yes", "date_of_birth=today", "header_message_type=9"],
)
async def test_a_filter_that_no_contact_can_match_is_refused_by_name(client: Client, query: str) -> None:
    assert list((await client.get(f"/v2/contacts?{query}")).errors) == [query.partition("=")[0]]


async def test_a_filter_of_contacts_is_read_as_its_field_is(api: Api, client: Client) -> None:
    contact = {
        "location_id": await api.location(),
        "last_name": "Jones",
        "email_trx_receipt": "1",
        "date_of_birth": "1980-02-29",
        "header_message_type": 3,
    }
    made = (await client.post("/v2/contacts", {"contact": contact})).json["contact"]

    for query in (
        "email_trx_receipt=1", "email_trx_receipt=true", "date_of_birth=1980-02-29", "header_message_type=3",
        f"created_ts={made['created_ts']}", "last_name=Jones",
    ):  # fmt: skip
        found = (await client.get(f"/v2/contacts?{query}")).json["contacts"]
        assert [contact["id"] for contact in found] == [made["id"]], query
    for query in ("email_trx_receipt=0", "date_of_birth=1980-02-28", "header_message_type=4", "created_ts=1"):
        assert (await client.get(f"/v2/contacts?{query}")).json["contacts"] == [], query
