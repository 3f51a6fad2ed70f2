"""What of a value a JSON Schema does not allow, as far as our schemas go."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "object": dict,
    "array": list,
}


def misfits(value: Any, schema: Any, schemas: Mapping[str, Any], at: str) -> Iterator[str]:
    """A sentence for each."""
    if "$ref" in schema:
        target = schemas[schema["$ref"].rpartition("/")[2]]
        beside = {word: said for word, said in schema.items() if word != "$ref"}
        yield from misfits(value, {**target, **beside}, schemas, at)
        return
    if "oneOf" in schema and all(list(misfits(value, one, schemas, at)) for one in schema["oneOf"]):
        yield f"{at}: {value!r} is none of the ways"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is not one of {schema['enum']}"
    types = schema.get("type", list(_TYPES))
    if not any(isinstance(value, _TYPES[name]) for name in ([types] if isinstance(types, str) else types)):
        yield f"{at}: {value!r} is no {types}"
    match value:
        case str():
            yield from _misfits_of_text(value, schema, at)
        case int() | float():
            if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
                yield f"{at}: {value!r} is out of range"
        case dict():
            yield from _misfits_of_object(value, schema, schemas, at)
        case list():
            for one in value:
                yield from misfits(one, schema.get("items", {}), schemas, f"{at}[]")


def _misfits_of_text(value: str, schema: Any, at: str) -> Iterator[str]:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{at}: {value!r} has {len(value)} characters"
    if not re.search(schema.get("pattern", ""), value):
        yield f"{at}: {value!r} does not match {schema['pattern']}"


def _misfits_of_object(value: Mapping[str, Any], schema: Any, schemas: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from (f"{at}: {name} is missing" for name in schema.get("required", ()) if name not in value)
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, one in value.items():
        if name in properties:
            yield from misfits(one, properties[name], schemas, f"{at}.{name}")
        elif isinstance(extra, dict):
            yield from misfits(one, extra, schemas, f"{at}.{name}")
        elif not extra:
            yield f"{at}: {name} is no field"
