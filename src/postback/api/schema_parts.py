"""The words that JSON Schemas are made of."""

from typing import Any, Final

Schema = dict[str, Any]

FLAG: Final[Schema] = {"enum": ["0", "1", 0, 1, False, True]}
BOOLEAN: Final[Schema] = {"type": "boolean"}
TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "integer"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
NUMBER_OR_NULL: Final[Schema] = {"type": ["integer", "null"]}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Final[Schema] = {"type": ["string", "null"], "format": "date-time"}
ANY_OBJECT: Final[Schema] = {"type": "object"}
LINKS: Final[Schema] = {
    "type": "object",
    "properties": {"self": {"type": "object", "properties": {"href": {"type": "string", "format": "uri"}}}},
}


def said(schema: Schema, description: str, **more: Any) -> Schema:
    return {**schema, "description": description, **more}


def an_object(properties: Schema, *, required: tuple[str, ...] = (), **more: Any) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False, **more}
    return {**schema, "required": list(required)} if required else schema


def a_list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def or_null(schema: Schema) -> Schema:
    """The same, or null: to callers, who remove with it what a field had."""
    taken = dict(schema)
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        taken["type"] = [*types, *([] if "null" in types else ["null"])]
    if "enum" in schema:
        taken["enum"] = [*schema["enum"], *([] if None in schema["enum"] else [None])]
    return taken


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
