"""Accounts and keys through the API."""

from dataclasses import replace
from itertools import count

import pytest
from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from postback.domain.accounts import Scope
from tests.api.client import OPERATOR, Api, Client
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio


async def test_an_account_is_made_and_changed_under_the_operators_own_id(client: Client, clock: ClockDouble) -> None:
    made = await client.put("/v2/accounts/acme", {"account": {"name": "Acme", "metadata": {"plan": "gold"}}})
    clock.pass_(seconds=1)
    changed = await client.put("/v2/accounts/acme", {"account": {"name": "Acme Ltd"}})
    emptied = await client.put("/v2/accounts/acme", {"account": {"metadata": None}})

    assert (made.status, changed.status, emptied.status) == (201, 200, 200)
    assert changed.json["account"] == {
        "id": "acme",
        "name": "Acme Ltd",
        "metadata": {"plan": "gold"},
        "limits": {"events_per_second": None, "configs": None, "max_body": None},
        "portal_origins": [],
        "created_at": "2026-09-21T14:13:20.000Z",
        "modified_at": "2026-09-21T14:13:21.000Z",
    }
    assert (await client.get("/v2/accounts/acme")).json["account"]["metadata"] == {}
    listed = await client.get("/v2/accounts?sort=id")
    assert [account["id"] for account in listed.json["accounts"]] == ["acme", "default"]


@pytest.mark.parametrize(
    ("account_id", "account", "field"),
    [
        ("a.b", {}, "id"),
        ("x" * 37, {}, "id"),
        ("acme", {"name": 5}, "name"),
        ("acme", {"name": "a\0b"}, "name"),
        ("acme", {"metadata": []}, "metadata"),
        ("acme", {"metadata": {"x": "y" * 4096}}, "metadata"),
        ("acme", {"limits": []}, "limits"),
        ("acme", {"limits": {"colour": 1}}, "limits.colour"),
        ("acme", {"limits": {"events_per_second": 0}}, "limits.events_per_second"),
        ("acme", {"limits": {"events_per_second": "5"}}, "limits.events_per_second"),
        ("acme", {"limits": {"configs": -1}}, "limits.configs"),
        ("acme", {"limits": {"configs": 1.5}}, "limits.configs"),
        ("acme", {"limits": {"max_body": 0}}, "limits.max_body"),
        ("acme", {"limits": {"max_body": True}}, "limits.max_body"),
    ],
)
async def test_an_account_that_cannot_be_is_refused(
    client: Client, account_id: str, account: dict[str, object], field: str
) -> None:
    assert list((await client.put(f"/v2/accounts/{account_id}", {"account": account})).errors) == [field]


async def test_an_operator_acts_for_the_account_that_the_header_names(client: Client) -> None:
    await client.put("/v2/accounts/acme", {"account": {}})
    acme = client.as_(client.key, "acme")

    await acme.post("/v2/locations", {"location": {"name": "Acme Street"}})

    assert len((await acme.get("/v2/locations")).json["locations"]) == 1
    assert (await client.get("/v2/locations")).json["locations"] == []
    assert (await client.as_(client.key, "nobody").get("/v2/locations")).status == 404


async def test_an_account_in_use_and_the_servers_own_are_not_deleted(api: Api, client: Client) -> None:
    await client.put("/v2/accounts/acme", {"account": {}})
    acme = client.as_(client.key, "acme")
    location_id = await api.location(acme)

    in_use = await client.delete("/v2/accounts/acme")
    await acme.delete(f"/v2/locations/{location_id}")
    empty = await client.delete("/v2/accounts/acme")
    own = await client.delete("/v2/accounts/default")

    assert (in_use.status, empty.status, own.status) == (409, 204, 409)
    assert (await acme.get("/v2/locations")).status == 404


async def test_the_keys_of_a_deleted_account_end_with_it(api: Api, client: Client) -> None:
    other = await api.other_account()
    assert (await other.get("/v2/events")).status == 200

    await client.delete("/v2/accounts/other")

    assert (await other.get("/v2/events")).status == 401


