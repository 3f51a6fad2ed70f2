"""Every route that changes something puts exactly one entry on record, in whose name it was asked for."""

import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from postback.api.publish import Publish
from postback.domain.accounts import Scope
from postback.domain.deliveries import Verdict
from postback.domain.errors import InvalidValue, Unavailable
from postback.resources import RESOURCES
from postback.storage.audit import SqlAudit
from tests.api.client import OPERATOR, Api, Client
from tests.api.test_access_matrix import IDS, ROUTES, ask, one_of_each_kind
from tests.build import a_settlement

pytestmark = pytest.mark.anyio

RECORDS = {
    (method, f"/v2/{resource.plural}{one}"): f"{resource.name}.{verb}"
    for resource in RESOURCES.values()
    for method, one, verb in (("POST", "", "create"), ("PUT", "/{}", "change"), ("DELETE", "/{}", "delete"))
}
ACTIONS = {
    **RECORDS,
    ("POST", "/v2/postbackconfigs"): "postbackconfig.create",
    ("PUT", "/v2/postbackconfigs/{}"): "postbackconfig.change",
    ("POST", "/v2/postbackconfigs/{}/pause"): "postbackconfig.pause",
    ("POST", "/v2/postbackconfigs/{}/resume"): "postbackconfig.resume",
    ("POST", "/v2/postbackconfigs/{}/rotate-secret"): "postbackconfig.rotate_secret",
    ("POST", "/v2/postbackconfigs/{}/test"): "postbackconfig.test",
    ("DELETE", "/v2/postbackconfigs/{}"): "postbackconfig.delete",
    ("PUT", "/v2/callbacks"): "callbacks.change",
    ("PUT", "/v2/postbacksettings"): "postbacksettings.change",
    ("POST", "/v2/deliveries/replay"): "deliveries.replay",
    ("POST", "/v2/deliveries/cancel"): "deliveries.cancel",
    ("POST", "/v2/deliveries/{}/cancel"): "delivery.cancel",
    ("POST", "/v2/deliveries/{}/replay"): "delivery.replay",
    ("PUT", "/v2/accounts/{}"): "account.save",
    ("DELETE", "/v2/accounts/{}"): "account.delete",
    ("POST", "/v2/accounts/{}/portal-link"): "link.create",
    ("DELETE", "/v2/accounts/{}/portal-link/{}"): "link.revoke",
    ("POST", "/v2/hold/release"): "hold.release",
    ("POST", "/v2/keys"): "key.create",
    ("DELETE", "/v2/keys/{}"): "key.revoke",
}
UNAUDITED = {("POST", "/v2/events")}
"""An event changes nothing that anybody set up, and is a log of its own."""

# Where the access matrix asks for what changes nothing.
INSTEAD: dict[tuple[str, str], tuple[str, Any]] = {
    ("POST", "/v2/postbackconfigs/{}/resume"): ("/v2/postbackconfigs/{paused}/resume", b""),
    ("POST", "/v2/deliveries/replay"): ("/v2/deliveries/replay", {"filter": {"postbackconfig_id": "{config}"}}),
    ("PUT", "/v2/callbacks"): (
        "/v2/callbacks",
        {
            "callbacks": {
                "callback_url_for_deliveries": "http://127.0.0.1/a",
                "callback_url_for_inbounds": "http://127.0.0.1/b",
            }
        },
    ),
    ("PUT", "/v2/postbacksettings"): (
        "/v2/postbacksettings",
        {"postbacksettings": {"postback_url": "http://127.0.0.1/a", "mo_postback_url": "http://127.0.0.1/b"}},
    ),
}

Route = tuple[str, str, Any, Scope]


def shape(method: str, target: str) -> tuple[str, str]:
    return method, re.sub(r"\{\w+\}", "{}", target.partition("?")[0])


def changing() -> list[Route]:
    routes = [route for route in ROUTES if route[0] != "GET" and shape(*route[:2]) not in UNAUDITED]
    return [
        (method, *INSTEAD.get(shape(method, target), (target, body)), scope) for method, target, body, scope in routes
    ]


CHANGING = changing()
NAMES = [f"{method} {target}" for method, target, *_ in CHANGING]


