"""The format cloudevents: bodies written by hand, read by the package cloudevents, and what cannot be one."""

import json
from datetime import datetime

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from postback.domain.configs import FormatOptions, SigningSecret
from postback.domain.errors import CannotRender, Malformed
from postback.domain.ids import event_text
from postback.formats import Rendered, cloudevents
from postback.formats.body import Parsed
from postback.formats.signing import secret_text
from tests.build import NOON, a_config, an_event

CONTENT = "application/cloudevents+json"
CONFIG = a_config(format="cloudevents")
WHOLE = {
    "specversion": "1.0",
    "id": "evt_1",
    "source": "/accounts/default",
    "type": "sms.received",
    "time": "2026-04-09T10:15:09-04:00",
    "locationid": "loc_1",
    "data": {"n": 1},
}


def read(posted: Rendered) -> BaseCloudEvent:
    """As a receiver reads it who has the package and knows nothing of us."""
    return from_http_event(HTTPMessage({"content-type": posted.content_type, **dict(posted.headers)}, posted.body))


def test_an_event_as_it_is_written_by_hand() -> None:
    event = an_event(
        type="sms.received",
        subject="12025550143",
        occurred_at="2026-04-09T10:15:09-04:00",
        data=b'{"from": "12025550143", "text": "Hi"}',
    )

    posted = cloudevents.render(event, CONFIG, 1, NOON)

    assert posted.content_type == "application/cloudevents+json"
    assert posted.headers == ()
    assert posted.body == (
        b'{"specversion":"1.0","id":"evt_3864a1p000000","source":"/accounts/default","type":"sms.received",'
        b'"time":"2026-04-09T10:15:09-04:00","subject":"12025550143","locationid":"loc_main",'
        b'"datacontenttype":"application/json","data":{"from":"12025550143","text":"Hi"}}'
    )


def test_the_package_cloudevents_reads_every_attribute() -> None:
    event = an_event(subject='Grüße "you" 𝄞', data='{"note":"é","n":[1,2.5]}'.encode())

    shown = read(cloudevents.render(event, CONFIG, 1, NOON))

    assert shown.get_attributes() == {
        "specversion": "1.0",
        "id": event_text(event.id),
        "source": "/accounts/default",
        "type": "contact.created",
        "time": datetime.fromisoformat("2026-09-21T12:00:00+00:00"),
        "subject": 'Grüße "you" 𝄞',
        "locationid": "loc_main",
        "datacontenttype": "application/json",
    }
    assert shown.get_data() == {"note": "é", "n": [1, 2.5]}


def test_it_reads_an_event_that_has_no_more_than_it_must() -> None:
    event = an_event(subject=None, location_id=None, occurred_at=None, accepted_ms=NOON + 7)

    shown = read(cloudevents.render(event, CONFIG, 1, NOON))

    assert set(shown.get_attributes()) == {"specversion", "id", "source", "type", "time", "datacontenttype"}
    assert shown.get_time() == datetime.fromisoformat("2026-09-21T14:13:20.007+00:00")


@pytest.mark.parametrize(
    ("occurred_at", "time"),
    [
        ("2026-04-09T10:15:09-04", "2026-04-09T10:15:09-04:00"),
        ("2026-04-09T10:15:09.123456789+05", "2026-04-09T10:15:09.123456789+05:00"),
        ("2026-04-09T10:15:09+05:30", "2026-04-09T10:15:09+05:30"),
        ("2026-04-09T10:15:09.5Z", "2026-04-09T10:15:09.5Z"),
    ],
)
def test_the_offset_of_a_time_has_its_minutes(occurred_at: str, time: str) -> None:
    posted = cloudevents.render(an_event(occurred_at=occurred_at), CONFIG, 1, NOON)

    assert json.loads(posted.body)["time"] == time
    assert read(posted).get_time() is not None


def test_a_damaged_time_cannot_be_rendered() -> None:
    with pytest.raises(CannotRender, match="occurred_at"):
        cloudevents.render(an_event(occurred_at="noon"), CONFIG, 1, NOON)


