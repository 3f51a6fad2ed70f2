"""What a receiver understands of XML postbacks: the historic variants, and of everything else that it is none."""

import contextlib
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postback.domain.errors import Malformed
from postback.formats import xml_postback

XML = "application/xml; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
SENT = "<ORIGIN>SMS_MT</ORIGIN><CODE>N201</CODE><TO>1</TO><TRACKINGID>t</TRACKINGID>"


def read(inner: str | bytes, content_type: str = XML) -> tuple[str, Any]:
    body = inner if isinstance(inner, bytes) else f"<POSTBACK>{inner}</POSTBACK>".encode()
    parsed = xml_postback.parse(body, content_type)
    return parsed.type, json.loads(parsed.data)


def elements(**texts: str) -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for tag, text in texts.items())


@pytest.mark.parametrize(
    ("shown", "event_type", "facts"),
    [
        ({"ORIGIN": "SMS_MT", "CODE": "N201", "STATUS": "Message Failed"}, "sms.failed", {"status": "Message Failed"}),
        ({"ORIGIN": "SMS_MT", "CODE": "N201"}, "sms.sent", {"status": "Message Sent"}),
        ({"ORIGIN": "SMS_MT", "CODE": "N202", "STATUS": "Message Sent/Failed"}, "sms.undelivered", {}),
        ({"ORIGIN": "SMS_MT", "CODE": "N202", "STATUS": "Message Sent/Rejected"}, "sms.undelivered", {}),
        ({"ORIGIN": "SMS_MT", "CODE": "E202", "STATUS": "Message Sent/Expired"}, "sms.undelivered", {}),
        ({"ORIGIN": "MMS_MT", "CODE": "N202", "STATUS": "Message Sent/Failed"}, "mms.undelivered", {"sent_as": "SMS"}),
        ({"ORIGIN": "MMS_MT", "CODE": "E202", "STATUS": "Message Sent/Failed"}, "mms.undelivered", {"sent_as": "SMS"}),
        (
            {"ORIGIN": "MMS_MT", "CODE": "N202", "MMSID": "7"},
            "mms.delivered",
            {"sent_as": "SMS", "mms_id": "7", "status": "Message Sent/Delivered"},
        ),
        (
            {"ORIGIN": "MMS_MT", "CODE": "N102", "SENTAS": "SMS", "STATUS": "Message Sent/Delivered"},
            "mms.delivered",
            {"sent_as": "SMS"},
        ),
        ({"ORIGIN": "MMS_MT", "CODE": "N102", "STATUS": "Message Sent/Expired"}, "mms.undelivered", {"sent_as": "MMS"}),
        ({"ORIGIN": "MMS_MT", "CODE": "E102", "STATUS": "Message Sent/Failed"}, "mms.undelivered", {"sent_as": "MMS"}),
        ({"ORIGIN": "MMS_MT", "CODE": "N101", "STATUS": "Message Failed"}, "mms.failed", {}),
        ({"ORIGIN": "MMS_MT", "CODE": "N101", "SENTAS": " SMS ", "STATUS": " Message Sent\n"}, "mms.sent",
         {"sent_as": "SMS", "status": "Message Sent"}),
        ({"ORIGIN": "MMS_MT", "CODE": "N502", "STATUS": "Message Sent/Expired"}, "discovery.undelivered", {}),
        ({"ORIGIN": "MMS_MT", "CODE": "E101"}, "mms.failed", {"status": "Message Failed"}),
        ({"ORIGIN": "MMS_MT", "CODE": "E002", "VIDEONAME": "v"}, "mms.save_failed", {"video_name": "v"}),
        ({"ORIGIN": "MMS_MT", "CODE": "E003", "VIDEONAME": "v"}, "mms.save_failed", {"video_name": "v"}),
        ({"ORIGIN": "MMS_MT", "CODE": "E002", "AUDIONAME": "a"}, "mms.save_failed", {"audio_name": "a"}),
        ({"ORIGIN": "GENERATE_PASS", "STATUSCODE": "N803"}, "pass.limit_reached", {}),
        ({"ORIGIN": "GENERATE_PASS", "CODE": "N811"}, "pass.no_credit", {}),
        ({"ORIGIN": "GENERATE_PASS", "CODE": "N801", "STATUSCODE": "N801"}, "pass.generated", {}),
        ({"ORIGIN": " SMS_MO\n", "CODE": "\tN211 ", "TEXT": " a "}, "sms.received", {"text": " a "}),
        ({"ORIGIN": "SUB", "CODE": "N302", "SUBID": "007"}, "subscriber.unsubscribed", {"sub_id": "007"}),
    ],
)  # fmt: skip
def test_the_type_is_told_by_codes_origin_status_and_kind(shown: Any, event_type: str, facts: Any) -> None:
    for found, data in (
        read(elements(**shown)),
        read(f"<NOTIFICATION>{elements(**shown)}</NOTIFICATION>"),
        read(urlencode(shown).encode(), FORM),
        read(urlencode({tag.title(): text for tag, text in reversed(shown.items())}).encode(), FORM),
    ):
        assert found == event_type
        assert facts.items() <= data.items()


