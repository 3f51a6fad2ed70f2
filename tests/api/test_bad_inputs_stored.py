"""Hostile texts, lists that are asked for what they do not have, and very many configs."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from postback.storage.config_rows import encode
from postback.storage.tables import config_versions, configs
from tests.api.client import Api, Client, Reply
from tests.build import ACCOUNT, NOON, a_config, answered

pytestmark = pytest.mark.anyio

HOSTILE = [
    "'; DROP TABLE events;--",
    '" OR ""="',
    "%",
    "_",
    "\\",
    "100%_\\'",
    "$1",
    ":name",
    "?",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "{0.__class__}",
]
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "=cmd|'/C calc'!A0",
]

PAGED = (
    "/v2/locations", "/v2/contacts", "/v2/transactions", "/v2/transactionbatches", "/v2/accountvaults",
    "/v2/postbackconfigs", "/v2/keys", "/v2/accounts",
)  # fmt: skip
BY_CURSOR = ("/v2/events", "/v2/deliveries", "/v2/audit")


@pytest.fixture
async def location_id(api: Api) -> str:
    return await api.location()


async def found(client: Client, plural: str, **filters: str) -> list[Any]:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in filters.items())
    reply = await client.get(f"/v2/{plural}?{query}")
    assert reply.status == 200, reply.body
    items: list[Any] = reply.json[plural]
    return items


@pytest.mark.parametrize("text", HOSTILE + MARKUP)
async def test_28_a_hostile_text_is_kept_and_found_literally(
    api: Api, client: Client, location_id: str, text: str
) -> None:
    """Beside others that it would find as well, were it a pattern."""
    for name in (text, "DROP TABLE", "xx"):
        located = (await client.post("/v2/locations", {"location": {"name": name}})).json["location"]
        contact = {"location_id": location_id, "last_name": name, "contact_api_id": name}
        assert (await client.post("/v2/contacts", {"contact": contact})).status == 201
        event = {"type": "a.b", "data": {"text": name}, "subject": name, "idempotency_key": name}
        assert (await client.post("/v2/events", {"event": event})).status == 202
        if name == text:
            first = located
    config = await api.config(location_id, name=text, headers={"X-Text": "x", "X-Secret": "y"})
    key = (await client.post("/v2/keys", {"key": {"name": text, "scopes": ["read"]}})).json["key"]
    account = {"name": text, "metadata": {text: [text]}}
    assert (await client.put("/v2/accounts/acme", {"account": account})).status == 201

    assert [one["id"] for one in await found(client, "locations", name=text)] == [first["id"]]
    for field in ("last_name", "contact_api_id"):
        [contact] = await found(client, "contacts", **{field: text})
        assert contact["last_name"] == contact["contact_api_id"] == text
    [event] = await found(client, "events", subject=text)
    shown = (await client.get(f"/v2/events/{event['id']}")).json["event"]
    assert (shown["subject"], shown["data"]) == (text, {"text": text})
    assert (await client.get(f"/v2/postbackconfigs/{config['id']}")).json["postbackconfig"]["name"] == text
    assert [one["id"] for one in await found(client, "keys", name=text)] == [key["id"]]
    [acme] = await found(client, "accounts", name=text)
    assert acme["metadata"] == {text: [text]}
    assert len(await found(client, "events")) >= 3


@pytest.mark.parametrize("texts", [HOSTILE, MARKUP], ids=["code", "markup"])
async def test_28_a_hostile_text_in_a_query_finds_nothing_or_is_refused(client: Client, texts: list[str]) -> None:
    filters = {
        "locations": ("id", "name"),
        "contacts": ("id", "city", "location_id"),
        "postbackconfigs": ("location_id", "url"),
        "events": ("type", "subject", "location_id"),
        "deliveries": ("event_type", "location_id"),
        "audit": ("action", "target", "key_id"),
    }
    await client.post("/v2/events", {"event": {"type": "a.b", "data": {}}})

    for text in texts:
        for plural, names in filters.items():
            for name in names:
                assert await found(client, plural, **{name: text}) == [], (plural, name)
        for path in ("events/{}", "deliveries/{}", "contacts/{}", "postbackconfigs/{}", "keys/{}", "replays/{}"):
            method = "DELETE" if path.startswith("keys") else "GET"
            assert (await client.send(method, "/v2/" + path.format(quote(text, safe="")))).status == 404
        for parameter in ("state=", "since=", "until=", "postbackconfig_id=", "sort=", "cursor=", "page="):
            reply = await client.get(f"/v2/deliveries?{parameter}{quote(text, safe='')}")
            assert list(reply.errors) == [parameter[:-1]]


# --- lists ------------------------------------------------------------------------------------------------------------


NOT_OF_PAGES = [
    ("sort=secret", "sort"),
    ("sort=hash", "sort"),
    ("sort=--created_ts", "sort"),
    ("sort=name;DROP", "sort"),
    ("page_size=-1", "page_size"),
    ("page_size=0", "page_size"),
    ("page_size=501", "page_size"),
    ("page_size=1e9", "page_size"),
    ("page_size=1000000000", "page_size"),
    ("page=0", "page"),
    ("page=-1", "page"),
    ("page=99999999999999999999", "page"),
    ("page=1&page=2", "page"),
    ("limit=-1", "limit"),
    ("cursor=junk", "cursor"),
    ("hash=x", "hash"),
    ("secrets=x", "secrets"),
    ("body=x", "body"),
]


@pytest.mark.parametrize("path", PAGED)
async def test_29_a_list_by_pages_is_asked_for_what_it_has(client: Client, path: str) -> None:
    for query, field in NOT_OF_PAGES:
        assert list((await client.get(f"{path}?{query}")).errors) == [field], query


NOT_OF_LOGS = [
    ("sort=secret", "sort"),
    ("limit=-1", "limit"),
    ("page=2", "page"),
    ("page_size=-1", "page_size"),
    ("page_size=1e9", "page_size"),
    ("cursor=junk", "cursor"),
    ("cursor=", "cursor"),
    ("cursor=" + "0" * 42, "cursor"),
    ("cursor=%00", "cursor"),
    ("data=x", "data"),
    ("since=yesterday", "since"),
]


@pytest.mark.parametrize("path", BY_CURSOR)
async def test_29_a_log_is_asked_for_what_it_has(client: Client, path: str) -> None:
    for query, field in NOT_OF_LOGS:
        assert list((await client.get(f"{path}?{query}")).errors) == [field], query


async def test_29_a_cursor_is_good_for_its_account_and_its_list_only(api: Api, location_id: str) -> None:
    other = await api.other_account()
    cursors: dict[str, str] = {}
    for client in (other, api.client):
        await client.post("/v2/postbackconfigs", {"postbackconfig": {"event_types": ["*"], "url": "http://127.0.0.1/"}})
        await client.post("/v2/events", {"events": [{"type": "a.b", "data": {}}] * 3})
        for path in BY_CURSOR:
            cursor = (await client.get(f"{path}?page_size=1")).json["next_cursor"]
            assert (await client.get(f"{path}?page_size=1&cursor={cursor}")).status == 200
            cursors[path + ("" if client is other else " own")] = cursor

    for path in BY_CURSOR:
        assert list((await api.client.get(f"{path}?cursor={cursors[path]}")).errors) == ["cursor"]
        changed = cursors[path + " own"][:-1] + ("0" if cursors[path + " own"][-1] != "0" else "1")
        assert list((await api.client.get(f"{path}?cursor={changed}")).errors) == ["cursor"]
        for elsewhere in set(BY_CURSOR) - {path}:
            reply = await api.client.get(f"{elsewhere}?cursor={cursors[path + ' own']}")
            assert list(reply.errors) == ["cursor"]


# --- markup -----------------------------------------------------------------------------------------------------------


def is_no_page(reply: Reply) -> None:
    """Nothing that a browser would take for one."""
    assert reply.headers["content-type"].partition(";")[0] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("text", MARKUP)
async def test_30_markup_in_names_payloads_and_answers_of_receivers_is_data(
    api: Api, client: Client, location_id: str, text: str
) -> None:
    await api.config(
        location_id, name=text, event_types=["*"], resource=None, on_create=None, on_update=None, on_delete=None
    )
    api.sender.outcome = answered(500, body=text.encode(), headers=[(b"x-said", text.encode())])
    [config] = await found(client, "postbackconfigs")
    tested = await client.post(f"/v2/postbackconfigs/{config['id']}/test", {"event_type": "contact.created"})
    published = await client.post("/v2/events", {"event": {"type": "a.b", "data": {"x": text}, "subject": text}})

    assert tested.json["attempt"]["answer"] == {"headers": {"x-said": text}, "body": text, "truncated": False}
    [listed] = await found(client, "events", subject=text)
    for reply in (
        tested,
        published,
        await client.get("/v2/postbackconfigs"),
        await client.get(f"/v2/events/{listed['id']}"),
        await client.get("/v2/deliveries"),
        await client.get("/v2/audit"),
        await client.get(f"/v2/events?{quote(text)}=1"),
        await client.get(f"/v2/{quote(text, safe='')}"),
        await client.post("/v2/events", {"event": {text: 1}}),
        await client.post("/v2/events", text.encode()),
    ):
        is_no_page(reply)
        json.loads(reply.body)
    shown = (await client.get(f"/v2/events/{listed['id']}")).json["event"]
    assert shown["data"] == {"x": text}


@pytest.mark.parametrize("url", ["javascript:alert(1)", "JaVaScRiPt://127.0.0.1/%0aalert(1)", "data:text/html,<b>"])
async def test_30_a_url_that_is_a_script_is_a_422(client: Client, url: str) -> None:
    reply = await client.post("/v2/postbackconfigs", {"postbackconfig": {"event_types": ["*"], "url": url}})

    assert list(reply.errors) == ["url"]


# --- very many --------------------------------------------------------------------------------------------------------

MANY = 10_000


async def test_40_an_event_that_ten_thousand_configs_want_is_accepted_for_all_of_them(
    api: Api, client: Client, location_id: str
) -> None:
    await add_configs(api, location_id, MANY)

    reply = await client.post(
        "/v2/events", {"event": {"type": "contact.created", "location_id": location_id, "data": {}}}
    )

    assert (reply.status, reply.json["event"]["deliveries"]) == (202, MANY)
    assert (await client.get("/v2/deliveries?page_size=500")).json["next_cursor"] is not None
    listed = (await client.get("/v2/postbackconfigs?page_size=1")).json
    assert listed["meta"]["pagination"]["totalCount"] == MANY


async def test_40_an_account_may_be_allowed_so_many_and_no_more(api: Api, client: Client, location_id: str) -> None:
    await add_configs(api, location_id, MANY)
    await client.put(f"/v2/accounts/{ACCOUNT}", {"account": {"limits": {"configs": MANY}}})
    config = {"event_types": ["*"], "url": "http://127.0.0.1:9000/"}

    assert (await client.post("/v2/postbackconfigs", {"postbackconfig": config})).status == 409


async def add_configs(api: Api, location_id: str, count: int) -> None:
    """By one statement: one request for each would take longer than all other tests here."""
    body, _ = encode(a_config(location_id=location_id), 1, api.store.vault)
    ids = range(1, count + 1)

    def write(connection: Any) -> None:
        row = {"account": ACCOUNT, "version": 1, "location_id": location_id, "state": "active"}
        times = {"created_ms": NOON, "modified_ms": NOON}
        connection.execute(configs.insert(), [{"id": number, **row, **times} for number in ids])
        version = {"account": ACCOUNT, "version": 1, "created_ms": NOON, "body": body, "secrets": ""}
        connection.execute(config_versions.insert(), [{"config_id": number, **version} for number in ids])

    await api.store.write(write)
