"""JSON objects inside a body, untouched: put in without white space, and taken out as they stood."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Never

from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender
from postback.domain.events import Event

LISTS: Final = frozenset({"account_vault_cau_logs", "changelogs", "notes", "tags", "transaction_histories"})
"""Expands that are lists: one that we have nothing for is empty, where any other is null."""

_NAME_SHOWN: Final = 40


def data_of(event: Event, config: PostbackConfig) -> bytes:
    """The event's data as this config gets it: without white space, and with the related records that it asks for."""
    return with_expands(event, config) if config.expands else without_white_space(event.data)


def without_white_space(data: bytes) -> bytes:
    """The object with its key order, numbers and escapes untouched."""
    import msgspec  # noqa: PLC0415 - not installed where only the receiver's part is

    try:
        compact = msgspec.json.format(data, indent=-1)
        # The formatter lets any byte pass inside a string.
        compact.decode()
    except (ValueError, RecursionError) as error:
        raise CannotRender(f"the data of the event cannot be read: {error}") from None
    if not compact.startswith(b"{"):
        raise CannotRender("the data of the event is not a JSON object")
    return compact


def with_expands(event: Event, config: PostbackConfig) -> bytes:
    """The record with the keys that the config asks for after its own, in the config's order."""
    import msgspec  # noqa: PLC0415

    data = without_white_space(event.data)
    own = msgspec.json.Decoder(dict[str, msgspec.Raw])
    known = own.decode(data)
    related = own.decode(without_white_space(event.expands)) if event.expands else {}
    added = b"".join(
        b",%b:%b" % (json.dumps(name).encode(), bytes(related[name]) if name in related else _nothing_for(name))
        for name in dict.fromkeys(config.expands)
        if name not in known
    )
    return b"{" + (data[1:-1] + added).lstrip(b",") + b"}"


def _nothing_for(name: str) -> bytes:
    return b"[]" if name in LISTS else b"null"


def members(body: bytes) -> Mapping[str, tuple[Any, bytes]]:
    """The members of a JSON object: name → what it holds, and the bytes that say so. ValueError for anything else.

    Numbers are floats, whatever their size: who needs their digits has the bytes.
    """
    text = body.decode("utf-8")
    found: dict[str, tuple[Any, bytes]] = {}
    end = _after(text, _after(text, 0, ""), "{")
    while text[end : end + 1] != "}":
        if found:
            end = _after(text, end, ",")
        if text[end : end + 1] != '"':
            raise ValueError(f"a name was expected at character {end}")
        name, end = _decode(text, end)
        if name in found:
            raise ValueError(f"{name[:_NAME_SHOWN]!a} is there twice")
        start = _after(text, _after(text, end, ""), ":")
        value, end = _decode(text, start)
        found[name] = (value, text[start:end].encode())
        end = _after(text, end, "")
    if _after(text, end, "}") != len(text):
        raise ValueError("something follows the object")
    return found


def is_json(content_type: str) -> bool:
    """Whether it is some JSON; parameters such as a charset mean nothing to JSON, which is always UTF-8."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind in ("application/json", "text/json") or (kind.startswith("application/") and kind.endswith("+json"))


def _after(text: str, start: int, expected: str) -> int:
    """The place behind what is expected and the white space that follows it."""
    if not text.startswith(expected, start):
        raise ValueError(f"{expected} was expected at character {start}")
    space = _WHITE_SPACE.match(text, start + len(expected))
    return space.end() if space else start + len(expected)


def _decode(text: str, start: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def refuse_constant(constant: str) -> Never:
    """NaN and Infinity, which the standard library reads in JSON and nobody may write there."""
    raise ValueError(f"{constant} is not JSON")


_WHITE_SPACE: Final = re.compile(r"[ \t\n\r]*")
# int() refuses a number of 5,000 digits, which is JSON all the same.
_DECODER: Final = json.JSONDecoder(parse_int=float, parse_constant=refuse_constant)
