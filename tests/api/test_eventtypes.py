"""The list of event types."""

from typing import Any

import pytest

from postback.domain.catalog import CATALOG
from postback.domain.described import described
from tests.api.client import Client

pytestmark = pytest.mark.anyio


async def types(client: Client, query: str = "") -> list[str]:
    return [one["type"] for one in (await client.get(f"/v2/eventtypes{query}")).json["eventtypes"]]


async def test_all_types_are_listed_as_the_catalog_describes_them(client: Client) -> None:
    reply = await client.get("/v2/eventtypes")

    assert reply.status == 200
    assert reply.json == {"eventtypes": [described(known) for known in CATALOG.values()]}


async def test_they_are_narrowed_by_patterns_and_format(client: Client) -> None:
    assert await types(client, "?type=*") == list(CATALOG)
    assert await types(client, "?type=email.*,mms.saved") == ["mms.saved", "email.subscribed", "email.unsubscribed"]
    assert await types(client, "?type=order.shipped") == []
    assert await types(client, "?format=sms-callback&type=subscriber.*") == ["subscriber.unsubscribed"]
    assert len(await types(client, "?format=json")) == len(CATALOG)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?type=sms", "type"),
        ("?type=", "type"),
        ("?type=5", "type"),
        ("?type=sms.*,SMS.*", "type"),
        ("?format=soap", "format"),
        ("?page=1", "page"),
    ],
)
async def test_what_can_name_nothing_is_refused(client: Client, query: str, field: str) -> None:
    assert list((await client.get(f"/v2/eventtypes{query}")).errors) == [field]


async def test_every_example_can_be_published_as_it_is_listed(client: Client) -> None:
    listed = (await client.get("/v2/eventtypes")).json["eventtypes"]
    examples = [(one["type"], way["example"]) for one in listed for way in [one, *one["variants"]]]

    reply = await client.post("/v2/events", {"events": [{"type": name, "data": data} for name, data in examples]})

    assert [answer for answer in reply.json["events"] if "id" not in answer] == []


async def test_the_document_has_every_key_that_is_answered(client: Client) -> None:
    listed = (await client.get("/v2/eventtypes")).json["eventtypes"]
    document = (await client.get("/openapi.json")).json
    operation = document["paths"]["/v2/eventtypes"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]

    assert [parameter["name"] for parameter in operation["parameters"]] == ["type", "format"]
    for one in listed:
        assert strangers(one, schema["properties"]["eventtypes"]["items"]) == []


def strangers(value: Any, schema: dict[str, Any]) -> list[str]:
    """Keys that the schema does not know, and required ones that are missing."""
    if "properties" in schema:
        known = schema["properties"]
        wrong = [name for name in value if name not in known] + [
            n for n in schema.get("required", []) if n not in value
        ]
        return wrong + [
            found for name, child in value.items() if name in known for found in strangers(child, known[name])
        ]
    if "items" in schema:
        return [found for child in value for found in strangers(child, schema["items"])]
    return [str(value)] if "enum" in schema and value not in schema["enum"] else []
