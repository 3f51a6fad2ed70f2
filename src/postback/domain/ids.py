"""Ids: 63-bit numbers that sort by time, and their text with a prefix that says what they name."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from postback.domain.errors import NotFound

SLOTS: Final = 1 << 9
"""Workers that may live at the same time; each gives out ids of its own slot."""

_COUNTER_BITS: Final = 12
_SLOT_BITS: Final = 9
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_LENGTH: Final = 13
# Two letters at once: each event that is accepted, and each line of the log, has ids in it.
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]

ACCOUNT_DEFAULT: Final = "default"


class IdSource:
    """Gives out ids: 42 bits of milliseconds, 9 of the worker's slot, 12 of a counter.

    They never repeat and never go back, also when the clock does: after `last` (the highest id
    that the store knows) time stands still until the clock has caught up.
    """

    def __init__(self, now_ms: Callable[[], int], slot: int, last: int = 0) -> None:
        self._now_ms = now_ms
        self._slot = slot << _COUNTER_BITS
        self._ms = last >> (_SLOT_BITS + _COUNTER_BITS)
        self._counter = 1 << _COUNTER_BITS if last else 0

    def __call__(self) -> int:
        return self.at(self._now_ms())

    def at(self, now_ms: int) -> int:
        """The next id, by a reading of the clock that was made already."""
        if now_ms > self._ms:
            self._ms, self._counter = now_ms, 0
        elif self._counter >> _COUNTER_BITS:
            self._ms, self._counter = self._ms + 1, 0
        number = (self._ms << (_SLOT_BITS + _COUNTER_BITS)) | self._slot | self._counter
        self._counter += 1
        return number


def first_id_at(unix_ms: int) -> int:
    """The lowest id of a millisecond: what turns a time into a bound on ids."""
    return unix_ms << (_SLOT_BITS + _COUNTER_BITS)


def unix_ms_of(number: int) -> int:
    """When an id was given out."""
    return number >> (_SLOT_BITS + _COUNTER_BITS)


def encode(number: int) -> str:
    """13 characters that sort as the numbers do."""
    return _first_nine(number >> 20) + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]


# The millisecond, the same for many ids that are told together: remembered, an id is told in half the time.
@lru_cache(maxsize=1024)
def _first_nine(high: int) -> str:
    pairs = _PAIRS
    return (
        _ALPHABET[high >> 40]
        + pairs[high >> 30 & 1023]
        + pairs[high >> 20 & 1023]
        + pairs[high >> 10 & 1023]
        + pairs[high & 1023]
    )


def decode(text: str) -> int | None:
    """The number of `encode`'s text, or None where the text is none."""
    if len(text) != _LENGTH:
        return None
    number = 0
    for letter in text:
        value = _VALUE.get(letter)
        if value is None:
            return None
        number = number << 5 | value
    return number if number >> 63 == 0 else None


def event_text(number: int) -> str:
    return "evt_" + encode(number)


def config_text(number: int) -> str:
    return "pbc_" + encode(number)


def delivery_text(event_id: int, config_id: int) -> str:
    """The public id of a delivery names its event and its config."""
    return "dlv_" + encode(event_id) + encode(config_id)


def parse(prefix: str, text: str) -> int:
    """The number behind a public id such as `evt_…`; NotFound for any text that is not one."""
    number = decode(text[len(prefix) + 1 :]) if text.startswith(prefix + "_") else None
    if number is None:
        raise NotFound(prefix, text)
    return number


def numbers_of(letters: str) -> tuple[int, int] | None:
    """The first and the last number whose 13 characters begin with these; None where those of no number do."""
    rest = _LENGTH - len(letters)
    first = decode(letters + "0" * rest) if letters and rest >= 0 else None
    if first is None:
        return None
    last = decode(letters + "z" * rest)
    return first, (1 << 63) - 1 if last is None else last


def parse_delivery(text: str) -> tuple[int, int]:
    """(event id, config id) of a delivery's public id; NotFound for any text that is not one."""
    if not text.startswith("dlv_"):
        raise NotFound("dlv", text)
    event_id, config_id = decode(text[4:17]), decode(text[17:])
    if event_id is None or config_id is None:
        raise NotFound("dlv", text)
    return event_id, config_id
