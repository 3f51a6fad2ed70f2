"""JSON read more strictly than parsers do: UTF-8 only, no duplicate names, nothing that others would read differently."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, NoReturn

import msgspec

from postback.domain.errors import InvalidValue, Malformed

DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 4_300

_BOM: Final = "\ufeff"
# Only from where a run of digits begins: tried from each of its digits, a megabyte would take seconds.
_MANY_DIGITS: Final = re.compile(rb"(?<![0-9])[0-9]{%d}" % (DIGITS_MAX + 1))
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_EMPTY: Final = "the body is empty; expected JSON (byte 0)"
_TOO_DEEP: Final = "the JSON is nested too deeply"
_TOO_LONG_NUMBER: Final = f"the JSON has a number of more than {DIGITS_MAX:,} digits"


def utf8(body: bytes) -> str:
    """The text of a body, decoded this once."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8 (byte {error.start})") from None
    if text.startswith(_BOM):
        raise Malformed("the body begins with a byte order mark (BOM, byte 0); send plain UTF-8 without it")
    return text


def read_object(body: bytes, wrapper: str) -> dict[str, Any]:
    """The fields inside the wrapper of a config or record: `{"contact": {…}}`."""
    value = _parse(utf8(body))
    if not isinstance(value, dict) or not isinstance(value.get(wrapper), dict):
        raise InvalidValue.of(wrapper, f'expected {{"{wrapper}": {{…}}}}')
    unknown = [name for name in value if name != wrapper]
    if unknown:
        raise InvalidValue.of(unknown[0][:64], f"{unknown[0][:64]} is not a known field")
    fields: dict[str, Any] = value[wrapper]
    return fields


def read_plain_object(body: bytes) -> dict[str, Any]:
    """The fields of a body that has no wrapper, and may be left out."""
    value = _parse(utf8(body)) if body else {}
    if not isinstance(value, dict):
        raise Malformed("the body is not a JSON object")
    return value


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    events: Sequence[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class Texts(NamedTuple):
    """The events of a body, each still a text, for it is stored and sent byte for byte; or what is wrong with one."""

    events: Sequence[bytes | Malformed]
    is_batch: bool


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_EXPECTED: Final = 'expected {"event": {…}} or {"events": [{…}, …]}'


def read_events(body: bytes) -> Texts:
    text = utf8(body)
    try:
        envelope = _ENVELOPE.decode(text)
    except msgspec.ValidationError:
        # It gave up at the first thing that is no envelope; what follows may be no JSON.
        _refuse_what_is_not_json(text)
        raise InvalidValue.of("event", _EXPECTED) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(text, error) from None
    match envelope:
        case _Envelope(event=msgspec.Raw() as event, events=msgspec.UnsetType()):
            return Texts([_with_short_numbers(bytes(event))], is_batch=False)
        case _Envelope(event=msgspec.UnsetType(), events=list() as events):
            return Texts([_with_short_numbers(bytes(event)) for event in events], is_batch=True)
    raise InvalidValue.of("event", _EXPECTED)


def read_lines(body: bytes) -> Texts:
    """One event a line; empty lines are nothing."""
    lines = enumerate((line.strip() for line in body.split(b"\n")), start=1)
    return Texts([_line(number, line) for number, line in lines if line], is_batch=True)


def _line(number: int, line: bytes) -> bytes | Malformed:
    try:
        _refuse_what_is_not_json(utf8(line))
    except Malformed as error:
        return Malformed(f"line {number}: {error}")
    event = _with_short_numbers(line)
    return Malformed(f"line {number}: {event}") if isinstance(event, Malformed) else event


def _refuse_what_is_not_json(text: str) -> None:
    try:
        _RAW.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(text, error) from None


def _with_short_numbers(event: bytes) -> bytes | Malformed:
    """Parsers of receivers refuse the numbers that Python's refuses; the rest of a payload is none of our business."""
    if len(event) <= DIGITS_MAX or not _MANY_DIGITS.search(event):
        return event
    try:
        json.loads(event, parse_float=str)
    except RecursionError:
        return Malformed(_TOO_DEEP)
    except ValueError:
        return Malformed(_TOO_LONG_NUMBER)
    return event


def _parse(text: str) -> Any:
    if not text.strip():
        raise Malformed(_EMPTY)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_float)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}, character {error.pos}"
        raise Malformed(f"the body is not JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise Malformed(_TOO_DEEP) from None
    except ValueError:
        # The only other thing that the parser refuses.
        raise Malformed(_TOO_LONG_NUMBER) from None
    _refuse_half_characters(text)
    _refuse_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Malformed(f"the JSON has the name {twice[:64]!a} twice in one object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise Malformed(f"the JSON has {name}, which is no JSON number")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Malformed("the JSON has a number that is larger than numbers can be")
    return number


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise Malformed(f"{_TOO_DEEP}; at most {DEPTH_MAX} levels are taken")


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _refuse_half_characters(text: str) -> None:
    """A lone surrogate is no character: no database and no UTF-8 can hold it."""
    if (position := _half_character(text)) is not None:
        raise Malformed(f"the JSON has half of a surrogate pair, which is no character (character {position})")


def _half_character(text: str) -> int | None:
    """Where the first lone surrogate escape stands. Escapes pair only when they follow each other directly."""
    open_end = open_start = -1
    for match in _ESCAPE.finditer(text):
        code = int(match[1], 16) if match[1] else 0
        is_low = 0xDC00 <= code <= 0xDFFF
        if open_end >= 0 and not (is_low and match.start() == open_end):
            return open_start
        if is_low and open_end < 0:
            return match.start()
        is_high = 0xD800 <= code <= 0xDBFF
        open_start, open_end = (match.start(), match.end()) if is_high else (-1, -1)
    return open_start if open_end >= 0 else None


def _malformed(text: str, error: Exception) -> Malformed:
    if isinstance(error, RecursionError):
        return Malformed(_TOO_DEEP)
    if not text.strip():
        return Malformed(_EMPTY)
    if (position := _half_character(text)) is not None:
        return Malformed(f"the JSON has half of a surrogate pair, which is no character (character {position})")
    reason = str(error).removeprefix("JSON is malformed: ")
    where = "" if "(byte" in reason else f" (byte {len(text.encode())})"
    return Malformed(f"the body is not JSON: {reason}{where}")
