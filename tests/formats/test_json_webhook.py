"""The format json: bodies written by hand, and what cannot be one."""

import json

import pytest

from postback.domain.configs import SigningSecret
from postback.domain.errors import CannotRender, Malformed
from postback.formats import json_webhook
from postback.formats.body import Parsed
from postback.formats.signing import secret_text
from tests.build import NOON, a_config, an_event

JSON = "application/json"
CONFIG = a_config(format="json", signing_secrets=(SigningSecret(secret_text(bytes(32))),))


def test_an_event_as_it_is_written_by_hand() -> None:
    event = an_event(type="sms.received", occurred_at="2026-04-09T10:15:09-04:00", data=b'{"from": "12025550143"}')

    rendered = json_webhook.render(event, CONFIG, 3, NOON)

    assert rendered.content_type == "application/json"
    assert rendered.body == (
        b'{"type":"sms.received","timestamp":"2026-04-09T10:15:09-04:00","data":{"from":"12025550143"}}'
    )


def test_an_event_that_does_not_say_when_it_occurred_shows_when_it_was_accepted() -> None:
    body = json_webhook.render(an_event(occurred_at=None, accepted_ms=NOON + 7), CONFIG, 1, NOON + 5_000).body

    assert json.loads(body)["timestamp"] == "2026-09-21T14:13:20.007Z"


def test_numbers_escapes_and_key_order_go_out_as_they_came() -> None:
    data = b' {"z": 1.0e2, "a" : [ -0, 1E+999, 123456789012345678901234567890 ],\n"e":"\\u00e9\\/\xc3\xa9 x", "z":2} '
    compact = b'{"z":1.0e2,"a":[-0,1E+999,123456789012345678901234567890],"e":"\\u00e9\\/\xc3\xa9 x","z":2}'

    rendered = json_webhook.render(an_event(data=data), CONFIG, 1, NOON)

    assert rendered.body.endswith(b'"data":' + compact + b"}")
    assert json_webhook.parse(rendered.body, JSON).data == compact


def test_related_records_follow_the_own_keys() -> None:
    config = a_config(format="json", signing_secrets=CONFIG.signing_secrets, expands=("tags", "location"))

    body = json_webhook.render(an_event(data=b'{"id":1}', expands=b'{"location": {}}'), config, 1, NOON).body

    assert body.endswith(b'"data":{"id":1,"tags":[],"location":{}}}')


def test_a_damaged_time_cannot_break_out_of_the_body() -> None:
    body = json_webhook.render(an_event(occurred_at='","data":{"forged":1},"x":"'), CONFIG, 1, NOON).body

    assert json.loads(body)["data"] == json.loads(an_event().data)


@pytest.mark.parametrize(
    "content_type",
    [JSON, "application/json; charset=utf-8", "Application/JSON ;charset=UTF-8", "text/json", "application/x.y+json"],
)
def test_any_json_content_type_will_do(content_type: str) -> None:
    body = b'{ "type" : "a.b",\r\n\t"timestamp":"2026-04-09T10:15:09-04", "data":{ "n": 1.50 } , "more":[1] } '

    assert json_webhook.parse(body, content_type) == Parsed(
        "a.b", b'{ "n": 1.50 }', occurred_at="2026-04-09T10:15:09-04"
    )


@pytest.mark.parametrize("content_type", ["", "json", "text/plain", "application/jsonp", "+json", "\ud800;\0"])
def test_another_content_type_is_malformed(content_type: str) -> None:
    with pytest.raises(Malformed, match="the content type is"):
        json_webhook.parse(b'{"type":"a.b","timestamp":"2026-04-09T10:15:09Z","data":{}}', content_type)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"timestamp":"2026-04-09T10:15:09Z","data":{}}', "type is missing"),
        (b'{"type":"a.b","data":{}}', "timestamp is missing"),
        (b'{"type":"a.b","timestamp":"2026-04-09T10:15:09Z"}', "data is missing"),
        (b'{"type":"a","timestamp":"2026-04-09T10:15:09Z","data":{}}', "type is not"),
        (b'{"type":1.5,"timestamp":"2026-04-09T10:15:09Z","data":{}}', "type is not"),
        (b'{"type":"a.b\\n","timestamp":"2026-04-09T10:15:09Z","data":{}}', "type is not"),
        (b'{"type":"a.b","timestamp":1790000000,"data":{}}', "timestamp is not"),
        (b'{"type":"a.b","timestamp":"2026-02-30T10:15:09Z","data":{}}', "timestamp is not"),
        (b'{"type":"a.b","timestamp":"2026-04-09T10:15:09","data":{}}', "timestamp is not"),
        (b'{"type":"a.b","timestamp":"2026-04-09T10:15:09Z","data":[]}', "data is not"),
        (b'{"type":"a.b","timestamp":"2026-04-09T10:15:09Z","data":null}', "data is not"),
        (b'{"type":"a.b","type":"a.c","timestamp":"2026-04-09T10:15:09Z","data":{}}', "'type' is there twice"),
        (b'{"type":"a.b","timestamp":"2026-04-09T10:15:09Z","data":{"n":NaN}}', "NaN is not JSON"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(body: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        json_webhook.parse(body, JSON)


def test_data_that_is_nested_without_end_cannot_be_rendered() -> None:
    with pytest.raises(CannotRender):
        json_webhook.render(an_event(data=b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), CONFIG, 1, NOON)
