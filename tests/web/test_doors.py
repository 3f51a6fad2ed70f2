"""The door: nobody but who is signed in, no form but our own, and headers that trust nothing. test_walk.py has the roles."""

import re

import pytest

from postback.bootstrap.portal import OF_THE_API, is_of_the_api
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.users import Permission, Role, permissions_of
from postback.storage.sessions import SqlSessions
from postback.web.door import Route
from postback.web.menu import _MENU
from postback.web.routes import ROUTES
from tests.web.pages import Browser, Page, Portal
from tests.web.walk import CLOSED, ENDING, IDS, NO_IDS, ask, named, names_in, path_of, things

pytestmark = pytest.mark.anyio


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
