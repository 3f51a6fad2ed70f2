"""From kinds of errors to statuses and bodies, in one table; and the last resort for those that are bugs."""

import logging
import secrets
from collections.abc import Mapping
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postback.actions.access import Principal
from postback.actions.refusals import Refusals
from postback.api.answers import answer
from postback.domain.errors import (
    Conflict,
    Forbidden,
    InvalidValue,
    Malformed,
    NotFound,
    PostbackError,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
)

_log: Final = logging.getLogger("postback.api")


class BodyStalled(PostbackError):
    """Send the body without long pauses."""

    code = "body_stalled"


class UrlTooLong(PostbackError):
    """Ask with a shorter path and query."""

    code = "url_too_long"


class UnsupportedMediaType(PostbackError):
    """Send plain JSON."""

    code = "unsupported_media_type"


STATUSES: Final[Mapping[type[PostbackError], int]] = {
    Malformed: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    BodyStalled: 408,
    Conflict: 409,
    TooLarge: 413,
    UrlTooLong: 414,
    UnsupportedMediaType: 415,
    InvalidValue: 422,
    RateLimited: 429,
    Unavailable: 503,
}

ASKING: Final = "postback.asking"
"""Where the scope of a request has the principal of its key, once that is known."""

_UNREAD: Final = (BodyStalled, TooLarge)
"""After these the rest of the body stays unread, so the connection ends with the answer."""


def body_of(error: PostbackError) -> dict[str, object]:
    """What a caller reads of an error: by field where it was a field, else a code and a sentence."""
    if isinstance(error, InvalidValue):
        return {"errors": error.errors}
    return {"error": {"code": error.code, "message": str(error)}}


def error_answer(error: PostbackError) -> Response | None:
    """None for an error that no caller can do anything about: it is ours."""
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    if status is None:
        return None
    headers = {}
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="postback"'
    if isinstance(error, RateLimited | Unavailable):
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, _UNREAD):
        headers["connection"] = "close"
    return answer(status, body_of(error), headers)


async def answer_to(error: Exception, scope: Scope, refusals: Refusals) -> Response:
    """The answer to whatever was raised; called where it was caught, since the log gets the traceback of a bug."""
    asking: Principal | None = scope.get(ASKING)
    if isinstance(error, Forbidden) and asking is not None:
        await refusals.record(asking.own_account, asking.actor, _route_of(scope), error)
    response = error_answer(error) if isinstance(error, PostbackError) else None
    return response or _internal_error(scope)


class Answering:
    """Outermost of all: errors become answers, and a bug a 500 that tells nothing but an id, under which the log tells all."""

    def __init__(self, app: ASGIApp, refusals: Refusals) -> None:
        self._app = app
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def watched_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except ClientDisconnect:
            # Nobody is left to be answered.
            return
        except Exception as error:
            response = await answer_to(error, scope, self._refusals)
            if has_started:
                raise
            await response(scope, receive, send)


def _route_of(scope: Scope) -> str:
    """Method and pattern. What the framework did not route has no ids in its path."""
    route = scope.get("route")
    return f"{scope['method']} {scope['path'] if route is None else route.path}"


def _internal_error(scope: Scope) -> Response:
    error_id = secrets.token_hex(8)
    _log.exception("error %s while answering %s %s", error_id, scope["method"], scope["path"])
    message = "something went wrong on our side; the log has more under this id"
    return answer(500, {"error": {"code": "internal_error", "message": message, "id": error_id}})
