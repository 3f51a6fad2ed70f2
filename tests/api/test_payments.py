"""Transactions, their batches and account vaults through the API, the events that tell of them, and who sees what."""

import asyncio
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from postback.domain.accounts import Scope
from postback.domain.deliveries import Settlement, Verdict
from postback.domain.ids import parse
from postback.domain.wire import Answered, Timings
from postback.formats import FORMATS, render
from tests.api.client import OPERATOR, Api, Client, Reply
from tests.build import ACCOUNT
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

ROUTES = {
    "transaction": ("/v2/transactions", {"transaction_amount": "24.50"}, {"status_id": 201}),
    "transactionbatch": ("/v2/transactionbatches", {"batch_num": 7, "is_open": 1}, {"is_open": 0}),
    "accountvault": ("/v2/accountvaults", {"last_four": "1111"}, {"active": "0"}),
}
PREFIXES = {"transaction": "trx_", "transactionbatch": "bat_", "accountvault": "acv_"}
SENSITIVE = {"ssn4": "6789", "dob_year": "1957", "dl_number": "D-4711", "routing": "021000021"}

each_resource = pytest.mark.parametrize("resource", ROUTES)


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


async def made(client: Client, resource: str, location: str, **fields: Any) -> Any:
    address, needed, _ = ROUTES[resource]
    reply = await client.post(address, {resource: {"location_id": location, **needed, **fields}})
    assert reply.status == 201, reply.body
    return reply.json[resource]


async def events(client: Client) -> list[dict[str, Any]]:
    """Every event with its data and its deliveries, the newest first."""
    listed = (await client.get("/v2/events")).json["events"]
    return [(await client.get(f"/v2/events/{event['id']}")).json["event"] for event in listed]


async def bodies(api: Api, client: Client | None = None, account: str = ACCOUNT) -> list[dict[str, Any]]:
    """What receivers are sent, the newest first."""
    found = []
    for delivery in (await (client or api.client).get("/v2/deliveries")).json["deliveries"]:
        view, _ = await api.services.log_actions.delivery(account, delivery["id"], sees_all=True)
        config = await api.services.config_actions.find(account, delivery["postbackconfig_id"])
        form = dict(parse_qsl(render(view.event, config, 1, api.clock()).body.decode()))
        found.append({**form, "data": json.loads(form["data"])})
    return found


# --- records and their events ----------------------------------------------------------------------------------------


