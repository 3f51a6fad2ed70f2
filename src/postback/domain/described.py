"""Event types told as plain data, alike for the API, the command line and the pages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from postback.domain.catalog import CATALOG, SAYABLE, can_say
from postback.domain.event_types import EventType, Field, Layout, Row
from postback.domain.patterns import names


def described_types(patterns: Sequence[str] = ("*",), format_name: str | None = None) -> Sequence[dict[str, Any]]:
    """The types of the catalog that one of the patterns names and, where a format is given, that it can say."""
    return [
        described(known)
        for known in CATALOG.values()
        if any(names(pattern, known.name) for pattern in patterns)
        and (format_name is None or can_say(format_name, known.name))
    ]


def described(known: EventType) -> dict[str, Any]:
    """One type. `variants` are the ways in which it comes, where there are several; `fields` are then those of all."""
    return {
        "type": known.name,
        "description": known.sentence,
        "origin": known.origin,
        "codes": {layout.value: _distinct(row.code_in(layout) for row in known.rows) for layout in Layout},
        "formats": [name for name in SAYABLE if can_say(name, known.name)],
        "fields": [_field(field) for field in fields_of(known)],
        "variants": [_variant(known, row) for row in known.rows] if len(known.rows) > 1 else [],
        "example": dict(known.example),
    }


def fields_of(known: EventType) -> Sequence[Field]:
    """All fields of a type: required where every way of it requires them, with the values that any of them allows."""
    merged: dict[str, Field] = {}
    for row in known.rows:
        for field in fields_of_row(known, row):
            merged[field.name] = _merged(merged[field.name], field) if field.name in merged else field
    everywhere = {name for name in merged if all(row.field(name) is not None for row in known.rows)}
    return [field if field.name in everywhere else replace(field, required=False) for field in merged.values()]


def fields_of_row(known: EventType, row: Row) -> Sequence[Field]:
    """The fields of one way: what tells it from the first one, which stands where nothing is said, must be sent."""
    if row is known.rows[0] or row.told_by is None:
        return row.fields
    telling = row.told_by[0]
    return [replace(field, required=True, default=None) if field.name == telling else field for field in row.fields]


def _merged(one: Field, other: Field) -> Field:
    return replace(
        one,
        required=one.required and other.required,
        choices=(*one.choices, *(choice for choice in other.choices if choice not in one.choices)),
        default=one.default if one.default == other.default or other.required else None,
    )


def _variant(known: EventType, row: Row) -> dict[str, Any]:
    told_by = row.told_by or ("", None)
    return {
        "told_by": {"field": told_by[0], "value": told_by[1]},
        "codes": {layout.value: row.code_in(layout) for layout in Layout},
        "fields": [_field(field) for field in fields_of_row(known, row)],
        "example": dict(row.example),
    }


def _field(field: Field) -> Mapping[str, object]:
    shown: dict[str, object] = {"name": field.name, "type": field.kind.value, "required": field.required}
    if field.choices:
        shown["choices"] = list(field.choices)
    if field.default is not None:
        shown["default"] = field.default
    return {**shown, "description": field.meaning}


def _distinct(codes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(codes))
