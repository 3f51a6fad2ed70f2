"""Cursors: where the next page of a log begins, as a text that callers hand back and need not understand."""

import hashlib
from typing import Final

from postback.domain.errors import InvalidValue
from postback.domain.ids import decode, encode

_NUMBER: Final = 13
_SEAL: Final = 16


def cursor(account: str, kind: str, position: tuple[int, ...]) -> str:
    """Holds in this account and this list only."""
    text = "".join(encode(number) for number in position)
    return text + _seal(account, kind, text)


def position(account: str, kind: str, text: str, length: int) -> tuple[int, ...]:
    """The position behind a cursor that was given out for this account and list; InvalidValue for any other text."""
    numbers, seal = text[:-_SEAL], text[-_SEAL:]
    found = tuple(decode(numbers[start : start + _NUMBER]) for start in range(0, len(numbers), _NUMBER))
    known = tuple(number for number in found if number is not None)
    if len(known) != length or len(found) != length or seal != _seal(account, kind, numbers):
        raise InvalidValue.of("cursor", "cursor is not one that this list gave out")
    return known


def _seal(account: str, kind: str, text: str) -> str:
    return hashlib.sha256(f"{kind}\0{account}\0{text}".encode()).hexdigest()[:_SEAL]
