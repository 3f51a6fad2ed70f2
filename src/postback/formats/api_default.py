"""The format api-default: a form whose parameter `data` is the record as a JSON string.

Documented in Postback Operations, Postback Data Format.
"""

import json
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote_plus

from postback.domain.configs import PostbackConfig
from postback.domain.errors import Malformed
from postback.domain.events import Event, is_event_type, split_type
from postback.formats.body import Parsed, Rendered
from postback.formats.json_data import refuse_constant, with_expands, without_white_space

NAME: Final = "api-default"
CONTENT_TYPE: Final = "application/x-www-form-urlencoded"
PARAMETERS: Final = ("type", "resource", "number_of_attempts", "data")

_WORD_OF_VERB: Final = {"created": "CREATE", "updated": "UPDATE", "deleted": "DELETE"}
_VERB_OF_WORD: Final = {word: verb for verb, word in _WORD_OF_VERB.items()}

_CACHED_BYTES: Final = 4096
_NUMBER_DIGITS: Final = 9


def render(event: Event, config: PostbackConfig, counter: int, _now_ms: int) -> Rendered:
    if config.expands:
        data = _form_encoded(with_expands(event, config))
    elif len(event.data) <= _CACHED_BYTES:
        data = _encoded(event.data)
    else:
        data = _form_encoded(without_white_space(event.data))
    return Rendered(CONTENT_TYPE, _head(event.type, counter) + data)


def parse(body: bytes, content_type: str, _time_zone: str | None = None) -> Parsed:
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise Malformed(f"the content type is {content_type[:100]!r}; expected {CONTENT_TYPE}")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
        shown = dict(pairs)
        if len(shown) < len(pairs):
            raise Malformed("a parameter is there twice")
        word, resource, number, data = (shown[name] for name in PARAMETERS)
        # Numbers stay text: int() refuses one of 5,000 digits, which is JSON all the same.
        shown_data = json.loads(data, parse_int=str, parse_float=str, parse_constant=refuse_constant)
    except KeyError as error:
        raise Malformed(f"the parameter {error.args[0]} is missing") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not a form with a JSON string in data: {str(error)[:200]}") from None

    event_type = f"{resource}.{_VERB_OF_WORD.get(word) or word.lower()}"
    if not is_event_type(event_type):
        raise Malformed(f"type {word[:100]!r} and resource {resource[:100]!r} are not those of an event")
    if not (number.isascii() and number.isdigit() and len(number) <= _NUMBER_DIGITS):
        raise Malformed(f"number_of_attempts is {number[:100]!r}; expected a number")
    if not isinstance(shown_data, dict):
        raise Malformed("data is not a JSON object")
    return Parsed(event_type, data.encode(), int(number))


# Of one type and number there are many.
@lru_cache(maxsize=1024)
def _head(event_type: str, counter: int) -> bytes:
    subject, verb = split_type(event_type)
    word = _WORD_OF_VERB.get(verb) or verb.upper()
    return f"type={word}&resource={subject}&number_of_attempts={counter}&data=".encode()


# The same event goes to several configs, and again on a retry: its encoded data differs in nothing.
@lru_cache(maxsize=512)
def _encoded(data: bytes) -> bytes:
    return _form_encoded(without_white_space(data))


_SAFE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
_ENCODED: Final = {byte: (bytes((byte,)), quote_plus(bytes((byte,))).encode()) for byte in range(128)}


def _form_encoded(data: bytes) -> bytes:
    """`quote_plus` in a few passes over the whole instead of one step a byte: a sixth of its time."""
    if not data.isascii():
        return quote_plus(data).encode()
    special = set(data.translate(None, _SAFE))
    # First what the encodings of the others contain.
    for byte in b"%+":
        if byte in special:
            special.discard(byte)
            data = data.replace(*_ENCODED[byte])
    for byte in special:
        data = data.replace(*_ENCODED[byte])
    return data
