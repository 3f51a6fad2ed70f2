"""Who gets in where: the whole table of routes, as each role, with own, others' and unknown ids; forms; headers."""

import re
from typing import Final

import pytest

from postback.bootstrap.portal import OF_THE_API, is_of_the_api
from postback.domain.accounts import Scope
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.jobs import JobKind
from postback.domain.users import Link, LinkKind, Permission, Role, permissions_of
from postback.ports import LogFilter
from postback.storage.sessions import SqlSessions
from postback.web.door import Route
from postback.web.menu import _MENU
from postback.web.routes import ROUTES
from tests.web.happenings import publish
from tests.web.pages import OTHER, Browser, Page, Portal

pytestmark = pytest.mark.anyio

UNKNOWN: Final = {
    "location_id": "loc_nobodys",
    "contact_id": "con_nobodys",
    "session_id": "ses_nobodys",
    "user_id": "usr_nobodys",
    "link_id": "lnk_nobodys",
    "config_id": "pbc_0000000000000",
    "event_id": "evt_0000000000000",
    "delivery_id": "dlv_00000000000000000000000000",
    "replay_id": "rpl_0000000000000",
    "account": "nobodys",
    "key_id": "key_nobodys",
    "portal_link_id": "lnk_nobodys",
}
IDS: Final = frozenset(UNKNOWN)
"""Parts of paths that name something of an account: a new one is added here, and made in `things`."""

NO_IDS: Final = frozenset({"digest", "name", "token", "event_type"})


async def things(portal: Portal, account: str) -> dict[str, str]:
    """One of each that belongs to this account."""
    user = await portal.user(Role.VIEWER, account)
    await portal.browser_of(user)
    [session] = await portal.sessions.list(user.id)
    link = Link(
        id=f"lnk_of_{user.id}",
        kind=LinkKind.INVITATION,
        created_ms=portal.clock(),
        ends_ms=portal.clock() + 1000,
        account=account,
        role=Role.VIEWER,
        email=f"invited@{account}.example",
    )
    await portal.links.add(link, user.id.encode())
    config_id = await portal.config(account)
    event_id = await publish(portal, account=account)
    location_id = await portal.location(account)
    secret = await portal.api.key(Scope.READ, account=account)
    return {
        "key_id": f"key_{secret[-13:]}",
        "portal_link_id": (await portal.portal_link(account)).link.id,
        "event_type": "sms.delivered",
        "location_id": location_id,
        "contact_id": await portal.contact(location_id, account),
        "config_id": config_id,
        "event_id": event_id,
        "delivery_id": f"dlv_{event_id[4:]}{config_id[4:]}",
        "replay_id": await a_replay(portal, account),
        "user_id": user.id,
        "session_id": session.id,
        "link_id": link.id,
        "account": account,
    }


async def a_replay(portal: Portal, account: str) -> str:
    """One is enough: only so many run at a time."""
    known = (await portal.services.replays.list(account, None, 1)).items
    job = known[0] if known else await portal.services.replays.start(account, JobKind.REPLAY, LogFilter(until_ms=0))
    return job.id


def path_of(route: Route, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "x"), route.path)


def names_in(route: Route) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", route.path))


async def ask(browser: Browser, route: Route, path: str) -> Page:
    if route.method == "GET":
        return await browser.get(path)
    page = await browser.get("/account")
    # Whoever is not signed in has the token of the page for that.
    token = (page if page.status == 200 else await browser.get("/sign-in")).form().values["form_token"][0]
    return await browser.post(path, {"form_token": token})


ENDING: Final = [route for route in ROUTES if route.path != "/live"]
"""But the streams, which do not end."""

CLOSED: Final = [route for route in ENDING if route.needs is not None]


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_every_id_in_a_path_is_one_that_these_tests_know() -> None:
    assert {name for route in ROUTES for name in names_in(route)} <= IDS | NO_IDS


def test_every_route_is_there_once_and_reads_or_changes() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert {route.method for route in ROUTES} == {"GET", "POST"}