async def test_a_key_shows_itself_once_and_can_what_its_scopes_say(client: Client, clock: ClockDouble) -> None:
    made = await client.post("/v2/keys", {"key": {"name": "shop", "scopes": ["read"]}})
    key = made.json["key"]
    secret = key.pop("secret")

    shop = client.as_(secret)
    read = await shop.get("/v2/events")
    written = await shop.post("/v2/locations", {"location": {"name": "x"}})
    listed = await client.get("/v2/keys")

    assert (made.status, read.status, written.status, written.code) == (201, 200, 403, "forbidden")
    assert secret.startswith(key["prefix"])
    assert (key["account"], key["scopes"], key["last_used_at"]) == ("default", ["read"], None)
    [shown] = [each for each in listed.json["keys"] if each["account"] is not None]
    assert shown == {**key, "last_used_at": "2026-09-21T14:13:20.000Z"}
    assert secret.encode() not in listed.body


async def test_a_revoked_key_stops_at_once(client: Client) -> None:
    key = (await client.post("/v2/keys", {"key": {"name": "shop", "scopes": ["read"]}})).json["key"]
    shop = client.as_(key["secret"])
    assert (await shop.get("/v2/events")).status == 200

    revoked = await client.delete(f"/v2/keys/{key['id']}")

    assert (revoked.status, (await shop.get("/v2/events")).status) == (204, 401)
    assert (await client.delete(f"/v2/keys/{key['id']}")).status == 404


async def test_a_key_ends_when_it_expires(client: Client, clock: ClockDouble) -> None:
    sent = {"name": "shop", "scopes": ["read"], "expires_at": "2026-09-21T15:00:00Z"}
    key = (await client.post("/v2/keys", {"key": sent})).json["key"]
    shop = client.as_(key["secret"])
    before = await shop.get("/v2/events")

    clock.now_ms += 3600 * 1000

    assert (before.status, (await shop.get("/v2/events")).status) == (200, 401)


async def test_a_key_without_an_end_is_made_however_busy_the_machine_is(api: Api) -> None:
    """It was refused as expired where a millisecond passed between two looks at the clock."""
    times = count(api.clock(), 5)
    actions = replace(api.services.account_actions, clock=lambda: next(times))
    operator = await api.services.access.identify(OPERATOR)

    key, _ = await actions.add_key(operator, {"name": "shop", "scopes": ["read"]})

    assert key.expires_ms is None


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        ({}, ["name", "scopes"]),
        ({"name": "", "scopes": ["read"]}, ["name"]),
        ({"name": "x", "scopes": []}, ["scopes"]),
        ({"name": "x", "scopes": ["root"]}, ["scopes"]),
        ({"name": "x", "scopes": "read"}, ["scopes"]),
        ({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, ["expires_at"]),
        ({"name": "x", "scopes": ["read"], "expires_at": 5}, ["expires_at"]),
        ({"name": "x", "scopes": ["read"], "secret": "mine"}, ["secret"]),
        ({"name": "x", "scopes": ["read"], "account": "nobody"}, ["account"]),
        ({"name": "the platform", "scopes": ["read"]}, ["name"]),
    ],
)
async def test_a_key_that_cannot_be_is_refused(client: Client, key: dict[str, object], fields: list[str]) -> None:
    assert sorted((await client.post("/v2/keys", {"key": key})).errors) == fields


async def test_an_operator_makes_keys_for_any_account_and_others_for_their_own(api: Api, client: Client) -> None:
    other = await api.other_account()

    named = await client.post("/v2/keys", {"key": {"name": "x", "scopes": ["read"], "account": "other"}})
    own = await other.post("/v2/keys", {"key": {"name": "y", "scopes": ["read"]}})
    foreign = await other.post("/v2/keys", {"key": {"name": "z", "scopes": ["read"], "account": "default"}})

    assert named.json["key"]["account"] == own.json["key"]["account"] == "other"
    assert list(foreign.errors) == ["account"]
    assert {key["account"] for key in (await client.get("/v2/keys")).json["keys"]} == {None}
    assert (await other.delete(f"/v2/keys/{named.json['key']['id']}")).status == 204


async def test_an_operator_can_revoke_an_operator_key(api: Api, client: Client) -> None:
    operator_key, secret = await api.services.account_actions.add_operator_key("second")
    assert (await client.as_(secret).get("/v2/accounts")).status == 200

    reply = await client.delete(f"/v2/keys/{operator_key.id}")

    assert (reply.status, (await client.as_(secret).get("/v2/accounts")).status) == (204, 401)