def test_the_older_name_of_the_aggregator_and_any_case_of_names_are_understood() -> None:
    body = b"<Postback><Origin>SMS_MT</Origin><code>N202</code><Aggregator>1-2</Aggregator><From_Mask>A</From_Mask></Postback>"

    assert read(body) == (
        "sms.delivered", {"status": "Message Sent/Delivered", "aggregator_id": "1-2", "from_mask": "A"},
    )  # fmt: skip


def test_times_have_an_offset_of_hours_and_minutes_and_other_notations_stay_as_they_are() -> None:
    for shown, stands in (
        ("2015-02-11T16:05:48-05", "2015-02-11T16:05:48-05:00"),
        ("2015-02-11T16:05:48.25Z", "2015-02-11T16:05:48.25+00:00"),
        ("2015-02-11T16:05:48+05:30", "2015-02-11T16:05:48+05:30"),
        ("2013-07-15 11:20:39-04", "2013-07-15 11:20:39-04"),
    ):
        assert read(elements(ORIGIN="SUB", CODE="N301", TIMESTAMP=shown))[1]["timestamp"] == stands


@pytest.mark.parametrize("code", ["E101", "E501", "E999", "N101"])
def test_a_time_that_older_documents_show_on_failures_has_minutes_in_its_offset_too(code: str) -> None:
    body = elements(ORIGIN="MMS_MT", CODE=code, STATUS="Message Failed", TIMESTAMP="2014-03-12T14:02:11-04")

    assert read(body)[1]["timestamp"] == "2014-03-12T14:02:11-04:00"


def test_an_empty_mask_is_no_mask_and_other_empty_elements_are_empty_texts() -> None:
    _, data = read(elements(ORIGIN="SMS_MT", CODE="N201", FROM_MASK="", FROM=""))

    assert data == {"status": "Message Sent", "from": ""}


def test_files_are_read_inside_their_element_and_outside_of_it() -> None:
    codes, files = elements(ORIGIN="MMS_MO", CODE="N401"), "<FILE>a</FILE><FILE></FILE><FILE>b</FILE>"

    for inner in (
        f"{codes}<CONTENT>{files}</CONTENT>",
        f"<NOTIFICATION>{codes}<Content>{files}</Content></NOTIFICATION>",
        codes + files,
    ):
        assert read(inner) == ("mms.received", {"files": ["a", "", "b"]})
    assert read(b"ORIGIN=MMS_MO&CODE=N401&FILE=a&file=&FILE=b", FORM)[1] == {"files": ["a", "", "b"]}
    assert read(f"{codes}<CONTENT></CONTENT>")[1] == {}


def test_what_nobody_knows_is_left_out_with_all_that_is_in_it() -> None:
    inner = f"<!-- a --><?pi?><OS>5</OS>{SENT}<MORE>x<TO>2</TO><DEEP><FILE>f</FILE></DEEP></MORE><A b='c'/>"

    expected = ("sms.sent", {"status": "Message Sent", "to": "1", "tracking_id": "t"})
    assert read(inner) == expected
    assert read(b"ORIGIN=SMS_MT&CODE=N201&TO=1&TRACKINGID=t&OS=5&OS=6", FORM) == expected


