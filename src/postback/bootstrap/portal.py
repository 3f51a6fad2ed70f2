"""The portal beside the API: what it is joined to, who answers what, and its first user."""

import asyncio
from dataclasses import replace
from functools import cache
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from postback import web
from postback.actions.failures import FailureActions
from postback.actions.overview import OverviewActions
from postback.actions.passwords import Passwords
from postback.actions.receiver_manners import ReceiverManners
from postback.actions.sessions import SessionActions
from postback.actions.sign_in_limit import SignInLimit
from postback.actions.users import UserActions
from postback.api.app import document_of
from postback.api.reference import route
from postback.api.services import Services as ApiServices
from postback.bootstrap.started import CannotStart
from postback.domain import trial
from postback.domain.errors import InvalidValue
from postback.domain.ids import SLOTS, IdSource
from postback.settings import Settings
from postback.storage.database import Database
from postback.storage.links import SqlSignInLinks
from postback.storage.overview import SqlOverview
from postback.storage.sessions import SqlSessions
from postback.storage.users import SqlUsers
from postback.web.services import Services

OF_THE_API: Final = ("/v2", "/health", "/ready", "/metrics", "/openapi.json", "/docs")
"""Paths, and all that is below them, that the API answers; everything else is the portal's."""


def portal_services(
    database: Database,
    api: ApiServices,
    stopping: asyncio.Event,
    passwords: Passwords | None = None,
    security_contact: str | None = None,
) -> Services:
    """On the actions of the API, so that there is no second set of rules."""
    users, sessions, links = SqlUsers(database), SqlSessions(database), SqlSignInLinks(database)
    known, overview = passwords or Passwords(), SqlOverview(database)
    return Services(
        base_url=api.base_url,
        calls_loopback=api.addresses.verdict(trial.LOOPBACK, trial.RECEIVER_PORT) is None,
        clock=api.clock,
        users=UserActions(users, links, known, api.clock, api.ids),
        sessions=SessionActions(sessions, users, links, api.access, known, SignInLimit(), api.clock, api.ids),
        accounts=api.account_actions,
        portal_links=api.portal_links,
        configs=api.config_actions,
        config_checks=api.config_checks,
        account_wide=api.account_wide,
        manners=ReceiverManners(api.log_actions.log),
        records=api.record_actions,
        log=api.log_actions,
        replays=api.replay_actions,
        stats=api.stats_actions,
        overview=OverviewActions(
            overview=overview,
            stats=api.stats_actions,
            accounts=api.accounts,
            configs=api.config_actions.configs,
            audit=api.audit_actions.audit,
            failures=FailureActions(overview),
        ),
        publishing=api.publishing,
        audit=api.audit_actions,
        refusals=api.refusals,
        api_reference=cache(lambda address, back: route.linked(document_of(api), address, back).body),
        api_stylesheet=cache(route.stylesheet),
        security_contact=security_contact,
        stopping=stopping,
    )


async def first_user(settings: Settings, users: UserActions) -> str | None:
    """Make the first user where the settings say who; else the path of a link to become it, None where there are users."""
    # There is no worker yet whose ids could be given out.
    users = replace(users, ids=IdSource(users.clock, SLOTS - 1))
    if not await users.needs_first():
        return None
    if settings.owner_email is None or settings.owner_password is None:
        if settings.owner_email is not None or settings.owner_password is not None:
            raise CannotStart("POSTBACK_OWNER_EMAIL and POSTBACK_OWNER_PASSWORD make the first user together; set both")
        return f"/join/{await users.first_link()}"
    try:
        await users.make_owner(settings.owner_email, settings.owner_password.get_secret_value())
    except InvalidValue as error:
        said = "; ".join(f"{field} {message}" for field, texts in error.errors.items() for message in texts)
        raise CannotStart(
            f"the first user cannot be made of POSTBACK_OWNER_EMAIL and POSTBACK_OWNER_PASSWORD: {said}"
        ) from error
    return None


def joined(api: ASGIApp, portal: ASGIApp) -> ASGIApp:
    """One application of both."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        of_the_portal = scope["type"] == "http" and not is_of_the_api(scope["path"])
        await (portal if of_the_portal else api)(scope, receive, send)

    return either


def is_of_the_api(path: str) -> bool:
    return any(path == one or path.startswith(one + "/") for one in OF_THE_API)


def with_portal(api: ASGIApp, services: Services) -> ASGIApp:
    return joined(api, web.build(services))