async def test_operators_see_their_own_keys_among_those_of_the_account_and_nobody_else_does(
    api: Api, client: Client
) -> None:
    operator_key, _ = await api.services.account_actions.add_operator_key("second")
    await api.other_account()
    admin = client.as_(await api.key(*Scope))

    seen = await client.get("/v2/keys?sort=name&page_size=2")
    rest = await client.get("/v2/keys?sort=name&page_size=2&page=2")
    by_account = await admin.get("/v2/keys")

    assert [(key["name"], key["account"]) for key in seen.json["keys"] + rest.json["keys"]] == [
        ("made for a test", "default"),
        ("of the test", None),
        ("second", None),
    ]
    assert operator_key.id in {key["id"] for key in rest.json["keys"]}
    assert {key["account"] for key in by_account.json["keys"]} == {"default"}


async def test_the_key_that_asks_is_not_revoked(api: Api, client: Client) -> None:
    own = next(key for key in (await client.get("/v2/keys")).json["keys"] if key["name"] == "of the test")
    made = await client.post("/v2/keys", {"key": {"name": "x", "scopes": ["admin"]}})
    admin = client.as_(made.json["key"]["secret"])

    by_operator = await client.delete(f"/v2/keys/{own['id']}")
    by_admin = await admin.delete(f"/v2/keys/{made.json['key']['id']}")

    assert (by_operator.status, by_operator.code, by_admin.status) == (409, "conflict", 409)
    assert (await client.get("/v2/keys")).status == (await admin.get("/v2/keys")).status == 200


def with_raw_headers(client: Client, *more: tuple[bytes, bytes]) -> Client:
    """A client that also sends these, byte for byte."""

    async def app(scope: ASGIScope, receive: Receive, send: Send) -> None:
        await client.app({**scope, "headers": [*scope["headers"], *more]}, receive, send)

    return replace(client, app=app)


async def test_two_accounts_in_the_headers_are_refused_as_two_keys_are(client: Client) -> None:
    await client.put("/v2/accounts/acme", {"account": {}})
    account = (b"postback-account", b"acme")

    once = await with_raw_headers(client, account).get("/v2/locations")
    twice = await with_raw_headers(client, (b"postback-account", b"default"), account).get("/v2/locations")
    two_keys = await with_raw_headers(client, (b"authorization", b"Bearer x")).get("/v2/locations")

    assert (once.status, twice.status, two_keys.status) == (200, 401, 401)
    assert "Postback-Account" in twice.message


async def test_headers_that_are_no_utf_8_name_no_account_and_no_key(client: Client) -> None:
    account = await with_raw_headers(client, (b"postback-account", b"\xff")).get("/v2/locations")
    key = await with_raw_headers(client.as_(None), (b"authorization", b"Bearer \xff")).get("/v2/locations")

    assert (account.status, key.status) == (401, 401)
    assert "cannot be read" in account.message
    assert "cannot be read" in key.message


async def test_all_that_is_wrong_with_a_key_is_answered_at_once(client: Client) -> None:
    key = {"account": "nobody", "expires_at": "2020-01-01T00:00:00Z", "scopes": ["root"], "zz": 1}

    assert sorted((await client.post("/v2/keys", {"key": key})).errors) == [
        "account",
        "expires_at",
        "name",
        "scopes",
        "zz",
    ]


async def test_no_account_key_can_revoke_an_operator_key(api: Api, client: Client) -> None:
    operator_key, _ = await api.services.account_actions.add_operator_key("second")
    other = await api.other_account()
    admin = client.as_(await api.key(*Scope))

    for stranger in (other, admin):
        assert (await stranger.delete(f"/v2/keys/{operator_key.id}")).status == 404


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Basic b3BlcmF0b3I6", f"Token {OPERATOR}", f"Bearer {OPERATOR}x", "Bearer \u00ff\u00fe"],
)
async def test_what_is_no_key_is_a_401_that_says_how(client: Client, authorization: str) -> None:
    reply = await client.as_(None).get("/v2/events", authorization=authorization)

    assert (reply.status, reply.code) == (401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer")


async def test_the_scheme_is_read_in_any_case(client: Client) -> None:
    assert (await client.as_(None).get("/v2/events", authorization=f"bearer  {OPERATOR} ")).status == 200
