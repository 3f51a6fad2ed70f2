"""The OpenAPI document: complete, and true of what is answered."""

from typing import Any

import pytest

from postback.actions.config_fields import READERS
from postback.resources import RESOURCES, UPDATE_IF_EXISTS, Resource
from tests.api.client import PUBLIC_URL, Api, Client
from tests.api.fitting import misfits

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
        if success != "204" and name not in ("GET /metrics", "GET /docs"):
            assert operation["responses"][success]["content"]["application/json"]["schema"], name
        if operation.get("security") != []:
            assert {"401", "403"} <= set(operation["responses"]), name
        if "{" in name:
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
    link = (await client.post("/v2/accounts/default/portal-link", {"portal_link": {}})).json["portal_link"]
    assert set(link) == keys("PortalLink")
    assert set((await client.get("/v2/keys")).json["keys"][0]) == keys("Key")


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
async def test_a_record_has_the_keys_that_its_schema_shows(
    api: Api, client: Client, document: dict[str, Any], resource: Resource
) -> None:
    shown, new = (document["components"]["schemas"][name + resource.name.capitalize()] for name in ("", "New"))
    sent = {"location_id": await api.location(), "transaction_amount": "1", "last_name": "x", "name": "x"}
    sent = {name: value for name, value in sent.items() if name in new["properties"]}

    created = (await client.post(f"/v2/{resource.plural}", {resource.name: sent})).json[resource.name]

    assert set(created) == set(shown["properties"])
    assert set(new["properties"]) == {name for name, field in resource.by_name.items() if not field.read_only}


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


async def test_every_operation_says_that_an_address_may_be_too_long_and_the_store_away(
    api: Api, client: Client, document: dict[str, Any]
) -> None:
    """Both stood at a few operations only, though no route is asked before: a read may find the store too busy as well."""
    asked = [(*name.split(" "), operation) for name, operation in operations(document)]

    for method, path, operation in asked:
        reply = await client.send(method, f"{path}?x={'x' * 10_000}")
        assert reply.status == 414, path
        assert "414" in operation["responses"], path

    await api.store.close()
    elsewhere = Client(client.app, key="a-key-that-has-to-be-looked-up", peer="192.0.2.1")
    for method, path, operation in asked:
        reply = await elsewhere.send(method, path)
        assert reply.status == (503 if operation.get("security") != [] else 200), path
        assert str(reply.status) in operation["responses"], path
        assert set(operation["responses"].get("503", {}).get("headers", ())) <= {"Retry-After"}, path
        assert reply.status != 503 or "retry-after" in reply.headers, path


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=RESOURCES)
async def test_the_fields_of_a_record_that_null_empties_are_documented_so(
    api: Api, client: Client, document: dict[str, Any], resource: Resource
) -> None:
    """Flags and lists were documented as if null were refused for them, and it stands for their default."""
    schema = document["components"]["schemas"][f"New{resource.name.capitalize()}"]["properties"]
    sent = {"location_id": await api.location(), "transaction_amount": "1", "last_name": "x", "name": "x"}
    sent = {name: value for name, value in sent.items() if name in schema}
    address = f"/v2/{resource.plural}"
    record = (await client.post(address, {resource.name: sent})).json[resource.name]

    # It says how a contact is made, and is refused when one is changed.
    for name in set(schema) - {UPDATE_IF_EXISTS}:
        reply = await client.put(f"{address}/{record['id']}", {resource.name: {name: None}})
        assert (reply.status == 200) == takes_null(document, schema[name]), name


@pytest.mark.parametrize(
    ("path", "wrapper", "name"),
    [
        ("/v2/accounts/default", "account", "NewAccount"),
        ("/v2/callbacks", "callbacks", "NewCallbacks"),
        ("/v2/postbacksettings", "postbacksettings", "NewPostbackSettings"),
    ],
)
async def test_the_settings_that_null_resets_are_documented_so(
    client: Client, document: dict[str, Any], path: str, wrapper: str, name: str
) -> None:
    schema = document["components"]["schemas"][name]["properties"]

    for field in schema:
        assert (await client.put(path, {wrapper: {field: None}})).status == 200, field
        assert takes_null(document, schema[field]), field


async def test_the_fields_of_a_config_that_null_resets_are_documented_so(
    api: Api, client: Client, document: dict[str, Any]
) -> None:
    schema = document["components"]["schemas"]["NewPostbackConfig"]["properties"]
    location_id = await api.location()
    by_resource = await api.config(location_id)
    by_types = {"location_id": location_id, "event_types": ["*"], "url": by_resource["url"]}
    other = (await client.post("/v2/postbackconfigs", {"postbackconfig": by_types})).json["postbackconfig"]

    for field in schema:
        sent = {"postbackconfig": {field: None}}
        replies = [await client.put(f"/v2/postbackconfigs/{one['id']}", sent) for one in (by_resource, other)]
        assert any(reply.status == 200 for reply in replies) == takes_null(document, schema[field]), field


async def test_a_rotation_that_says_null_for_the_overlap_is_documented_so(
    api: Api, client: Client, document: dict[str, Any]
) -> None:
    config = await api.config(await api.location(), format="json")

    reply = await client.post(f"/v2/postbackconfigs/{config['id']}/rotate-secret", {"overlap": None})

    assert reply.status == 200
    assert takes_null(document, document["components"]["schemas"]["Rotation"]["properties"]["overlap"])


def takes_null(document: dict[str, Any], schema: Any) -> bool:
    return not list(misfits(None, schema, document["components"]["schemas"], ""))
