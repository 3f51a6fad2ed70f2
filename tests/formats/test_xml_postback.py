"""The format xml against the documented samples in both directions, and every row of the catalog through it and back."""

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest

from postback.domain.catalog import CATALOG, SAYABLE
from postback.domain.configs import FormatOptions, PostbackConfig
from postback.domain.event_types import Layout
from postback.domain.events import Event
from postback.domain.facts import completed, refusals, with_constants
from postback.domain.messaging import MESSAGING
from postback.formats import is_sayable, xml_postback
from postback.formats.body import Rendered
from postback.formats.xml_layouts import elements
from tests.build import NOON, a_config, an_event

GOLDEN = Path(__file__).parent / "golden" / "xml"
DOCUMENTED_ORDER = (GOLDEN / "order.txt").read_text().splitlines()
SAMPLES = json.loads((GOLDEN / "manifest.json").read_text())
XML = "application/xml; charset=utf-8"
FORM = "application/x-www-form-urlencoded"

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["file"])
each_sent_sample = pytest.mark.parametrize(
    "sample", [one for one in SAMPLES if not one.get("parse_only")], ids=lambda sample: sample["file"]
)
each_row = pytest.mark.parametrize(
    ("event_type", "row"),
    [pytest.param(one, row, id=f"{one.name}-{row.code}") for one in MESSAGING for row in one.rows],
)


def an_xml_config(**options: Any) -> PostbackConfig:
    if "xml_layout" in options:
        options["xml_layout"] = Layout(options["xml_layout"])
    return a_config(format="xml", options=FormatOptions(**options))


def the_event(event_type: str, data: Any) -> Event:
    return an_event(type=event_type, data=json.dumps(data, indent=1).encode())


def rendered(event_type: str, data: Any, **options: Any) -> Rendered:
    return xml_postback.render(the_event(event_type, data), an_xml_config(**options), 1, NOON)


def as_text(facts: Any) -> Any:
    """Facts as a body can carry them: ids are their digits, an empty mask is no mask."""
    return {
        name: str(value) if isinstance(value, int) else value
        for name, value in facts.items()
        if (name, value) != ("from_mask", "")
    }


def shape(body: bytes) -> Any:
    """All that counts of a document: declaration, elements with attributes and texts in their order."""

    def of(element: ET.Element) -> Any:
        text = (element.text or "").strip() if len(element) else element.text or ""
        return (element.tag, sorted(element.attrib.items()), text, [of(child) for child in element])

    declaration = re.match(rb"<\?.*?\?>", body)
    return declaration and declaration[0], of(ET.fromstring(body))