def test_no_page_is_at_an_address_of_the_api() -> None:
    assert [route.path for route in ROUTES if is_of_the_api(route.path)] == []
    assert all(is_of_the_api(path) and is_of_the_api(f"{path}/more") for path in OF_THE_API)
    assert not is_of_the_api("/v2x")


def test_whatever_is_open_is_the_entrance() -> None:
    assert {route.handler.__module__.rpartition(".")[2] for route in ROUTES if route.needs is None} == {
        "assets",
        "entrance",
    }


async def test_nobody_gets_in_without_signing_in(portal: Portal, stranger: Browser) -> None:
    ids = await things(portal, ACCOUNT_DEFAULT)

    for route in CLOSED:
        page = await ask(stranger, route, path_of(route, ids))

        assert page.status == 303, named(route)
        assert page.to.startswith("/sign-in"), named(route)
        assert page.body == b"", named(route)


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_opens_what_it_may_and_nothing_else(portal: Portal, role: Role) -> None:
    """Of the account and of the platform, with ids of their own account."""
    await portal.user(Role.OWNER)
    for account in (ACCOUNT_DEFAULT, None):
        allowed = permissions_of(role, is_of_the_platform=account is None)
        ids = await things(portal, ACCOUNT_DEFAULT)
        browser = await portal.signed_in(role, account)
        # First those that change nothing.
        for route in sorted(CLOSED, key=lambda route: route.method):
            if route.method != "GET":
                ids = await things(portal, ACCOUNT_DEFAULT) if names_in(route) else ids
                browser = await portal.signed_in(role, account)
            page = await ask(browser, route, path_of(route, ids))
            is_let_in = page.status != 403
            expected = route.needs in allowed
            assert is_let_in == expected or (expected and "may not do this with the role" in page.text), (
                f"{route.method} {route.path}: {page.status} as {role} of {account or 'the platform'}"
            )
            if route.method == "GET" and expected and route.path != "/accounts":
                assert page.status == 200, (route.path, page.text)


async def test_others_things_are_not_there_and_cannot_be_told_from_nothing(portal: Portal) -> None:
    others = await things(portal, OTHER)
    owner = await portal.signed_in(Role.OWNER)

    for route in [one for one in CLOSED if names_in(one) & IDS]:
        of_other = await ask(owner, route, path_of(route, others))
        of_nobody = await ask(owner, route, path_of(route, UNKNOWN))

        # Accounts are the platform's: to whoever is of one of them none is there, its own neither.
        expected = 403 if route.needs is Permission.MANAGE_ACCOUNTS else 404
        assert (of_other.status, of_nobody.status) == (expected, expected), named(route)
        # What is asked for stands in it, for the switch of the theme to come back to.
        assert of_other.html.replace(of_other.path, "…") == of_nobody.html.replace(of_nobody.path, "…"), named(route)


@pytest.mark.parametrize("route", [route for route in ENDING if route.method == "POST"], ids=named)
async def test_no_form_but_our_own_changes_anything(portal: Portal, route: Route) -> None:
    ids = await things(portal, ACCOUNT_DEFAULT)
    # One to whom the route is open.
    owner = await portal.signed_in(account=None if route.needs is Permission.MANAGE_ACCOUNTS else ACCOUNT_DEFAULT)
    path, token = path_of(route, ids), (await owner.get("/account")).form().values["form_token"][0]
    other = (await (await portal.signed_in()).get("/account")).form().values["form_token"][0]

    for sent in ({}, {"form_token": ""}, {"form_token": other}, {"form_token": token[:-1]}):
        assert (await owner.post(path, sent)).status == 403
    for site in ("cross-site", "same-site", "nonsense"):
        owner.site = site
        assert (await owner.post(path, {"form_token": token})).status == 403
    # A browser that does not say where it comes from: then the token has to do.
    owner.site = None
    if route.needs is not None:
        assert (await owner.post(path, {"form_token": token})).status != 403


async def test_a_script_may_send_the_token_as_a_header(owner: Browser) -> None:
    token = (await owner.get("/account")).form().values["form_token"][0]

    assert (await owner.post("/theme", {"theme": "dark"}, postback_form_token=token)).status == 303
    assert owner.jar["__Host-theme"] == "dark"


