"""Fields of records: what each takes, and the words with which anything else is refused."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final, NoReturn

from postback.domain.masking import MASK

SHOWN_MAX: Final = 40

AMOUNT_TYPES: Final = ("4S", "4U", "4V", "4W", "4X")
"""What an additional amount may be for."""

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DIGITS: Final = re.compile(r"-?\d{1,18}", re.ASCII)
_AMOUNT: Final = re.compile(r"\d{1,12}(\.\d{1,2})?", re.ASCII)
_AMOUNT_MAX: Final = 10**12
_FLAGS: Final[Mapping[object, bool]] = {"1": True, "0": False, 1: True, 0: False}


class Kind(Enum):
    """What a field holds, as JSON."""

    TEXT = "text"
    ID = "id"
    """The id of another record: opaque, and never echoed in a refusal."""
    NUMBER = "number"
    FLAG = "flag"
    BIT = "bit"
    """A flag that is shown as 1 or 0."""
    DATE = "date"
    AMOUNT = "amount"
    """Money, as text with two decimals: "24.50"."""
    AMOUNTS = "amounts"
    """A list of objects, each with a type and an amount."""
    CHOICE = "choice"
    JSON = "json"
    """An object, a list, or a text that holds JSON."""


class Refusal(Exception):
    """The value is not what its field takes; the message, after the field's name, says what would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a record, by its documented name.

    `at_least` and `at_most` bound the characters of a text, the value of a number and the length of a list. `default`
    stands where nothing was sent or null. `fixed` fields are set when the record is made and never changed;
    `read_only` ones are ours. `sensitive` ones are shown to those who may write, to others as `***`. `alias` is
    another name that callers may use. `stored` is False for one that is no part of the record: it says what to do,
    or where the record belongs.
    """

    name: str
    kind: Kind = Kind.TEXT
    at_least: int = 0
    at_most: int = 255
    choices: Sequence[str | int] = ()
    default: object = None
    required: bool = False
    read_only: bool = False
    fixed: bool = False
    sensitive: bool = False
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
            case Kind.BIT:
                return int(self._flag(sent))
            case Kind.DATE:
                return self._date(sent)
            case Kind.AMOUNT:
                return self._amount(sent)
            case Kind.AMOUNTS:
                return self._amounts(sent)
            case Kind.CHOICE:
                return self._choice(sent)
            case Kind.JSON:
                return self._json(sent)

    def _text(self, sent: object) -> str:
        if not isinstance(sent, str):
            raise Refusal(f"is {self._shown(sent)}; expected a string")
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
            raise Refusal(f"is {self._shown(sent)}; expected a number from {self.at_least} to {self.at_most}")
        return number

    def _flag(self, sent: object) -> bool:
        flag = _FLAGS.get(sent) if isinstance(sent, str | int) else None
        if flag is None:
            raise Refusal(f'is {self._shown(sent)}; expected "1" or "0", 1 or 0, true or false')
        return flag

    def _date(self, sent: object) -> str:
        if isinstance(sent, str) and _DATE.fullmatch(sent):
            try:
                date.fromisoformat(sent)
            except ValueError:
                pass
            else:
                return sent
        raise Refusal(f"is {self._shown(sent)}; expected a date as yyyy-mm-dd")

    def _amount(self, sent: object) -> str:
        text = sent
        if isinstance(sent, int | float) and not isinstance(sent, bool) and abs(sent) < _AMOUNT_MAX:
            # By its digits: the nearest binary fraction is nobody's price.
            text = str(sent)
        if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
            raise Refusal(f'is {self._shown(sent)}; expected an amount such as "24.50"')
        whole, _, cents = text.partition(".")
        return f"{int(whole)}.{cents:0<2}"

    def _amounts(self, sent: object) -> Sequence[Mapping[str, str]]:
        if not isinstance(sent, list) or len(sent) > self.at_most:
            raise Refusal(f"is {self._shown(sent)}; expected a list of at most {self.at_most} amounts with a type")
        return [self._typed_amount(one) for one in sent]

    def _typed_amount(self, sent: object) -> Mapping[str, str]:
        if not isinstance(sent, dict) or sent.keys() != {"type", "amount"}:
            raise Refusal('has an item that is not of the form {"type": "4S", "amount": "1.50"}')
        if sent["type"] not in AMOUNT_TYPES:
            raise Refusal(f"has the type {shown(sent['type'])}; expected one of {', '.join(AMOUNT_TYPES)}")
        try:
            return {"type": sent["type"], "amount": self._amount(sent["amount"])}
        except Refusal as refusal:
            raise Refusal(f"has an amount that {refusal}") from None

    def _choice(self, sent: object) -> str | int:
        if isinstance(sent, str | int) and not isinstance(sent, bool):
            for choice in self.choices:
                # A number may come as its digits, a text only as itself.
                if sent == choice or sent == str(choice):
                    return choice
        raise Refusal(f"is {self._shown(sent)}; expected {said(self.choices)}")

    def _json(self, sent: object) -> object:
        text, value = sent, sent
        if isinstance(sent, str):
            try:
                value = json.loads(sent, parse_constant=_refuse_constant)
            except (ValueError, RecursionError):
                raise Refusal(f"is {self._shown(sent)}; expected JSON") from None
        elif isinstance(sent, dict | list):
            text = json.dumps(sent, separators=(",", ":"), ensure_ascii=False)
        if not isinstance(text, str):
            raise Refusal(f"is {self._shown(sent)}; expected an object, a list, or a string with JSON in it")
        for inner in _texts_in(value):
            refuse_unwritable(inner)
        if len(text) > self.at_most:
            raise Refusal(f"has {len(text):,} characters; expected at most {self.at_most}")
        return sent

    def _shown(self, value: object) -> str:
        return MASK if self.sensitive else shown(value)


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


def said(choices: Sequence[str | int]) -> str:
    """`one of 1 to 6, 8`: numbers that follow each other by the first and the last of them."""
    runs: list[list[str | int]] = []
    for choice in choices:
        last = runs[-1][-1] if runs else None
        if isinstance(choice, int) and isinstance(last, int) and choice == last + 1:
            runs[-1].append(choice)
        else:
            runs.append([choice])
    parts = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(_choice(one) for one in run) for run in runs]
    return f"one of {', '.join(parts)}"


def _choice(choice: str | int) -> str:
    return str(choice) if str(choice).strip() else f'"{choice}"'


def _texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON value, names included; one after the other, however deep."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text
            case list() as items:
                left.extend(items)
            case dict() as members:
                left.extend(members)
                left.extend(members.values())


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _span(at_least: int, at_most: int) -> str:
    if at_least == at_most:
        return f"exactly {at_most}"
    return f"{at_least} to {at_most}" if at_least else f"at most {at_most}"
