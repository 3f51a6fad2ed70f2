"""The table of routes, walked: one of each thing that paths name, of whichever account, and how each route is asked."""

import re
from typing import Final, Literal, NamedTuple

from postback.domain.accounts import Scope
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.jobs import JobKind
from postback.domain.users import Link, LinkKind, Permission, Role, permissions_of
from postback.ports import LogFilter
from postback.web.door import Route
from postback.web.routes import ROUTES
from tests.web.happenings import publish
from tests.web.pages import Browser, Page, Portal

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

ENDING: Final = [route for route in ROUTES if route.path != "/live"]
"""But the streams, which do not end."""

CLOSED: Final = [route for route in ENDING if route.needs is not None]


class Visitor(NamedTuple):
    """Somebody who is signed in and sees the account `default`: as a user of it or of the platform, or by a portal link."""

    way: Literal["account", "platform", "portal link"]
    role: Role

    @property
    def allowed(self) -> frozenset[Permission]:
        return permissions_of(self.role, is_of_the_platform=self.way == "platform", is_user=self.way != "portal link")

    async def come(self, portal: Portal) -> Browser:
        if self.way == "portal link":
            return await portal.came_by_link(ACCOUNT_DEFAULT, self.role)
        return await portal.signed_in(self.role, None if self.way == "platform" else ACCOUNT_DEFAULT)

    def __str__(self) -> str:
        return f"{self.role} by {self.way}"


VISITORS: Final = [
    *(Visitor("account", role) for role in Role),
    *(Visitor("platform", role) for role in Role),
    *(Visitor("portal link", role) for role in Role if role is not Role.OWNER),
]


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


def names_in(route: Route) -> list[str]:
    return re.findall(r"\{(\w+)\}", route.path)


def ids_in(route: Route) -> list[str]:
    """In their order in the path."""
    return [name for name in names_in(route) if name in IDS]


async def ask(browser: Browser, route: Route, path: str, token: str | None = None) -> Page:
    """With a form of the visitor's own; `token` is that of an earlier page, where there is one."""
    if route.method == "GET":
        return await browser.get(path)
    return await browser.post(path, {"form_token": token or await form_token(browser)})


async def form_token(browser: Browser) -> str:
    page = await browser.get("/account")
    # Whoever is not signed in has the token of the page for that.
    return (page if page.status == 200 else await browser.get("/sign-in")).form().values["form_token"][0]


def named(route: Route) -> str:
    return f"{route.method} {route.path}"
