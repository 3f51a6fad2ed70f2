"""The data of an event, judged by the catalog: which row it is, what is wrong with it, what stands where nothing was sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.domain.catalog import CATALOG
from postback.domain.event_types import EventType, Field, Kind, Row
from postback.domain.times import EXPECTED as TIME_EXPECTED
from postback.domain.times import unix_ms

SHOWN_MAX: Final = 40

_JUDGED: Final = frozenset(name for name, known in CATALOG.items() if known.rows)


def row_of(event_type: str, data: Mapping[str, Any]) -> Row | None:
    """The row of the catalog that the data belongs to; None for types that take any object, and for data of no row."""
    known = CATALOG.get(event_type)
    if known is None:
        return None
    told_by = known.rows[0].told_by if known.rows else None
    first = told_by[1] if told_by is not None else None
    return next((row for row in known.rows if _is_of(row, data, first)), None)


def is_judged(event_type: str) -> bool:
    """Whether the catalog says what the data of such an event holds; of all other types any object is data."""
    return event_type in _JUDGED


def refusals(event_type: str, data: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """What the catalog forbids about the data: field → messages, empty where all is well. Unlisted fields are free."""
    known = CATALOG.get(event_type)
    if known is None or not known.rows:
        return {}
    row = row_of(event_type, data)
    fields = row.fields if row is not None else _of_all_rows(known)
    found = {field.name: [message] for field in fields if (message := _refusal(field, data))}
    if row is None:
        return {**_no_row(known, data), **found}
    if row.told_by is not None and row.told_by[1] is None:
        for other in known.rows:
            if other is not row and other.told_by is not None and other.told_by[0] in data:
                found[other.told_by[0]] = [
                    f"{row.told_by[0]} and {other.told_by[0]} exclude each other; send one of them"
                ]
    return found


def completed(event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with the constants and defaults of its row where they were left out."""
    row = row_of(event_type, data)
    whole = dict(data)
    for field in row.fields if row is not None else ():
        if field.default is not None:
            whole.setdefault(field.name, field.default)
    return whole


def with_constants(event_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data with what can be nothing else in its row: what a body need not carry to be understood."""
    row = row_of(event_type, data)
    whole = dict(data)
    for field in row.fields if row is not None else ():
        if field.is_constant:
            whole.setdefault(field.name, field.choices[0])
    return whole


def _is_of(row: Row, data: Mapping[str, Any], first: str | None) -> bool:
    """`first` is the value of the type's first row, which stands where the data does not tell."""
    if row.told_by is None:
        return True
    name, value = row.told_by
    if value is None:
        return name in data
    return bool(data.get(name, first) == value)


def _of_all_rows(known: EventType) -> Sequence[Field]:
    """What every row says alike: wrong whichever row was meant."""
    first, *others = known.rows
    return [field for field in first.fields if all(row.field(field.name) == field for row in others)]


def _no_row(known: EventType, data: Mapping[str, Any]) -> Mapping[str, list[str]]:
    """The data tells of no row of this type: by a value that none has, or by having none of the fields."""
    telling = [row.told_by for row in known.rows if row.told_by is not None]
    name = telling[0][0]
    values = [value for _, value in telling if value is not None]
    if values:
        return {name: [f"{name} is {_shown(data.get(name))}; expected {' or '.join(values)}"]}
    names = " or ".join(name for name, _ in telling)
    return {name: [f"{names} must be there: which of them could not be encoded"]}


def _refusal(field: Field, data: Mapping[str, Any]) -> str | None:
    name = field.name
    if name not in data:
        return f"{name.replace('_', ' ').title()} cannot be blank." if field.required else None
    value = data[name]
    if field.choices:
        expected = " or ".join(field.choices) if len(field.choices) <= 4 else f"one of {', '.join(field.choices)}"
        return None if value in field.choices else f"{name} is {_shown(value)}; expected {expected}"
    if not _FITS[field.kind](value):
        return f"{name} is {_shown(value)}; expected {_EXPECTED[field.kind]}"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_id(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


def _is_time(value: object) -> bool:
    return isinstance(value, str) and (not value or unix_ms(value) is not None)


def _is_urls(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


_FITS: Final = {
    Kind.TEXT: _is_text,
    Kind.ID: _is_id,
    Kind.TIME: _is_time,
    Kind.URLS: _is_urls,
    Kind.OBJECT: _is_object,
}
_EXPECTED: Final = {
    Kind.TEXT: "a string",
    Kind.ID: "a string or an integer",
    Kind.TIME: TIME_EXPECTED.removeprefix("expected "),
    Kind.URLS: "a list of one or more strings",
    Kind.OBJECT: "an object",
}


def _shown(value: object) -> str:
    """A value as it may stand in a message: short, and harmless whatever was sent."""
    if isinstance(value, str):
        return ascii(value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "...")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"
