"""The format cloudevents: CloudEvents 1.0 in structured mode, signed like the format json when there is a secret."""

import re
from typing import Final
from urllib.parse import quote

from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender, Malformed
from postback.domain.events import Event, is_event_type
from postback.domain.ids import event_text
from postback.domain.times import TIME, rfc3339, unix_ms
from postback.formats.body import Parsed, Rendered
from postback.formats.json_data import data_of, is_json, members
from postback.formats.signing import signed_headers

NAME: Final = "cloudevents"
CONTENT_TYPE: Final = "application/cloudevents+json"
SPECVERSION: Final = "1.0"
MODE: Final = "structured"

_OF_A_PATH: Final = "!$&'()*+,;=:@"
_PLANE_ENDS: Final = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_FORBIDDEN: Final = re.compile(f"[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")
"""What the specification keeps out of strings: control characters, halves of surrogate pairs, non-characters."""


def render(event: Event, config: PostbackConfig, _counter: int, now_ms: int) -> Rendered:
    import msgspec  # noqa: PLC0415 - not installed where only the receiver's part is

    if config.options.cloudevents_mode != MODE:
        raise CannotRender(f"cloudevents_mode is {config.options.cloudevents_mode!r}; expected {MODE}")
    attributes = {
        "specversion": SPECVERSION,
        "id": event_text(event.id),
        "source": f"/accounts/{quote(event.account, safe=_OF_A_PATH)}",
        "type": event.type,
        "time": _time(event),
    }
    # An event is not held up by what CloudEvents cannot say beside its data.
    if event.subject and _is_string(event.subject):
        attributes["subject"] = event.subject
    if event.location_id and _is_string(event.location_id):
        attributes["locationid"] = event.location_id
    attributes["datacontenttype"] = "application/json"
    body = b'%b,"data":%b}' % (msgspec.json.encode(attributes)[:-1], data_of(event, config))
    headers = signed_headers(event, config, now_ms, body) if config.signing_secrets else ()
    return Rendered(CONTENT_TYPE, body, headers)


def parse(body: bytes, content_type: str, _time_zone: str | None = None) -> Parsed:
    if not is_json(content_type):
        raise Malformed(f"the content type is {content_type[:100]!r}; expected {CONTENT_TYPE}")
    try:
        # An attribute that is null is one that is not there.
        shown = {name: member for name, member in members(body).items() if member[0] is not None}
        if shown["specversion"][0] != SPECVERSION:
            raise Malformed(f"specversion is not {SPECVERSION}")
        id, source, event_type = (shown[name][0] for name in ("id", "source", "type"))
        data, as_it_stood = shown["data"]
    except KeyError as error:
        raise Malformed(f"the member {error.args[0]} is missing") from None
    except ValueError as error:
        raise Malformed(f"not a JSON object: {str(error)[:200]}") from None

    time, location_id, content = (shown.get(name, (None,))[0] for name in ("time", "locationid", "datacontenttype"))
    for name, value in (("id", id), ("source", source), ("locationid", "-" if location_id is None else location_id)):
        if not (isinstance(value, str) and value and _is_string(value)):
            raise Malformed(f"{name} is not a text")
    if not (isinstance(event_type, str) and is_event_type(event_type)):
        raise Malformed("type is not that of an event")
    if time is not None and not (isinstance(time, str) and unix_ms(time) is not None):
        raise Malformed("time is not a time with an offset (RFC 3339)")
    if content is not None and not (isinstance(content, str) and is_json(content)):
        raise Malformed("datacontenttype is not that of JSON")
    if not isinstance(data, dict):
        raise Malformed("data is not a JSON object")
    return Parsed(event_type, as_it_stood, id=id, occurred_at=time, location_id=location_id)


def _time(event: Event) -> str:
    """With minutes in its offset, which RFC 3339 wants and a publisher may leave out."""
    if event.occurred_at is None:
        return rfc3339(event.accepted_ms)
    match = TIME.fullmatch(event.occurred_at)
    if match is None:
        raise CannotRender("occurred_at of the event is not a time")
    return event.occurred_at if match["minutes"] or not match["sign"] else f"{event.occurred_at}:00"


def _is_string(text: str) -> bool:
    return _FORBIDDEN.search(text) is None
