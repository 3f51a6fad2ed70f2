"""What the OpenAPI document says of each route, so that routes say it in a line."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI

from postback.api.lists import PAGE_SIZE, PAGE_SIZE_MAX
from postback.api.schema_examples import with_examples
from postback.api.schema_parts import Schema, a_list, an_object, ref
from postback.api.schemas import SCHEMAS
from postback.domain.accounts import Scope

READING: Final = (401, 403)
ONE: Final = (401, 403, 404)
WRITING: Final = (400, 401, 403, 408, 413, 415, 422, 503)

_OF_ANY: Final = (414,)
_OF_ANY_WITH_KEY: Final = (503,)
"""Whose key it is stands in the store, which may be busy or closed."""

_VALIDATION: Final = "HTTPValidationError"
_EXPLAINED: Final[Mapping[int, str]] = {
    400: "The request cannot be read; the message says where.",
    401: "No key, or one that is unknown, revoked or expired.",
    403: "The key lacks the scope, or acts for another account.",
    404: "There is no such thing, or it belongs to another account.",
    408: "The body did not come on.",
    409: "What is asked contradicts the present state.",
    413: "The body is too long.",
    414: "The path or the query is too long.",
    415: "The body is not JSON, or is encoded.",
    422: "Fields that cannot be taken, each with the reasons.",
    429: "More events a second than the account is allowed; ask again after Retry-After seconds.",
    503: "Nothing was done; ask again after Retry-After seconds.",
}

_RETRY_AFTER: Final = {
    "Retry-After": {"required": True, "description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
}
_HEADERS: Final[Mapping[int, Schema]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
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
        if code in _HEADERS:
            said[code]["headers"] = _HEADERS[code]
    return said


def wrapped(name: str, schema: str, **more: Any) -> Schema:
    """`{"contact": {…}}`, and what holds here of its content beyond the schema."""
    return an_object({name: {**ref(schema), **more}}, required=(name,))


def listed(plural: str, schema: str) -> Schema:
    return an_object({plural: a_list(ref(schema)), "meta": ref("ListMeta")}, required=(plural, "meta"))


def query(name: str, description: str, **schema: Any) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string", **schema}}


def needed(parameter: Schema) -> Schema:
    return {**parameter, "required": True}


def header(name: str, description: str) -> Schema:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


TRACEPARENT: Final = header(
    "traceparent", "The trace (W3C) that the request belongs to: kept with its events, and passed on to receivers."
)


def list_parameters(fields: Iterable[str]) -> Sequence[Schema]:
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
    query("since", "Accepted then or later (RFC 3339).", format="date-time"),
    query("until", "Accepted before then (RFC 3339).", format="date-time"),
    PAGE_SIZE_PARAMETER,
    query("cursor", "The next_cursor of the part before."),
)


def openapi(app: FastAPI, scopes: Mapping[str, Scope], by_hand: Mapping[str, Schema], public_url: str) -> Schema:
    """The document of all routes; `by_hand` are operations (path → method → operation) that FastAPI does not know.

    `scopes` says what opens an operation, by its id.
    """
    app.openapi_schema = None
    document = FastAPI.openapi(app)
    components = document.setdefault("components", {})
    components["schemas"] = with_examples(SCHEMAS)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}}
    document["security"] = [{"key": []}]
    document["servers"] = [{"url": public_url}]
    for path, operations in by_hand.items():
        document["paths"].setdefault(path, {}).update(operations)
    for operations in document["paths"].values():
        for operation in operations.values():
            # FastAPI's own validation never speaks here: parameters are read, and refused, by us.
            if _VALIDATION in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            if operation["operationId"] in scopes:
                operation["security"] = demanding(scopes[operation["operationId"]])
            is_open = operation.get("security") == []
            always = responses((), None, _OF_ANY if is_open else (*_OF_ANY, *_OF_ANY_WITH_KEY))
            said = {str(status): response for status, response in always.items()} | operation["responses"]
            operation["responses"] = dict(sorted(said.items()))
    return document


def demanding(scope: Scope) -> list[Schema]:
    """A key with this scope, as a document says it."""
    return [{"key": [str(scope)]}]


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}
