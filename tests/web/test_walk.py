"""The matrix: every route, as every role by every way in, with own, others' and unknown ids."""

import pytest

from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.users import Permission, Role
from postback.web.door import Route
from tests.api.test_access_walk import kept
from tests.web.pages import OTHER, Browser, Page, Portal
from tests.web.walk import (
    CLOSED,
    UNKNOWN,
    VISITORS,
    Visitor,
    ask,
    form_token,
    ids_in,
    named,
    path_of,
    things,
)

pytestmark = pytest.mark.anyio

OF_USERS = ("GET /account/password", "POST /account/password")
"""Open to every role, but a portal link has no password."""

OF_THE_PLATFORM = ("GET /accounts", "POST /accounts/{account}/act-for")
"""Open to every role, but to nobody of an account there are no accounts."""


def harm(route: Route) -> int:
    """What asking so leaves for the routes that come after: all of it, changed things, fewer things, no session."""
    if route.method == "GET":
        return 0
    return {"delete": 2, "revoke": 2, "cancel": 2, "end": 3}.get(route.path.rpartition("/")[2], 1)


def expected(visitor: Visitor, route: Route) -> tuple[int, ...]:
    """What may be answered where ids are of the account's own things."""
    if route.needs not in visitor.allowed or (visitor.way == "portal link" and named(route) in OF_USERS):
        return (403,)
    if visitor.way != "platform" and named(route) in OF_THE_PLATFORM:
        return (404,)
    # An empty form may be wrong, and what it would do may be done already.
    return (200,) if route.method == "GET" else (200, 303, 409, 422)


@pytest.mark.parametrize("visitor", VISITORS, ids=str)
async def test_everybody_opens_what_their_role_may_and_nothing_else(portal: Portal, visitor: Visitor) -> None:
    await portal.user(Role.OWNER)
    ids, browser = await things(portal, ACCOUNT_DEFAULT), await visitor.come(portal)
    session = await portal.services.sessions.resume(browser.jar["__Host-session"])
    assert session is not None
    ids["session_id"] = session.id
    token = await form_token(browser)

    for route in sorted(CLOSED, key=harm):
        page = await ask(browser, route, path_of(route, ids), token)

        assert page.status in expected(visitor, route), (named(route), page.status, page.text)


def asked_about(visitor: Visitor, route: Route, own: dict[str, str], ids: dict[str, str]) -> list[str]:
    """The path with these ids, and with each of them after own ones. To whoever manages them all, accounts are in reach."""
    first, *names = ids_in(route)
    is_in_reach = first == "account" and visitor.way == "platform" and route.needs in visitor.allowed
    whole = [] if is_in_reach else [path_of(route, ids)]
    return whole + [path_of(route, own | {name: ids[name]}) for name in names]


def alike(page: Page) -> tuple[int, str]:
    """What is asked for stands in it, for the switch of the theme to come back to."""
    return page.status, page.html.replace(page.path, "…")


async def test_others_things_are_not_there_cannot_be_told_from_nothing_and_stay_as_they_are(portal: Portal) -> None:
    """To users of the platform neither: they look at one account at a time."""
    own, others = await things(portal, ACCOUNT_DEFAULT), await things(portal, OTHER)
    come = [(visitor, await visitor.come(portal)) for visitor in VISITORS]
    before = kept(portal.api)
    asked = 0

    for visitor, browser in come:
        token = await form_token(browser)
        for route in filter(ids_in, CLOSED):
            status = 404 if route.needs in visitor.allowed else 403
            paths = (asked_about(visitor, route, own, ids) for ids in (others, UNKNOWN))
            for of_other, of_nobody in zip(*paths, strict=True):
                page = await ask(browser, route, of_other, token)

                assert page.status == status, (str(visitor), named(route), page.status, page.text)
                assert alike(page) == alike(await ask(browser, route, of_nobody, token)), (str(visitor), named(route))
                asked += 1

    assert kept(portal.api) == before
    assert asked > 400


async def opens(browser: Browser, ids: dict[str, str]) -> set[int]:
    """What all pages about something of an account answer; accounts themselves are the platform's."""
    about = [one for one in CLOSED if one.method == "GET" and ids_in(one)]
    routes = [route for route in about if route.needs is not Permission.MANAGE_ACCOUNTS]
    return {(await browser.get(path_of(route, ids))).status for route in routes}


async def test_who_is_of_the_platform_sees_one_account_at_a_time(portal: Portal) -> None:
    own, others = await things(portal, ACCOUNT_DEFAULT), await things(portal, OTHER)
    browser = await portal.signed_in(Role.OWNER, None)

    assert (await opens(browser, own), await opens(browser, others)) == ({200}, {404})
    token = await form_token(browser)
    assert (await browser.post("/accounts/nobodys/act-for", {"form_token": token})).status == 404
    assert (await browser.post(f"/accounts/{OTHER}/act-for", {"form_token": token})).to == "/"
    assert (await opens(browser, own), await opens(browser, others)) == ({404}, {200})


async def test_accounts_are_there_for_whoever_manages_them_and_those_that_are_not_are_not(portal: Portal) -> None:
    own, others = await things(portal, ACCOUNT_DEFAULT), await things(portal, OTHER)
    browser = await portal.signed_in(Role.ADMIN, None)
    routes = [one for one in CLOSED if one.method == "GET" and ids_in(one) == ["account"]]

    for route in routes:
        answers = [(await browser.get(path_of(route, ids))).status for ids in (own, others, UNKNOWN)]
        assert answers == [200, 200, 404], named(route)

    assert len(routes) >= 2
