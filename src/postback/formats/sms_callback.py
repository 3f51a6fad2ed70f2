"""The format sms-callback: receipts, replies and opt-outs of SMS as a few flat fields, in JSON or as a form.

Documented in Callbacks (whose names are those of the naming `overview`) and in its reference pages (`reference`).
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from postback.domain.catalog import INBOUND, OPT_OUT, RECEIPTS
from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender, InvalidValue, Malformed
from postback.domain.events import Event
from postback.domain.facts import with_constants
from postback.domain.times import TIME, rfc3339, unix_ms
from postback.formats.body import Parsed, Rendered
from postback.formats.brackets import flattened, form_fields
from postback.formats.json_data import is_json, members, without_white_space

NAME: Final = "sms-callback"
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


class Callback(NamedTuple):
    """One of the three kinds: which of our fields hold its number and its time, and what its date is called."""

    number: str
    times: tuple[str, ...]
    overview: str
    reference: str


RECEIPT: Final = Callback("to", ("timestamp",), "DELIVERY_DATE", "delivery_date")
REPLY: Final = Callback("from", ("received", "timestamp"), "answer_date", "reception_date")
STOP: Final = Callback("mobile", ("timestamp",), "stop_date", "stop_date")

_CALLBACK_OF_TYPE: Final = {**dict.fromkeys(RECEIPTS, RECEIPT), INBOUND: REPLY, OPT_OUT: STOP}
_CALLBACK_OF_DATE: Final = {
    name.lower(): callback for callback in (RECEIPT, REPLY, STOP) for name in (callback.overview, callback.reference)
}
_STATUS_OF_TYPE: Final = {
    "sms.sent": "ACK",
    "sms.delivered": "DELIVERED",
    "sms.undelivered": "NOT_DELIVERED",
    "sms.failed": "NOT_ALLOWED",
}
_TYPE_OF_STATUS: Final = {
    **dict.fromkeys(("ACK", "TRANSMITTED", "PROCESSED", "ISP_SEND"), "sms.sent"),
    **dict.fromkeys(("DELIVERED", "READ", "OPENED", "CLICKED"), "sms.delivered"),
    **dict.fromkeys(("NOT_ALLOWED", "BLACKLISTED_NUMBER", "ANTI_FLOODING", "SPAM_PRESUMPTION"), "sms.failed"),
}
"""Any other word says that the message did not arrive."""

_CHANNEL: Final = "sms"
_STOP_TEXT: Final = "STOP"
_CACHED_BYTES: Final = 4096
_SHOWN_MAX: Final = 40
_DIGITS: Final = "0123456789"
_LOCAL_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)


def render(event: Event, config: PostbackConfig, _counter: int, _now_ms: int) -> Rendered:
    options = config.options
    occurred_at = event.occurred_at or rfc3339(event.accepted_ms)
    make = _remembered if len(event.data) <= _CACHED_BYTES else _rendered
    choices = options.callback_payload, options.callback_naming, options.time_zone
    return make(event.type, event.data, occurred_at, *choices)


def parse(body: bytes, content_type: str, time_zone: str | None = None) -> Parsed:
    zone = None if time_zone is None else _zone(time_zone)
    if time_zone is not None and zone is None:
        raise InvalidValue.of("time_zone", f"{_shortened(time_zone)} is not a time zone that is known here")
    try:
        given = _fields(body, content_type)
        shown = {name: value for name, (value, _) in given.items()}
        dates = [name for name in _CALLBACK_OF_DATE if name in shown]
        if len(dates) != 1:
            raise Malformed(f"it has {len(dates)} dates; expected one of {', '.join(_CALLBACK_OF_DATE)}")
        callback = _CALLBACK_OF_DATE[dates[0]]
        at = _instant(dates[0], shown.pop(dates[0]), zone)
        event_type, facts = _facts(callback, shown, at)
        written = {name: _compact(value) for name, value in with_constants(event_type, facts).items()}
        # The rest stays as it stood, numbers of any size included.
        kept = [name for name in shown if name not in written] + ["meta_data"] * bool(facts.get("meta_data"))
        written |= {name: given[name][1] for name in kept}
        data = b"{%b}" % b",".join(b"%b:%b" % (_compact(name), written[name]) for name in written)
    except (ValueError, OverflowError, RecursionError) as error:
        raise Malformed(f"not a callback: {str(error)[:200]}") from None
    return Parsed(event_type, data)


# --- saying ----------------------------------------------------------------------------------------------------------


def _rendered(
    event_type: str, data: bytes, occurred_at: str, payload: str, naming: str, time_zone: str | None
) -> Rendered:
    callback = _CALLBACK_OF_TYPE.get(event_type)
    if callback is None:
        raise CannotRender(f"{NAME} cannot say {event_type}; it says {', '.join(_CALLBACK_OF_TYPE)}")
    facts = _read(data)
    is_reference = naming == "reference"

    shown: dict[str, Any] = {"message_id": _message_id(facts), "number": _number(facts, callback.number)}
    if callback is RECEIPT:
        shown["status"] = _text(facts, "callback_status") or _STATUS_OF_TYPE[event_type]
    elif callback is REPLY:
        shown["text"] = _required(facts, "text")
        shown["sim_card_number"] = _required(facts, "to")
    else:
        text = _text(facts, "text")
        shown["text"] = _STOP_TEXT if text is None else text
    shown[callback.reference if is_reference else callback.overview] = _date(facts, callback, occurred_at, time_zone)
    if callback is RECEIPT and is_reference:
        shown = {"channel": _text(facts, "channel") or _CHANNEL, **shown, "meta_data": _meta_data(facts)}

    if payload == "form":
        return Rendered(FORM, _as_form(shown))
    return Rendered(JSON, _as_json(shown, data))


# The same bytes are asked for when an event is accepted, and again for each attempt: only the config's choices change them.
_remembered: Final = lru_cache(maxsize=512)(_rendered)


class Number:
    """A number as it stands in JSON, whatever its size."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


