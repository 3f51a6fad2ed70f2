"""Stylesheets, scripts and pictures."""

from starlette.responses import Response

from postback.domain.errors import NotFound
from postback.web import statics
from postback.web.visit import Visit


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
