"""Fields of records: what each takes, and the words with which anything else is refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

SHOWN_MAX: Final = 40

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DIGITS: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_FLAGS: Final[Mapping[object, bool]] = {"1": True, "0": False, 1: True, 0: False}


class Kind(Enum):
    """What a field holds, as JSON."""

    TEXT = "text"
    ID = "id"
    """The id of another record: opaque, and never echoed in a refusal."""
    NUMBER = "number"
    FLAG = "flag"
    DATE = "date"


class Refusal(Exception):
    """The value is not what its field takes; the message, after the field's name, says what would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a record, by its documented name.

    `at_least` and `at_most` bound the characters of a text and the value of a number. `default` stands where nothing
    was sent or null. `fixed` fields are set when the record is made and never changed; `read_only` ones are ours.
    `alias` is another name that callers may use. `stored` is False for one that only says what to do.
    """

    name: str
    kind: Kind = Kind.TEXT
    at_least: int = 0
    at_most: int = 255
    default: object = None
    required: bool = False
    read_only: bool = False
    fixed: bool = False
    stored: bool = True
    alias: str | None = None

    @property
    def label(self) -> str:
        """`Last Name`: how the documented messages call the field."""
        return self.name.replace("_", " ").title()

    @property
    def blank(self) -> str:
        return f"{self.label} cannot be blank."

    def read(self, sent: object) -> object:
        """The value as it is stored; Refusal for one that the field does not take. Null gives the default."""
        if sent is None:
            return self.default
        match self.kind:
            case Kind.TEXT:
                return self._text(sent)
            case Kind.ID:
                return self._id(sent)
            case Kind.NUMBER:
                return self._number(sent)
            case Kind.FLAG:
                return self._flag(sent)
            case Kind.DATE:
                return self._date(sent)

    def _text(self, sent: object) -> str:
        if not isinstance(sent, str):
            raise Refusal(f"is {shown(sent)}; expected a string")
        refuse_unwritable(sent)
        if not self.at_least <= len(sent) <= self.at_most:
            raise Refusal(f"has {len(sent):,} characters; expected {_span(self.at_least, self.at_most)}")
        return sent

    def _id(self, sent: object) -> str:
        try:
            return self._text(sent)
        except Refusal:
            raise Refusal("provided is not valid") from None

    def _number(self, sent: object) -> int:
        number = sent
        if isinstance(sent, str) and _DIGITS.fullmatch(sent):
            number = int(sent)
        if isinstance(number, bool) or not isinstance(number, int) or not self.at_least <= number <= self.at_most:
            raise Refusal(f"is {shown(sent)}; expected a number from {self.at_least} to {self.at_most}")
        return number

    def _flag(self, sent: object) -> bool:
        flag = _FLAGS.get(sent) if isinstance(sent, str | int) else None
        if flag is None:
            raise Refusal(f'is {shown(sent)}; expected "1" or "0", 1 or 0, true or false')
        return flag

    def _date(self, sent: object) -> str:
        if isinstance(sent, str) and _DATE.fullmatch(sent):
            try:
                date.fromisoformat(sent)
            except ValueError:
                pass
            else:
                return sent
        raise Refusal(f"is {shown(sent)}; expected a date as yyyy-mm-dd")


def refuse_unwritable(text: str) -> None:
    """No database and no JSON can carry these two faithfully: NUL, and half of a surrogate pair."""
    if "\0" in text:
        raise Refusal("contains a NUL character, which is not allowed here")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Refusal("contains half of a surrogate pair, which is no character")


def shown(value: object) -> str:
    """A value as it may stand in a message: short, and harmless whatever was sent."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 1 << 63:
            return "a number of many digits"
        case int() | float():
            return str(value)
        case str():
            return ascii(value if len(value) <= SHOWN_MAX else value[:SHOWN_MAX] + "...")
        case list():
            return "a list"
    return "an object"


def _span(at_least: int, at_most: int) -> str:
    if at_least == at_most:
        return f"exactly {at_most}"
    return f"{at_least} to {at_most}" if at_least else f"at most {at_most}"
