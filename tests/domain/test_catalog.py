"""The catalog of event types, against the table of the documents, written out here once more by hand."""

from typing import Any

import pytest

from postback.domain.catalog import CATALOG, SAYABLE, can_say
from postback.domain.described import described, described_types, fields_of
from postback.domain.event_types import Layout
from postback.domain.events import is_event_type
from postback.domain.facts import completed, is_judged, refusals, row_of
from postback.domain.messaging import CALLBACK_STATUSES

CALLBACK = "callback_status channel message_id meta_data"

# Code of 2015, code of 2014-03, origin, type; what tells this way of it; required and optional fields of the data.
ROWS: list[tuple[str, str, str, str, dict[str, Any], str, str]] = [
    (
        "N201", "N201", "SMS_MT", "sms.sent", {},
        "to tracking_id", f"from from_mask spid timestamp status {CALLBACK}",
    ),
    (
        "E201", "N201", "SMS_MT", "sms.failed", {},
        "to tracking_id", f"from from_mask spid timestamp status {CALLBACK}",
    ),
    (
        "N202", "N202", "SMS_MT", "sms.delivered", {},
        "to tracking_id", f"from from_mask spid timestamp status_details aggregator_id status {CALLBACK}",
    ),
    (
        "E202", "N202", "SMS_MT", "sms.undelivered", {},
        "to tracking_id", f"from from_mask spid timestamp status_details aggregator_id status {CALLBACK}",
    ),
    ("N211", "N211", "SMS_MO", "sms.received", {}, "from to text received", f"transaction_id {CALLBACK}"),
    (
        "N101", "N101", "MMS_MT", "mms.sent", {},
        "mms_id to tracking_id", "sent_as from spid timestamp status_details status",
    ),
    ("E101", "E101", "MMS_MT", "mms.failed", {}, "mms_id to tracking_id", "from spid status_details status"),
    (
        "N102", "N102", "MMS_MT", "mms.delivered", {"sent_as": "MMS"},
        "mms_id to tracking_id", "sent_as from spid timestamp handset aggregator_id status",
    ),
    (
        "N202", "N202", "MMS_MT", "mms.delivered", {"sent_as": "SMS"},
        "to tracking_id", "sent_as from spid timestamp aggregator_id status",
    ),
    (
        "E102", "N102", "MMS_MT", "mms.undelivered", {"sent_as": "MMS"},
        "mms_id to tracking_id status", "sent_as from spid timestamp handset aggregator_id status_details",
    ),
    (
        "E202", "N202", "MMS_MT", "mms.undelivered", {"sent_as": "SMS"},
        "to tracking_id", "sent_as from spid timestamp aggregator_id status_details status",
    ),
    ("N401", "N401", "MMS_MO", "mms.received", {}, "from to tracking_id timestamp files", "keyword subject spid"),
    ("N003", "N003", "MMS_MT", "mms.saved", {}, "mms_id", ""),
    ("E002", "E002", "MMS_MT", "mms.save_failed", {"audio_name": "a.mp3"}, "mms_id audio_name", ""),
    ("E003", "E002", "MMS_MT", "mms.save_failed", {"video_name": "v.3gp"}, "mms_id video_name", ""),
    ("N013", "N013", "MMS_MT", "mms.saved_and_sent", {}, "mms_id", ""),
    ("E012", "E012", "MMS_MT", "mms.encode_failed", {"audio_name": "a.mp3"}, "mms_id audio_name", ""),
    ("E013", "E013", "MMS_MT", "mms.encode_failed", {"video_name": "v.3gp"}, "mms_id video_name", ""),
    ("E011", "E011", "MMS_MT", "mms.video_failed", {}, "mms_id", "video_name"),
    (
        "N501", "N501", "MMS_MT", "discovery.sent", {},
        "mms_id to tracking_id", "sent_as from spid timestamp status_details status",
    ),
    ("E501", "E501", "MMS_MT", "discovery.failed", {}, "mms_id to tracking_id", "from spid status_details status"),
    (
        "N502", "N502", "MMS_MT", "discovery.delivered", {},
        "mms_id to tracking_id", "sent_as from spid timestamp handset aggregator_id status",
    ),
    (
        "E502", "E502", "MMS_MT", "discovery.undelivered", {},
        "mms_id to tracking_id status", "sent_as from spid timestamp handset aggregator_id status_details",
    ),
    ("E999", "E999", "MMS_MT", "queue.failed", {}, "mms_id to tracking_id", "from spid status_details status"),
    (
        "N301", "N301", "SUB", "subscriber.subscribed", {},
        "mobile campaign_id", "timestamp short_code campaign_title brand_name source sub_id",
    ),
    (
        "N302", "N302", "SUB", "subscriber.unsubscribed", {},
        "mobile campaign_id", f"timestamp short_code campaign_title brand_name source sub_id text {CALLBACK}",
    ),
    ("N303", "N303", "EMAIL_SUB", "email.subscribed", {}, "email campaign_id", "sub_id"),
    ("N304", "N304", "EMAIL_SUB", "email.unsubscribed", {}, "email campaign_id", "sub_id"),
    *(
        (
            code, code, "GENERATE_PASS", name, {},
            "referenced_by reference_value", "custom_pass_id pass_data_id serial_number timestamp",
        )
        for code, name in (
            ("N801", "pass.generated"),
            ("N802", "pass.failed"),
            ("N803", "pass.limit_reached"),
            ("N811", "pass.no_credit"),
        )
    ),
]  # fmt: skip

