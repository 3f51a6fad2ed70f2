"""What holds for every request before a route is looked for."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from postback.api.errors import UrlTooLong
from postback.domain.errors import NotFound

URL_MAX: Final = 8 << 10


class Edge:
    """Refuses URLs that are too long or not printable, and answers HEAD as GET; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if len(path) > URL_MAX or len(scope["query_string"]) > URL_MAX:
            raise UrlTooLong(f"the path or the query is longer than {URL_MAX:,} bytes")
        if not path.isprintable():
            # A router takes a trailing line feed for the end of the path.
            raise NotFound("path", path)
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
