"""POST /v2/accounts/{account_id}/portal-link, its end, and the origins that may frame what it opens."""

import pytest

from postback.domain.users import LinkKind
from postback.storage.links import SqlSignInLinks
from tests.api.client import PUBLIC_URL, Api, Client
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

ACME = "/v2/accounts/acme"
LINKS = f"{ACME}/portal-link"


@pytest.fixture(autouse=True)
async def acme(client: Client) -> None:
    assert (await client.put(ACME, {"account": {"name": "Acme"}})).status == 201


async def test_a_link_is_made_for_exactly_that_account_and_shown_once(api: Api, client: Client) -> None:
    reply = await client.post(LINKS, {"portal_link": {"role": "viewer", "name": "Ann", "lasts": 600}})

    link = reply.json["portal_link"]
    token = link.pop("url").removeprefix(f"{PUBLIC_URL}/portal/")
    assert reply.status == 201
    assert link == {
        "id": link["id"],
        "account": "acme",
        "role": "viewer",
        "name": "Ann",
        "created_at": "2026-09-21T14:13:20.000Z",
        "ends_at": "2026-09-21T14:23:20.000Z",
    }
    assert len(token) == 43
    [kept] = await SqlSignInLinks(api.store).list("acme", LinkKind.PORTAL, 10)
    assert kept.id == link["id"]
    [entry] = (await client.as_(client.key, "acme").get("/v2/audit?action=link.create")).json["audit"]
    assert (entry["target"], entry["after"]["name"], entry["key_name"]) == (link["id"], "Ann", "of the test")
    assert token not in str(entry)


async def test_what_is_not_said_is_an_editor_for_an_hour(client: Client) -> None:
    link = (await client.post(LINKS, {"portal_link": {}})).json["portal_link"]

    assert (link["role"], link["name"], link["ends_at"]) == ("editor", "acme", "2026-09-21T15:13:20.000Z")


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"role": "owner"}, "role"),
        ({"name": "the platform"}, "name"),
        ({"role": 5}, "role"),
        ({"lasts": 59}, "lasts"),
        ({"lasts": 86_401}, "lasts"),
        ({"lasts": "600"}, "lasts"),
        ({"lasts": True}, "lasts"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"account": "other"}, "account"),
    ],
)
async def test_a_link_that_cannot_be_is_refused(client: Client, fields: dict[str, object], wrong: str) -> None:
    assert list((await client.post(LINKS, {"portal_link": fields})).errors) == [wrong]


async def test_of_no_account_and_by_no_operator_there_is_none(api: Api, client: Client) -> None:
    other = await api.other_account()

    assert (await client.post("/v2/accounts/nobody/portal-link", {"portal_link": {}})).status == 404
    assert (await other.post("/v2/accounts/other/portal-link", {"portal_link": {}})).status == 403


async def test_a_link_is_revoked_once_and_by_its_own_account_only(api: Api, client: Client) -> None:
    await api.other_account()
    link_id = (await client.post(LINKS, {"portal_link": {}})).json["portal_link"]["id"]

    assert (await client.delete(f"/v2/accounts/other/portal-link/{link_id}")).status == 404
    assert (await client.delete(f"{LINKS}/{link_id}")).status == 204
    assert (await client.delete(f"{LINKS}/{link_id}")).status == 404
    assert await SqlSignInLinks(api.store).list("acme", LinkKind.PORTAL, 10) == []


async def test_origins_are_set_kept_and_removed(client: Client, clock: ClockDouble) -> None:
    async def put(**fields: object) -> list[str]:
        origins: list[str] = (await client.put(ACME, {"account": fields})).json["account"]["portal_origins"]
        return origins

    assert await put(portal_origins=["https://CRM.example/", "https://crm.example:443", "http://localhost:3000"]) == [
        "https://crm.example",
        "http://localhost:3000",
    ]
    assert await put(name="Acme Ltd") == ["https://crm.example", "http://localhost:3000"]
    assert await put(portal_origins=None) == []


@pytest.mark.parametrize(
    "origins",
    [
        "https://crm.example",
        [5],
        ["crm.example"],
        ["*"],
        ["https://*.example"],
        ["https://crm.example/path"],
        ["https://crm.example?x"],
        ["https://user@crm.example"],
        ["http://crm.example"],
        ["https://crm.example:0"],
        ["https://crm.example:65536"],
        ["https://crm..example"],
        ["https://-crm.example"],
        ["https://crm.example; script-src *"],
        ["https://crm.example https://evil.example"],
        ["https://crm.example\n"],
        ["https://crm.example,https://evil.example"],
        ["https://[::1]"],
        ["https://xn--n3h.example", "https://☃.example"],
        ["javascript:alert(1)"],
        ["null"],
        ["'self'"],
        [f"https://{n}.example" for n in range(21)],
    ],
)
async def test_what_is_no_origin_never_gets_into_a_header(client: Client, origins: object) -> None:
    reply = await client.put(ACME, {"account": {"portal_origins": origins}})

    assert list(reply.errors) == ["portal_origins"]
    assert (await client.get(ACME)).json["account"]["portal_origins"] == []