@pytest.fixture
async def given(api: Api) -> dict[str, str]:
    """One thing of each kind in the account `default`, in a state in which each route has something to do."""
    things = await one_of_each_kind(api)
    paused = await api.config(things["location"], is_active="0")
    await api.client.post(f"/v2/postbackconfigs/{paused['id']}/pause")
    return {**things, "paused": paused["id"]}


def rows(api: Api) -> list[dict[str, Any]]:
    """All of the table, the oldest first: also what no account may read."""
    with closing(sqlite3.connect(api.store.path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM audit ORDER BY id")]


async def entries(client: Client, query: str = "") -> list[dict[str, Any]]:
    reply = await client.get(f"/v2/audit?page_size=500{query}")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["audit"]
    return found


@pytest.mark.parametrize("route", CHANGING, ids=NAMES)
async def test_a_change_is_on_record_once_with_who_asked_for_it_from_where(
    api: Api, given: dict[str, str], route: Route
) -> None:
    secret = await api.key(route[3], account=None, id="key_who", name="who")
    asking = Client(api.client.app, key=secret, peer="203.0.113.9")
    before = rows(api)

    reply = await ask(asking, route, given)

    assert reply.status in {200, 201, 202, 204}, reply.body
    [row] = rows(api)[len(before) :]
    assert row["action"] == ACTIONS[shape(*route[:2])]
    assert (row["key_id"], row["key_name"], row["address"]) == ("key_who", "who", "203.0.113.9")
    named = re.findall(r"\{(\w+)\}", route[1])
    is_made = reply.status == 201 or not named
    assert row["target"] == (new_id(reply.json) if is_made else given[named[-1]])


def new_id(answer: dict[str, Any]) -> str:
    """The id of what the answer shows; settings of a whole account are the account's, and there is one hold."""
    [shown, *_] = answer.values()
    if "hold" in answer:
        return "hold"
    return str(shown.get("id", "default"))


async def test_of_what_is_refused_only_who_may_not_is_on_record(api: Api, given: dict[str, str]) -> None:
    other = await api.other_account()
    lacking = {scope: api.client.as_(await api.key(*(set(Scope) - {scope}), account=None)) for scope in Scope}
    nothing = {**given, **IDS, "paused": IDS["config"], "account": "no such id!", "empty_account": "nobody"}
    before = rows(api)

    for route in CHANGING:
        method, target, body, scope = route
        refused = [await ask(api.client.as_(None), route, given), await ask(lacking[scope], route, given)]
        if "{" in target:
            # What is anothers', and what is not there.
            refused += [await ask(other, route, given), await ask(api.client, route, nothing)]
        if body:
            # What cannot be read, and what cannot be taken.
            refused += [
                await api.client.send(method, target.format_map(given), sent) for sent in (b"{", {"no": "such thing"})
            ]
        assert all(reply.status >= 400 for reply in refused), (target, [reply.status for reply in refused])
        new = rows(api)[len(before) :]
        assert {row["action"] for row in new} == {"access.refuse"}, target
        assert len(new) == sum(reply.status == 403 for reply in refused), target
        before += new


async def test_no_route_that_changes_something_is_missing_here(client: Client) -> None:
    document = (await client.get("/openapi.json")).json
    exist = {
        shape(method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "get"
    }

    assert exist == {shape(*route[:2]) for route in CHANGING} | UNAUDITED
    assert exist == set(ACTIONS) | UNAUDITED


async def test_what_changes_nothing_is_not_on_record(api: Api, given: dict[str, str]) -> None:
    client = api.client
    await client.put("/v2/callbacks", {"callbacks": {"callback_url_for_deliveries": "http://127.0.0.1/a"}})
    before = rows(api)

    replies = [
        await client.post(f"/v2/postbackconfigs/{given['paused']}/pause"),
        await client.post(f"/v2/postbackconfigs/{given['config']}/resume"),
        await client.put("/v2/callbacks", {"callbacks": {"callback_url_for_deliveries": "http://127.0.0.1/a"}}),
        await client.put("/v2/postbacksettings", {"postbacksettings": {}}),
        await client.post("/v2/events", {"event": {"type": "a.b", "data": {}}}),
    ]

    assert {reply.status for reply in replies} == {200, 202}
    assert rows(api) == before


# --- what an entry says ----------------------------------------------------------------------------------------------


async def test_an_entry_says_what_it_was_and_what_it_is_since(api: Api, client: Client) -> None:
    location_id = await api.location()
    config = await api.config(location_id, name="CRM")
    api.clock.pass_(seconds=60)

    await client.put(f"/v2/postbackconfigs/{config['id']}", {"postbackconfig": {"max_in_flight": 8}})

    [entry, made] = await entries(client, f"&target={config['id']}")
    assert list(entry) == ["id", "at", "key_id", "key_name", "address", "action", "target", "before", "after"]
    assert entry["id"].startswith("aud_")
    assert entry["at"] == "2026-09-21T14:14:20.000Z"
    assert (entry["key_name"], entry["address"]) == ("of the test", "127.0.0.1")
    assert (made["action"], made["before"], made["after"]) == ("postbackconfig.create", None, entry["before"])
    changed = {name for name in entry["after"] if entry["before"][name] != entry["after"][name]}
    assert changed == {"max_in_flight"}
    assert entry["after"]["name"] == "CRM"
    assert entry["after"]["url"] == "http://127.0.0.1:9000/receiver"


async def test_settings_of_an_account_are_one_entry_with_each_config_that_became_another(client: Client) -> None:
    first = {"callback_url_for_deliveries": "http://127.0.0.1/a", "callback_url_for_inbounds": "http://127.0.0.1/b"}
    await client.put("/v2/callbacks", {"callbacks": first})

    await client.put("/v2/callbacks", {"callbacks": {**first, "callback_url_for_inbounds": None}})

    [removed, made] = await entries(client, "&action=callbacks.change")
    assert made["target"] == "default"
    assert made["before"] is None
    assert {purpose: config["url"] for purpose, config in made["after"].items()} == {
        "callback.deliveries": "http://127.0.0.1/a",
        "callback.inbounds": "http://127.0.0.1/b",
    }
    assert removed["before"] == {"callback.inbounds": made["after"]["callback.inbounds"]}
    assert removed["after"] is None


async def test_a_pause_says_in_which_state_the_config_was(api: Api, client: Client) -> None:
    config = await api.config(await api.location())
    await client.post(f"/v2/postbackconfigs/{config['id']}/pause")
    await client.post(f"/v2/postbackconfigs/{config['id']}/resume")

    [resumed, paused, _] = await entries(client, f"&target={config['id']}")

    active, held = {"state": "active", "state_reason": None}, {"state": "paused", "state_reason": None}
    assert (paused["before"], paused["after"]) == (active, held)
    assert (resumed["before"], resumed["after"]) == (held, active)


async def test_a_receiver_that_is_gone_disables_in_the_servers_own_name(api: Api, client: Client) -> None:
    location_id = await api.location()
    config = await api.config(location_id)
    await client.post("/v2/contacts", {"contact": {"location_id": location_id, "last_name": "x"}})
    [waiting] = await api.store.waiting(api.worker, 0, 10)
    [claim] = await api.store.claim(api.worker, {waiting.config_id: 1}, 1 << 20)

    await api.store.settle(api.worker, [a_settlement(claim, Verdict.FAILED, disables="410 Gone")])

    [entry] = await entries(client, "&action=postbackconfig.disable")
    assert (entry["key_id"], entry["key_name"], entry["address"]) == (None, None, None)
    assert entry["target"] == config["id"]
    assert entry["before"] == {"state": "active", "state_reason": None}
    assert entry["after"] == {"state": "disabled", "state_reason": "410 Gone"}


async def test_what_a_proxy_or_anybody_else_says_of_the_address_is_not_believed(api: Api) -> None:
    asking = Client(api.client.app, peer="203.0.113.9")

    await asking.send(
        "POST",
        "/v2/locations",
        {"location": {"name": "x"}},
        {"x_forwarded_for": "198.51.100.7", "forwarded": "for=198.51.100.7", "x_real_ip": "198.51.100.7"},
    )

    assert rows(api)[-1]["address"] == "203.0.113.9"


# --- what was refused ------------------------------------------------------------------------------------------------


async def test_whoever_may_not_is_on_record_with_the_route_and_from_where(api: Api, given: dict[str, str]) -> None:
    secret = await api.key(Scope.READ, id="key_who", name="who")
    asking = Client(api.client.app, key=secret, peer="203.0.113.9")

    reply = await asking.delete(f"/v2/keys/{given['key']}?secret=canary-query")

    assert reply.status == 403
    row = rows(api)[-1]
    assert (row["account"], row["action"], row["target"]) == ("default", "access.refuse", "DELETE /v2/keys/{key_id}")
    assert (row["key_id"], row["key_name"], row["address"]) == ("key_who", "who", "203.0.113.9")
    assert row["after"] == '{"why":"this key lacks the scope admin"}'
    assert "canary" not in json.dumps(rows(api))


async def test_a_key_that_asks_to_act_for_another_account_is_on_record_in_its_own(api: Api) -> None:
    other = await api.other_account()

    assert (await other.as_(other.key, "default").get("/v2/locations?search=x")).status == 403

    [entry] = await entries(other, "&action=access.refuse")
    assert (entry["target"], entry["after"]) == (
        "GET /v2/locations",
        {"why": "this key acts for its own account only"},
    )
    assert await entries(api.client, "&action=access.refuse") == []


async def test_a_refused_event_is_on_record_by_both_ways_to_publish(api: Api) -> None:
    for name in ("framework", "in-one-piece"):
        secret = await api.key(Scope.READ, id=f"key_{name}", name=name)
        if name == "framework":
            refused = (await api.client.as_(secret).post("/v2/events", {"event": {"type": "a.b", "data": {}}})).status
        else:
            headers = [(b"authorization", f"Bearer {secret}".encode()), (b"content-type", b"application/json")]
            scope = {"method": "POST", "path": "/v2/events", "headers": headers, "client": ("203.0.113.9", 1)}
            refused = (await Publish(api.services).reply(scope, b"{}")).status

        assert refused == 403
        row = rows(api)[-1]
        assert (row["action"], row["key_name"], row["target"]) == ("access.refuse", name, "POST /v2/events")


async def test_who_asks_again_and_again_is_on_record_once_a_minute(api: Api) -> None:
    reader = api.client.as_(await api.key(Scope.READ))
    before = len(rows(api))

    for _ in range(20):
        assert (await reader.post("/v2/locations", {"location": {"name": "x"}})).status == 403

    assert len(rows(api)) == before + 1


async def test_an_unknown_key_is_not_on_record(api: Api) -> None:
    before = rows(api)

    for client in (api.client.as_(None), api.client.as_("pb_live_nobodys")):
        assert (await client.get("/v2/keys")).status == 401

    assert rows(api) == before


async def test_what_the_store_cannot_put_on_record_is_refused_all_the_same(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the database is away")

    reader = api.client.as_(await api.key(Scope.READ))
    before = len(rows(api))
    with monkeypatch.context() as patched:
        patched.setattr(SqlAudit, "refuse", away)
        assert (await reader.post("/v2/locations", {"location": {"name": "x"}})).status == 403
    assert (await reader.post("/v2/locations", {"location": {"name": "x"}})).status == 403

    assert len(rows(api)) == before + 1


# --- operators -------------------------------------------------------------------------------------------------------


async def test_accounts_see_that_an_operator_did_it_and_not_who_from_where(api: Api) -> None:
    other = await api.other_account()
    operator = Client(api.client.app, key=OPERATOR, account="other", peer="203.0.113.9")
    assert (await operator.send("POST", "/v2/locations", {"location": {"name": "x"}})).status == 201

    [seen] = await entries(other, "&action=location.create")
    [known] = await entries(operator, "&action=location.create")

    assert (seen["key_id"], seen["key_name"], seen["address"]) == ("platform", "the platform", None)
    assert (known["key_name"], known["address"]) == ("of the test", "203.0.113.9")
    same = {"key_id": None, "key_name": None, "address": None}
    assert seen | same == known | same


async def test_no_account_finds_an_operator_by_name_or_id(api: Api) -> None:
    other = await api.other_account()
    await api.location(other, name="theirs")
    operator = api.client.as_(OPERATOR, "other")
    await operator.post("/v2/locations", {"location": {"name": "ours"}})
    [known] = await entries(operator, "&action=location.create&key_name=of+the+test")

    async def names(client: Client, query: str) -> list[str]:
        return [entry["after"]["name"] for entry in await entries(client, f"&action=location.create&{query}")]

    assert await names(other, "key_name=of+the+test") == []
    assert await names(other, f"key_id={known['key_id']}") == []
    assert await names(other, "key_name=made+for+a+test") == ["theirs"]
    for client in (other, operator):
        assert await names(client, "key_id=platform") == ["ours"]
        assert await names(client, "key_name=the+platform") == ["ours"]


async def test_by_the_name_of_the_platform_operators_are_found_and_whoever_else_has_it_by_the_id(api: Api) -> None:
    """Keys of that name are older than its being reserved."""
    other = await api.other_account()
    forger = api.client.as_(await api.key(*Scope, account="other", id="key_forger", name="the platform"))
    await api.location(forger, name="forged")
    operator = api.client.as_(OPERATOR, "other")
    await api.location(operator, name="ours")

    async def names(client: Client, query: str) -> list[str]:
        return [entry["after"]["name"] for entry in await entries(client, f"&action=location.create&{query}")]

    for client in (other, operator):
        assert await names(client, "key_name=the+platform") == ["ours"]
        assert await names(client, "key_id=platform&key_name=the+platform") == ["ours"]
        assert await names(client, "key_id=key_forger") == ["forged"]
        assert await names(client, "key_name=The+Platform") == []
    assert await names(operator, "key_id=platform&key_name=of+the+test") == ["ours"]
    assert await names(operator, "key_id=platform&key_name=made+for+a+test") == []
    assert await names(other, "key_id=platform&key_name=of+the+test") == []
    assert await names(other, "key_id=platform&key_name=made+for+a+test") == []
    assert await names(other, "key_id=key_forger&key_name=the+platform") == ["forged"]


async def test_no_operator_key_is_made_under_the_name_of_the_platform(api: Api) -> None:
    with pytest.raises(InvalidValue):
        await api.services.account_actions.add_operator_key("The Platform")


# --- secrets ---------------------------------------------------------------------------------------------------------


async def test_no_entry_tells_a_secret(api: Api, client: Client) -> None:
    """Each canary is set, changed to another and taken away, so that it would stand before and after."""
    location = {"name": "x"}
    for name, length in (("aba", 9), ("dda", 20), ("ticket_hash_key", 36), ("location_api_key", 36)):
        location[name] = f"canary-{name}".ljust(length, "x")[:length]
    location["branding_domain_url"] = "https://user:canary-url@host.example/"
    made = (await client.post("/v2/locations", {"location": location})).json["location"]
    await client.put(f"/v2/locations/{made['id']}", {"location": {"aba": "canary-2x", "dda": None}})
    config = await api.config(
        made["id"],
        format="json",
        signing_secret="whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5",
        basic_auth_username="canary-user",
        basic_auth_password="canary-password",
        headers={"X-Api-Key": "canary-header", "X-Plain": "canary-plain"},
    )
    path = f"/v2/postbackconfigs/{config['id']}"
    rotated = (await client.post(f"{path}/rotate-secret")).json["signing_secret"]
    for fields in ({"basic_auth_password": "canary-other"}, {"headers": None, "basic_auth_username": None}):
        assert (await client.put(path, {"postbackconfig": fields})).status == 200
    await client.delete(path)
    callbacks = {"callback_url_for_deliveries": "http://127.0.0.1/a"}
    await client.put("/v2/callbacks", {"callbacks": callbacks})
    metadata = {"api_token": "canary-token", "deep": [{"password_secret": "canary-deep"}]}
    await client.put("/v2/accounts/acme", {"account": {"metadata": metadata}})
    key = (await client.post("/v2/keys", {"key": {"name": "x", "scopes": ["read"]}})).json["key"]
    await client.delete(f"/v2/keys/{key['id']}")

    kept = json.dumps(rows(api)) + json.dumps(await entries(client))

    found = [word for word in ("canary", "Y2FuYXJ5", rotated, key["secret"], OPERATOR, key["prefix"]) if word in kept]
    assert found == []
    [made_config] = await entries(client, "&action=postbackconfig.create")
    assert {name: made_config["after"][name] for name in ("signing_secret", "basic_auth_password", "headers")} == {
        "signing_secret": "***",
        "basic_auth_password": "***",
        "headers": {"X-Api-Key": "***", "X-Plain": "***"},
    }
    [changed] = await entries(client, "&action=location.change")
    assert (changed["before"]["dda"], changed["after"]["dda"]) == ("***", None)
    assert changed["after"]["branding_domain_url"] == "https://user:***@host.example/"


# --- the list --------------------------------------------------------------------------------------------------------


async def test_an_account_reads_its_own_and_an_operator_those_of_the_account_that_is_named(api: Api) -> None:
    other = await api.other_account()
    await api.location(name="ours")
    await api.location(other, name="theirs")
    operator = api.client

    assert {entry["key_name"] for entry in await entries(other)} == {"made for a test", None}
    theirs = await entries(other, "&action=location.create")
    assert [entry["after"]["name"] for entry in theirs] == ["theirs"]
    assert await entries(operator.as_(OPERATOR, "other"), "&action=location.create") == theirs
    ours = await entries(operator, "&action=location.create")
    assert [entry["after"]["name"] for entry in ours] == ["ours"]
    # Operator keys are no account's.
    assert "key.create" in {row["action"] for row in rows(api) if row["account"] is None}
    assert OPERATOR not in str(rows(api))


async def test_it_is_narrowed_by_what_was_done_to_what_by_whom_and_when(api: Api, client: Client) -> None:
    first = await api.location(name="first")
    api.clock.pass_(seconds=60)
    writer = client.as_(await api.key(Scope.WRITE, id="key_writer"))
    second = (await writer.post("/v2/locations", {"location": {"name": "second"}})).json["location"]["id"]
    at = (await entries(client, f"&target={second}"))[0]["at"]

    async def targets(query: str) -> list[str]:
        return [entry["target"] for entry in await entries(client, "&action=location.create" + query)]

    assert await targets("") == [second, first]
    assert await targets(f"&target={first}") == [first]
    assert await targets("&key_id=key_writer") == await targets("&key_name=made+for+a+test") == [second]
    assert await targets(f"&since={at}") == [second]
    assert await targets(f"&until={at}") == [first]
    assert await targets("&since=9999-12-31T00:00:00Z") == []
    assert await targets("&until=0001-01-01T00:00:00Z") == []
    assert await entries(client, "&action=") == []
    assert (await client.get("/v2/audit?actor=x")).status == 422


async def test_it_goes_by_a_cursor_that_no_change_in_between_disturbs(api: Api, client: Client) -> None:
    for number in range(5):
        await api.location(name=str(number))
    query = "/v2/audit?action=location.create&page_size=2"
    seen: list[str] = []
    cursor = ""

    for _ in range(3):
        part = (await client.get(query + cursor)).json
        seen += [entry["after"]["name"] for entry in part["audit"]]
        cursor = f"&cursor={part['next_cursor']}"
        await api.location(name="in between")

    assert seen == ["4", "3", "2", "1", "0"]
    assert part["next_cursor"] is None
    other = await api.other_account()
    strange = (await client.get(query)).json["next_cursor"]
    assert (await other.get(f"/v2/audit?cursor={strange}")).errors == {
        "cursor": ["cursor is not one that this list gave out"]
    }


async def test_its_order_holds_when_the_clock_goes_back(api: Api, client: Client) -> None:
    await api.location(name="before")
    at = (await entries(client))[0]["at"]
    api.clock.pass_(seconds=-3600)
    await api.location(name="after")

    found = await entries(client, "&action=location.create")

    assert [entry["after"]["name"] for entry in found] == ["after", "before"]
    assert found[0]["at"] < at
    assert [entry["after"]["name"] for entry in await entries(client, f"&action=location.create&since={at}")] == [
        "before"
    ]
