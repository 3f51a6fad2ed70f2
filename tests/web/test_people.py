"""Becoming a user, passwords, roles, and links that open one account's portal."""

import re

import pytest

from postback.domain.accounts import Actor
from postback.domain.users import LINK_MAX_MS, Role
from postback.ports import AuditFilter
from tests.doubles import ClockDouble
from tests.web.pages import OTHER, PASSWORD, Browser, Page, Portal

pytestmark = pytest.mark.anyio

NEW_PASSWORD = "violet spoons under gravel"
BOSS = Actor("key_1", "of the platform")


def link_in(page: Page) -> str:
    """The path of the link that is shown this once."""
    found = re.search(r"https://api\.example(/[\w/-]+)", page.html)
    assert found, page.text
    return found[1]


async def test_whoever_opens_the_first_link_becomes_the_owner_once(portal: Portal, stranger: Browser) -> None:
    path = f"/join/{await portal.services.users.first_link()}"
    assert "There is no user yet" in (await stranger.get("/sign-in")).text
    form = (await stranger.get(path)).form().fill(email="Ann@Example.com", password=PASSWORD)

    page = await stranger.submit(form)

    assert page.to == "/"
    assert "Owner of the platform" in (await stranger.get("/")).text
    assert (await portal.browser().get(path)).status == 404
    known = await portal.users.by_email("ann@example.com")
    assert known is not None
    assert (known.user.role, known.user.account) == (Role.OWNER, None)
    assert "There is no user yet" not in (await portal.browser().get("/sign-in")).text


async def test_looking_at_a_link_does_not_use_it_up(portal: Portal, stranger: Browser) -> None:
    path = f"/join/{await portal.services.users.first_link()}"

    for _ in range(3):
        assert (await stranger.get(path)).status == 200


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "Has 5 characters; expected at least 12"),
        ("passwordpassword", "Would be guessed soon"),
        ("ann@example.com", "Would be guessed soon"),
        ("x" * 257, "expected at most 256"),
    ],
)
async def test_a_password_that_would_be_guessed_is_refused_with_the_reason(
    portal: Portal, stranger: Browser, password: str, said: str
) -> None:
    path = f"/join/{await portal.services.users.first_link()}"

    page = await stranger.submit((await stranger.get(path)).form().fill(email="ann@example.com", password=password))

    assert page.status == 422
    assert page.wrong("password")
    assert said in page.text
    assert page.form().values["email"] == ["ann@example.com"]
    assert not await portal.users.any()


@pytest.mark.parametrize("email", ["ann", "ann@", "@example.com", "ann @example.com", "ann\u202e@example.com", ""])
async def test_what_is_no_email_is_refused(portal: Portal, stranger: Browser, email: str) -> None:
    path = f"/join/{await portal.services.users.first_link()}"

    page = await stranger.submit((await stranger.get(path)).form().fill(email=email, password=PASSWORD))

    assert page.status == 422
    assert page.wrong("email")


async def test_somebody_is_invited_and_joins(portal: Portal, owner: Browser) -> None:
    form = (await owner.get("/account/users/invite")).form("/account/users/invite")

    path = link_in(await owner.submit(form.fill(email="new@example.com", role="editor")))
    guest = portal.browser()
    page = await guest.submit((await guest.get(path)).form().fill(email="else@example.com", password=PASSWORD))

    assert page.to == "/"
    known = await portal.users.by_email("new@example.com")
    assert known is not None
    assert (known.user.role, known.user.account) == (Role.EDITOR, "default")
    assert await portal.users.by_email("else@example.com") is None


async def test_an_invitation_is_good_for_a_day_unless_it_is_revoked(
    portal: Portal, owner: Browser, clock: ClockDouble
) -> None:
    form = (await owner.get("/account/users/invite")).form("/account/users/invite")
    first = link_in(await owner.submit(form.fill(email="a@example.com", role="viewer")))
    second = link_in(await owner.submit(form.fill(email="b@example.com", role="viewer")))
    [revoking] = [form for form in (await owner.get("/account/users")).read.forms if form.action.endswith("/revoke")][
        :1
    ]

    assert (await owner.submit(revoking)).to == "/account/users"

    # The newest stands first.
    revoked = await portal.browser().get(second)
    assert (revoked.status, "It was used already, is over, or was revoked" in revoked.text) == (404, True)
    assert (await portal.browser().get(first)).status == 200
    clock.pass_(ms=LINK_MAX_MS)
    assert (await portal.browser().get(first)).status == 404


async def test_an_admin_makes_nobody_an_owner(portal: Portal) -> None:
    boss = await portal.user(Role.OWNER)
    admin = await portal.signed_in(Role.ADMIN)
    form = (await admin.get("/account/users/invite")).form("/account/users/invite")
    form.values["role"] = ["owner"]
    token = form.values["form_token"][0]

    assert (await admin.submit(form.fill(email="x@example.com"))).status == 403
    for fields in ({"role": "viewer"}, {"disabled": "1"}):
        assert (await admin.post(f"/account/users/{boss.id}", {**fields, "form_token": token})).status == 403
    assert (await admin.post(f"/account/users/{boss.id}/password-link", {"form_token": token})).status == 403


async def test_nobody_changes_their_own_role(portal: Portal) -> None:
    await portal.user(Role.OWNER)
    user = await portal.user(Role.OWNER)
    browser = await portal.browser_of(user)
    token = (await browser.get("/account")).form().values["form_token"][0]

    page = await browser.post(f"/account/users/{user.id}", {"role": "viewer", "form_token": token})

    assert page.status == 409


