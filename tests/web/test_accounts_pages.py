"""Accounts and portal links in the portal, for owners and admins of the platform."""

import re

import pytest

from postback.domain.accounts import Scope
from postback.domain.users import Role
from postback.web import shown
from tests.doubles import ClockDouble
from tests.web.pages import OPERATOR, OTHER, Browser, Page, Portal
from tests.web.test_texts_from_outside import CORPUS, nothing_came_alive

pytestmark = pytest.mark.anyio

SETTINGS = f"/accounts/{OTHER}/settings"
LINK = f"/accounts/{OTHER}/portal-link"


@pytest.fixture
async def boss(portal: Portal) -> Browser:
    """An owner of the platform."""
    return await portal.signed_in(Role.OWNER, None)


async def change(browser: Browser, **fields: str) -> Page:
    form = (await browser.get(SETTINGS)).form(SETTINGS)
    return await browser.submit(form.fill(**fields))


def address_in(page: Page) -> str:
    found = re.search(r"https://api\.example(/portal/[\w-]+)", page.html)
    assert found, page.text
    return found[1]


async def test_an_account_is_added_and_opened(portal: Portal, boss: Browser) -> None:
    form = (await boss.get("/accounts/add")).form("/accounts/add").fill(id="acme", name="Acme")

    added = await boss.submit(form)
    page = await boss.follow(added)
    await boss.submit(page.form("/accounts/acme/act-for"))

    assert added.to == "/accounts/acme/settings"
    assert "The account acme was added." in page.text
    account = await portal.services.accounts.find(OPERATOR, "acme")
    assert account.name == "Acme"
    session = await portal.services.sessions.resume(boss.jar["__Host-session"])
    assert session is not None
    assert session.acts_for == "acme"


async def test_an_account_that_is_there_is_not_changed_by_adding_it_again(portal: Portal, boss: Browser) -> None:
    form = (await boss.get("/accounts/add")).form("/accounts/add")

    taken = await boss.submit(form.fill(id=OTHER, name="Mine now"))
    wrong = await boss.submit(form.fill(id="a.b", name="Dot"))

    assert (taken.status, taken.wrong("id")) == (422, True)
    assert taken.form("/accounts/add").values["name"] == ["Mine now"]
    assert (wrong.status, wrong.wrong("id")) == (422, True)
    assert (await portal.services.accounts.find(OPERATOR, OTHER)).name is None


async def test_the_settings_of_an_account_are_saved_as_they_are_shown(portal: Portal, boss: Browser) -> None:
    await portal.services.accounts.save(OPERATOR, OTHER, {"metadata": {"plan": "gold"}})
    typed = {
        "name": "Other & Sons",
        "limits.events_per_second": "2.5",
        "limits.configs": "10",
        "portal_origins": "https://CRM.example:443\nhttps://shop.example:8443",
    }

    done = await change(boss, **typed)

    account = await portal.services.accounts.find(OPERATOR, OTHER)
    assert done.to == SETTINGS
    assert (account.name, account.metadata) == ("Other & Sons", {"plan": "gold"})
    assert (account.limits.events_per_second, account.limits.configs, account.limits.max_body) == (2.5, 10, None)
    assert account.portal_origins == ("https://crm.example", "https://shop.example:8443")
    shown = (await boss.get(SETTINGS)).form(SETTINGS)
    assert shown.values["portal_origins"] == ["https://crm.example\nhttps://shop.example:8443"]
    await boss.submit(shown)
    assert (await portal.services.accounts.find(OPERATOR, OTHER)).limits == account.limits
    await change(boss, name="", portal_origins="", **dict.fromkeys(("limits.events_per_second", "limits.configs"), ""))
    emptied = await portal.services.accounts.find(OPERATOR, OTHER)
    assert (emptied.name, emptied.limits.configs, emptied.portal_origins) == (None, None, ())


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("limits.events_per_second", "many"),
        ("limits.configs", "1.5"),
        ("limits.max_body", "0"),
        ("portal_origins", "https://crm.example/path"),
        ("portal_origins", "*"),
        ("name", "x" * 300),
    ],
)
async def test_what_an_account_cannot_be_is_said_beside_the_field(
    portal: Portal, boss: Browser, field: str, typed: str
) -> None:
    page = await change(boss, **{field: typed})

    assert (page.status, page.wrong(field)) == (422, True)
    assert page.form(SETTINGS).values[field] == [typed]
    account = await portal.services.accounts.find(OPERATOR, OTHER)
    assert (account.name, account.portal_origins) == (None, ())


