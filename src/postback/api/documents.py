"""What the OpenAPI document says of each route, so that routes say it in a line."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI

from postback.api.lists import PAGE_SIZE, PAGE_SIZE_MAX
from postback.api.schema_parts import Schema, a_list, an_object, ref
from postback.api.schemas import SCHEMAS

READING: Final = (401, 403)
ONE: Final = (401, 403, 404)
WRITING: Final = (400, 401, 403, 408, 413, 415, 422, 503)

_VALIDATION: Final = "HTTPValidationError"
_EXPLAINED: Final[Mapping[int, str]] = {
    400: "The request cannot be read; the message says where.",
    401: "No key, or one that is unknown, revoked or expired.",
    403: "The key lacks the scope, or acts for another account.",
    404: "There is no such thing, or it belongs to another account.",
    408: "The body did not come on.",
    409: "What is asked contradicts the present state.",
    413: "The body is too long.",
    415: "The body is not JSON, or is encoded.",
    422: "Fields that cannot be taken, each with the reasons.",
    503: "Nothing was done; ask again after Retry-After seconds.",
}


def documented(
    summary: str,
    *,
    status: int = 200,
    also: int | None = None,
    answer: Schema | None = None,
    body: Schema | None = None,
    needs_body: bool = True,
    parameters: Sequence[Schema] = (),
    errors: Sequence[int] = (),
    description: str | None = None,
) -> dict[str, Any]:
    """Keyword arguments for a route of FastAPI; `also` is a second status of success, with the same answer."""
    extra: Schema = {}
    if parameters:
        extra["parameters"] = list(parameters)
    if body is not None:
        extra["requestBody"] = {"required": needs_body, "content": _json(body)}
    return {
        "summary": summary,
        "description": description or summary + ".",
        "status_code": status,
        "response_model": None,
        "responses": responses([status] if also is None else [status, also], answer, errors),
        "openapi_extra": extra,
    }


def responses(
    successes: Sequence[int], answer: Schema | None, errors: Sequence[int]
) -> dict[int | str, dict[str, Any]]:
    said: dict[int | str, dict[str, Any]] = {status: {"description": "As asked."} for status in successes}
    if answer is not None:
        for success in said.values():
            success["content"] = _json(answer)
    for code in errors:
        schema = ref("FieldErrors") if code == 422 else ref("Error")
        said[code] = {"description": _EXPLAINED[code], "content": _json(schema)}
    return said


def wrapped(name: str, schema: str) -> Schema:
    """`{"contact": {…}}`."""
    return an_object({name: ref(schema)}, required=(name,))


def listed(plural: str, schema: str) -> Schema:
    return an_object({plural: a_list(ref(schema)), "meta": ref("ListMeta")}, required=(plural, "meta"))


def query(name: str, description: str, **schema: Any) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string", **schema}}


def header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def list_parameters(fields: Mapping[str, str]) -> Sequence[Schema]:
    return [
        query("page", "From 1.", type="integer", minimum=1, default=1),
        PAGE_SIZE_PARAMETER,
        query("sort", "One of the fields; with a - before it the largest first."),
        *(
            query(name, f"Only those with this {name}; several are joined by commas.")
            for name in fields
            if not name.endswith("_at")
        ),
    ]


PAGE_SIZE_PARAMETER: Final = query(
    "page_size", "How many at once.", type="integer", minimum=1, maximum=PAGE_SIZE_MAX, default=PAGE_SIZE
)
LOG_PARAMETERS: Final = (
    query("since", "Accepted then or later (RFC 3339)."),
    query("until", "Accepted before then (RFC 3339)."),
    PAGE_SIZE_PARAMETER,
    query("cursor", "The next_cursor of the part before."),
)


def openapi(app: FastAPI, by_hand: Mapping[str, Schema], public_url: str) -> Schema:
    """The document of all routes; `by_hand` are operations (path → method → operation) that FastAPI does not know."""
    app.openapi_schema = None
    document = FastAPI.openapi(app)
    components = document.setdefault("components", {})
    components["schemas"] = SCHEMAS
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}}
    document["security"] = [{"key": []}]
    document["servers"] = [{"url": public_url}]
    for operations in document["paths"].values():
        for operation in operations.values():
            # FastAPI's own validation never speaks here: parameters are read, and refused, by us.
            if _VALIDATION in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for path, operations in by_hand.items():
        document["paths"].setdefault(path, {}).update(operations)
    return document


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
