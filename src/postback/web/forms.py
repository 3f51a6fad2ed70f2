"""What a person typed into a form, and what is wrong with it: shown again together, so that nothing typed is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import parse_qsl

from postback.domain.errors import InvalidValue, Malformed
from postback.domain.times import unix_ms

FIELDS_MAX: Final = 500

_LACKING: Final = {10: "T00:00:00Z", 16: ":00Z", 19: "Z"}
"""How long a time is that a browser sends → what it lacks, since all times here are UTC."""


@dataclass(frozen=True, slots=True)
class Form:
    """Field → what was sent, a list since a field may be there more than once; `errors` are as InvalidValue has them."""

    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "Form":
        """A form that shows what is stored: None is empty, a flag is on or off, a list is several."""
        return cls({name: _texts(value) for name, value in values.items()})

    @classmethod
    def read(cls, body: bytes) -> "Form":
        try:
            pairs = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                max_num_fields=FIELDS_MAX,
                encoding="utf-8",
                errors="strict",
            )
        except ValueError as error:
            raise Malformed("the form cannot be read; load the page again") from error
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            # Browsers write line ends as forms were written before there was an agreement.
            values.setdefault(name, []).append(value.replace("\r\n", "\n"))
        return cls(values)

    def text(self, name: str) -> str:
        """The last one, since a hidden field before a checkbox says what it is when it is off; empty where there is none."""
        found = self.values.get(name)
        return found[-1] if found else ""

    def all(self, name: str) -> Sequence[str]:
        return self.values.get(name, ())

    def is_on(self, name: str) -> bool:
        return self.text(name) == "1"

    def fields(self, *names: str) -> dict[str, object]:
        """What actions take: the text of each, None where it is empty (and so removed)."""
        return {name: self.text(name).strip() or None for name in names}

    def filled(self, *names: str) -> dict[str, object]:
        """The same without what is empty: for things that are made."""
        return {name: value for name, value in self.fields(*names).items() if value is not None}

    def wrong(self, error: InvalidValue) -> "Form":
        """The same form with what is wrong with it."""
        return replace(self, errors=error.errors)

    def said_of(self, name: str) -> Sequence[str]:
        """What is wrong with a field, as sentences that need not name it."""
        return [_sentence(name, message) for message in self.errors.get(name, ())]


def number(text: str) -> object:
    """As a number where it is one: what is none is told so by the actions."""
    text = text.strip()
    if not text:
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def time_ms(text: str) -> int | None:
    """A time with an offset, or one without, or a day, as of UTC; None for what is no time."""
    # The + of an offset that was not percent-encoded arrives as a space.
    text = text.replace(" ", "+")
    return unix_ms(text + _LACKING.get(len(text), ""))


def _texts(value: object) -> Sequence[str]:
    if value is None:
        return ()
    if isinstance(value, bool):
        return ("1" if value else "0",)
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return (str(value),)


def _sentence(name: str, message: str) -> str:
    said = message.removeprefix(name).strip()
    return (said[:1].upper() + said[1:]) if said else message