async def test_a_new_password_ends_all_other_sessions(portal: Portal) -> None:
    user = await portal.user()
    here, there = await portal.browser_of(user), await portal.browser_of(user)
    form = (await here.get("/account/password")).form("/account/password")

    wrong = await here.submit(form.fill(old_password="not mine", new_password=NEW_PASSWORD))
    right = await here.submit(form.fill(old_password=PASSWORD, new_password=NEW_PASSWORD))

    assert wrong.wrong("old_password")
    assert right.to == "/account"
    assert (await here.get("/")).status == 200
    assert (await there.get("/")).status == 303


async def test_who_is_locked_out_gets_a_link_to_a_new_password(portal: Portal, stranger: Browser) -> None:
    user = await portal.user()
    before = await portal.browser_of(user)
    path = f"/new-password/{await portal.services.users.rescue(user.email, BOSS)}"

    page = await stranger.submit((await stranger.get(path)).form().fill(password=NEW_PASSWORD))

    assert page.to == "/"
    assert (await stranger.get("/")).status == 200
    assert (await before.get("/")).status == 303
    assert (await portal.browser().get(path)).status == 404


async def test_a_portal_link_opens_one_account_once(portal: Portal) -> None:
    await portal.location("default", name="Of the default account")
    shop = await portal.location(OTHER, name="Of the other one")
    _, token = await portal.portal_link(OTHER, Role.EDITOR, "Shop of Ann")
    guest = portal.browser()

    await guest.submit((await guest.get(f"/portal/{token}")).form())

    page = await guest.get("/locations")
    assert "Of the other one" in page.text
    assert "Of the default account" not in page.text
    assert (await guest.get(f"/locations/{shop}/contacts/add")).status == 200
    assert (await guest.get("/account/users")).status == 403
    assert (await guest.get("/account/password")).status == 403
    assert (await portal.browser().get(f"/portal/{token}")).status == 404


async def test_a_portal_link_that_is_revoked_signs_out_at_once(portal: Portal) -> None:
    link, token = await portal.portal_link(OTHER, Role.VIEWER)
    guest = portal.browser()
    await guest.submit((await guest.get(f"/portal/{token}")).form())
    assert (await guest.get("/")).status == 200

    await portal.links.revoke(OTHER, link.id, None)

    assert (await guest.get("/")).status == 303


async def test_only_who_came_by_a_portal_link_can_be_framed_and_only_by_the_accounts_origins(portal: Portal) -> None:
    await portal.framed_by(OTHER, "https://crm.example")
    _, token = await portal.portal_link(OTHER, Role.VIEWER)
    guest, user = portal.browser(), await portal.signed_in(Role.VIEWER, OTHER)

    entrance = await guest.get(f"/portal/{token}")
    opened = await guest.submit(entrance.form())

    framed = "frame-ancestors https://crm.example"
    assert framed in entrance.headers["content-security-policy"]
    assert framed in (await guest.get("/")).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in (await user.get("/")).headers["content-security-policy"]
    [cookie] = [cookie for cookie in opened.cookies if cookie.startswith("__Host-session")]
    assert {"SameSite=none", "Secure", "Partitioned", "HttpOnly"} <= set(cookie.split("; "))


async def test_an_invitation_to_the_platform_is_listed_and_revoked_by_users_of_the_platform_alone(
    portal: Portal,
) -> None:
    """Whoever was invited there by mistake would see every account, and nobody could take it back."""
    boss, other = await portal.signed_in(Role.OWNER, None), await portal.signed_in(Role.OWNER)
    form = (await boss.get("/account/users/invite")).form("/account/users/invite")
    path = link_in(await boss.submit(form.fill(email="new@example.com", role="owner").press("to_platform", "1")))
    page, others = await boss.get("/account/users"), await other.get("/account/users")
    [revoking] = [form for form in page.read.forms if form.action.endswith("/revoke")]
    theirs = others.form("/sign-out").at(revoking.action)

    assert "new@example.com" in page.text
    assert "new@example.com" not in others.text
    assert (await other.submit(theirs)).status == 404
    assert (await portal.browser().get(path)).status == 200
    assert (await boss.submit(revoking)).to == "/account/users"
    assert (await portal.browser().get(path)).status == 404


async def test_a_link_to_a_new_password_is_void_once_the_password_is_changed(portal: Portal) -> None:
    """Somebody changes it because others may have got hold of something."""
    user = await portal.user()
    here = await portal.browser_of(user)
    path = f"/new-password/{await portal.services.users.rescue(user.email, BOSS)}"
    form = (await here.get("/account/password")).form("/account/password")

    await here.submit(form.fill(old_password=PASSWORD, new_password=NEW_PASSWORD))

    assert (await portal.browser().get(path)).status == 404


async def test_the_first_user_can_still_come_after_a_portal_link_was_opened(portal: Portal) -> None:
    path = f"/join/{await portal.services.users.first_link()}"

    await portal.came_by_link(OTHER)

    assert (await portal.browser().get(path)).status == 200


async def test_who_came_by_a_link_is_on_record_with_where_from(portal: Portal, stranger: Browser) -> None:
    path = f"/join/{await portal.services.users.first_link()}"
    await stranger.submit((await stranger.get(path)).form().fill(email="ann@example.com", password=PASSWORD))
    path = f"/new-password/{await portal.services.users.rescue('ann@example.com', BOSS)}"
    await stranger.submit((await stranger.get(path)).form().fill(password=NEW_PASSWORD))

    for action in ("user.create", "user.password"):
        [entry] = await portal.api.services.audit.entries(None, AuditFilter(action=action), None, 2)
        assert entry.by is not None
        assert (entry.by.key_name, entry.by.address) == ("ann@example.com", stranger.peer)
