"""The fields that a request sends in its body."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request

from postback.actions.fields import Errors, Reader, read
from postback.actions.jsontext import read_object, read_plain_object
from postback.api.body import JSON, media_type, read_body
from postback.api.services import Services


async def fields_of(request: Request, services: Services, wrapper: str) -> dict[str, Any]:
    """What stands inside the wrapper: `{"contact": {…}}`."""
    media_type(request.scope, JSON)
    return read_object(await read_body(request.scope, request.receive, services.body_limits), wrapper)


async def plain_fields_of(request: Request, services: Services) -> dict[str, Any]:
    """What stands in a body of one level, as it was sent; nothing where there is no body."""
    media_type(request.scope, JSON)
    return read_plain_object(await read_body(request.scope, request.receive, services.body_limits))


async def values_of(request: Request, services: Services, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """What stands in a body of one level: `{"overlap": 3600}`; nothing where there is no body."""
    fields = await plain_fields_of(request, services)
    errors = Errors()
    values = read(fields, readers, errors)
    errors.raise_any()
    return values