async def test_a_portal_link_is_shown_once_opens_and_is_revoked(portal: Portal, boss: Browser) -> None:
    form = (await boss.get(LINK)).form(LINK).fill(name="Ann of Other", role="viewer", lasts="600")

    path = address_in(await boss.submit(form))
    guest = portal.browser()
    await guest.submit((await guest.get(path)).form(path))
    settings = await boss.get(SETTINGS)
    [revoking] = [one for one in settings.read.forms if one.action.endswith("/revoke")]

    assert "Ann of Other" in (await guest.get("/")).text
    assert "Ann of Other" in settings.text
    assert path.removeprefix("/portal/") not in settings.html
    assert "is signed out" in (await boss.follow(await boss.submit(revoking))).text
    assert (await guest.get("/")).status == 303
    assert "No portal link is open" in (await boss.get(SETTINGS)).text


async def test_a_portal_link_that_cannot_be_is_not_made(portal: Portal, boss: Browser) -> None:
    form = (await boss.get(LINK)).form(LINK)

    for field, typed in (("role", "owner"), ("lasts", "86401"), ("lasts", "soon"), ("name", "x" * 101)):
        page = await boss.submit(form.press(field, typed))
        assert (page.status, page.wrong(field)) == (422, True), (field, typed)
    assert await portal.services.portal_links.list(OPERATOR, OTHER) == []


async def test_links_that_are_over_are_not_listed(portal: Portal, boss: Browser, clock: ClockDouble) -> None:
    await portal.portal_link(OTHER, name="Unopened", lasts=600)
    assert "Unopened" in (await boss.get(SETTINGS)).text

    clock.pass_(seconds=600)

    assert "Unopened" not in (await boss.get(SETTINGS)).text


@pytest.mark.parametrize("text", CORPUS)
async def test_what_accounts_keys_and_links_are_called_stays_text(portal: Portal, boss: Browser, text: str) -> None:
    await portal.services.accounts.save(OPERATOR, OTHER, {"name": text})
    await portal.api.key(Scope.READ, id="key_1", name=text)
    guest = await portal.came_by_link(OTHER, name=text)
    await portal.portal_link(OTHER, name=text)
    link = (await boss.get(LINK)).form(LINK)

    for page in (
        await boss.get("/accounts"),
        await boss.get(SETTINGS),
        await boss.get(LINK),
        await boss.submit(link.fill(name=text)),
        await boss.get("/account/keys"),
        await boss.get("/account/keys/key_1/revoke"),
        await guest.get("/account"),
    ):
        assert page.status == 200
        assert " ".join(shown.visible(text).split()) in page.text, page.path
        nothing_came_alive(page)
    for wrong in (
        await change(boss, portal_origins=text, **{"limits.configs": text}),
        await boss.submit((await boss.get("/accounts/add")).form("/accounts/add").fill(id=text)),
    ):
        assert wrong.status == 422
        nothing_came_alive(wrong)


async def test_only_owners_and_admins_of_the_platform_are_offered_it(portal: Portal) -> None:
    viewer, admin = await portal.signed_in(Role.VIEWER, None), await portal.signed_in(Role.ADMIN, None)

    assert "Add account" not in (await viewer.get("/accounts")).text
    assert f"/accounts/{OTHER}/settings" not in (await viewer.get("/accounts")).html
    assert "Add account" in (await admin.get("/accounts")).text
    assert (await viewer.get(SETTINGS)).status == 403
    assert (await admin.get("/accounts/nobody/settings")).status == 404
    assert (await admin.get("/accounts/nobody/portal-link")).status == 404