async def test_every_answer_tells_the_browser_to_trust_nothing(portal: Portal, owner: Browser) -> None:
    ids = await things(portal, ACCOUNT_DEFAULT)

    for route in [one for one in ENDING if one.method == "GET"]:
        _safe(await owner.get(path_of(route, ids)))


async def test_so_do_answers_that_are_errors_or_lead_on(portal: Portal, owner: Browser, stranger: Browser) -> None:
    for page in (
        await stranger.get("/"),
        await stranger.get("/nowhere"),
        await owner.get("/nowhere"),
        await owner.post("/locations/add"),
        await owner.send("DELETE", "/locations", b""),
    ):
        _safe(page)


def _safe(page: Page) -> None:
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("base-uri") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["strict-transport-security"].startswith("max-age=")
    if page.headers.get("content-type", "").startswith("text/html"):
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page.html)


async def test_what_cannot_be_asked_for_like_this_is_said_with_what_can(owner: Browser) -> None:
    page = await owner.send("DELETE", "/locations/add", b"")

    assert (page.status, page.headers["allow"]) == (405, "GET, POST")


async def test_the_menu_shows_what_there_is_and_where_one_is(owner: Browser) -> None:
    page = await owner.get("/locations")

    current = [known for tag, known in page.read.tags if tag == "a" and known.get("aria-current") == "page"]
    assert {one["href"] for one in current} == {"/locations"}
    shown = {entry.name for entry in _MENU} & set(page.links)
    assert {"Overview", "Locations", "Account"} <= shown
    for name in shown:
        assert (await owner.get(page.links[name])).status == 200


async def test_what_a_role_may_not_do_is_not_offered(portal: Portal) -> None:
    await portal.location()
    viewer, editor = await portal.signed_in(Role.VIEWER), await portal.signed_in(Role.EDITOR)

    assert "Add Location" not in (await viewer.get("/locations")).text
    assert "Add Location" in (await editor.get("/locations")).text
    assert "Users" not in (await editor.get("/account")).links


async def test_every_permission_is_of_somebody() -> None:
    assert permissions_of(Role.OWNER, is_of_the_platform=True) == frozenset(Permission)


async def test_nobody_is_looked_up_for_what_is_the_same_for_everybody(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page has a dozen of them; each was a question to the store."""
    pages = [await owner.get("/deliveries"), await owner.get("/reference/api")]
    linked = [known.get("href", "") or known.get("src", "") for page in pages for _, known in page.read.tags]
    files = {address for address in linked if address.endswith((".css", ".js", ".svg"))}
    asked: list[bytes] = []

    async def by_token(_: SqlSessions, token: bytes) -> None:
        asked.append(token)

    monkeypatch.setattr(SqlSessions, "by_token", by_token)

    for path in (*files, "/favicon.ico", "/static/x/nothing.css"):
        page = await owner.get(path)
        assert (page.status, page.cookies) == (404 if "nothing" in path else 200, ()), path
        assert "max-age=" in page.headers["cache-control"] or page.status == 404

    assert {path.rpartition(".")[2] for path in files} == {"css", "js", "svg"}
    assert any("api.css" in path for path in files)
    assert asked == []
    await owner.get("/sign-in")
    assert len(asked) == 1


async def test_static_files_are_kept_for_ever_under_their_own_digest_only(owner: Browser) -> None:
    page = await owner.get("/locations")
    [stylesheet] = [known["href"] for tag, known in page.read.tags if known.get("href", "").endswith("base.css")]

    kept = await owner.get(stylesheet)
    other = await owner.get("/static/0000/base.css")

    assert "immutable" in kept.headers["cache-control"]
    assert other.headers["cache-control"] == "no-store"
    assert kept.body == other.body
    assert "max-age=" in (await owner.get("/favicon.ico")).headers["cache-control"]
    for path in ("/static/x/../app.py", "/static/x/page.html", "/static/x/%2e%2e", "/static/x/base.css%00"):
        assert (await owner.get(path)).status == 404
