"""The password is asked for again before what lets people in is shown or changed."""

from typing import Final

import pytest

from postback.domain.users import PROVED_MS, SESSION_MS, Role
from postback.ports import AuditFilter, Query
from postback.web.forms import Form as FormOfPage
from postback.web.routes import ROUTES
from tests.doubles import ClockDouble
from tests.web.pages import OPERATOR, OTHER, PASSWORD, Browser, Form, Page, Portal

pytestmark = pytest.mark.anyio

SESSION = "__Host-session"
NAME = "shop back end"


LISTED: Final = (OPERATOR, Query())
FILLED: Final = FormOfPage({"signing_secret": ["whsec_…"]})


async def key_form(browser: Browser) -> Form:
    return (await browser.get("/account/keys/add")).form("/account/keys/add").fill(name=NAME)


def asks(page: Page) -> bool:
    return "Your password, please" in page.text


async def keys(portal: Portal) -> list[str]:
    return [key.name for key in (await portal.services.accounts.list_keys(*LISTED)).items if key.account is not None]


async def test_what_was_asked_for_is_done_once_the_password_is_right(
    portal: Portal, owner: Browser, clock: ClockDouble
) -> None:
    before = owner.jar[SESSION]
    form = await key_form(owner)
    clock.pass_(ms=PROVED_MS)

    asked = await owner.submit(form)
    wrong = await owner.submit(asked.form("/account/keys/add").fill(proof="not mine"))
    none_yet = await keys(portal)
    right = await owner.submit(wrong.form("/account/keys/add").fill(proof=PASSWORD))

    assert asks(asked)
    assert asks(wrong)
    assert (wrong.status, wrong.wrong("proof")) == (422, True)
    assert none_yet == []
    assert "shown this once" in right.text
    assert await keys(portal) == [NAME]
    assert PASSWORD not in wrong.html
    # The session goes on under a token that nobody knew before.
    assert owner.jar[SESSION] != before
    assert (await portal.browser(jar={SESSION: before}).get("/")).status == 303
    assert (await owner.get("/account/keys")).status == 200


async def test_it_holds_for_ten_minutes(owner: Browser, clock: ClockDouble) -> None:
    form = await key_form(owner)
    clock.pass_(ms=PROVED_MS - 1)
    assert not asks(await owner.submit(form))

    clock.pass_(ms=1)
    asked = await owner.submit(form)
    assert asks(asked)
    await owner.submit(asked.form("/account/keys/add").fill(proof=PASSWORD))
    clock.pass_(ms=PROVED_MS - 1)

    assert not asks(await owner.submit(await key_form(owner)))


async def test_who_proved_it_stays_where_they_were(portal: Portal, clock: ClockDouble) -> None:
    """A user of the platform goes on to see the account that was chosen, for twelve hours from then on."""
    browser = await portal.signed_in(Role.OWNER, None)
    await browser.submit((await browser.get("/")).form(f"/accounts/{OTHER}/act-for"))
    clock.pass_(ms=PROVED_MS)

    asked = await browser.submit(await key_form(browser))
    await browser.submit(asked.form("/account/keys/add").fill(proof=PASSWORD))

    token = browser.jar[SESSION]
    session = await portal.services.sessions.resume(token)
    assert session is not None
    assert (session.acts_for, session.created_ms, session.ends_ms) == (OTHER, clock(), clock() + SESSION_MS)


def test_whatever_lets_people_in_is_delicate() -> None:
    """The table says it: users and their roles, keys, signing secrets, and who may frame or open a portal."""
    delicate = {route.path for route in ROUTES if route.is_delicate(FILLED)}

    assert delicate == {
        "/postbackconfigs/{config_id}/edit",
        "/postbackconfigs/{config_id}/rotate-secret",
        "/account/users/invite",
        "/account/users/{user_id}",
        "/account/users/{user_id}/password-link",
        "/account/keys/add",
        "/account/keys/{key_id}/revoke",
        "/accounts/{account}/settings",
        "/accounts/{account}/portal-link",
    }


async def test_a_form_without_a_new_secret_is_saved_as_it_is(
    portal: Portal, owner: Browser, clock: ClockDouble
) -> None:
    config_id = await portal.config(format="json")
    path = f"/postbackconfigs/{config_id}/edit"
    form = (await owner.get(path)).form(path)
    clock.pass_(ms=PROVED_MS)

    assert (await owner.submit(form.fill(name="CRM"))).status == 303
    assert asks(await owner.submit(form.fill(signing_secret="whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY")))
    assert asks(
        await owner.post(f"/postbackconfigs/{config_id}/rotate-secret", {"form_token": form.values["form_token"][0]})
    )


async def test_guessing_the_password_there_is_bounded_as_at_the_door(
    portal: Portal, owner: Browser, clock: ClockDouble
) -> None:
    """Who sits down at somebody's open session could try all passwords otherwise, here or where it is changed."""
    form = await key_form(owner)
    change = (await owner.get("/account/password")).form("/account/password").fill(new_password="violet spoons gravel")
    clock.pass_(ms=PROVED_MS)
    for _ in range(5):
        assert (await owner.submit(form.press("proof", "wrong"))).status == 422
        assert (await owner.submit(change.fill(old_password="wrong"))).status == 422

    assert (await owner.submit(form.press("proof", PASSWORD))).status == 429
    assert (await owner.submit(change.fill(old_password=PASSWORD))).status == 429
    refused = await portal.api.services.audit.entries("default", AuditFilter(action="session.refuse"), None, 20)
    assert len(refused) == 10


async def test_who_came_by_a_portal_link_needs_a_new_one(portal: Portal, clock: ClockDouble) -> None:
    guest = await portal.came_by_link(OTHER)
    config_id = await portal.config(OTHER, format="json")
    path = f"/postbackconfigs/{config_id}/rotate-secret"
    form = (await guest.get(f"/postbackconfigs/{config_id}")).form(path)

    assert "shown this once" in (await guest.submit(form)).text
    clock.pass_(ms=PROVED_MS)
    page = await guest.submit(form)

    assert page.status == 403
    assert "portal link that was opened just now" in page.text


async def test_nobody_proves_anything_by_a_foreign_form(owner: Browser, clock: ClockDouble) -> None:
    form = await key_form(owner)
    clock.pass_(ms=PROVED_MS)
    owner.site = "cross-site"

    assert (await owner.submit(form.press("proof", PASSWORD))).status == 403