def test_the_samples_are_those_of_both_layouts_and_of_forms() -> None:
    files = {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.*") if path.parent != GOLDEN}

    assert files == {sample["file"] for sample in SAMPLES}
    assert len(files) == 42


@each_sent_sample
def test_an_event_goes_out_as_documented(sample: Any) -> None:
    sent = rendered(sample["type"], sample["data"], **sample["options"])

    golden = (GOLDEN / sample["file"]).read_bytes()
    if sample["file"].endswith(".form"):
        assert (sent.content_type, sent.body) == (FORM, golden)
    else:
        assert sent.content_type == XML
        assert shape(sent.body) == shape(golden)


@each_sent_sample
def test_what_can_be_left_out_of_the_data_goes_out_all_the_same(sample: Any) -> None:
    event_type, data = sample["type"], sample["data"]
    told = {"sent_as": data["sent_as"]} if data.get("sent_as") == "SMS" else {}
    short = {**{name: value for name, value in data.items() if name not in {"status", "sent_as"}}, **told}
    if completed(event_type, short).get("status") != data.get("status"):
        short["status"] = data["status"]

    assert rendered(event_type, short, **sample["options"]) == rendered(event_type, data, **sample["options"])


@each_sample
def test_a_documented_body_is_understood(sample: Any) -> None:
    body = (GOLDEN / sample["file"]).read_bytes()

    parsed = xml_postback.parse(body, FORM if sample["file"].endswith(".form") else "text/xml")

    assert parsed.type == sample["type"]
    assert json.loads(parsed.data) == as_text(with_constants(sample["type"], sample["data"]))


def test_a_saved_video_that_failed_under_the_code_of_audio_is_not_written_in_2015() -> None:
    [sample] = [one for one in SAMPLES if one.get("parse_only")]

    assert b"<CODE>E003</CODE>" in rendered(sample["type"], sample["data"]).body
    assert b"<CODE>E002</CODE>" in rendered(sample["type"], sample["data"], xml_layout="2014-03").body


def facts_of_rows() -> list[Any]:
    """Every row of the catalog with all its facts, with only those that must be there, and with each of its choices."""
    cases = []
    for one in MESSAGING:
        for row in one.rows:
            whole = dict(row.example)
            must = {field.name for field in row.fields if field.required}
            least = {name: value for name, value in whole.items() if name in must}
            if row.told_by is not None and row.told_by[1] is not None:
                least[row.told_by[0]] = row.told_by[1]
            cases += [(one, row, whole), (one, row, least)]
            for field in row.fields:
                if field.name in {"status", "sent_as"}:
                    cases += [(one, row, {**whole, field.name: choice}) for choice in field.choices]
    return [pytest.param(one, row, data, id=f"{one.name}-{row.code}-{n}") for n, (one, row, data) in enumerate(cases)]


@pytest.mark.parametrize(
    ("layout", "content_type", "strict"), list(product(Layout, ("raw", "form"), (False, True))), ids=str
)
@pytest.mark.parametrize(("event_type", "row", "data"), facts_of_rows())
def test_every_row_of_the_catalog_comes_back_with_the_same_facts(
    event_type: Any, row: Any, data: Any, layout: Layout, content_type: str, strict: bool
) -> None:
    assert not refusals(event_type.name, data)
    whole = completed(event_type.name, data)
    options = {"xml_layout": layout, "xml_content_type": content_type, "xml_strict_historic": strict}

    sent = rendered(event_type.name, data, **options)

    parsed = xml_postback.parse(sent.body, sent.content_type)
    names = {xml_postback.FIELD_OF_TAG[tag] for tag in elements(layout, row, whole.get("sent_as"))}
    carried = {name: value for name, value in whole.items() if name in names}
    assert parsed.type == event_type.name
    assert json.loads(parsed.data) == as_text(with_constants(event_type.name, _told(row, carried)))


def _told(row: Any, facts: Any) -> Any:
    """With what the code tells: it names the kind of event even where the layout has no element for it."""
    return {row.told_by[0]: row.told_by[1], **facts} if row.told_by is not None and row.told_by[1] else facts


EVERYTHING: Any = {
    **dict.fromkeys(
        ("to", "from", "from_mask", "tracking_id", "spid", "status_details", "aggregator_id", "handset", "text"), "1"
    ),
    **dict.fromkeys(("transaction_id", "keyword", "subject", "mobile", "short_code", "campaign_title"), "1"),
    **dict.fromkeys(("brand_name", "source", "email", "referenced_by", "reference_value", "custom_pass_id"), "1"),
    **dict.fromkeys(("serial_number", "mms_id", "campaign_id", "sub_id", "pass_data_id"), "1"),
    **dict.fromkeys(("timestamp", "received"), "2026-05-20T18:29:58-04:00"),
    "files": ["1", "2"],
}


@pytest.mark.parametrize("line", DOCUMENTED_ORDER, ids=lambda line: line.partition(":")[0])
def test_an_event_with_every_fact_there_is_shows_those_of_its_row_in_the_documented_order(line: str) -> None:
    words, _, tags = line.partition(": ")
    layout, event_type, *kind = words.split()
    data = {**EVERYTHING, **{f"{one}_name": "1" for one in kind if one in {"audio", "video"}}}
    if event_type == "mms.video_failed":
        data["video_name"] = "1"
    if kind and kind[0] in {"MMS", "SMS"}:
        data["sent_as"] = kind[0]
    if event_type.endswith(".undelivered"):
        data["status"] = "Message Sent/Expired"

    root = ET.fromstring(rendered(event_type, data, xml_layout=layout).body)

    assert " ".join(one.tag for one in root.iter() if one is not root) == tags


@each_row
@pytest.mark.parametrize("layout", Layout)
def test_the_codes_and_the_origin_are_those_of_the_catalog(event_type: Any, row: Any, layout: Layout) -> None:
    root = ET.fromstring(rendered(event_type.name, row.example, xml_layout=layout).body)

    assert root.findtext(".//ORIGIN") == event_type.origin
    assert root.findtext(".//CODE") == (row.code if layout is Layout.L2015 else row.code_2014_03)
    assert root.findtext(".//STATUSCODE") == (row.code if event_type.origin == "GENERATE_PASS" else None)


@each_row
@pytest.mark.parametrize("layout", Layout)
def test_every_element_of_a_layout_is_a_field_of_its_row(event_type: Any, row: Any, layout: Layout) -> None:
    for sent_as in ("MMS", "SMS") if row.code in {"N101", "N501"} else (row.example.get("sent_as"),):
        tags = elements(layout, row, sent_as)

        assert len(set(tags)) == len(tags) > 0
        assert all(row.field(xml_postback.FIELD_OF_TAG[tag]) is not None for tag in tags)


def test_all_that_the_catalog_lists_is_shown_in_2015_but_what_documents_leave_out() -> None:
    hidden = {}
    for one in MESSAGING:
        for row in one.rows:
            tags = {tag for sent_as in ("MMS", "SMS") for tag in _elements_or_none(row, sent_as)}
            names = {field.name for field in row.fields} - {xml_postback.FIELD_OF_TAG[tag] for tag in tags}
            names -= {"message_id", "channel", "meta_data", "callback_status"}
            if names:
                hidden.setdefault(one.name, set()).update(names)

    subscriber = {"sub_id"}
    assert hidden == {
        "mms.undelivered": {"sent_as", "handset"},
        "discovery.undelivered": {"sent_as", "handset"},
        "subscriber.subscribed": subscriber,
        "subscriber.unsubscribed": {*subscriber, "text"},
        "email.subscribed": subscriber,
        "email.unsubscribed": subscriber,
    }


def _elements_or_none(row: Any, sent_as: str) -> tuple[str, ...]:
    try:
        return elements(Layout.L2015, row, sent_as)
    except KeyError:
        return ()


def test_the_format_says_the_messaging_events_and_no_others() -> None:
    said = {name for name, known in CATALOG.items() if is_sayable(the_event(name, known.example), an_xml_config())}

    assert said == SAYABLE["xml"] == {one.name for one in MESSAGING}


@each_row
def test_the_frame_of_a_document_is_that_of_its_group(event_type: Any, row: Any) -> None:
    has_declaration = event_type.origin in {"SMS_MT", "MMS_MT", "SUB", "EMAIL_SUB"}
    is_save = row.code in {"N003", "N013", "E002", "E003", "E011", "E012", "E013"}
    schema = {
        "SMS_MT": "http://www.skycore.com/schema/postback.xsd",
        "MMS_MT": None if is_save else "http://www.skycore.com/schema/postback.xsd",
        "SUB": "https://www.skycore.com/platform/platform/schema/pass-postback.xsd",
        "EMAIL_SUB": "https://www.skycore.com/platform/platform/schema/pass-postback.xsd",
        "GENERATE_PASS": "http://www.skycore.com/schema/pass-postback.xsd",
    }.get(event_type.origin)

    for layout in Layout:
        body = rendered(event_type.name, row.example, xml_layout=layout).body

        root = ET.fromstring(body)
        assert body.startswith(b"<?xml version='1.0'?>") == has_declaration
        if layout is Layout.L2015 or schema is None:
            assert root.attrib == {}
            assert b"xmlns" not in body
        else:
            assert root.attrib == {"{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation": schema}
            assert b'<POSTBACK xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNames' in body
        wrapped = layout is Layout.L2014_03 and row.code == "N401"
        assert next(child.tag for child in root) == ("NOTIFICATION" if wrapped else "ORIGIN")


@pytest.mark.parametrize("layout", Layout)
@each_row
def test_a_form_has_the_same_fields_in_the_same_order_as_the_document(
    event_type: Any, row: Any, layout: Layout
) -> None:
    document = rendered(event_type.name, row.example, xml_layout=layout)
    form = rendered(event_type.name, row.example, xml_layout=layout, xml_content_type="form")

    leaves = [(one.tag, one.text or "") for one in ET.fromstring(document.body).iter() if not len(one)]
    assert parse_qsl(form.body.decode(), keep_blank_values=True) == leaves
    assert form.content_type == FORM
    assert form.body.isascii()


def test_a_body_does_not_change_from_attempt_to_attempt() -> None:
    event = the_event("sms.sent", CATALOG["sms.sent"].example)

    bodies = {xml_postback.render(event, an_xml_config(), n, NOON + n) for n in (1, 2, 3)}

    assert len(bodies) == 1


def test_data_too_long_for_the_cache_is_said_like_any_other() -> None:
    data = {**CATALOG["sms.received"].example, "text": "long & " * 2_000}

    sent = rendered("sms.received", data)

    assert json.loads(xml_postback.parse(sent.body, sent.content_type).data) == data


def test_options_of_one_config_leave_another_alone() -> None:
    event = the_event("pass.generated", CATALOG["pass.generated"].example)
    config = an_xml_config()
    strict = replace(config, options=replace(config.options, xml_strict_historic=True))

    tags = [
        [one.tag for one in ET.fromstring(xml_postback.render(event, each, 1, NOON).body)][:3]
        for each in (config, strict, config)
    ]

    assert tags == [
        ["ORIGIN", "CODE", "STATUSCODE"],
        ["ORIGIN", "STATUSCODE", "REFERENCEDBY"],
        ["ORIGIN", "CODE", "STATUSCODE"],
    ]
