"""API keys in the portal: the same as /v2/keys."""

import re

import pytest

from postback.domain.accounts import Scope
from postback.domain.users import Role
from tests.doubles import ClockDouble
from tests.web.pages import OTHER, Browser, Page, Portal

pytestmark = pytest.mark.anyio

ADD = "/account/keys/add"
NEXT_YEAR_MS = 365 * 86_400_000


def secret_in(page: Page) -> str:
    found = re.search(r"pbk_[0-9a-z]{39}", page.html)
    assert found, page.text
    return found[0]


async def add(browser: Browser, *scopes: str, **fields: str) -> Page:
    form = (await browser.get(ADD)).form(ADD).fill(**fields)
    form.values["scopes"] = [*scopes]
    return await browser.submit(form)


async def test_a_key_is_shown_once_and_works(portal: Portal, owner: Browser) -> None:
    page = await add(owner, "read", "publish", name="shop back end")

    secret = secret_in(page)
    listed = await owner.get("/account/keys")
    assert (await portal.api.client.as_(secret).get("/v2/events")).status == 200
    assert (await portal.api.client.as_(secret).post("/v2/locations", {"location": {"name": "x"}})).status == 403
    assert "shop back end" in listed.text
    assert "publish, read" in listed.text
    assert secret not in listed.html
    assert secret[:8] in listed.html


async def test_what_cannot_be_taken_is_said_beside_the_field_and_nothing_typed_is_lost(owner: Browser) -> None:
    page = await add(owner, name="")
    kept = await add(owner, "root", name="shop")
    odd = await add(owner, "read", name="shop", expires_at="7")

    assert (page.status, page.wrong("name"), page.wrong("scopes")) == (422, True, True)
    assert (kept.status, kept.wrong("scopes")) == (422, True)
    assert kept.form(ADD).values["name"] == ["shop"]
    assert (odd.status, odd.wrong("expires_at")) == (422, True)
    assert odd.form(ADD).values["scopes"] == ["read"]


async def test_a_key_may_have_an_end(portal: Portal, owner: Browser, clock: ClockDouble) -> None:
    secret = secret_in(await add(owner, "read", name="for a year", expires_at="365"))
    client = portal.api.client.as_(secret)
    assert (await client.get("/v2/events")).status == 200

    clock.pass_(ms=NEXT_YEAR_MS)

    assert (await client.get("/v2/events")).status == 401
    owner = await portal.signed_in()
    assert "expired" in (await owner.get("/account/keys")).text


async def test_a_key_is_revoked_after_a_question(portal: Portal, owner: Browser) -> None:
    secret = secret_in(await add(owner, "read", name="to go"))
    page = await owner.get("/account/keys")
    [path] = [path for said, path in page.links.items() if said.startswith("Revoke")]

    question = await owner.get(path)
    still = (await portal.api.client.as_(secret).get("/v2/events")).status
    done = await owner.submit(question.form(path))

    assert "to go" in question.text
    assert "cannot be taken back" in question.text
    assert still == 200
    assert (await portal.api.client.as_(secret).get("/v2/events")).status == 401
    assert "The API key to go was revoked." in (await owner.follow(done)).text
    assert (await owner.submit(question.form(path))).status == 404


async def test_keys_of_others_and_of_the_platform_are_seen_by_theirs_only(portal: Portal, owner: Browser) -> None:
    await portal.api.key(Scope.READ, account=OTHER, name="key of the other one")
    boss = await portal.signed_in(Role.OWNER, None)

    seen, seen_by_boss = (await owner.get("/account/keys")).text, (await boss.get("/account/keys")).text

    assert "No API keys yet" in seen
    assert "of the test" in seen_by_boss
    assert "of the platform" in seen_by_boss
    assert "key of the other one" not in seen + seen_by_boss


async def test_a_key_is_not_called_the_platform(portal: Portal, owner: Browser) -> None:
    page = await add(owner, "read", name="The  Platform")

    assert (page.status, page.wrong("name")) == (422, True)
    assert "expected another name" in page.text
    assert "No API keys yet" in (await owner.get("/account/keys")).text


async def test_keys_are_found_by_name(portal: Portal, owner: Browser) -> None:
    await portal.api.key(Scope.READ, name="Shop")
    await portal.api.key(Scope.READ, name="Warehouse")

    page = await owner.get("/account/keys?search=wARE")

    assert "Warehouse" in page.text
    assert "Shop" not in page.text
    assert "Nothing found" in (await owner.get("/account/keys?search=zzz")).text


async def test_who_made_and_who_revoked_a_key_is_on_record(portal: Portal, owner: Browser) -> None:
    await add(owner, "read", name="on record")

    [entry] = (await portal.api.client.get("/v2/audit?action=key.create")).json["audit"]
    assert entry["key_id"].startswith("usr_")
    assert entry["after"]["name"] == "on record"
