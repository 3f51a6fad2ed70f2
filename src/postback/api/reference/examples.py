"""Examples from schemas: those that they carry, and values that look like the real ones where they carry none."""

import json
from collections.abc import Mapping
from typing import Any, Final

from postback.api.reference.words import name_of
from postback.api.schema_parts import Schema

LINE_MAX: Final = 64
"""Characters of a line in an example, where it can be broken."""

_TIME: Final = "2026-11-21T04:55:46.066Z"
_FORMATS: Final[Mapping[str, str]] = {
    "date-time": _TIME,
    "date": "1980-05-17",
    "uri": "https://client.example/receiver",
}
_PREFIXES: Final[Mapping[str, str]] = {
    "account": "acme",
    "audit": "38fweqg9nzw00",
    "config": "pbc_38fweqg9nzw00",
    "postbackconfig": "pbc_38fweqg9nzw00",
    "event": "evt_38fweqgag0000",
    "delivery": "dlv_38fweqgag000038fweqg9nzw00",
    "location": "loc_38fweqg0bzw00",
    "contact": "con_38fweqgahzw00",
    "transaction": "trx_38fweqgajzw00",
    "transactionbatch": "bat_38fweqgakzw00",
    "accountvault": "acv_38fweqgamzw00",
    "account_vault": "acv_38fweqgamzw00",
    "key": "key_38fweqg95zw00",
    "link": "lnk_38fweqg9c0w00",
    "user": "usr_38fweqg9azw00",
    "replay": "rpl_38fweqgb7zw00",
}
_NAMED: Final[Mapping[str, Any]] = {
    "action": "postbackconfig.change",
    "address": "12 Main Street",
    "amount": "1.50",
    "created_ts": 1790000000,
    "modified_ts": 1790000000,
    "event_type": "contact.created",
    "first_name": "Mary",
    "last_name": "Jones",
    "name": "Main Street",
    "number": 1,
    "subject": "con_38fweqgahzw00",
    "last_status": 200,
    "status": 200,
    "target": "pbc_38fweqg9nzw00",
    "type": "contact.created",
    "transaction_amount": "12.50",
}


def example_of(schema: Schema, schemas: Mapping[str, Schema], of: str = "", name: str = "") -> Any:
    """A value that the schema takes; `of` is the kind of thing that it belongs to, `name` the field that it is for."""
    if "$ref" in schema:
        target = name_of(schema)
        return example_of({**schemas[target], **_besides(schema)}, schemas, _thing(target), name)
    for word in ("example", "default"):
        if word in schema:
            return schema[word]
    if "enum" in schema:
        return schema["enum"][0]
    if "oneOf" in schema:
        return example_of(schema["oneOf"][0], schemas, of, name)
    types = schema.get("type", "object")
    match types if isinstance(types, str) else types[0]:
        case "object":
            return _object(schema, schemas, of)
        case "array":
            return [example_of(schema["items"], schemas, of)] if "items" in schema else []
        case "string":
            return _text(schema, of, name)
        case "integer" | "number":
            return _NAMED.get(name, None if _may_be_null(schema) else schema.get("minimum", 1))
        case "boolean":
            return False
    return None


def id_of(name: str) -> str:
    """The id that stands in examples for what a parameter of the path names."""
    return _PREFIXES.get(name.removesuffix("_id"), "…")


def as_text(value: Any, width: int = LINE_MAX, indent: str = "") -> str:
    """JSON for people: what fits on its line stays there."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= width or not isinstance(value, dict | list) or not value:
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        lines = [
            f"{deeper}{json.dumps(key)}: {as_text(one, width - len(key) - 4, deeper)}" for key, one in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + as_text(one, width, deeper) for one in value) + f"\n{indent}]"


def _object(schema: Schema, schemas: Mapping[str, Schema], of: str) -> dict[str, Any]:
    """Only what is required, where anything is."""
    properties = schema.get("properties", {})
    told = schema.get("required") or properties
    return {
        name: example_of(properties[name], schemas, name if name in _PREFIXES else of, name)
        for name in properties
        if name in told
    }


def _text(schema: Schema, of: str, name: str) -> str | None:
    if name == "id" and of in _PREFIXES:
        return _PREFIXES[of]
    if name.endswith("_id") and name.removesuffix("_id") in _PREFIXES:
        return _PREFIXES[name.removesuffix("_id")]
    if _may_be_null(schema):
        return None
    if name in _NAMED:
        return str(_NAMED[name])
    return _FORMATS.get(schema.get("format", ""), "…")


def _may_be_null(schema: Schema) -> bool:
    types: str | list[str] = schema.get("type", "")
    return types == "null" or "null" in types


def _besides(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word != "$ref"}


def _thing(schema: str) -> str:
    """`DeliveryWithAttempts` → `delivery`."""
    lower = schema.lower()
    return next((thing for thing in sorted(_PREFIXES, key=len, reverse=True) if thing in lower), lower)
