"""Every route with no key, with keys that lack its scope, and with the key of another account."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from postback.domain.accounts import Scope
from postback.resources import RESOURCES
from tests.api.client import Api, Client, open_api
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

READ, WRITE, PUBLISH, ADMIN = Scope.READ, Scope.WRITE, Scope.PUBLISH, Scope.ADMIN

# Method, address, body and the one scope that opens it. Names in braces are ids of the account's own things.
ROUTES: list[tuple[str, str, Any, Scope]] = [
    ("POST", "/v2/locations", {"location": {"name": "x"}}, WRITE),
    ("GET", "/v2/locations", b"", READ),
    ("GET", "/v2/locations/{location}", b"", READ),
    ("PUT", "/v2/locations/{location}", {"location": {"city": "x"}}, WRITE),
    ("DELETE", "/v2/locations/{empty_location}", b"", WRITE),
    ("POST", "/v2/contacts", {"contact": {"location_id": "{location}", "last_name": "x"}}, WRITE),
    ("GET", "/v2/contacts", b"", READ),
    ("GET", "/v2/contacts/{contact}", b"", READ),
    ("PUT", "/v2/contacts/{contact}", {"contact": {"city": "x"}}, WRITE),
    ("DELETE", "/v2/contacts/{contact}", b"", WRITE),
    ("POST", "/v2/transactions", {"transaction": {"location_id": "{location}", "transaction_amount": "1"}}, WRITE),
    ("GET", "/v2/transactions", b"", READ),
    ("GET", "/v2/transactions/{transaction}", b"", READ),
    ("PUT", "/v2/transactions/{transaction}", {"transaction": {"status_id": 201}}, WRITE),
    ("DELETE", "/v2/transactions/{transaction}", b"", WRITE),
    ("POST", "/v2/transactionbatches", {"transactionbatch": {"location_id": "{location}"}}, WRITE),
    ("GET", "/v2/transactionbatches", b"", READ),
    ("GET", "/v2/transactionbatches/{transactionbatch}", b"", READ),
    ("PUT", "/v2/transactionbatches/{transactionbatch}", {"transactionbatch": {"is_open": 0}}, WRITE),
    ("DELETE", "/v2/transactionbatches/{transactionbatch}", b"", WRITE),
    ("POST", "/v2/accountvaults", {"accountvault": {"location_id": "{location}"}}, WRITE),
    ("GET", "/v2/accountvaults", b"", READ),
    ("GET", "/v2/accountvaults/{accountvault}", b"", READ),
    ("PUT", "/v2/accountvaults/{accountvault}", {"accountvault": {"active": 0}}, WRITE),
    ("DELETE", "/v2/accountvaults/{accountvault}", b"", WRITE),
    (
        "POST",
        "/v2/postbackconfigs",
        {"postbackconfig": {"location_id": "{location}", "resource": "contact", "url": "http://127.0.0.1/"}},
        WRITE,
    ),
    ("GET", "/v2/postbackconfigs", b"", READ),
    ("GET", "/v2/postbackconfigs/{config}", b"", READ),
    ("PUT", "/v2/postbackconfigs/{config}", {"postbackconfig": {"name": "x"}}, WRITE),
    ("POST", "/v2/postbackconfigs/{config}/pause", b"", WRITE),
    ("POST", "/v2/postbackconfigs/{config}/resume", b"", WRITE),
    ("POST", "/v2/postbackconfigs/{signed_config}/rotate-secret", {"overlap": 60}, WRITE),
    ("GET", "/v2/postbackconfigs/{config}/explain?event_id={event}", b"", READ),
    ("POST", "/v2/postbackconfigs/{config}/test", {"event_type": "contact.updated"}, WRITE),
    ("DELETE", "/v2/postbackconfigs/{config}", b"", WRITE),
    ("GET", "/v2/callbacks", b"", READ),
    ("PUT", "/v2/callbacks", {"callbacks": {}}, WRITE),
    ("GET", "/v2/postbacksettings", b"", READ),
    ("PUT", "/v2/postbacksettings", {"postbacksettings": {}}, WRITE),
    ("POST", "/v2/events", {"event": {"type": "a.b", "data": {}}}, PUBLISH),
    ("GET", "/v2/events", b"", READ),
    ("GET", "/v2/events/{event}", b"", READ),
    ("GET", "/v2/eventtypes", b"", READ),
    ("GET", "/v2/deliveries", b"", READ),
    ("GET", "/v2/deliveries/{delivery}", b"", READ),
    ("POST", "/v2/deliveries/{delivery}/cancel", b"", WRITE),
    ("POST", "/v2/deliveries/{cancelled}/replay", b"", WRITE),
    ("GET", "/v2/stats", b"", READ),
    ("POST", "/v2/deliveries/replay", {"filter": {"postbackconfig_id": "{config}"}, "dry_run": True}, WRITE),
    ("POST", "/v2/deliveries/cancel", {"filter": {"postbackconfig_id": "{config}"}}, WRITE),
    ("GET", "/v2/replays", b"", READ),
    ("GET", "/v2/replays/{replay}", b"", READ),
    ("GET", "/v2/audit", b"", READ),
    ("GET", "/v2/accounts", b"", ADMIN),
    ("PUT", "/v2/accounts/{account}", {"account": {"name": "x"}}, ADMIN),
    ("GET", "/v2/accounts/{account}", b"", ADMIN),
    ("DELETE", "/v2/accounts/{empty_account}", b"", ADMIN),
    ("POST", "/v2/accounts/{account}/portal-link", {"portal_link": {}}, ADMIN),
    ("DELETE", "/v2/accounts/{account}/portal-link/{portal_link}", b"", ADMIN),
    ("GET", "/v2/hold", b"", ADMIN),
    ("POST", "/v2/hold/release", b"", ADMIN),
    ("GET", "/v2/keys", b"", ADMIN),
    ("POST", "/v2/keys", {"key": {"name": "x", "scopes": ["read"]}}, ADMIN),
    ("DELETE", "/v2/keys/{key}", b"", ADMIN),
]
OPEN = [("GET", "/health"), ("GET", "/ready")]
LOCAL = [("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs")]
ONE_THING = [route for route in ROUTES if "{" in route[1] and "/v2/accounts" not in route[1]]
OPERATORS = [route for route in ROUTES if route[1].startswith(("/v2/accounts", "/v2/hold"))]

NAMES = [f"{method} {target}" for method, target, _, _ in ROUTES]
IDS = {
    "location": "loc_0000000000000",
    "empty_location": "loc_0000000000000",
    "contact": "con_0000000000000",
    "transaction": "trx_0000000000000",
    "transactionbatch": "bat_0000000000000",
    "accountvault": "acv_0000000000000",
    "config": "pbc_0000000000000",
    "signed_config": "pbc_0000000000000",
    "event": "evt_0000000000000",
    "delivery": "dlv_00000000000000000000000000",
    "cancelled": "dlv_00000000000000000000000000",
    "replay": "rpl_0000000000000",
    "key": "key_0000000000000",
    "portal_link": "lnk_0000000000000",
}
"""Well-formed ids of nothing."""


class Made(NamedTuple):
    """The folder of a store, and what is in it, by its name in braces."""

    folder: Path
    things: dict[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")

    async def make() -> dict[str, str]:
        api = await open_api(folder, ClockDouble())
        things = await one_of_each_kind(api)
        await api.store.close()
        return things

    return Made(folder, asyncio.run(make()))


@pytest.fixture
def things(made: Made) -> dict[str, str]:
    return made.things


@pytest.fixture
async def api(made: Made, tmp_path: Path, clock: ClockDouble, anyio_backend: str) -> AsyncIterator[Api]:
    """On a copy of that store, some time later."""
    clock.pass_(seconds=60)
    api = await open_api(tmp_path, clock, made.folder)
    yield api
    await api.store.close()


async def one_of_each_kind(api: Api) -> dict[str, str]:
    """One thing of each kind in the account `default`, by its name in braces."""
    client = api.client
    location_id = await api.location()
    config = await api.config(location_id)
    signed = await api.config(location_id, format="json", is_active="0")
    contact = {"contact": {"location_id": location_id, "last_name": "x"}}
    contacts = [(await client.post("/v2/contacts", contact)).json["contact"]["id"] for _ in range(2)]
    deliveries = await api.deliveries()
    sent: dict[str, dict[str, Any]] = {
        "transaction": {"transaction_amount": "1"}, "transactionbatch": {}, "accountvault": {},
    }  # fmt: skip
    # At the same time, so that one commit makes them all: it is done before each test.
    made = await asyncio.gather(
        *(
            client.post(f"/v2/{RESOURCES[name].plural}", {name: {"location_id": location_id, **fields}})
            for name, fields in sent.items()
        )
    )
    await client.post(f"/v2/deliveries/{deliveries[1]['id']}/cancel")
    await client.put("/v2/accounts/empty", {"account": {}})
    key = {"key": {"name": "to be revoked", "scopes": ["read"]}}
    # Of the account that the client acts for.
    account = client.account or "default"
    link = await client.post(f"/v2/accounts/{account}/portal-link", {"portal_link": {}})
    return {
        "location": location_id,
        "empty_location": await api.location(name="Nothing Lane"),
        "contact": contacts[0],
        **{name: reply.json[name]["id"] for name, reply in zip(sent, made, strict=True)},
        "config": config["id"],
        "signed_config": signed["id"],
        "event": deliveries[0]["event_id"],
        "delivery": deliveries[0]["id"],
        "cancelled": deliveries[1]["id"],
        "replay": (await client.post("/v2/deliveries/replay", {"all": True})).json["replay"]["id"],
        "account": "default",
        "empty_account": "empty",
        "key": (await client.post("/v2/keys", key)).json["key"]["id"],
        "portal_link": link.json["portal_link"]["id"],
    }


async def ask(client: Client, route: tuple[str, str, Any, Scope], things: dict[str, str]) -> Any:
    method, target, body, _ = route
    return await client.send(method, target.format_map(things), _filled(body, things))


def _filled(body: Any, things: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {name: _filled(value, things) for name, value in body.items()}
    return body.format_map(things) if isinstance(body, str) else body


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
async def test_a_route_opens_to_the_one_scope_that_it_asks_for_and_to_no_other(
    api: Api, things: dict[str, str], route: tuple[str, str, Any, Scope]
) -> None:
    scope = route[3]
    others = api.client.as_(await api.key(*(set(Scope) - {scope}), account=None))
    right = api.client.as_(await api.key(scope, account=None))

    without = await ask(api.client.as_(None), route, things)
    wrong = await ask(others, route, things)
    allowed = await ask(right, route, things)

    assert (without.status, without.code) == (401, "unauthorized")
    assert (wrong.status, wrong.code) == (403, "forbidden")
    assert allowed.status in {200, 201, 202, 204}, allowed.body


@pytest.mark.parametrize("route", ONE_THING, ids=[f"{method} {target}" for method, target, _, _ in ONE_THING])
async def test_what_is_anothers_cannot_be_told_from_what_is_not_there(
    api: Api, things: dict[str, str], route: tuple[str, str, Any, Scope]
) -> None:
    other = await api.other_account()

    anothers = await ask(other, route, things)
    nobodys = await ask(other, route, {**things, **IDS})

    assert (anothers.status, anothers.code) == (404, "not_found")
    assert (anothers.status, anothers.headers, anothers.body) == (nobodys.status, nobodys.headers, nobodys.body)


@pytest.mark.parametrize("route", OPERATORS, ids=[f"{method} {target}" for method, target, _, _ in OPERATORS])
async def test_what_is_the_operators_is_refused_to_a_key_of_an_account(
    api: Api, things: dict[str, str], route: tuple[str, str, Any, Scope]
) -> None:
    other = await api.other_account()

    for account in ("default", "other", "nobody"):
        reply = await ask(other, route, {**things, "account": account, "empty_account": account})
        assert (reply.status, reply.code) == (403, "forbidden")


async def test_anothers_location_is_no_location(api: Api, things: dict[str, str]) -> None:
    other = await api.other_account()
    config = {"location_id": things["location"], "resource": "contact", "url": "http://127.0.0.1/"}
    event = {"type": "a.b", "data": {}, "location_id": things["location"]}

    replies = [
        await other.post("/v2/postbackconfigs", {"postbackconfig": config}),
        await other.post("/v2/contacts", {"contact": {"location_id": things["location"], "last_name": "x"}}),
        await other.post("/v2/transactionbatches", {"transactionbatch": {"location_id": things["location"]}}),
        await other.post("/v2/events", {"event": event}),
    ]

    assert [reply.errors for reply in replies] == [{"location_id": ["location_id provided is not valid"]}] * 4


async def test_lists_hold_what_is_the_accounts_own(api: Api, things: dict[str, str]) -> None:
    other = await api.other_account()

    for plural in (*(one.plural for one in RESOURCES.values()), "postbackconfigs", "events", "deliveries"):
        assert (await other.get(f"/v2/{plural}")).json[plural] == [], plural


async def test_an_account_key_does_not_act_for_another_account(api: Api) -> None:
    other = await api.other_account()

    assert (await other.as_(other.key, "default").get("/v2/events")).status == 403
    assert (await other.as_(other.key, "nobody").get("/v2/events")).status == 403
    assert (await other.as_(other.key, "other").get("/v2/events")).status == 200


@pytest.mark.parametrize(("method", "target"), OPEN)
async def test_health_needs_no_key(client: Client, method: str, target: str) -> None:
    from_elsewhere = Client(client.app, key=None, peer="203.0.113.9")

    assert (await from_elsewhere.send(method, target)).status == 200


@pytest.mark.parametrize(("method", "target"), LOCAL)
async def test_figures_are_open_on_the_machine_itself_and_elsewhere_to_readers(
    api: Api, method: str, target: str
) -> None:
    reader, writer = await api.key(READ), await api.key(WRITE, PUBLISH, ADMIN)

    async def status(key: str | None, peer: str, **headers: str) -> int:
        return (await Client(api.client.app, key=key, peer=peer).send(method, target, headers=headers)).status

    assert [await status(None, peer) for peer in ("127.0.0.1", "::1")] == [200, 200]
    assert await status(None, "203.0.113.9") == 401
    assert await status(None, "203.0.113.9", x_forwarded_for="127.0.0.1") == 401
    assert await status(writer, "203.0.113.9") == 403
    assert await status(reader, "203.0.113.9") == 200


async def test_the_document_says_which_scope_opens_a_route(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json
    said = {
        (method.upper(), shape(path)): operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    true = {(method, shape(target)): [{"key": [str(scope)]}] for method, target, _, scope in ROUTES}
    true |= {one: [] for one in OPEN} | {one: [{"key": ["read"]}] for one in LOCAL}
    assert said == true


def shape(target: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in target.partition("?")[0].split("/"))


async def test_no_route_is_missing_here(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json
    described = {
        (method.upper(), path.replace("record_id", "id"))
        for path, operations in document["paths"].items()
        for method in operations
    }

    tested = {(method, shape(target)) for method, target, *_ in [*ROUTES, *OPEN, *LOCAL]}
    assert {(method, shape(path)) for method, path in described} == tested
