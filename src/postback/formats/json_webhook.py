"""The format json: type, time and data as one JSON object, signed as Standard Webhooks describes."""

import json
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.errors import Malformed
from postback.domain.events import Event, is_event_type
from postback.domain.times import rfc3339, unix_ms
from postback.formats.body import Parsed, Rendered
from postback.formats.json_data import data_of, is_json, members
from postback.formats.signing import signed_headers

NAME: Final = "json"
CONTENT_TYPE: Final = "application/json"
FIELDS: Final = ("type", "timestamp", "data")


def render(event: Event, config: PostbackConfig, _counter: int, now_ms: int) -> Rendered:
    timestamp = event.occurred_at or rfc3339(event.accepted_ms)
    head = f'{{"type":"{event.type}","timestamp":{json.dumps(timestamp)},"data":'
    body = b"%b%b}" % (head.encode(), data_of(event, config))
    return Rendered(CONTENT_TYPE, body, signed_headers(event, config, now_ms, body))


def parse(body: bytes, content_type: str, _time_zone: str | None = None) -> Parsed:
    """The event's id is not in the body: it is the header webhook-id."""
    if not is_json(content_type):
        raise Malformed(f"the content type is {content_type[:100]!r}; expected {CONTENT_TYPE}")
    try:
        shown = members(body)
        (event_type, _), (timestamp, _), (data, as_it_stood) = (shown[name] for name in FIELDS)
    except KeyError as error:
        raise Malformed(f"the member {error.args[0]} is missing") from None
    except ValueError as error:
        raise Malformed(f"not a JSON object: {str(error)[:200]}") from None
    if not (isinstance(event_type, str) and is_event_type(event_type)):
        raise Malformed("type is not that of an event")
    if not (isinstance(timestamp, str) and unix_ms(timestamp) is not None):
        raise Malformed("timestamp is not a time with an offset (RFC 3339)")
    if not isinstance(data, dict):
        raise Malformed("data is not a JSON object")
    return Parsed(event_type, as_it_stood, occurred_at=timestamp)
