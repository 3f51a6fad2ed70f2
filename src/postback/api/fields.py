"""The fields that a request sends in its body."""

from typing import Any

from fastapi import Request

from postback.api.body import JSON, media_type, read_body
from postback.api.jsontext import read_object
from postback.api.services import Services


async def fields_of(request: Request, services: Services, wrapper: str) -> dict[str, Any]:
    """What stands inside the wrapper: `{"contact": {…}}`."""
    media_type(request.scope, JSON)
    return read_object(await read_body(request.scope, request.receive, services.body_limits), wrapper)
