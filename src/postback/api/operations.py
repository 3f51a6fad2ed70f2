"""For those who run it: alive, ready, measured, described."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from postback.api.answers import HEADERS, answer
from postback.api.documents import documented
from postback.api.keys import LOCAL_OR_READER, Joined, LocalOrReader
from postback.api.schema_parts import ANY_OBJECT, TEXT, an_object
from postback.domain.errors import Unavailable
from postback.observability import METRICS_CONTENT_TYPE

watched = APIRouter(tags=["operations"])
"""What a process answers that takes nothing in."""


def _open(described: dict[str, Any]) -> dict[str, Any]:
    """No key is asked for."""
    described["openapi_extra"]["security"] = []
    return described


@watched.get("/health", **_open(documented("Whether the process is alive", answer=an_object({"status": TEXT}))))
async def health() -> Response:
    return answer(200, {"status": "alive"})


@watched.get(
    "/ready",
    **_open(documented("Whether events can be accepted", answer=an_object({"status": TEXT}), errors=(503,))),
)
async def ready(services: Joined) -> Response:
    reason = services.ready()
    if reason is not None:
        raise Unavailable(reason)
    return answer(200, {"status": "ready"})


@watched.get(
    "/metrics",
    dependencies=[LocalOrReader],
    response_class=PlainTextResponse,
    **documented(
        "Figures for Prometheus",
        errors=(401, 403),
        description=LOCAL_OR_READER,
    ),
)
async def metrics(services: Joined) -> Response:
    return Response(await services.metrics(), media_type=METRICS_CONTENT_TYPE, headers=HEADERS)


router = APIRouter(tags=["operations"])
router.include_router(watched)


@router.get(
    "/openapi.json",
    dependencies=[LocalOrReader],
    **documented(
        "This document",
        answer=ANY_OBJECT,
        errors=(401, 403),
        description=LOCAL_OR_READER,
    ),
)
async def openapi_document(request: Request) -> Response:
    return answer(200, request.app.state.document())
