"""The portal as one ASGI application: `build(services)`."""

from typing import Final

from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp

from postback.web.door import Door, Route
from postback.web.routes import ROUTES
from postback.web.services import Services

_NOTHING: Final[dict[str, Route]] = {}


def build(services: Services) -> ASGIApp:
    """Every page and everything that belongs to one; what is not there is a page too."""
    paths: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = route
    doors = [StarletteRoute(path, Door(services, routes)) for path, routes in paths.items()]
    return Router(doors, redirect_slashes=False, default=Door(services, _NOTHING))
