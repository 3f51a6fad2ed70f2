"""The API as one ASGI application: `build(services)`."""

from functools import cache
from typing import Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from postback import __version__
from postback.api import (
    account_wide,
    accounts,
    audit,
    configs,
    deliveries,
    eventtypes,
    hold,
    operations,
    publish,
    replays,
    stats,
)
from postback.api.answers import answer
from postback.api.contents import INTRODUCTION, TAGS
from postback.api.documents import openapi
from postback.api.edge import Edge
from postback.api.errors import Answering
from postback.api.keys import scopes_of
from postback.api.records import routes_of
from postback.api.reference import route as reference
from postback.api.schema_parts import Schema
from postback.api.services import Services
from postback.resources import RESOURCES

TITLE: Final = "postback"
METHODS: Final = ("GET", "POST", "PUT", "DELETE")

_RECORDS: Final = [routes_of(resource) for resource in RESOURCES.values()]
_PARTS: Final = (configs, account_wide, deliveries, replays, stats, eventtypes, accounts, audit, hold)
_LAST: Final = (operations, reference)


def build(services: Services) -> ASGIApp:
    """Everything of the API that a server needs to be given."""
    app = framework(services)
    return _behind_edge(_Doors(publish.Publish(services), app), app, services)


def build_watched(services: Services) -> ASGIApp:
    """Only what tells how a process fares."""
    app = _bare(services)
    app.include_router(operations.watched)
    return _behind_edge(app, app, services)


def _behind_edge(answers: ASGIApp, app: FastAPI, services: Services) -> ASGIApp:
    http = Answering(Edge(answers), services.refusals)

    async def everything(scope: Scope, receive: Receive, send: Send) -> None:
        # What is not HTTP (the server's own coming and going) the framework knows how to answer.
        await (http if scope["type"] == "http" else app)(scope, receive, send)

    return everything


def framework(services: Services) -> FastAPI:
    """All routes but the one for publishing. `state.document()` is the OpenAPI document of all."""
    app = _bare(services)
    routers = [*_RECORDS, *(part.router for part in _PARTS), operations.watched, *(part.router for part in _LAST)]
    for router in routers:
        app.include_router(router)
    by_hand = {publish.PATH: {"post": publish.document()}}
    app.state.document = cache(lambda: openapi(app, scopes_of(routers), by_hand, services.base_url))
    app.state.reference = cache(lambda: reference.rendered(app.state.document()))
    return app


def document_of(services: Services) -> Schema:
    """The OpenAPI document, without an application to ask it of."""
    document: Schema = framework(services).state.document()
    return document


def _bare(services: Services) -> FastAPI:
    """Without any route."""
    app = FastAPI(
        title=TITLE,
        version=__version__,
        description=INTRODUCTION,
        openapi_tags=[{"name": tag, "description": said} for tag, said in TAGS.items()],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    app.add_exception_handler(HTTPException, _on_http_error)
    # Within the framework's own handler of errors, which would answer first.
    app.add_middleware(Answering, refusals=services.refusals)
    return app


class _Doors:
    """Publishing has a door of its own; everything else goes through the framework."""

    def __init__(self, publish_events: ASGIApp, everything_else: ASGIApp) -> None:
        self._publish = publish_events
        self._else = everything_else

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == publish.PATH and scope["method"] == "POST":
            await self._publish(scope, receive, send)
        else:
            await self._else(scope, receive, send)


async def _on_http_error(request: Request, error: Exception) -> Response:
    """No such route, or not with this method: the router's own words in our form."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status != 405:
        return answer(status, {"error": {"code": "not_found", "message": "there is nothing at this address"}})
    allow = ", ".join(_methods_of(request))
    message = f"{request.method} is not possible here; expected one of {allow}"
    return answer(405, {"error": {"code": "method_not_allowed", "message": message}}, {"allow": allow})


def _methods_of(request: Request) -> list[str]:
    """What all routes of this path take together; the router itself names those of one."""
    methods = {"POST"} if request.scope["path"] == publish.PATH else set()
    for method in METHODS:
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0].name == "FULL" for route in request.app.router.routes):
            methods.add(method)
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
