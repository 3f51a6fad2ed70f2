"""Events as those see them who may not see sensitive fields: the same, with `***` in their place."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from postback.domain.events import Event, split_type
from postback.domain.masking import MASK
from postback.resources import RESOURCES, SENSITIVE

Span = tuple[int, int]

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_COLON: Final = re.compile(r"\s*:\s*")
_LITERAL: Final = re.compile(r"[^\s,}\]]+")
_TOKEN: Final = re.compile(rf"{_STRING.pattern}|[\[\]{{}}]", re.DOTALL)
_OPENING: Final = ("{", "[")
_DEPTH: Final = {"{": 1, "[": 1, "}": -1, "]": -1}

_FIELD: Final = "field"
_OLD_VALUE: Final = "old_value"
"""A history names the field and says what it held, in one object: {"field": "ssn4", "old_value": "6789"}."""


def without_sensitive(event: Event) -> Event:
    """Of events of records alone: what others call by such a name is theirs to know."""
    subject, _ = split_type(event.type)
    if subject not in RESOURCES:
        return event
    expands = None if event.expands is None else _masked(event.expands)
    return event._replace(data=_masked(event.data), expands=expands)


def _masked(data: bytes) -> bytes:
    """The JSON with everything else in it as it stood, byte for byte."""
    text = data.decode("utf-8", "surrogateescape")
    parts = []
    done = 0
    for start, end in sorted(_sensitive_values(text)):
        # One may stand within another, which is masked as a whole.
        if start >= done:
            parts += [text[done:start], f'"{MASK}"']
            done = end
    return "".join([*parts, text[done:]]).encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class _Open:
    """An object or a list that has begun and not ended yet, where it began, and whether it is an old value."""

    start: int
    is_old: bool = False
    old: list[Span] = field(default_factory=list)
    of_sensitive: bool = False


def _sensitive_values(text: str) -> Sequence[Span]:
    """Where they stand, however deep, but for null: that there is none is no secret."""
    found: list[Span] = []
    # The lowest is nothing's: so there is always one.
    around = [_Open(0)]
    place = 0
    # Where the value of an old_value begins, when it is an object or a list.
    old_from = -1
    while (token := _TOKEN.search(text, place)) is not None:
        place = token.end()
        if token[0] in _OPENING:
            around.append(_Open(token.start(), is_old=token.start() == old_from))
        elif token[0] in _DEPTH:
            ended = around.pop()
            found += ended.old if ended.of_sensitive else ()
            if ended.is_old:
                around[-1].old.append((ended.start, place))
        elif (colon := _COLON.match(text, place)) is not None and not text.startswith("null", colon.end()):
            start = colon.end()
            name = json.loads(token[0])
            if name in SENSITIVE:
                place = _end_of_value(text, start)
                found.append((start, place))
            elif name == _FIELD:
                around[-1].of_sensitive |= _text_at(text, start) in SENSITIVE
            elif name == _OLD_VALUE and text[start] in _OPENING:
                old_from = start
            elif name == _OLD_VALUE:
                place = _end_of_value(text, start)
                around[-1].old.append((start, place))
    return found


def _text_at(text: str, start: int) -> str | None:
    string = _STRING.match(text, start)
    return None if string is None else json.loads(string[0])


def _end_of_value(text: str, start: int) -> int:
    # By counting, not by parsing: what was published may be nested deeper than a parser goes.
    if text[start] in _OPENING:
        depth = 0
        for token in _TOKEN.finditer(text, start):
            depth += _DEPTH.get(token[0], 0)
            if depth == 0:
                return token.end()
    value = (_STRING if text[start] == '"' else _LITERAL).match(text, start)
    return len(text) if value is None else value.end()
