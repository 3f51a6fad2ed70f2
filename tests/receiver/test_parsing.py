"""Any body of ours becomes an event; for anything else there is one error, which tells why."""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postback.domain.catalog import CATALOG
from postback.domain.ids import event_text
from postback.receiver import NotAPostback, ReceivedEvent, parse
from tests.build import NOON
from tests.receiver.bodies import FORM, KINDS, Posted, posted

CONTENT_TYPES = (
    FORM, "application/json", "application/xml", "text/xml; charset=utf-8", "application/cloudevents+json", "text/plain",
    "", "\x00", "application/soap+xml",
)  # fmt: skip
SEEDS = [one.body for _, one in KINDS.values()]


@pytest.mark.parametrize("name", KINDS)
def test_the_format_is_told_from_the_body(name: str) -> None:
    expected, one = KINDS[name]

    event = parse(one.body, one.content_type)

    assert event.format == expected
    assert event.type in CATALOG
    assert event.data


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("name", KINDS)
def test_where_the_content_type_says_nothing_the_body_does(name: str, content_type: str) -> None:
    _, one = KINDS[name]

    assert parse(one.body, content_type) == parse(one.body, one.content_type)


@pytest.mark.parametrize("content_type", ["text/json", "Application/Vnd.Example+JSON; charset=utf-8"])
@pytest.mark.parametrize("name", [name for name, (_, one) in KINDS.items() if one.content_type.endswith("json")])
def test_json_is_json_by_any_of_its_names(name: str, content_type: str) -> None:
    _, one = KINDS[name]

    assert parse(one.body, content_type) == parse(one.body, one.content_type)


def test_an_xml_postback_speaks_in_our_names() -> None:
    body = (
        b"<?xml version='1.0'?>\n<POSTBACK><ORIGIN>SMS_MO</ORIGIN><CODE>N211</CODE><FROM>12025550166</FROM>"
        b"<TO>24687</TO><TEXT>INFO &amp; more</TEXT><RECEIVED>2015-03-02T08:44:57-05:00</RECEIVED></POSTBACK>"
    )

    assert parse(body, "application/xml") == ReceivedEvent(
        type="sms.received",
        data={"from": "12025550166", "to": "24687", "text": "INFO & more", "received": "2015-03-02T08:44:57-05:00"},
        format="xml",
    )


def test_a_form_shows_how_often_it_was_sent() -> None:
    one = posted("api-default", "contact.updated", {"id": "con_1"}, counter=3)

    assert parse(one.body, FORM) == ReceivedEvent(
        type="contact.updated", data={"id": "con_1"}, format="api-default", number_of_attempts=3
    )


def test_the_id_of_a_signed_json_body_is_in_its_headers() -> None:
    one = posted("json", "contact.created", {"id": "con_1"})
    headers = {"Webhook-Id": "evt_1"}

    assert parse(one.body, one.content_type).id is None
    assert parse(one.body, one.content_type, headers=headers).id == "evt_1"


def test_a_cloudevent_carries_its_id_and_its_location() -> None:
    one = posted("cloudevents", "contact.created")

    event = parse(one.body, one.content_type, headers={"webhook-id": "another"})

    assert (event.id, event.location_id) == (event_text(NOON << 21), "loc_main")
    assert event.occurred_at == "2026-09-21T12:00:00+00:00"


def test_local_dates_are_read_in_the_zone_that_is_given() -> None:
    body = b'{"message_id":"sms_1","number":"+33639980417","text":"Oui","sim_card_number":"38015",'
    body += b'"answer_date":"2021-06-18 10:02:45"}'

    summer = parse(body, "application/json", time_zone="Europe/Paris")

    assert summer.data["received"] == "2021-06-18T10:02:45+02:00"
    assert summer.data["from"] == "33639980417"


@pytest.mark.parametrize("id", ["", "a\nb", "x" * 257, "\ud800"])
def test_an_id_that_cannot_be_one_is_refused(id: str) -> None:
    one = posted("json")

    with pytest.raises(NotAPostback, match="its id is"):
        parse(one.body, one.content_type, headers={"webhook-id": id})


def test_numbers_keep_all_their_digits() -> None:
    digits = "9" * 5000
    body = (
        b'{"type":"a.b","timestamp":"2026-01-01T00:00:00Z","data":{"n":%b,"m":12345678901234567890}}' % digits.encode()
    )

    data = parse(body, "application/json").data

    assert data == {"n": Decimal(digits), "m": 12345678901234567890}


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"hello=world", FORM, "none of a postback"),
        (b"type=CREATE&resource=contact&data=%7B%7D", FORM, "number_of_attempts is missing"),
        (b'{"hello": "world"}', "application/json", "none of a postback"),
        (b"[1]", "application/json", "not an object"),
        (b"{", "application/json", "not JSON"),
        (b'{"type": "a.b", "timestamp": "2026-01-01T00:00:00Z", "data": {"a": NaN}}', "application/json", "looks like json"),
        (b"<html/>", "application/xml", "looks like xml"),
        (b"", FORM, "none of a postback"),
        (b"GIF89a", "image/gif", "content type is 'image/gif'"),
        (b'{"specversion": "0.3", "id": "1"}', "application/cloudevents+json", "looks like cloudevents"),
        (b"[" * 100_000, "application/json", "not JSON"),
    ],
)  # fmt: skip
def test_what_is_no_postback_is_told_why(body: bytes, content_type: str, why: str) -> None:
    with pytest.raises(NotAPostback, match=why):
        parse(body, content_type)


def test_entities_in_xml_are_not_even_looked_at() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY a "aaaa">]><POSTBACK><ORIGIN>SMS_MO</ORIGIN><CODE>N211</CODE></POSTBACK>'

    with pytest.raises(NotAPostback):
        parse(bomb, "application/xml")


@settings(max_examples=400, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.sampled_from(SEEDS).flatmap(
            lambda seed: st.tuples(st.integers(0, len(seed)), st.integers(0, 20), st.binary(max_size=8)).map(
                lambda cut: seed[: cut[0]] + cut[2] + seed[cut[0] + cut[1] :]
            )
        ),
    ),
    content_type=st.one_of(st.sampled_from(CONTENT_TYPES), st.text(max_size=30)),
    id=st.none() | st.text(max_size=20),
)
@example(b"\xff\xfe<\x00", "application/xml", None)
@example(b'{"type":"a.b","timestamp":"2026-01-01T00:00:00Z","data":{"\\ud800":1}}', "application/json", "\ud800")
def test_no_bytes_whatever_raise_anything_else(body: bytes, content_type: str, id: str | None) -> None:
    try:
        event = parse(body, content_type, headers={} if id is None else {"webhook-id": id})
    except NotAPostback as refused:
        told = str(refused)
    else:
        told = event.type
        json.dumps(event.data, default=str)

    assert told


def test_repeats_of_the_builders_are_no_other_bodies() -> None:
    """The tests beside this one rely on it: only the number of the attempt differs."""
    first, second = (posted("api-default", counter=counter) for counter in (1, 2))

    assert isinstance(first, Posted)
    assert first.body.replace(b"attempts=1", b"attempts=2") == second.body