def test_a_text_may_be_written_in_any_way_that_xml_has() -> None:
    inner = elements(ORIGIN="SMS_MO", CODE="N211", TEXT="a<![CDATA[<b>]]>&#x26;<!-- no -->&lt;&#128512;&#13;\r\n")

    assert read(inner)[1] == {"text": "a<b>&<😀\r\n"}


@pytest.mark.parametrize(
    ("content_type", "prefix", "encoding"),
    [
        ("application/xml", "", "utf-8"),
        ("text/xml", "", "utf-8"),
        ("Text/XML ; Charset=\"UTF-8\"", "", "utf-8"),
        ("application/soap+xml", "", "utf-8"),
        ("application/xml", "\ufeff", "utf-8"),
        ("application/xml", " \r\n\t", "utf-8"),
        ("application/xml", "\ufeff\n", "utf-8"),
        ("application/xml", "\n\ufeff", "utf-8"),
        ("application/xml; charset=iso-8859-1", "", "latin-1"),
        ("application/xml; charset=iso-8859-1", "<?xml version='1.0' encoding='utf-8'?>", "latin-1"),
        ("application/xml", "<?xml version='1.0' encoding='ISO-8859-1'?>", "latin-1"),
        ("application/xml", "\n<?xml version=\"1.0\" encoding=\"windows-1252\" ?>", "cp1252"),
        ("application/xml", "<?xml version='1.0' encoding='UTF-16'?>", "utf-16"),
        ("application/xml", "", "utf-16-le"),
        ("application/xml", "", "utf-16-be"),
        ("application/xml; charset=utf-16", "", "utf-16"),
        ("application/xml; charset=us-ascii", "\ufeff", "utf-8"),
    ],
)  # fmt: skip
def test_a_document_is_read_in_the_encoding_it_came_in(content_type: str, prefix: str, encoding: str) -> None:
    body = f"{prefix}<POSTBACK>{elements(ORIGIN='SMS_MO', CODE='N211', TEXT='Grüße')}</POSTBACK>\n"

    assert read(body.encode(encoding), content_type) == ("sms.received", {"text": "Grüße"})


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"", XML, "not XML"),
        (b"<POSTBACK>", XML, "not XML"),
        (b"<POSTBACK/><POSTBACK/>", XML, "not XML"),
        (b"<POSTBACK>\0</POSTBACK>", XML, "not XML"),
        (b"<POSTBACK/>", XML, "ORIGIN '' and CODE '' are not those of an event"),
        (b"<RESPONSE><STATUS>Success</STATUS></RESPONSE>", XML, "the root is 'RESPONSE'; expected POSTBACK"),
        (b"<POSTBACK>\xff</POSTBACK>", XML, "not text"),
        (b"<POSTBACK>\xff</POSTBACK>", "text/xml; charset=utf-7", "the encoding is 'utf-7'; expected one of utf-8"),
        (b"<?xml version='1.0' encoding='unicode_escape'?><POSTBACK/>", XML[:15], "the encoding is 'unicode_escape'"),
        (b"<POSTBACK/>", "text/xml; charset=" + "x" * 9_000, "the encoding is 'x{100}';"),
        (b"<!DOCTYPE POSTBACK><POSTBACK/>", XML, "a DOCTYPE is there; none is read"),
        (b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><POSTBACK>&b;</POSTBACK>", XML, "DOCTYPE"),
        (b"<!DOCTYPE a [<!ENTITY b 'cc'><!ENTITY d '&b;&b;'>]><POSTBACK>&d;</POSTBACK>", XML, "DOCTYPE"),
        (b"<POSTBACK>&nobody;</POSTBACK>", XML, "not XML"),
        (b"<POSTBACK>" + b"<A>" * 100_000, XML, "elements lie deeper than 8"),
        (b"<POSTBACK>text" + SENT.encode() + b"</POSTBACK>", XML, "POSTBACK has text between its elements: 'text'"),
        (b"<POSTBACK><TO><B/></TO></POSTBACK>", XML, "TO has elements inside; expected text"),
        (f"<POSTBACK>{SENT}<TO>2</TO></POSTBACK>".encode(), XML, "TO is there 2 times"),
        (f"<POSTBACK>{SENT}<to>1</to></POSTBACK>".encode(), XML, "TO is there 2 times"),
        (f"<POSTBACK><NOTIFICATION>{SENT}</NOTIFICATION>{SENT}</POSTBACK>".encode(), XML, "ORIGIN is there 2 times"),
        (b"ORIGIN=SMS_MT&CODE=N201&CODE=N201", FORM, "CODE is there 2 times"),
        (b"ORIGIN=SMS_MT&CODE=E001", FORM, "ORIGIN 'SMS_MT' and CODE 'E001' are not those of an event"),
        (b"ORIGIN=SMS_MO&CODE=N201", FORM, "are not those of an event"),
        (b"CODE=N201", FORM, "are not those of an event"),
        (b"ORIGIN=GENERATE_PASS&CODE=N801&STATUSCODE=N802", FORM, "CODE is 'N801' and STATUSCODE is 'N802'"),
        (b"ORIGIN=SMS_MT&CODE=N201&STATUS=Message+Sent/Delivered", FORM, "does not belong to CODE N201"),
        (b"ORIGIN=SMS_MT&CODE=E201&STATUS=Message+Sent", FORM, "STATUS is 'Message Sent', which does not belong"),
        (b"ORIGIN=SMS_MT&CODE=N202&STATUS=read", FORM, "STATUS is 'read', which does not belong to CODE N202"),
        (b"", FORM, "ORIGIN '' and CODE ''"),
        (b"ORIGIN", FORM, "not a form"),
        (b"ORIGIN=%ff", FORM, "not a form"),
        (b"ORIGIN=\xff", FORM, "not a form"),
        (b"type=CREATE&resource=contact&number_of_attempts=1&data=%7B%7D", FORM, "are not those of an event"),
        (b"{}", "application/json", "the content type is 'application/json'; expected application/xml or"),
        (b"<POSTBACK/>", "", "the content type is ''"),
        (b"<POSTBACK/>", "text/html", "the content type is 'text/html'"),
    ],
)
def test_what_is_no_postback_is_malformed(body: bytes, content_type: str, words: str) -> None:
    with pytest.raises(Malformed, match=words) as refused:
        xml_postback.parse(body, content_type)

    assert len(str(refused.value)) < 400
    assert str(refused.value).isascii()