def _read(data: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(data.decode(), parse_int=Number, parse_float=Number, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CannotRender(f"the data of the event cannot be read: {str(error)[:200]}") from None
    if not isinstance(facts, dict):
        raise CannotRender("the data of the event is not a JSON object")
    return facts


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _text(facts: Mapping[str, Any], name: str) -> str | None:
    if name not in facts:
        return None
    value = facts[name]
    if not isinstance(value, str):
        raise CannotRender(f"data.{name} is no string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise CannotRender(f"data.{name} holds half a character, which is no text") from None
    return value


def _required(facts: Mapping[str, Any], name: str) -> str:
    value = _text(facts, name)
    if value is None:
        raise CannotRender(f"data.{name} is missing")
    return value


def _message_id(facts: Mapping[str, Any]) -> str | None:
    # Not every type lists the tracking id: where it does not, the field may be anything.
    has_tracking_id = isinstance(facts.get("tracking_id"), str)
    return _text(facts, "message_id") or (has_tracking_id and _text(facts, "tracking_id")) or None


def _number(facts: Mapping[str, Any], name: str) -> str:
    number = _digits(_required(facts, name))
    if not number:
        raise CannotRender(f"data.{name} is {_shortened(facts[name])}; expected a number with digits")
    return f"+{number}"


def _date(facts: Mapping[str, Any], callback: Callback, occurred_at: str, time_zone: str | None) -> str:
    """The first time that there is, cut to the second: in the time zone, or as the clock stood where it was written."""
    times = ((f"data.{name}", _text(facts, name)) for name in callback.times)
    field, text = next(((field, text) for field, text in times if text), ("occurred_at", occurred_at))
    match = TIME.fullmatch(text)
    if match is None or unix_ms(text) is None:
        raise CannotRender(f"{field} is {_shortened(text)}; expected a time with an offset")
    local = datetime.fromisoformat(f"{match['date']}T{match['clock']}")
    if time_zone is not None:
        offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
        there = timezone(-offset if match["sign"] == "-" else offset)
        zone = _zone(time_zone)
        if zone is None:
            raise CannotRender(f"time_zone is {_shortened(time_zone)}, which is not known here")
        try:
            local = local.replace(tzinfo=there).astimezone(zone)
        except (OverflowError, ValueError):
            raise CannotRender(f"{field} is {text}, which no calendar holds in {time_zone}") from None
    return local.replace(tzinfo=None).isoformat(" ")


def _meta_data(facts: Mapping[str, Any]) -> dict[str, Any]:
    meta_data = facts.get("meta_data", {})
    if not isinstance(meta_data, dict):
        raise CannotRender("data.meta_data is no object")
    return meta_data


def _as_form(shown: Mapping[str, Any]) -> bytes:
    try:
        return urlencode([pair for name in shown for pair in flattened(name, shown[name])]).encode()
    except ValueError as error:
        raise CannotRender(f"data.meta_data cannot be said as a form: {error}") from None


def _as_json(shown: dict[str, Any], data: bytes) -> bytes:
    meta_data = shown.pop("meta_data", None)
    body = _compact(shown)
    if meta_data is None:
        return body
    return b'%b,"meta_data":%b}' % (body[:-1], _as_it_came(data) if meta_data else b"{}")


def _as_it_came(data: bytes) -> bytes:
    """The meta data without white space; its key order, numbers and escapes untouched."""
    import msgspec  # noqa: PLC0415 - not installed where only the receiver's part is

    try:
        facts = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError) as error:
        raise CannotRender(f"the data of the event cannot be read: {error}") from None
    return without_white_space(bytes(facts["meta_data"]))


# --- understanding ---------------------------------------------------------------------------------------------------


def _fields(body: bytes, content_type: str) -> dict[str, tuple[Any, bytes]]:
    """What the body says, as values and as JSON; its names in lower case, since senders write them in either."""
    if is_json(content_type):
        fields = list(members(body).items())
    elif content_type.partition(";")[0].strip().lower() == FORM:
        fields = [(name, (value, _compact(value))) for name, value in form_fields(body, nested="meta_data")]
    else:
        raise Malformed(f"the content type is {content_type[:100]!r}; expected {JSON} or {FORM}")
    by_name = {name.lower(): field for name, field in fields}
    if len(by_name) < len(fields):
        raise Malformed("a field is there twice")
    return by_name


def _facts(callback: Callback, shown: dict[str, Any], at: str) -> tuple[str, dict[str, Any]]:
    """The event type, and in our names what all callbacks of the kind show; that is taken out of `shown`."""
    number = _digits(_taken(shown, "number"))
    if not number:
        raise Malformed("number has no digits")
    message_id = _taken_if_any(shown, "message_id")
    ids = {"message_id": message_id} if message_id else {}
    channel = _taken_if_any(shown, "channel")
    further: dict[str, Any] = {"channel": channel} if channel else {}
    if (meta_data := _taken_meta_data(shown)) is not None:
        further["meta_data"] = meta_data

    if callback is REPLY:
        sent_to = _taken(shown, "sim_card_number")
        facts = {"from": number, "to": sent_to, "text": _taken(shown, "text"), "received": at, **ids}
        return INBOUND, facts | further
    if callback is STOP:
        text = _taken_if_any(shown, "text")
        texts = {} if text is None else {"text": text}
        return OPT_OUT, {"mobile": number, **texts, "timestamp": at, **ids, **further}
    word = _taken(shown, "status")
    if not word:
        raise Malformed("status is empty")
    event_type = _TYPE_OF_STATUS.get(word.upper(), "sms.undelivered")
    return event_type, {"to": number, **ids, "callback_status": word, "timestamp": at, **further}


def _taken(shown: dict[str, Any], name: str) -> str:
    value = shown.pop(name, None)
    if not isinstance(value, str):
        raise Malformed(f"{name} is {'missing' if value is None else 'no string'}")
    return value


def _taken_if_any(shown: dict[str, Any], name: str) -> str | None:
    """None also for null, which says the same as nothing."""
    if shown.get(name) is not None:
        return _taken(shown, name)
    shown.pop(name, None)
    return None


def _taken_meta_data(shown: dict[str, Any]) -> dict[str, Any] | None:
    meta_data = shown.pop("meta_data", None)
    # Where lists and objects are one thing, an empty object is written as an empty list; in a form it is no text.
    if meta_data in ([], ""):
        return {}
    if not isinstance(meta_data, dict | None):
        raise Malformed("meta_data is no object")
    return meta_data


def _instant(name: str, date: object, zone: tzinfo | None) -> str:
    """A local date as RFC 3339 with its zone's offset; without one where nobody says which zone it is of.

    Of an hour that comes twice the first is meant; one that is left out has the offset from before.
    """
    if not isinstance(date, str) or _LOCAL_DATE.fullmatch(date) is None:
        raise Malformed(f"{name} is {_shortened(str(date))}; expected YYYY-MM-DD HH:MM:SS")
    local = datetime.fromisoformat(date).replace(tzinfo=zone)
    offset = local.utcoffset()
    # Before zones there were towns, whose offsets have seconds, which RFC 3339 cannot say.
    is_sayable = offset is None or not offset % timedelta(minutes=1)
    return (local if is_sayable else local.astimezone(UTC)).isoformat()


# --- both ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo | None:
    """The zone of that name, which is read from a file; None where this machine knows none."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - slow to import, and few need it

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _digits(text: str) -> str:
    return "".join(character for character in text if character in _DIGITS)


def _shortened(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}...")
