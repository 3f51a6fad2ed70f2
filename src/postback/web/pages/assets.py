"""Stylesheets, scripts and pictures."""

from starlette.responses import Response

from postback.web import statics
from postback.web.visit import Visit


async def static(visit: Visit) -> Response:
    file = statics.FILES.get(visit.param("name"))
    if file is None:
        # Not a page: who visits is not asked here, and a page would be one of somebody who is not signed in.
        return Response("There is no such file.", 404, media_type="text/plain")
    return statics.answer(file, is_digest_right=visit.param("digest") == statics.DIGEST)


async def icon(visit: Visit) -> Response:  # noqa: ARG001 - as every handler
    file = statics.FILES["icon.svg"]
    return Response(file.body, media_type=file.media_type, headers={"cache-control": "public, max-age=86400"})


async def api_stylesheet(visit: Visit) -> Response:
    """Of the page of the API, which is of the API's own make."""
    style = visit.services.api_stylesheet()
    is_digest_right = visit.param("digest") == statics.digest(style)
    return statics.answer(statics.Static(style, statics.CSS), is_digest_right=is_digest_right)
