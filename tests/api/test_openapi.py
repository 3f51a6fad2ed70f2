"""The OpenAPI document: complete, and true of what is answered."""

from typing import Any

import pytest

from postback.actions.config_fields import READERS
from tests.api.client import PUBLIC_URL, Api, Client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def document(client: Client) -> dict[str, Any]:
    document: dict[str, Any] = (await client.get("/openapi.json")).json
    return document


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def test_every_operation_says_what_it_does_and_what_it_answers(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        success = next(status for status in operation["responses"] if status.startswith("2"))
        assert operation["summary"], name
        assert operation["operationId"], name
        if success != "204" and name != "GET /metrics":
            assert operation["responses"][success]["content"]["application/json"]["schema"], name
        if operation.get("security") != []:
            assert {"401", "403"} <= set(operation["responses"]), name
        if "{" in name and "PUT /v2/accounts" not in name:
            assert "404" in operation["responses"], name
        if "requestBody" in operation:
            assert {"400", "408", "413", "415", "422", "503"} <= set(operation["responses"]), name
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert document["servers"] == [{"url": PUBLIC_URL}]


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for child in value.values() for found in references(child)]
        return [found for child in value for found in references(child)] if isinstance(value, list) else []

    named = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert named <= set(schemas)
    assert "PostbackConfig" in named


async def test_the_schemas_have_the_keys_of_real_answers(api: Api, client: Client, document: dict[str, Any]) -> None:
    location_id = await api.location()
    config = await api.config(location_id)
    contact = {"contact": {"location_id": location_id, "last_name": "Jones"}}
    created = (await client.post("/v2/contacts", contact)).json["contact"]
    [delivery] = await api.deliveries()
    await client.post(f"/v2/deliveries/{delivery['id']}/cancel")
    full = (await client.get(f"/v2/deliveries/{delivery['id']}")).json["delivery"]
    event = (await client.get(f"/v2/events/{delivery['event_id']}")).json["event"]
    key = (await client.post("/v2/keys", {"key": {"name": "x", "scopes": ["read"]}})).json["key"]

    def keys(schema: str) -> set[str]:
        return set(document["components"]["schemas"][schema]["properties"])

    assert set(config) <= keys("PostbackConfig")
    assert set(created) == keys("Contact")
    assert set((await client.get(f"/v2/locations/{location_id}")).json["location"]) == keys("Location")
    assert set(delivery) == keys("Delivery")
    assert set(full) == keys("DeliveryWithAttempts")
    assert set(full["attempts"][0]) == keys("Attempt")
    assert set(event) == keys("EventWithDeliveries")
    assert set((await client.get("/v2/events")).json["events"][0]) == keys("Event")
    assert set((await client.get("/v2/accounts/default")).json["account"]) == keys("Account")
    assert set(key) == keys("KeyWithSecret")
    assert set((await client.get("/v2/keys")).json["keys"][0]) == keys("Key")


async def test_the_schemas_name_every_field_that_is_taken(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas["NewPostbackConfig"]["properties"]) == set(READERS)
    assert "update_if_exists" in schemas["NewContact"]["properties"]
    assert "id" not in schemas["NewContact"]["properties"]


@pytest.mark.parametrize(("method", "path"), [("post", "/v2/contacts"), ("put", "/v2/accounts/{account_id}")])
async def test_what_makes_or_changes_has_both_answers(document: dict[str, Any], method: str, path: str) -> None:
    responses = document["paths"][path][method]["responses"]

    assert responses["200"] == responses["201"]
    assert "200" not in document["paths"]["/v2/locations"]["post"]["responses"]


async def test_a_config_may_be_of_all_locations_and_says_what_that_takes(document: dict[str, Any]) -> None:
    location_id = document["components"]["schemas"]["NewPostbackConfig"]["properties"]["location_id"]

    assert "null" in location_id["type"]
    assert "event_types" in location_id["description"]
