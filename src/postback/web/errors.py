"""Errors as pages, in the same look: what happened, and what to do next. A bug tells nothing but an id."""

import logging
import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.responses import Response

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
from postback.domain.masking import MASK
from postback.web.visit import Visit

_log: Final = logging.getLogger("postback.web")


class MethodNotAllowed(PostbackError):
    """Ask with one of the methods that there are."""

    code = "method_not_allowed"

    def __init__(self, allowed: str) -> None:
        super().__init__(f"expected one of {allowed}")
        self.allowed = allowed


class ForeignForm(PostbackError):
    """Load the page again: what was sent was not the form of this session and this account."""

    code = "foreign_form"


class Said(NamedTuple):
    status: int
    title: str
    text: str


_INTERNAL: Final = Said(500, "Something went wrong", "It is our mistake, and it is on record under the id below.")

_SAID: Final[Mapping[type[PostbackError], Said]] = {
    Malformed: Said(400, "This cannot be read", "Go back, load the page again and send it once more."),
    Unauthorized: Said(401, "Sign in", "Your session is over; sign in again."),
    Forbidden: Said(403, "You may not do this", "Somebody with another role in this account may."),
    ForeignForm: Said(
        403,
        "This form is not from this page",
        "It was made for another account or an earlier session, or comes from somewhere else. Nothing was changed: "
        "go back, load the page again and send it once more.",
    ),
    NotFound: Said(404, "There is nothing here", "It was deleted, belongs to another account, or never was."),
    MethodNotAllowed: Said(405, "This is not how to ask for it", "Use the links and buttons of the page."),
    Conflict: Said(409, "This does not fit any more", "Look at how things are now, then decide anew."),
    TooLarge: Said(413, "This is too much at once", "Send less."),
    InvalidValue: Said(422, "Something is not right yet", "Go back and change what is named below."),
    RateLimited: Said(429, "Too many tries", "Wait a moment, then try again."),
    Unavailable: Said(503, "Not possible at this moment", "Nothing was changed. Try again in a few seconds."),
}

_USED_UP: Final = Said(
    404,
    "This link does not open anything",
    "It was used already, is over, or was revoked. Ask for a new one where you got it; with a password, sign in.",
)

_WITHOUT_STORE: Final = (500, 503)


_WITH_TOKEN: Final = ("/join/", "/new-password/", "/portal/")
"""Paths whose rest lets somebody in, once: no log gets to know it."""


async def error_page(visit: Visit, error: Exception) -> Response:
    """The page of whatever was raised; called where it was caught, since the log gets the traceback of a bug."""
    said = next((_SAID[kind] for kind in type(error).__mro__ if kind in _SAID), None)
    error_id = None
    if isinstance(error, NotFound) and visit.path.startswith(_WITH_TOKEN):
        said = _USED_UP
    if said is None:
        said, error_id = _INTERNAL, secrets.token_hex(8)
        _log.exception("error %s while answering %s %s", error_id, visit.request.method, _without_token(visit.path))
    told = "" if error_id else str(error)
    context = {"said": said, "told": told, "error_id": error_id}
    if said.status in _WITHOUT_STORE or visit.session is None:
        response = visit.bare("error_bare.html", said.status, **context)
    else:
        try:
            response = await visit.page("error.html", said.status, **context)
        except Unavailable:
            response = visit.bare("error_bare.html", said.status, **context)
    if isinstance(error, RateLimited | Unavailable):
        response.headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, MethodNotAllowed):
        response.headers["allow"] = error.allowed
    if isinstance(error, TooLarge):
        # The rest of it stays unread.
        response.headers["connection"] = "close"
    return response


def _without_token(path: str) -> str:
    return next((f"{start}{MASK}" for start in _WITH_TOKEN if path.startswith(start)), path)
