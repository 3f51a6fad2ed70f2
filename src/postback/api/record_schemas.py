"""What records look like, made from their fields."""

from typing import Final

from postback.api.schema_parts import FLAG, LINKS, Schema, a_list, an_object, or_null, said
from postback.resources import RESOURCES, Field, Kind, Resource
from postback.resources.fields import AMOUNT_TYPES

_AMOUNT: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{1,12}\.[0-9]{2}$"}
_ANY_AMOUNT: Final[Schema] = {"type": ["string", "number"], "pattern": r"^[0-9]{1,12}(\.[0-9]{1,2})?$", "minimum": 0}


def record_schema(resource: Resource, *, shown: bool) -> Schema:
    """A kind of record as it is shown, or as callers may send it."""
    properties: Schema = {}
    for field in resource.fields:
        if shown and field.stored:
            properties[field.alias or field.name] = _field(field, shown=True)
        elif not shown and not field.read_only:
            properties |= {name: _field(field, shown=False) for name in (field.name, field.alias) if name is not None}
    if shown:
        return an_object({**properties, "_links": LINKS})
    return an_object(properties)


def _field(field: Field, *, shown: bool) -> Schema:
    schema = _value(field, shown=shown)
    if not shown and not field.required:
        return or_null(schema)
    if shown and field.sensitive:
        return said(schema, "To keys without the scope write: ***.")
    return schema


def _value(field: Field, *, shown: bool) -> Schema:
    null = [] if field.required or field.name == "created_ts" else ["null"]
    match field.kind:
        case Kind.TEXT:
            schema: Schema = {"type": ["string", *null], "maxLength": field.at_most}
            return {**schema, "minLength": field.at_least} if field.at_least and not shown else schema
        case Kind.ID:
            return {"type": ["string", *null]}
        case Kind.NUMBER:
            bounds = {} if shown else {"minimum": field.at_least, "maximum": field.at_most}
            return {"type": ["integer", *null], **bounds}
        case Kind.FLAG:
            return {"type": "boolean"} if shown else FLAG
        case Kind.BIT:
            return {"enum": [0, 1] if field.default is not None else [0, 1, None]} if shown else FLAG
        case Kind.DATE:
            return {"type": ["string", *null], "format": "date"}
        case Kind.AMOUNT:
            schema = _AMOUNT if shown else _ANY_AMOUNT
            kinds = [schema["type"]] if shown else schema["type"]
            return {**schema, "type": [*kinds, *null]}
        case Kind.AMOUNTS:
            amount = _AMOUNT if shown else _ANY_AMOUNT
            typed = an_object({"type": {"enum": [*AMOUNT_TYPES]}, "amount": amount}, required=("type", "amount"))
            return a_list(typed, maxItems=field.at_most)
        case Kind.CHOICE:
            return {"enum": [*field.choices, None]}
        case Kind.JSON:
            return {"type": ["object", "array", "string", "null"]}


RECORD_SCHEMAS: Final[Schema] = {
    **{resource.name.capitalize(): record_schema(resource, shown=True) for resource in RESOURCES.values()},
    **{f"New{resource.name.capitalize()}": record_schema(resource, shown=False) for resource in RESOURCES.values()},
}