STATUSES = {
    "N201": ["Message Sent"],
    "E201": ["Message Failed"],
    "N202": ["Message Sent/Delivered"],
    "N101": ["Message Sent"],
    "E101": ["Message Failed"],
    "N102": ["Message Sent/Delivered"],
    "N501": ["Message Sent"],
    "E501": ["Message Failed"],
    "N502": ["Message Sent/Delivered"],
    "E999": ["Message Failed"],
}
SMS_UNDELIVERED = {"Message Sent/Failed", "Message Sent/Expired", "Message Sent/NotSupported"}
MMS_UNDELIVERED = SMS_UNDELIVERED | {"Message Sent/Rejected"}

NOTICES = {"delivery.failed", "postbackconfig.failing", "postbackconfig.disabled", "postbackconfig.recovered"}
RESOURCE_EVENTS = {
    f"{resource}.{verb}"
    for resource in ("contact", "transaction", "transactionbatch", "accountvault")
    for verb in ("created", "updated", "deleted")
}
MESSAGING = {row[3] for row in ROWS}
EXAMPLES = [(known.name, row.example) for known in CATALOG.values() for row in known.rows]

NAMES = [f"{row[3]} {' '.join(row[4].values())}" for row in ROWS]


def test_the_catalog_holds_the_types_of_the_table_the_resource_events_the_notices_and_no_other() -> None:
    assert set(CATALOG) == MESSAGING | RESOURCE_EVENTS | NOTICES
    assert all(is_event_type(name) for name in CATALOG)
    assert all(known.sentence.endswith(".") for known in CATALOG.values())
    assert sum(len(known.rows) for known in CATALOG.values()) == len(ROWS)


@pytest.mark.parametrize(("code", "old_code", "origin", "name", "told_by", "required", "optional"), ROWS, ids=NAMES)
def test_a_row_has_the_codes_the_origin_and_the_fields_of_the_table(
    code: str, old_code: str, origin: str, name: str, told_by: dict[str, Any], required: str, optional: str
) -> None:
    row = row_of(name, told_by)

    assert row is not None
    assert CATALOG[name].origin == origin
    assert (row.code_in(Layout.L2015), row.code_in(Layout.L2014_03)) == (code, old_code)
    assert sorted(field.name for field in row.fields if field.required) == sorted(required.split())
    assert sorted(field.name for field in row.fields if not field.required) == sorted(optional.split())
    assert [field.name for field in row.fields if not field.meaning.endswith(".")] == []


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_a_row_has_the_statuses_of_its_code(row: Any) -> None:
    code, name, found = row[0], row[3], row_of(row[3], row[4])
    status = found.field("status") if found else None

    if "status" not in f"{row[5]} {row[6]}".split():
        assert status is None
    elif code in STATUSES:
        assert status is not None
        assert (list(status.choices), status.default) == (STATUSES[code], STATUSES[code][0])
    else:
        expected = SMS_UNDELIVERED if name == "sms.undelivered" else MMS_UNDELIVERED
        assert status is not None
        assert set(status.choices) == expected
        assert status.default == (None if status.required else "Message Sent/Failed")


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_is_data_that_is_taken_with_every_required_field(name: str, example: dict[str, Any]) -> None:
    assert refusals(name, example) == {}
    row = row_of(name, example)
    assert row is not None
    assert row.example == example, "the example is of another row"
    assert [field.name for field in row.fields if field.required and field.name not in example] == []
    listed = {field.name for field in row.fields}
    assert set(example) <= listed


