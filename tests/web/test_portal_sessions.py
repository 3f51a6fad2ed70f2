"""What whoever came by a portal link sees, for how long, and in whose frames."""

import pytest

from postback.domain.users import LINK_MAX_MS, SESSION_MS, Role
from tests.doubles import ClockDouble
from tests.web.pages import OTHER, PASSWORD, Browser, Page, Portal
from tests.web.walk import ENDING

pytestmark = pytest.mark.anyio

CRM = "https://crm.example"


def framed_by(page: Page) -> str:
    return page.headers["content-security-policy"].partition("frame-ancestors ")[2]


async def test_every_page_of_it_can_be_framed_by_the_origins_that_the_account_names_and_no_other(
    portal: Portal,
) -> None:
    await portal.framed_by(OTHER, CRM, "https://shop.example:8443")
    guest, user = await portal.came_by_link(OTHER, Role.ADMIN), await portal.signed_in(Role.OWNER, OTHER)
    paths = [route.path for route in ENDING if route.method == "GET" and "{" not in route.path and route.asks_who]

    for path in (*paths, "/nowhere"):
        assert framed_by(await guest.get(path)) == f"{CRM} https://shop.example:8443", path
        assert framed_by(await user.get(path)) == "'none'", path


async def test_an_origin_that_is_taken_away_frames_nothing_from_then_on(portal: Portal) -> None:
    await portal.framed_by(OTHER, CRM)
    guest = await portal.came_by_link(OTHER)

    await portal.framed_by(OTHER)

    assert framed_by(await guest.get("/")) == "'none'"


async def test_no_cookie_goes_to_other_sites_where_no_origin_is_named(portal: Portal) -> None:
    path = f"/portal/{(await portal.portal_link(OTHER)).token}"
    guest = portal.browser()

    opened = await guest.submit((await guest.get(path)).form(path))

    assert framed_by(opened) == "'none'"
    for cookie in opened.cookies:
        assert "SameSite=lax" in cookie
        assert "Partitioned" not in cookie


async def test_signing_out_within_a_frame_says_so_there_and_takes_its_cookie_away(portal: Portal) -> None:
    """A cookie of a frame is kept apart: what does not say so does not take it away."""
    await portal.framed_by(OTHER, CRM)
    guest = await portal.came_by_link(OTHER)
    before = dict(guest.jar)

    page = await guest.submit((await guest.get("/")).form("/sign-out"))

    assert page.status == 200
    assert "You are signed out" in page.text
    assert framed_by(page) == CRM
    [gone] = [cookie for cookie in page.cookies if cookie.startswith("__Host-session=")]
    assert {"Max-Age=0", "SameSite=none", "Secure", "Partitioned"} <= set(gone.split("; "))
    assert (await portal.browser(jar=before).get("/")).status == 303


async def test_a_session_ends_a_day_after_its_link_was_made_at_the_latest(portal: Portal, clock: ClockDouble) -> None:
    path = f"/portal/{(await portal.portal_link(OTHER, lasts=24 * 3600)).token}"
    clock.pass_(ms=LINK_MAX_MS - SESSION_MS // 2)
    guest = portal.browser()
    await guest.submit((await guest.get(path)).form(path))

    for _ in range(SESSION_MS // 2 // 1_200_000 - 1):
        clock.pass_(ms=1_200_000)
        assert (await guest.get("/account")).status == 200
    clock.pass_(ms=1_200_000)

    assert (await guest.get("/account")).status == 303


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR, Role.ADMIN])
async def test_it_makes_nobody_anybody(portal: Portal, role: Role) -> None:
    """Not of the platform, and no manager of users, keys or accounts, whatever its role."""
    guest = await portal.came_by_link(OTHER, role)

    page = await guest.get("/account")
    for path in (
        "/account/users",
        "/account/keys",
        "/account/keys/add",
        "/accounts/add",
        f"/accounts/{OTHER}/settings",
    ):
        assert (await guest.get(path)).status == 403, path
    assert (await guest.get("/accounts")).status == 404
    assert (await guest.get("/account/password")).status == 403
    assert not {"Users", "API keys", "Accounts", "Password"} & set(page.links)
    assert (await guest.get("/account/audit")).status == (200 if role is Role.ADMIN else 403)


async def test_it_sees_nothing_of_other_accounts(portal: Portal) -> None:
    theirs = await portal.config(), await portal.location()
    guest = await portal.came_by_link(OTHER)

    assert (await guest.get(f"/postbackconfigs/{theirs[0]}")).status == 404
    assert (await guest.get(f"/locations/{theirs[1]}")).status == 404
    page: Page = await guest.get("/accounts/default/act-for")
    assert page.status in (404, 405)


async def test_somebody_elses_form_does_not_open_it(portal: Portal, stranger: Browser) -> None:
    """Otherwise whoever has a link could put a stranger's browser into an account of their own."""
    path = f"/portal/{(await portal.portal_link(OTHER)).token}"

    page = await stranger.post(path, {"form_token": "x" * 32})

    assert page.status == 403
    assert "__Host-session" not in stranger.jar


async def test_who_becomes_a_user_where_a_portal_link_was_opened_is_framed_by_nobody(portal: Portal) -> None:
    """The session of a user would be sent along from others' pages, as that of a portal link is."""
    await portal.framed_by(OTHER, CRM)
    guest = await portal.came_by_link(OTHER)
    before, user = dict(guest.jar), await portal.user(Role.EDITOR, OTHER)
    form = (await guest.get("/")).form("/sign-out").at("/sign-in")

    page = await guest.submit(form.press("email", user.email).press("password", PASSWORD))

    assert framed_by(page) == framed_by(await guest.get("/")) == "'none'"
    left, now = [cookie for cookie in page.cookies if cookie.startswith("__Host-session")]
    # To the browser these are two, and it would go on to send both.
    assert {"Max-Age=0", "Partitioned"} <= set(left.split("; "))
    assert "SameSite=lax" in now
    assert "Partitioned" not in now
    assert (await portal.browser(jar=before).get("/")).status == 303
    assert user.email in (await guest.get("/")).text
