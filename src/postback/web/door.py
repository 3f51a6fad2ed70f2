"""What every request passes: who visits, whether they may, whether a form is ours. Handlers come after that."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from postback.actions.sessions import PROOF
from postback.domain.errors import Forbidden, InvalidValue, NotFound
from postback.domain.users import Permission, Session
from postback.web import cookies as names
from postback.web import tokens
from postback.web.cookies import Cookies
from postback.web.errors import ForeignForm, MethodNotAllowed, error_page
from postback.web.forms import Form
from postback.web.services import Services
from postback.web.visit import Visit, is_encrypted

Handler = Callable[[Visit], Awaitable[Response]]

Delicate = Callable[[Form], bool]


def never(_form: Form) -> bool:
    return False


def always(_form: Form) -> bool:
    return True


OPEN: Final = None
"""What a route needs that is for everybody, signed in or not."""

_FROM_US: Final = ("same-origin", "none")


class Route(NamedTuple):
    """GET shows and changes nothing; POST changes. `path` has its ids in braces; the first route that fits is taken.

    `is_delicate` says of which forms the password is asked for again: those that show or change what lets people in.
    `asks_who` is False of what is the same for everybody: it asks the store for no session, and carries no cookie.
    """

    method: str
    path: str
    needs: Permission | None
    handler: Handler
    is_delicate: Delicate = never
    asks_who: bool = True


class Door:
    """The routes of one path, as an ASGI application."""

    def __init__(self, services: Services, routes: Mapping[str, Route]) -> None:
        self._services = services
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(Request(scope, receive))
            await response(scope, receive, send)
        except ClientDisconnect:
            # Nobody is left to be answered.
            return

    async def _answer(self, request: Request) -> Response:
        visit = Visit(self._services, request, None, None)
        try:
            visit = await self._arrive(request)
            response = await self._pass(visit)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: a page, and the log has the rest
            if isinstance(error, Forbidden):
                await self._put_on_record(visit, error)
            response = await error_page(visit, error)
        return visit.finish(response)

    async def _arrive(self, request: Request) -> Visit:
        route = self._route_of(request)
        if route is not None and not route.asks_who:
            return Visit(self._services, request, None, None)
        token = Cookies(is_encrypted(self._services, request)).get(request, names.SESSION)
        session: Session | None = None
        if token:
            session = await self._services.sessions.resume(token)
        visit = Visit(self._services, request, session, token)
        if session is not None and session.link_id is not None:
            visit.framed_by = await self._services.sessions.access.portal_origins_of(session.acts_for)
        return visit

    async def _put_on_record(self, visit: Visit, error: Forbidden) -> None:
        route = self._route_of(visit.request)
        if visit.session is not None and route is not None:
            asked_for = f"{route.method} {route.path}"
            await self._services.refusals.record(visit.session.account, visit.actor, asked_for, error)

    def _route_of(self, request: Request) -> Route | None:
        return self._routes.get("GET" if request.method == "HEAD" else request.method)

    async def _pass(self, visit: Visit) -> Response:
        route = self._route_of(visit.request)
        if not self._routes:
            raise NotFound("path", visit.path)
        if route is None:
            raise MethodNotAllowed(", ".join(sorted(self._routes)))
        if route.needs is not None:
            if visit.session is None:
                return visit.go(_sign_in_and_back(visit))
            if not visit.may(route.needs):
                raise Forbidden(f"this needs the right to {route.needs}; your role is {visit.session.role}")
        if route.method == "POST":
            await _demand_own_form(visit)
            asked = await _ask_for_proof(visit, route)
            if asked is not None:
                return asked
        return await route.handler(visit)


async def _demand_own_form(visit: Visit) -> None:
    """Both: what the browser says of where it comes from, where it does, and a token that only our page could have."""
    came_from = visit.request.headers.get("sec-fetch-site")
    if came_from is not None and came_from not in _FROM_US:
        raise ForeignForm("it was sent by another site")
    sent = visit.request.headers.get(tokens.HEADER)
    if sent is None:
        sent = (await visit.form()).text(tokens.FIELD)
    if not visit.is_own_form(sent):
        raise ForeignForm("its token is not the one of this page")


async def _ask_for_proof(visit: Visit, route: Route) -> Response | None:
    """The page that asks for the password; it sends along what was asked for. None where nothing is to be proved any more."""
    if route.is_delicate is never or visit.session is None or visit.is_proved:
        return None
    form = await visit.form()
    if not route.is_delicate(form):
        return None
    if visit.signed_in.user_id is None:
        raise Forbidden("this needs a portal link that was opened just now; ask for a new one")
    if PROOF not in form.values:
        return await visit.page("prove.html", sent=_sent_along(form))
    try:
        await visit.prove(form.text(PROOF))
    except InvalidValue as error:
        return await visit.page("prove.html", 422, form=form.wrong(error), sent=_sent_along(form))
    return None


def _sent_along(form: Form) -> Sequence[tuple[str, str]]:
    """Field and text, as they were sent; the page has a token of its own."""
    return [(name, text) for name, texts in form.values.items() if name not in (PROOF, tokens.FIELD) for text in texts]


def _sign_in_and_back(visit: Visit) -> str:
    if visit.request.method != "GET":
        return "/sign-in"
    query = visit.request.url.query
    return "/sign-in?" + urlencode({"next": visit.path + (f"?{query}" if query else "")})