def test_a_body_beyond_the_bound_is_malformed() -> None:
    with pytest.raises(Malformed, match="the body has 16777217 bytes; expected at most 16777216"):
        xml_postback.parse(b" " * (16 << 20) + b"x", XML)


PIECES = st.sampled_from(
    [
        "<POSTBACK>", "</POSTBACK>", "<NOTIFICATION>", "</NOTIFICATION>", "<CONTENT>", "</CONTENT>", "<FILE>", "</FILE>",
        SENT, "<TO>", "</TO>", "<STATUS>Message Failed</STATUS>", "<?xml version='1.0' encoding='", "hex", "'?>", "&", ";",
        "<!DOCTYPE", "[", "]>", "<!--", "-->", "<![CDATA[", "]]>", "\ufeff", "\0", "ORIGIN=SMS_MT", "CODE=N201", "=", "%",
    ]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.binary(max_size=60) | st.lists(PIECES | st.text(max_size=8), max_size=12).map(lambda one: "".join(one).encode()),
    st.sampled_from([XML, "text/xml", FORM, "application/xml; charset="]).flatmap(
        lambda start: st.sampled_from([start, start + "hex"]) | st.text(max_size=9).map(lambda end: start + end)
    ),
)
def test_whatever_the_bytes_they_are_a_postback_or_malformed(body: bytes, content_type: str) -> None:
    with contextlib.suppress(Malformed):
        parsed = xml_postback.parse(body, content_type)
        assert isinstance(json.loads(parsed.data), dict)
