"""What the catalog says of a type of event: its codes, its origin, its fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Layout(StrEnum):
    """The two generations of the XML postbacks: `2014-03` is the one of the overview, `2015` the last one."""

    L2015 = "2015"
    L2014_03 = "2014-03"


class Kind(StrEnum):
    """What a field holds, in words for people."""

    TEXT = "string"
    ID = "string or integer"
    TIME = "time with offset (RFC 3339)"
    URLS = "list of URLs"
    OBJECT = "object"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an event's data. `choices` are all the values it may have; `default` stands where it is left out."""

    name: str
    meaning: str
    kind: Kind = Kind.TEXT
    required: bool = False
    choices: tuple[str, ...] = ()
    default: str | None = None

    @property
    def is_constant(self) -> bool:
        return len(self.choices) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One way in which an event of a type comes: which one it is, its data tells by the field `told_by`.

    `told_by` is (field, value): the row of events whose field has that value, or, where the value is None, whose data
    has the field at all.
    """

    code: str
    code_2014_03: str
    fields: tuple[Field, ...]
    example: Mapping[str, object]
    told_by: tuple[str, str | None] | None = None

    def code_in(self, layout: Layout) -> str:
        return self.code if layout is Layout.L2015 else self.code_2014_03

    def field(self, name: str) -> Field | None:
        return next((one for one in self.fields if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A type of event. One without rows takes any object as data and has no origin."""

    name: str
    sentence: str
    origin: str | None = None
    rows: tuple[Row, ...] = ()
    example: Mapping[str, object] = field(default_factory=dict)
    """An event's data, whole and valid."""
