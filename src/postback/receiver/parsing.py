"""Any body that is sent to receivers, in any format, as an event."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from postback.domain.errors import InvalidValue, Malformed
from postback.formats import FORMATS
from postback.formats.json_data import is_json

ID_HEADER: Final = "webhook-id"
ID_MAX: Final = 255

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
XML: Final = "application/xml"
_SAYS_NOTHING: Final = frozenset({"", "application/octet-stream", "text/plain"})

_DATES: Final = frozenset({"answer_date", "reception_date", "delivery_date", "stop_date"})
"""One of them is in every callback, and tells which kind it is (Callbacks)."""


class NotAPostback(Exception):
    """The body is none that is sent to receivers; its text tells why. Answer 400, and look at who sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """What a body tells, in the field names of the catalog whatever the format; what it does not carry is None.

    `occurred_at` is RFC 3339. `number_of_attempts` counts the sendings of this event to you, from 1.
    """

    type: str
    data: dict[str, Any]
    format: str
    id: str | None = None
    occurred_at: str | None = None
    location_id: str | None = None
    number_of_attempts: int | None = None


def parse(
    body: bytes | bytearray | memoryview,
    content_type: str | None,
    *,
    headers: Mapping[str, str] | None = None,
    time_zone: str | None = None,
) -> ReceivedEvent:
    """The event that a body tells of; NotAPostback for everything else, whatever the bytes.

    `body` is the body as it arrived, and no text that somebody has decoded (TypeError). Where `content_type` is empty
    or None, the body tells. `headers` (names in any case) hold the id where the body does not: `webhook-id`.
    `time_zone` is the IANA name of the zone of local dates, as the config that sends them has it; ValueError for a
    callback when it is none.
    """
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(f"the body is of type {type(body).__name__}; expected the bytes as they arrived")
    body = bytes(body)
    name, content_type = _format_and_content_type(body, content_type or "")
    try:
        parsed = FORMATS[name].parse(body, content_type, time_zone)
    except Malformed as error:
        raise NotAPostback(f"looks like {name}, but: {error}") from None
    except InvalidValue as error:
        # The only value that is the caller's own.
        raise ValueError(str(error)) from None
    id = parsed.id if parsed.id is not None else header(headers or {}, ID_HEADER)
    if id is not None and not (0 < len(id) <= ID_MAX and id.isprintable()):
        raise NotAPostback(f"its id is {id[:40]!a}; expected 1 to {ID_MAX} printable characters")
    return ReceivedEvent(
        type=parsed.type,
        data=_as_object(parsed.data),
        format=name,
        id=id,
        occurred_at=parsed.occurred_at,
        location_id=parsed.location_id,
        number_of_attempts=parsed.number_of_attempts,
    )


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a header, whose name may stand there in any case."""
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _format_and_content_type(body: bytes, content_type: str) -> tuple[str, str]:
    """The format, and the content type to read it by: where none says anything, the first byte does."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type in _SAYS_NOTHING:
        media_type = content_type = _guessed(body)
    if media_type == FORM:
        return _format_of_form(body), content_type
    if media_type in (XML, "text/xml") or media_type.endswith("+xml"):
        return "xml", content_type
    if is_json(content_type):
        return _format_of_json(body), content_type
    raise NotAPostback(f"the content type is {content_type[:100]!a}; expected {FORM}, {JSON} or {XML}")


def _guessed(body: bytes) -> str:
    first = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"<": XML, b"{": JSON}.get(first, FORM)


def _format_of_form(body: bytes) -> str:
    names = {name for name, _ in parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)}
    folded = {name.lower() for name in names}
    if {"type", "resource", "data"} <= names:
        return "api-default"
    if "statuscode" in folded or {"origin", "code"} <= folded:
        return "xml"
    if folded & _DATES:
        return "sms-callback"
    raise NotAPostback(
        "a form whose parameters are none of a postback; expected type, resource, number_of_attempts and data, or "
        "ORIGIN and CODE, or one of the dates of a callback"
    )


def _format_of_json(body: bytes) -> str:
    try:
        shown = json.loads(body, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise NotAPostback(f"not JSON: {str(error)[:200]}") from None
    if not isinstance(shown, dict):
        raise NotAPostback("JSON, but not an object")
    if "specversion" in shown:
        return "cloudevents"
    if {"type", "data"} <= shown.keys():
        return "json"
    if _DATES & {name.lower() for name in shown}:
        return "sms-callback"
    raise NotAPostback(
        "a JSON object whose members are none of a postback; expected type, timestamp and data, or specversion, or "
        "one of the dates of a callback"
    )


def _as_object(data: bytes) -> dict[str, Any]:
    try:
        shown: dict[str, Any] = json.loads(data, parse_int=_number, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise NotAPostback(f"its data cannot be read: {str(error)[:200]}") from None
    return shown


def _number(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:
        # int() refuses more than 4,300 digits, which are JSON all the same.
        return Decimal(digits)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")
