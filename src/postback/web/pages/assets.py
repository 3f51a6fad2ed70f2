"""Stylesheets, scripts and pictures, and whom to tell of a weakness."""

from typing import Final

from starlette.responses import PlainTextResponse, Response

from postback.domain.times import rfc3339
from postback.web import statics
from postback.web.visit import Visit

SECURITY: Final = "/.well-known/security.txt"
SECURITY_HOLDS_MS: Final = 90 * 86_400_000
"""RFC 9116 wants an end that is less than a year ahead: an operator who is gone is not named for ever."""


async def static(visit: Visit) -> Response:
    file = statics.FILES.get(visit.param("name"))
    if file is None:
        return _nothing()
    return statics.answer(file, is_digest_right=visit.param("digest") == statics.DIGEST)


async def icon(visit: Visit) -> Response:  # noqa: ARG001 - as every handler
    file = statics.FILES["icon.svg"]
    return Response(file.body, media_type=file.media_type, headers={"cache-control": "public, max-age=86400"})


async def api_stylesheet(visit: Visit) -> Response:
    """Of the page of the API, which is of the API's own make."""
    style = visit.services.api_stylesheet()
    is_digest_right = visit.param("digest") == statics.digest(style)
    return statics.answer(statics.Static(style, statics.CSS), is_digest_right=is_digest_right)


async def security(visit: Visit) -> Response:
    """As RFC 9116 wants it; there is none where the operator named no contact."""
    contact = visit.services.security_contact
    if contact is None:
        return _nothing()
    lines = [f"Contact: {contact}", f"Expires: {rfc3339(visit.now_ms + SECURITY_HOLDS_MS)}"]
    if visit.services.is_encrypted:
        lines.append(f"Canonical: {visit.services.base_url}{SECURITY}")
    return PlainTextResponse("".join(f"{line}\n" for line in lines))


def _nothing() -> Response:
    """Not a page: who visits is not asked here, and a page would be one of somebody who is not signed in."""
    return PlainTextResponse("There is no such file.", 404)
