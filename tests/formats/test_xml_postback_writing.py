"""What the format xml writes of texts, times, numbers and masks, and what it cannot write."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

import postback
from postback.domain.catalog import CATALOG
from postback.domain.configs import FormatOptions, PostbackConfig
from postback.domain.errors import CannotRender
from postback.domain.event_types import Kind, Layout
from postback.domain.messaging import MESSAGING
from postback.formats import is_sayable, xml_postback
from postback.formats.xml_layouts import elements
from tests.build import NOON, a_config, an_event

SMS = CATALOG["sms.sent"].example
TEXTS = {
    (one.name, row.code, field.name)
    for one in MESSAGING
    for row in one.rows
    for field in row.fields
    if field.name in xml_postback.FIELD_OF_TAG.values()
    and field.kind in {Kind.TEXT, Kind.ID, Kind.URLS}
    and not field.choices
}


def an_xml_config(**options: Any) -> PostbackConfig:
    return a_config(format="xml", options=FormatOptions(**options))


def said(event_type: str, data: Any, **options: Any) -> bytes:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return xml_postback.render(an_event(type=event_type, data=raw), an_xml_config(**options), 1, NOON).body


def text_of(body: bytes, tag: str) -> str | None:
    return ET.fromstring(body).findtext(f".//{tag}")


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("2026-04-09T10:15:02.418806-04:00", "2026-04-09T10:15:02.418806-04:00"),
        ("2026-04-09T10:15:02.123456789Z", "2026-04-09T10:15:02.123456789+00:00"),
        ("2026-04-09T10:15:02Z", "2026-04-09T10:15:02+00:00"),
        ("2026-04-09T10:15:02-04", "2026-04-09T10:15:02-04:00"),
        ("2026-04-09T10:15:02.5+05:45", "2026-04-09T10:15:02.5+05:45"),
        ("", ""),
    ],
)
def test_a_time_is_written_as_it_came_with_an_offset_of_hours_and_minutes(sent: str, written: str) -> None:
    for layout in Layout:
        assert text_of(said("sms.sent", {**SMS, "timestamp": sent}, xml_layout=layout), "TIMESTAMP") == written

    received = {**CATALOG["sms.received"].example, "received": sent}
    assert text_of(said("sms.received", received), "RECEIVED") == written
    assert text_of(said("pass.failed", {**CATALOG["pass.failed"].example, "timestamp": sent}), "TIMESTAMP") == written


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        ("2026-02-11T16:05:48.25-05:00", "2026-02-11T16:05:48-05"),
        ("2026-02-11T16:05:48-05", "2026-02-11T16:05:48-05"),
        ("2026-02-11T16:05:48Z", "2026-02-11T16:05:48+00"),
        ("2026-02-11T16:05:48.999+05:30", "2026-02-11T16:05:48+05:30"),
        ("2026-02-11T16:05:48-03:30", "2026-02-11T16:05:48-03:30"),
    ],
)
@pytest.mark.parametrize("event_type", ["subscriber.subscribed", "subscriber.unsubscribed"])
def test_the_time_of_a_subscription_has_the_short_offset_and_no_fraction(
    event_type: str, sent: str, written: str
) -> None:
    data = {**CATALOG[event_type].example, "timestamp": sent}

    assert text_of(said(event_type, data), "TIMESTAMP") == written
    assert text_of(said(event_type, data, xml_layout=Layout.L2014_03), "TIMESTAMP") is None


@pytest.mark.parametrize("event_type", ["sms.sent", "sms.failed", "sms.delivered", "sms.undelivered"])
def test_a_mask_is_always_there_and_cut_at_eleven_characters(event_type: str) -> None:
    data = {name: value for name, value in CATALOG[event_type].example.items() if name != "from_mask"}

    for mask, written in (("ACME", "ACME"), ("ElevenChars", "ElevenChars"), ("Twelve Chars", "Twelve Char"), ("", "")):
        body = said(event_type, {**data, "from_mask": mask})
        assert text_of(body, "FROM_MASK") == written
        assert text_of(said(event_type, {**data, "from_mask": mask}, xml_layout=Layout.L2014_03), "FROM_MASK") is None
    assert b"<FROM_MASK></FROM_MASK>" in said(event_type, data)
    assert b"&FROM_MASK=&" in said(event_type, data, xml_content_type="form")


@pytest.mark.parametrize("event_type", ["mms.sent", "mms.delivered", "mms.undelivered", "mms.received"])
def test_a_mask_stands_in_no_other_event(event_type: str) -> None:
    for data in (row.example for row in CATALOG[event_type].rows):
        assert b"FROM_MASK" not in said(event_type, {**data, "from_mask": "ACME"})


def test_numbers_are_written_without_their_plus() -> None:
    assert text_of(said("sms.sent", {**SMS, "to": "+12025550143"}), "TO") == "12025550143"
    subscribed = {**CATALOG["subscriber.subscribed"].example, "mobile": "+12025550119"}
    assert text_of(said("subscriber.subscribed", subscribed), "MOBILE") == "12025550119"
    assert text_of(said("sms.received", {**CATALOG["sms.received"].example, "text": "+1"}), "TEXT") == "+1"


def test_ids_may_be_integers_or_texts_of_any_length() -> None:
    for sent in (0, -7, 51208, 10**30, "051208", ""):
        assert text_of(said("mms.saved", {"mms_id": sent}), "MMSID") == str(sent)


def test_what_is_absent_is_left_out_and_what_is_empty_is_shown_empty() -> None:
    least = {"referenced_by": "", "reference_value": "ana"}

    for strict, codes in ((False, ["CODE", "STATUSCODE"]), (True, ["STATUSCODE"])):
        root = ET.fromstring(said("pass.generated", least, xml_strict_historic=strict))
        assert [one.tag for one in root] == ["ORIGIN", *codes, "REFERENCEDBY", "REFERENCEVALUE"]
        assert root.findtext("REFERENCEDBY") == ""


def test_facts_that_the_catalog_does_not_list_are_not_shown_whatever_they_are() -> None:
    more = b',"sent_as":"SMS","x":{"y":[1e999,[]]},"mms_id":1,"MMSID":2,"code":"N999"}'

    assert said("sms.sent", json.dumps(SMS).encode()[:-1] + more) == said("sms.sent", SMS)


def test_white_space_between_elements_is_always_the_same() -> None:
    assert said("mms.saved", {"mms_id": 7}) == (
        b"<?xml version='1.0'?>\n<POSTBACK><ORIGIN>MMS_MT</ORIGIN><CODE>N003</CODE><MMSID>7</MMSID></POSTBACK>"
    )


@pytest.mark.parametrize(
    "character", ["\0", "\x08", "\x0b", "\x0c", "\x1f", "\ufffe", "\uffff"], ids=lambda one: f"U+{ord(one):04X}"
)
def test_a_character_that_no_document_can_hold_cannot_be_rendered(character: str) -> None:
    data = {**CATALOG["sms.received"].example, "text": f"one{character}two"}
    event = an_event(type="sms.received", data=json.dumps(data).encode())

    with pytest.raises(CannotRender, match="text holds a character that XML cannot carry: 'one"):
        said("sms.received", data)
    assert not is_sayable(event, an_xml_config())
    assert dict(parse_qsl(said("sms.received", data, xml_content_type="form").decode()))["TEXT"] == data["text"]


@pytest.mark.parametrize("content_type", ["raw", "form"])
@pytest.mark.parametrize("half", [b"\\ud800", b"\\udc00x", b"\\ud83dx"])
def test_half_a_character_cannot_be_rendered(half: bytes, content_type: str) -> None:
    data = b'{"from":"1","to":"2","text":"%b","received":"2026-03-02T08:44:57Z"}' % half

    with pytest.raises(CannotRender, match="cannot be read"):
        said("sms.received", data, xml_content_type=content_type)


def test_a_character_cut_away_with_the_end_of_a_mask_does_no_harm() -> None:
    assert text_of(said("sms.sent", {**SMS, "from_mask": "ElevenChars\0"}), "FROM_MASK") == "ElevenChars"


@pytest.mark.parametrize("name", sorted({name for one in MESSAGING for row in one.rows for name in row.example}))
def test_a_row_stored_without_what_the_catalog_requires_cannot_be_rendered(name: str) -> None:
    found = 0
    for one in MESSAGING:
        for row in one.rows:
            field = row.field(name)
            if field is not None and field.required:
                found += 1
                with pytest.raises(CannotRender, match=name):
                    said(one.name, {key: value for key, value in row.example.items() if key != name})

    is_optional = all(
        not field.required for one in MESSAGING for row in one.rows for field in row.fields if field.name == name
    )
    assert (found == 0) == is_optional


@pytest.mark.parametrize(
    ("event_type", "change", "words"),
    [
        ("sms.sent", {"to": 12025550143}, "to: to is a number; expected a string"),
        ("sms.sent", {"timestamp": "yesterday"}, "timestamp: timestamp is 'yesterday'"),
        ("sms.sent", {"status": "Message Failed"}, "status: status is 'Message Failed'"),
        ("mms.sent", {"mms_id": 1.5}, "mms_id: mms_id is a number"),
        ("mms.sent", {"sent_as": "RCS"}, "sent_as: sent_as is 'RCS'"),
        ("mms.delivered", {"sent_as": None}, "sent_as: sent_as is null"),
        ("mms.received", {"files": []}, "files: files is a list"),
        ("mms.received", {"files": [1]}, "files: files is a list"),
        ("mms.save_failed", {"video_name": "clip.3gp"}, "audio_name and video_name exclude each other"),
    ],
)
def test_a_stored_row_that_the_catalog_forbids_cannot_be_rendered(event_type: str, change: Any, words: str) -> None:
    with pytest.raises(CannotRender, match=words.replace("'", ".")):
        said(event_type, {**CATALOG[event_type].example, **change})


@pytest.mark.parametrize("number", [b"9" * 5_000, b"1e999"])
def test_a_number_that_nothing_can_hold_cannot_be_rendered(number: bytes) -> None:
    with pytest.raises(CannotRender, match="mms_id cannot be read"):
        said("mms.saved", b'{"mms_id":%b}' % number)


@pytest.mark.parametrize("event_type", ["contact.created", "sms.unheard", "x" * 128])
def test_another_event_cannot_be_rendered(event_type: str) -> None:
    with pytest.raises(CannotRender, match="the format xml says the messaging events only"):
        said(event_type, {"id": "con_1"})


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(TEXTS)),
    st.text() | st.text(alphabet="<>&'\"]\r\n\t -!\\ä漢😀\u0085\u2028\ufeff"),
    st.sampled_from(list(Layout)),
    st.sampled_from(["raw", "form"]),
)
@example(("sms.received", "N211", "text"), "]]></TEXT><![CDATA[&#0;&amp;<!--", Layout.L2015, "raw")
@example(("sms.received", "N211", "text"), " \r\n\r a\t\n ", Layout.L2014_03, "raw")
@example(("mms.received", "N401", "files"), "\ufeff\U0010ffff", Layout.L2014_03, "raw")
def test_every_text_arrives_as_it_is_or_is_refused(
    where: tuple[str, str, str], text: str, layout: Layout, content_type: str
) -> None:
    event_type, code, name = where
    row = next(row for row in CATALOG[event_type].rows if row.code == code)
    data = {**row.example, name: [text, "second"] if name == "files" else text}
    tag = next(tag for tag, field in xml_postback.FIELD_OF_TAG.items() if field == name)
    options: Any = {"xml_layout": layout, "xml_content_type": content_type}

    try:
        body = said(event_type, data, **options)
    except CannotRender:
        assert content_type == "raw"
        with pytest.raises(ValueError, match="XML compatible"):
            etree.Element("a").text = text
        return

    if content_type == "form":
        shown = dict(reversed(parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True))).get(tag)
    else:
        shown = text_of(body, tag)
        strict = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        assert strict.findtext(f".//{tag}") == shown
    expected = text[:11] if name == "from_mask" else text.removeprefix("+") if name in {"to", "mobile"} else text
    assert shown == expected or shown is None
    assert (shown is not None) == (tag in elements(layout, row, row.example.get("sent_as")))


def test_a_receiver_needs_nothing_but_the_standard_library() -> None:
    code = (
        "from postback.formats import xml_postback as x\n"
        "import sys\n"
        "body = b'<POSTBACK><ORIGIN>MMS_MT</ORIGIN><CODE>N003</CODE><MMSID>7</MMSID></POSTBACK>'\n"
        "print(x.parse(body, 'text/xml').data.decode(), 'msgspec' in sys.modules, 'lxml' in sys.modules)"
    )
    folder = str(Path(postback.__file__).parent.parent)

    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == '{"mms_id":"7"} False False'