def test_every_type_has_an_example_and_the_first_row_gives_it() -> None:
    for known in CATALOG.values():
        assert known.example, known.name
        assert known.example == (known.rows[0].example if known.rows else known.example)


@pytest.mark.parametrize("name", ["mms.sent", "discovery.sent"])
def test_what_was_sent_says_as_what_it_was_sent(name: str) -> None:
    row = row_of(name, {})
    assert row is not None
    field = row.field("sent_as")

    assert field is not None
    assert (field.choices, field.default) == (("MMS", "SMS"), "MMS")


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("mms.delivered", {}, "N102"),
        ("mms.delivered", {"sent_as": "MMS"}, "N102"),
        ("mms.delivered", {"sent_as": "SMS"}, "N202"),
        ("mms.undelivered", {}, "E102"),
        ("mms.undelivered", {"sent_as": "SMS"}, "E202"),
        ("mms.save_failed", {"audio_name": "a"}, "E002"),
        ("mms.save_failed", {"video_name": "v"}, "E003"),
        ("mms.encode_failed", {"audio_name": ""}, "E012"),
        ("mms.encode_failed", {"video_name": "v"}, "E013"),
    ],
)
def test_the_data_tells_which_way_of_a_type_it_is(name: str, data: dict[str, Any], code: str) -> None:
    row = row_of(name, data)

    assert row is not None
    assert row.code == code


@pytest.mark.parametrize("data", [{"sent_as": "FAX"}, {"sent_as": None}, {"sent_as": ["MMS"]}])
def test_data_of_no_way_has_no_row(data: dict[str, Any]) -> None:
    assert row_of("mms.delivered", data) is None
    assert row_of("mms.save_failed", data) is None
    assert row_of("contact.created", data) is None
    assert row_of("order.sent", data) is None


def test_xml_says_the_messaging_events_and_callbacks_six_of_them() -> None:
    every = {*MESSAGING, *RESOURCE_EVENTS, "order.shipped"}

    assert {name for name in every if can_say("xml", name)} == MESSAGING
    assert {name for name in every if can_say("sms-callback", name)} == {
        "sms.sent",
        "sms.delivered",
        "sms.undelivered",
        "sms.failed",
        "sms.received",
        "subscriber.unsubscribed",
    }
    for name in ("api-default", "json", "cloudevents"):
        assert all(can_say(name, one) for one in every)
    assert set(SAYABLE) == {"api-default", "xml", "sms-callback", "json", "cloudevents"}


def test_the_words_of_a_receipt_are_upper_case_and_the_documented_ones_are_there() -> None:
    documented = (
        "ACK DELIVERED NOT_DELIVERED NOT_ALLOWED UNKNOWN_DELIVERY BAD_DESTINATION BLACKLISTED_NUMBER UNDEFINED "
        "READ OPENED CLICKED TRANSMITTED ISP_SEND PROCESSED SPAM_PRESUMPTION EXPIRED ANTI_FLOODING "
        "NOT_DELIVERABLE BUSY REFUSED"
    )

    assert sorted(CALLBACK_STATUSES) == sorted(documented.split())


# --- as it is described ----------------------------------------------------------------------------------------------