@each_resource
async def test_a_record_is_made_shown_changed_and_deleted_and_each_change_is_an_event(
    api: Api, client: Client, location_id: str, clock: ClockDouble, resource: str
) -> None:
    address, _, changes = ROUTES[resource]
    config = await api.config(location_id, resource="accountvault", product_transaction_id="prt_1")
    await client.put(f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": {"resource": resource}})

    created = await made(client, resource, location_id, **({} if resource == "accountvault" else PRODUCT))
    of_one = f"{address}/{created['id']}"
    clock.pass_(seconds=10)
    changed = (await client.put(of_one, {resource: changes})).json[resource]
    shown = (await client.get(of_one)).json[resource]
    deleted = await client.delete(of_one)

    assert created["id"].startswith(PREFIXES[resource])
    assert created["_links"]["self"]["href"].endswith(of_one)
    assert shown == changed
    assert (deleted.status, deleted.body, (await client.get(of_one)).status) == (204, b"", 404)
    told = await events(client)
    assert [event["type"] for event in told] == [f"{resource}.{verb}" for verb in ("deleted", "updated", "created")]
    assert {(event["subject"], event["location_id"]) for event in told} == {(created["id"], location_id)}
    del shown["_links"]
    assert [event["data"] for event in told[:2]] == [shown, shown]
    assert [(body["type"], body["resource"], body["data"]) for body in await bodies(api)] == [
        (word, resource, event["data"]) for word, event in zip(("DELETE", "UPDATE", "CREATE"), told, strict=True)
    ]


PRODUCT = {"product_transaction_id": "prt_1"}


@pytest.mark.parametrize("resource", ["transaction", "transactionbatch"])
async def test_a_config_hears_of_its_product_transaction_only(
    api: Api, client: Client, location_id: str, resource: str
) -> None:
    await api.config(location_id, resource=resource, product_transaction_id="prt_1")

    for product in ("prt_2", None, "prt_1"):
        await made(client, resource, location_id, product_transaction_id=product)

    [body] = await bodies(api)
    assert body["data"]["product_transaction_id"] == "prt_1"


async def test_a_transaction_says_whose_key_made_and_changed_it(api: Api, client: Client, location_id: str) -> None:
    first, second = [client.as_(await api.key(Scope.WRITE, Scope.READ)) for _ in range(2)]

    created = await made(first, "transaction", location_id)
    changed = (await second.put(f"/v2/transactions/{created['id']}", {"transaction": {}})).json["transaction"]

    assert created["created_user_id"] == created["modified_user_id"] == changed["created_user_id"]
    assert created["created_user_id"].startswith("key_")
    assert changed["modified_user_id"] not in (None, created["created_user_id"])


async def test_a_batch_belongs_to_a_location_and_does_not_show_it(api: Api, client: Client, location_id: str) -> None:
    batch = await made(client, "transactionbatch", location_id)

    assert list(batch) == [
        "id", "batch_num", "product_transaction_id", "created_ts", "processing_status_id", "is_open",
        "batch_close_ts", "settlement_file_name", "_links",
    ]  # fmt: skip
    assert (await client.delete(f"/v2/locations/{location_id}")).status == 409
    without = await client.post("/v2/transactionbatches", {"transactionbatch": {"batch_num": 7}})
    unknown = await client.post("/v2/transactionbatches", {"transactionbatch": {"location_id": "loc_of_nobody"}})
    assert without.errors == {"location_id": ["Location Id cannot be blank."]}
    assert unknown.errors == {"location_id": ["location_id provided is not valid"]}


@pytest.mark.parametrize(
    ("resource", "key"), [("transaction", "transaction_api_id"), ("accountvault", "account_vault_api_id")]
)
async def test_the_callers_own_id_of_a_record_is_taken_once_in_a_location(
    api: Api, client: Client, location_id: str, resource: str, key: str
) -> None:
    address, needed, _ = ROUTES[resource]
    sent = {resource: {"location_id": location_id, **needed, key: "own-1"}}

    replies = await asyncio.gather(*(client.post(address, sent) for _ in range(4)))

    assert sorted(reply.status for reply in replies) == [201, 422, 422, 422]
    refused = next(reply for reply in replies if reply.status == 422)
    assert refused.errors == {key: [f"{key} is taken by another {resource} already"]}
    assert len(await events(client)) == 1
    elsewhere = await api.location(name="Nothing Lane")
    assert (await made(client, resource, elsewhere, **{key: "own-1"}))[key] == "own-1"


@each_resource
async def test_what_cannot_be_taken_is_named_and_makes_no_event(
    client: Client, location_id: str, resource: str
) -> None:
    address, needed, _ = ROUTES[resource]
    wrong = {
        "transaction": {"transaction_amount": "x", "status_id": 1, "created_user_id": "me", "additional_amounts": [1]},
        "transactionbatch": {"is_open": "maybe", "processing_status_id": 0, "id": "bat_1", "modified_ts": 1},
        "accountvault": {"exp_date": "922", "active": 2, "created_ts": 1, "nickname": "x"},
    }[resource]

    reply = await client.post(address, {resource: {"location_id": location_id, **needed, **wrong}})

    assert sorted(reply.errors) == sorted(wrong)
    assert await events(client) == []


# --- expands ---------------------------------------------------------------------------------------------------------


async def test_a_postback_of_a_batch_carries_its_history(api: Api, client: Client, location_id: str) -> None:
    await api.config(location_id, resource="transactionbatch", expands="changelogs", **PRODUCT)
    batch = await made(client, "transactionbatch", location_id, **PRODUCT)

    await client.put(f"/v2/transactionbatches/{batch['id']}", {"transactionbatch": {"is_open": 0}})

    updated, created = await bodies(api)
    assert list(created["data"]) == [
        "id", "batch_num", "is_open", "processing_status_id", "product_transaction_id", "created_ts",
        "settlement_file_name", "batch_close_ts", "changelogs",
    ]  # fmt: skip
    assert created["data"]["changelogs"] == updated["data"]["changelogs"][1:]
    [update, _] = updated["data"]["changelogs"]
    assert (update["action"], update["user"]["username"]) == ("UPDATE", "of the test")
    [detail] = update["changelog_details"]
    assert (detail["field"], detail["old_value"]) == ("is_open", "1")


async def test_a_postback_of_a_transaction_carries_what_its_config_asks_for(
    api: Api, client: Client, location_id: str
) -> None:
    contact = {"location_id": location_id, "last_name": "Okafor"}
    contact = (await client.post("/v2/contacts", {"contact": contact})).json["contact"]
    vault = await made(client, "accountvault", location_id, **SENSITIVE)
    expands = "tags,account_vault,contact,location,created_user,reason_code,product_transaction"
    await api.config(location_id, resource="transaction", expands=expands, **PRODUCT)

    related = {"contact_id": contact["id"], "account_vault_id": vault["id"]}
    await made(client, "transaction", location_id, **related, **PRODUCT)

    [body] = await bodies(api)
    data = body["data"]
    assert list(data)[-7:] == expands.split(",")
    assert (data["tags"], data["reason_code"], data["product_transaction"]) == ([], None, None)
    assert (data["contact"]["last_name"], data["location"]["name"]) == ("Okafor", "Main Street")
    assert data["contact"]["modified_ts"] == contact["created_ts"]
    assert {name: data["account_vault"][name] for name in SENSITIVE} == SENSITIVE
    assert data["created_user"]["id"] == data["created_user_id"]


async def test_a_customer_and_their_receiver_are_told_of_the_platform_and_not_of_its_keys(api: Api) -> None:
    other = await api.other_account()
    location_id = await api.location(other)
    await api.config(location_id, other, resource="transaction", expands="created_user", **PRODUCT)
    operator = api.client.as_(OPERATOR, "other")
    [key] = [one for one in (await operator.get("/v2/keys")).json["keys"] if one["name"] == "of the test"]

    transaction = await made(operator, "transaction", location_id, **PRODUCT)
    await operator.put(f"/v2/transactions/{transaction['id']}", {"transaction": {"status_id": 201}})

    sent = await bodies(api, other, "other")
    assert [one["data"]["created_user"]["username"] for one in sent] == ["the platform", "the platform"]
    assert [one["data"]["modified_user_id"] for one in sent] == ["platform", "platform"]
    said = json.dumps(sent) + (await other.get("/v2/audit")).body.decode()
    assert key["id"] not in said
    assert "of the test" not in said


# --- who sees what ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def reader(api: Api) -> Client:
    return api.client.as_(await api.key(Scope.READ, Scope.PUBLISH))


async def test_sensitive_fields_are_shown_to_those_who_may_write(
    api: Api, client: Client, reader: Client, location_id: str
) -> None:
    vault = await made(client, "accountvault", location_id, **SENSITIVE)
    transaction = await made(client, "transaction", location_id, routing="021000021")

    for address, plural, expected in (
        (f"/v2/accountvaults/{vault['id']}", "accountvaults", SENSITIVE),
        (f"/v2/transactions/{transaction['id']}", "transactions", {"routing": "021000021"}),
    ):
        for asks, shown in ((client, expected), (reader, dict.fromkeys(expected, "***"))):
            [one] = (await asks.get(address)).json.values()
            [listed] = (await asks.get(f"/v2/{plural}")).json[plural]
            assert {name: one[name] for name in expected} == shown
            assert listed == one


async def test_a_mask_shows_nothing_where_nothing_is(client: Client, reader: Client, location_id: str) -> None:
    vault = await made(client, "accountvault", location_id)

    shown = (await reader.get(f"/v2/accountvaults/{vault['id']}")).json["accountvault"]

    assert {name: shown[name] for name in SENSITIVE} == dict.fromkeys(SENSITIVE)


async def test_a_mask_that_is_sent_back_keeps_the_value(client: Client, reader: Client, location_id: str) -> None:
    vault = await made(client, "accountvault", location_id, **SENSITIVE)
    address = f"/v2/accountvaults/{vault['id']}"
    shown = (await reader.get(address)).json["accountvault"]

    changed = await client.put(address, {"accountvault": {"title": "New", **{name: shown[name] for name in SENSITIVE}}})
    refused = await client.post("/v2/accountvaults", {"accountvault": {"location_id": location_id, "ssn4": "***"}})

    assert {name: changed.json["accountvault"][name] for name in SENSITIVE} == SENSITIVE
    assert list(refused.errors) == ["ssn4"]


@pytest.mark.parametrize("format_name", ["api-default", "json", "cloudevents"])
async def test_the_log_shows_nothing_more_than_the_record_does(
    api: Api, client: Client, reader: Client, location_id: str, format_name: str
) -> None:
    config = await api.config(location_id, resource="accountvault", expands="location", format=format_name)
    await made(client, "accountvault", location_id, **SENSITIVE, title='a "routing": "note"')
    await delivered(api, config, 1)
    [delivery] = await api.deliveries()
    event, log = f"/v2/events/{delivery['event_id']}", f"/v2/deliveries/{delivery['id']}"

    told, told_readers = [(await asks.get(event)).json["event"]["data"] for asks in (client, reader)]
    sent, sent_readers = [(await asks.get(log)).json["delivery"]["attempts"][0]["request"] for asks in (client, reader)]

    assert told_readers == {name: "***" if name in SENSITIVE else value for name, value in told.items()}
    assert sent_readers["headers"] == sent["headers"]
    data, data_readers = [
        json.loads(FORMATS[format_name].parse(one["body"].encode(), one["headers"]["content-type"]).data)
        for one in (sent, sent_readers)
    ]
    assert (data["title"], data["location"]["name"]) == ('a "routing": "note"', "Main Street")
    assert {name: data[name] for name in SENSITIVE} == SENSITIVE
    assert data_readers == {name: "***" if name in SENSITIVE else value for name, value in data.items()}


async def test_the_log_shows_nothing_more_of_related_records(
    api: Api, client: Client, reader: Client, location_id: str
) -> None:
    config = await api.config(location_id, resource="transaction", expands="account_vault,changelogs", **PRODUCT)
    vault = await made(client, "accountvault", location_id, **SENSITIVE)
    await made(client, "transaction", location_id, account_vault_id=vault["id"], **PRODUCT)
    await delivered(api, config, 1)
    [delivery] = await api.deliveries()

    def related(reply: Reply) -> Any:
        [attempt] = reply.json["delivery"]["attempts"]
        return json.loads(dict(parse_qsl(attempt["request"]["body"]))["data"])["account_vault"]

    shown, masked = [related(await asks.get(f"/v2/deliveries/{delivery['id']}")) for asks in (client, reader)]
    assert {name: shown[name] for name in SENSITIVE} == SENSITIVE
    assert masked == {**shown, **dict.fromkeys(SENSITIVE, "***")}


async def test_what_is_published_is_masked_as_records_are(
    api: Api, client: Client, reader: Client, location_id: str
) -> None:
    data = (
        b'{ "n": 1.0e2, "s\\u0073n4" : "6789", "routing":null, "account_vault":{"dob_year":1957,"x":[{"dl_number":'
        b'{"a":["}",{"b":1}]}}]}, "note":"ssn4", "list":["routing", "dl_number"], "routing_number":1, "\\"ssn4":2,'
        b' "dob_year" :\n[[1]],"ssn4":true}'
    )
    for event_type in (b"transaction.created", b"customer.created"):
        body = b'{"event":{"type":"%b","data":%b}}' % (event_type, data)
        assert (await client.post("/v2/events", body)).status == 202

    theirs, ours = [(await reader.get(f"/v2/events/{event['id']}")).body for event in await events(client)]

    assert data in theirs
    assert (
        b'{ "n": 1.0e2, "s\\u0073n4" : "***", "routing":null, "account_vault":{"dob_year":"***","x":[{"dl_number":'
        b'"***"}]}, "note":"ssn4", "list":["routing", "dl_number"], "routing_number":1, "\\"ssn4":2,'
        b' "dob_year" :\n"***","ssn4":"***"}'
    ) in ours


async def test_a_history_that_is_published_tells_readers_no_old_value_of_what_is_sensitive(
    client: Client, reader: Client
) -> None:
    """The name stood there as a value, so what the field had held was shown: only our own histories were masked."""
    data = (
        b'{"changelogs":[{"changelog_details":[{"field":"ssn4","old_value":"6789"},{"old_value" : "1957","fi\\u0065ld":'
        b'"dob_year"},{"field":"routing","old_value":null},{"field":"title","old_value":"mine"},{"field":"dl_number",'
        b'"old_value":{"ssn4":"6789","of":[{"old_value":"D-4711"}]}}]}],"field":1,"old_value":"kept"}'
    )
    await client.post("/v2/events", b'{"event":{"type":"accountvault.updated","data":%b}}' % data)
    [event] = (await client.get("/v2/events")).json["events"]

    shown, whole = [(await asks.get(f"/v2/events/{event['id']}")).body for asks in (reader, client)]

    assert data in whole
    assert (
        b'{"changelogs":[{"changelog_details":[{"field":"ssn4","old_value":"***"},{"old_value" : "***","fi\\u0065ld":'
        b'"dob_year"},{"field":"routing","old_value":null},{"field":"title","old_value":"mine"},{"field":"dl_number",'
        b'"old_value":"***"}]}],"field":1,"old_value":"kept"}'
    ) in shown


async def test_a_value_nested_without_end_is_masked_too(client: Client, reader: Client) -> None:
    deep = b"[" * 900 + b'"6789"' + b"]" * 900
    body = b'{"event":{"type":"transaction.created","data":{"ssn4":%b,"a":{"ssn4":"6789"}}}}' % deep
    assert (await client.post("/v2/events", body)).status == 202
    [event] = (await client.get("/v2/events")).json["events"]

    shown = (await reader.get(f"/v2/events/{event['id']}")).json["event"]["data"]

    assert shown == {"ssn4": "***", "a": {"ssn4": "***"}}


async def delivered(api: Api, config: dict[str, Any], number: int) -> None:
    """Carry so many deliveries of the config out, as the engine would."""
    config_id = parse("pbc", config["id"])
    version = await api.services.configs.find(ACCOUNT, config_id)
    for claim in await api.store.claim(api.worker, {config_id: number}, 1 << 20):
        rendered = render(claim.event, version, 1, api.clock())
        outcome = Answered(200, [], b"", Timings(total_ms=9, sent_after_ms=4))
        digest = hashlib.sha256(rendered.body).digest()
        settlement = Settlement(claim, Verdict.DELIVERED, outcome, version.version, 0, digest, api.clock())
        assert (await api.store.settle(api.worker, [settlement])).moved == 1