@pytest.mark.parametrize(
    ("account", "source"),
    [
        ("acme", "/accounts/acme"),
        ("a b/c?d#e%é", "/accounts/a%20b%2Fc%3Fd%23e%25%C3%A9"),
        ("x:y@z~1", "/accounts/x:y@z~1"),
    ],
)
def test_the_source_is_a_uri_reference(account: str, source: str) -> None:
    posted = cloudevents.render(an_event(account=account), CONFIG, 1, NOON)

    assert read(posted).get_source() == source


@pytest.mark.parametrize("character", ["\0", "\n", "\x7f", "\x85", "\ud800", "\ufdd0", "\uffff", "\U0010fffe"])
def test_what_an_attribute_may_not_hold_is_left_out(character: str) -> None:
    event = an_event(subject=f"a{character}b", location_id=f"{character}")

    attributes = json.loads(cloudevents.render(event, CONFIG, 1, NOON).body)

    assert not {"subject", "locationid"} & set(attributes)
    assert attributes["data"] == json.loads(event.data)


def test_an_empty_attribute_is_left_out() -> None:
    assert "subject" not in json.loads(cloudevents.render(an_event(subject=""), CONFIG, 1, NOON).body)


def test_it_is_signed_when_there_is_a_secret() -> None:
    secret = SigningSecret(secret_text(bytes(32)))

    posted = cloudevents.render(an_event(), a_config(format="cloudevents", signing_secrets=(secret,)), 1, NOON)

    assert [name for name, _ in posted.headers] == ["webhook-id", "webhook-timestamp", "webhook-signature"]
    assert posted.body == cloudevents.render(an_event(), CONFIG, 1, NOON).body


def test_another_mode_cannot_be_rendered() -> None:
    config = a_config(format="cloudevents", options=FormatOptions(cloudevents_mode="binary"))

    with pytest.raises(CannotRender, match="cloudevents_mode is 'binary'; expected structured"):
        cloudevents.render(an_event(), config, 1, NOON)


def test_what_was_rendered_is_understood() -> None:
    event = an_event()

    posted = cloudevents.render(event, CONFIG, 1, NOON)

    assert cloudevents.parse(posted.body, f"{posted.content_type}; charset=utf-8") == Parsed(
        event.type, event.data, None, event_text(event.id), event.occurred_at, event.location_id
    )


def test_the_optional_attributes_may_be_null_or_missing() -> None:
    body = (
        b'{"specversion":"1.0","id":"1","source":"/","type":"a.b","time":null,"locationid":null,'
        b'"dataschema":null,"data": {"n" :1.50}}'
    )

    assert cloudevents.parse(body, "application/json") == Parsed("a.b", b'{"n" :1.50}', id="1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"specversion": "0.3"}, "specversion is not 1.0"),
        ({"specversion": 1.0}, "specversion is not 1.0"),
        ({"specversion": None}, "specversion is missing"),
        ({"id": None}, "id is missing"),
        ({"id": ""}, "id is not a text"),
        ({"id": 7}, "id is not a text"),
        ({"id": "\ud800"}, "id is not a text"),
        ({"source": ""}, "source is not a text"),
        ({"locationid": ["loc_1"]}, "locationid is not a text"),
        ({"locationid": ""}, "locationid is not a text"),
        ({"type": "com.example.Someone"}, "type is not that of an event"),
        ({"type": ["a.b"]}, "type is not that of an event"),
        ({"time": "noon"}, "time is not a time"),
        ({"time": 0}, "time is not a time"),
        ({"datacontenttype": "application/xml"}, "datacontenttype is not that of JSON"),
        ({"datacontenttype": 1}, "datacontenttype is not that of JSON"),
        ({"data": None, "data_base64": "e30="}, "data is missing"),
        ({"data": "text"}, "data is not a JSON object"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(changes: dict[str, object], message: str) -> None:
    assert cloudevents.parse(json.dumps(WHOLE).encode(), CONTENT).id == "evt_1"

    with pytest.raises(Malformed, match=message):
        cloudevents.parse(json.dumps(WHOLE | changes).encode(), CONTENT)


def test_a_body_of_the_format_json_is_none_of_this_one() -> None:
    with pytest.raises(Malformed, match="specversion is missing"):
        cloudevents.parse(b'{"type":"a.b","timestamp":"2026-04-09T10:15:09Z","data":{}}', "application/json")
