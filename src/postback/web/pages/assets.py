"""Stylesheets, scripts and pictures, and whom to tell of a weakness."""

from typing import Final

from starlette.responses import PlainTextResponse, Response

from postback.domain.errors import NotFound
from postback.domain.times import rfc3339
from postback.web import statics
from postback.web.visit import Visit

SECURITY: Final = "/.well-known/security.txt"
SECURITY_HOLDS_MS: Final = 90 * 86_400_000
"""RFC 9116 wants an end that is less than a year ahead: an operator who is gone is not named for ever."""


async def static(visit: Visit) -> Response:
    """Kept by browsers for ever under its own digest; under another one, of a server that is older or newer, not at all."""
    name = visit.param("name")
    file = statics.FILES.get(name)
    if file is None:
        raise NotFound("static", name)
    keeps = visit.param("digest") == statics.DIGEST
    return Response(
        file.body,
        media_type=file.media_type,
        headers={"cache-control": statics.FOR_EVER if keeps else "no-store"},
    )


async def icon(visit: Visit) -> Response:  # noqa: ARG001 - as every handler
    file = statics.FILES["icon.svg"]
    return Response(file.body, media_type=file.media_type, headers={"cache-control": "public, max-age=86400"})


async def security(visit: Visit) -> Response:
    """As RFC 9116 wants it; there is none where the operator named no contact."""
    contact = visit.services.security_contact
    if contact is None:
        raise NotFound("path", visit.path)
    lines = [f"Contact: {contact}", f"Expires: {rfc3339(visit.now_ms + SECURITY_HOLDS_MS)}"]
    if visit.services.is_encrypted:
        lines.append(f"Canonical: {visit.services.base_url}{SECURITY}")
    return PlainTextResponse("".join(f"{line}\n" for line in lines))