def test_types_are_described_by_pattern_and_format() -> None:
    def found(*patterns: str, **narrowed: str) -> list[str]:
        return [one["type"] for one in described_types(patterns, **narrowed)]

    assert found("*") == list(CATALOG)
    assert found("sms.*") == ["sms.sent", "sms.failed", "sms.delivered", "sms.undelivered", "sms.received"]
    assert found("mms.saved", "pass.no_credit") == ["mms.saved", "pass.no_credit"]
    assert found("sms.sent.*") == found("order.sent") == []
    assert found("subscriber.*", format_name="sms-callback") == ["subscriber.unsubscribed"]
    assert set(found("*", format_name="xml")) == MESSAGING


def test_a_type_that_comes_in_one_way_has_no_variants() -> None:
    told = described(CATALOG["email.subscribed"])

    assert told == {
        "type": "email.subscribed",
        "description": "An address was subscribed to a campaign.",
        "origin": "EMAIL_SUB",
        "codes": {"2015": ["N303"], "2014-03": ["N303"]},
        "formats": ["api-default", "xml", "json", "cloudevents"],
        "fields": [
            {"name": "email", "type": "string", "required": True, "description": "Address of the subscriber."},
            {
                "name": "campaign_id",
                "type": "string or integer",
                "required": True,
                "description": "Campaign of the subscription.",
            },
            {
                "name": "sub_id",
                "type": "string or integer",
                "required": False,
                "description": "Id of the subscription; shown by the layout 2014-03 only.",
            },
        ],
        "variants": [],
        "example": {"email": "ana.ruiz@example.com", "campaign_id": 318, "sub_id": 90455},
    }


def test_a_type_that_comes_in_several_ways_shows_each_and_all_together() -> None:
    told = described(CATALOG["mms.undelivered"])

    assert told["codes"] == {"2015": ["E102", "E202"], "2014-03": ["N102", "N202"]}
    assert [way["told_by"] for way in told["variants"]] == [
        {"field": "sent_as", "value": "MMS"},
        {"field": "sent_as", "value": "SMS"},
    ]
    assert [way["codes"]["2015"] for way in told["variants"]] == ["E102", "E202"]
    together = {field["name"]: field for field in told["fields"]}
    assert (together["to"]["required"], together["mms_id"]["required"]) == (True, False)
    assert (together["sent_as"]["choices"], together["sent_as"]["default"]) == (["MMS", "SMS"], "MMS")
    assert (together["sent_as"]["required"], together["status"]["required"]) == (False, False)
    second = {field["name"]: field for field in told["variants"][1]["fields"]}
    assert second["sent_as"]["required"], "without it the event would be of the first way"
    assert second["status"]["default"] == "Message Sent/Failed"


def test_both_files_that_may_fail_are_optional_where_all_fields_stand_together() -> None:
    told = described(CATALOG["mms.save_failed"])

    assert {field["name"]: field["required"] for field in told["fields"]} == {
        "mms_id": True,
        "audio_name": False,
        "video_name": False,
    }
    assert told["codes"]["2014-03"] == ["E002"]
    assert [way["told_by"] for way in told["variants"]] == [
        {"field": "audio_name", "value": None},
        {"field": "video_name", "value": None},
    ]


@pytest.mark.parametrize("name", sorted(MESSAGING))
def test_data_with_nothing_but_what_a_description_requires_is_taken(name: str) -> None:
    """What a program makes of a description is what publishing takes, for every way of the type."""
    told = described(CATALOG[name])

    for way in told["variants"] or [told]:
        required = [field["name"] for field in way["fields"] if field["required"]]
        data = {field: way["example"][field] for field in required}
        assert refusals(name, data) == {}
        row = row_of(name, data)
        assert row is not None
        assert row.example == way["example"]
        defaults = {field["name"]: field["default"] for field in way["fields"] if "default" in field}
        assert completed(name, data) == {**defaults, **data}


def test_a_type_that_takes_any_object_is_described_without_fields() -> None:
    told = described(CATALOG["contact.created"])

    assert (told["origin"], told["fields"], told["variants"]) == (None, [], [])
    assert told["codes"] == {"2015": [], "2014-03": []}
    assert told["formats"] == ["api-default", "json", "cloudevents"]
    assert not is_judged("contact.created")
    assert fields_of(CATALOG["contact.created"]) == []
