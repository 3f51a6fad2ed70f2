"""Readers of single fields: each takes what was sent and gives the value, or says what would have been right."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from postback.domain.accounts import is_reserved
from postback.domain.errors import InvalidValue
from postback.resources.fields import Refusal, refuse_unwritable, shown

Reader = Callable[[object], Any]
"""Raises Refusal for a value that it does not take; the message says what it takes."""

TEXT_MAX: Final = 256
UNKNOWN_SHOWN: Final = 20
NAME_SHOWN: Final = 64


class Errors:
    """Gathers what is wrong with each field, so that one answer names all of it."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, field: str, message: str) -> None:
        self._found.setdefault(field, []).append(message)

    def add_all(self, error: InvalidValue) -> None:
        for field, messages in error.errors.items():
            for message in messages:
                self.add(field, message)

    def __contains__(self, field: str) -> bool:
        return field in self._found

    def as_error(self) -> InvalidValue:
        return InvalidValue(self._found)

    def raise_any(self) -> None:
        if self._found:
            raise self.as_error()


def read(fields: Mapping[str, object], readers: Mapping[str, Reader], errors: Errors) -> dict[str, Any]:
    """The values of the fields that were sent and are not null; unknown fields are refused by name."""
    refuse_unknown([name for name in fields if name not in readers], errors)
    values = {}
    for name, reader in readers.items():
        sent = fields.get(name)
        if sent is not None:
            try:
                values[name] = reader(sent)
            except Refusal as refusal:
                errors.add(name, f"{name} {refusal}")
    return values


def refuse_unknown(names: Sequence[str], errors: Errors) -> None:
    # Whoever sends a thousand of them, or one of a megabyte, gets no such answer back.
    for name in names[:UNKNOWN_SHOWN]:
        errors.add(name[:NAME_SHOWN], f"{name[:NAME_SHOWN]} is not a known field")


def require(names: tuple[str, ...], values: Mapping[str, object], errors: Errors) -> None:
    for name in names:
        if name not in errors and values.get(name) in (None, ""):
            errors.add(name, blank(name))


def blank(name: str) -> str:
    """`Product Transaction Id cannot be blank.`, in the words of the documented API."""
    return f"{name.replace('_', ' ').title()} cannot be blank."


def text(maximum: int = TEXT_MAX, minimum: int = 0) -> Reader:
    def reader(sent: object) -> str:
        if not isinstance(sent, str):
            raise Refusal(f"is {shown(sent)}; expected a string")
        if not minimum <= len(sent) <= maximum:
            raise Refusal(
                f"has {len(sent):,} characters; expected {f'{minimum} to' if minimum else 'at most'} {maximum:,}"
            )
        refuse_unwritable(sent)
        return sent

    return reader


def actor_name(maximum: int = TEXT_MAX) -> Reader:
    """What the audit will call somebody."""
    read_text = text(maximum, minimum=1)

    def reader(sent: object) -> str:
        name: str = read_text(sent)
        if is_reserved(name):
            raise Refusal(f"is {shown(name)}, which is what accounts are told of operators; expected another name")
        return name

    return reader


def one_of(*choices: str) -> Reader:
    def reader(sent: object) -> str:
        if not isinstance(sent, str) or sent not in choices:
            raise Refusal(f"is {shown(sent)}; expected one of {', '.join(choices)}")
        return sent

    return reader


def flag(sent: object) -> bool:
    """A boolean in any of the forms that the documented API shows."""
    if isinstance(sent, str | int) and sent in {"1", 1}:
        return True
    if isinstance(sent, str | int) and sent in {"0", 0}:
        return False
    raise Refusal(f'is {shown(sent)}; expected "1" or "0", 1 or 0, true or false')


def whole(minimum: int, maximum: int) -> Reader:
    def reader(sent: object) -> int:
        if isinstance(sent, bool) or not isinstance(sent, int) or not minimum <= sent <= maximum:
            raise Refusal(f"is {shown(sent)}; expected a whole number from {minimum} to {maximum}")
        return sent

    return reader


def unix_seconds(sent: object) -> int:
    """A time of records and configs."""
    if isinstance(sent, bool) or not isinstance(sent, int) or sent < 0:
        raise Refusal(f"is {shown(sent)}; expected unix seconds, such as 1790000000")
    return sent


def number(minimum: float, maximum: float) -> Reader:
    def reader(sent: object) -> float:
        if isinstance(sent, bool) or not isinstance(sent, int | float) or not minimum <= sent <= maximum:
            raise Refusal(f"is {shown(sent)}; expected a number from {minimum:g} to {maximum:g}")
        return float(sent)

    return reader
