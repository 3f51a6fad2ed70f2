"""The data of an event, judged by the catalog."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.catalog import CATALOG
from postback.domain.facts import completed, is_judged, refusals, row_of, with_constants

SMS = {"to": "15551230000", "tracking_id": "U01T"}
MMS = {"mms_id": 7, "to": "15551230000", "tracking_id": "TU1T"}
MO = {"from": "15551230000", "to": "12345", "text": "HELLO", "received": "2026-09-21T12:00:00-04:00"}
MMS_MO = {
    "from": "15551230000",
    "to": "12345",
    "tracking_id": "MMS_MO_1",
    "timestamp": "2026-09-21T12:00:00-04:00",
    "files": ["https://media.example/1.jpg"],
}
PASS = {"referenced_by": "Email", "reference_value": "a@b.example"}


def refused(event_type: str, data: dict[str, Any], **changes: Any) -> dict[str, list[str]]:
    return dict(refusals(event_type, {**data, **changes}))


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("sms.sent", SMS),
        ("sms.received", MO),
        ("mms.received", MMS_MO),
        ("mms.failed", MMS),
        ("subscriber.subscribed", {"mobile": "15551230000", "campaign_id": 1}),
        ("email.unsubscribed", {"email": "a@b.example", "campaign_id": "1"}),
        ("pass.no_credit", PASS),
    ],
)
def test_a_required_field_that_is_missing_is_named(event_type: str, data: dict[str, Any]) -> None:
    assert refusals(event_type, data) == {}
    for name in data:
        without = {field: value for field, value in data.items() if field != name}
        assert refusals(event_type, without) == {name: [f"{name.replace('_', ' ').title()} cannot be blank."]}


def test_all_that_is_wrong_is_named_at_once() -> None:
    assert sorted(refused("sms.sent", {}, status="Sent", spid=5)) == ["spid", "status", "to", "tracking_id"]


@pytest.mark.parametrize("value", [5, 1.5, True, None, ["15551230000"], {"digits": "15551230000"}])
def test_what_is_no_text_is_refused_for_one(value: object) -> None:
    [(name, [message])] = refused("sms.sent", SMS, to=value).items()

    assert name == "to"
    assert message.startswith("to is ")
    assert message.endswith("; expected a string")


@pytest.mark.parametrize(
    ("event_type", "data", "name"),
    [
        ("mms.saved", {}, "mms_id"),
        ("subscriber.subscribed", {"mobile": "1"}, "campaign_id"),
        ("subscriber.subscribed", {"mobile": "1", "campaign_id": 1}, "sub_id"),
        ("pass.generated", PASS, "pass_data_id"),
    ],
)
def test_ids_are_texts_or_integers(event_type: str, data: dict[str, Any], name: str) -> None:
    for value in ("7", "", 7, -7, 10**4000):
        assert refused(event_type, data, **{name: value}) == {}
    for wrong in (7.0, True, None, [7], {}):
        assert list(refused(event_type, data, **{name: wrong})) == [name]


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        ("2026-09-21T12:00:00-04:00", True),
        ("2026-09-21T12:00:00.123456-04", True),
        ("2026-09-21T12:00:00Z", True),
        ("", True),
        ("2026-09-21T12:00:00", False),
        ("2026-09-21 12:00:00-04:00", False),
        ("2026-02-30T12:00:00Z", False),
        ("2026-09-21T12:00:00-25:00", False),
        ("yesterday", False),
        (1790000000, False),
        (None, False),
    ],
)
def test_times_carry_their_offset(value: object, *, is_taken: bool) -> None:
    for event_type, data, name in (("sms.sent", SMS, "timestamp"), ("sms.received", MO, "received")):
        found = refused(event_type, data, **{name: value})
        assert list(found) == ([] if is_taken else [name])
        assert is_taken or "RFC 3339" in found[name][0]


@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        (["https://media.example/1.jpg"], True),
        (["a", ""], True),
        ([], False),
        ("https://media.example/1.jpg", False),
        (["a", 5], False),
        ([["a"]], False),
        ({}, False),
        (None, False),
    ],
)
def test_files_are_a_list_of_one_or_more_texts(value: object, *, is_taken: bool) -> None:
    assert list(refused("mms.received", MMS_MO, files=value)) == ([] if is_taken else ["files"])


@pytest.mark.parametrize(
    "event_type",
    ["sms.sent", "sms.failed", "sms.delivered", "sms.undelivered", "sms.received", "subscriber.unsubscribed"],
)
def test_what_callbacks_show_beyond_the_xml_is_judged_where_they_can_say_it(event_type: str) -> None:
    data = {**SMS, **MO, "mobile": "15551230000", "campaign_id": 1}

    assert refused(event_type, data, meta_data={"keys": "5", "n": [1]}, channel="rcs", message_id="sms_1") == {}
    assert refused(event_type, data, callback_status="ISP_SEND") == {}
    wrong = refused(event_type, data, meta_data=[], channel=5, message_id=None, callback_status="delivered")
    assert sorted(wrong) == ["callback_status", "channel", "message_id", "meta_data"]
    assert "one of ACK, DELIVERED" in wrong["callback_status"][0]


@pytest.mark.parametrize("value", ["", "x", "0" * 100_000])
def test_texts_may_be_empty_and_of_any_length(value: str) -> None:
    assert refused("sms.sent", SMS, to=value, tracking_id=value, from_mask=value) == {}


def test_numbers_may_begin_with_a_plus() -> None:
    assert refused("sms.sent", SMS, to="+15551230000") == {}


@pytest.mark.parametrize(
    ("event_type", "data", "constant"),
    [
        ("sms.sent", SMS, "Message Sent"),
        ("sms.failed", SMS, "Message Failed"),
        ("sms.delivered", SMS, "Message Sent/Delivered"),
        ("mms.sent", MMS, "Message Sent"),
        ("mms.failed", MMS, "Message Failed"),
        ("mms.delivered", MMS, "Message Sent/Delivered"),
        ("mms.delivered", {**SMS, "sent_as": "SMS"}, "Message Sent/Delivered"),
        ("discovery.sent", MMS, "Message Sent"),
        ("discovery.failed", MMS, "Message Failed"),
        ("discovery.delivered", MMS, "Message Sent/Delivered"),
        ("queue.failed", MMS, "Message Failed"),
    ],
)
def test_a_constant_may_be_left_out_and_another_value_is_refused(
    event_type: str, data: dict[str, Any], constant: str
) -> None:
    assert refused(event_type, data) == refused(event_type, data, status=constant) == {}
    for wrong in ("Message Sent/Failed", constant.lower(), "", None, 5, [constant]):
        found = refused(event_type, data, status=wrong)
        assert list(found) == ["status"]
        assert found["status"][0].endswith(f"expected {constant}")


@pytest.mark.parametrize("status", ["Failed", "Expired", "NotSupported", "Rejected"])
def test_what_did_not_arrive_says_how(status: str) -> None:
    of_sms = ["status"] if status == "Rejected" else []

    assert list(refused("sms.undelivered", SMS, status=f"Message Sent/{status}")) == of_sms
    for event_type, data in (
        ("mms.undelivered", MMS),
        ("mms.undelivered", {**SMS, "sent_as": "SMS"}),
        ("discovery.undelivered", MMS),
    ):
        assert refused(event_type, data, status=f"Message Sent/{status}") == {}
        assert list(refused(event_type, data, status="Message Sent/Delivered")) == ["status"]


def test_only_an_undelivered_mms_has_to_say_how() -> None:
    assert list(refused("mms.undelivered", MMS)) == list(refused("discovery.undelivered", MMS)) == ["status"]
    assert refused("mms.undelivered", SMS, sent_as="SMS") == refused("sms.undelivered", SMS) == {}


def test_a_link_needs_no_mms_and_an_mms_does() -> None:
    assert list(refused("mms.delivered", SMS)) == ["mms_id"]
    assert refused("mms.delivered", SMS, sent_as="SMS") == {}


@pytest.mark.parametrize("event_type", ["mms.delivered", "mms.undelivered", "mms.sent", "discovery.delivered"])
def test_sent_as_takes_its_values_only(event_type: str) -> None:
    data = {**MMS, **({"status": "Message Sent/Failed"} if event_type == "mms.undelivered" else {})}

    assert refused(event_type, data, sent_as="MMS") == {}
    for wrong in ("FAX", "mms", "", None, 5, ["MMS"]):
        assert list(refused(event_type, data, sent_as=wrong)) == ["sent_as"]
    assert list(refused("discovery.delivered", MMS, sent_as="SMS")) == ["sent_as"]


def test_an_unknown_way_hides_nothing_that_every_way_demands() -> None:
    assert sorted(refused("mms.delivered", {}, sent_as="FAX", spid=5)) == ["sent_as", "spid", "to", "tracking_id"]
    assert sorted(refused("mms.save_failed", {})) == ["audio_name", "mms_id"]


@pytest.mark.parametrize("event_type", ["mms.save_failed", "mms.encode_failed"])
def test_exactly_one_file_failed(event_type: str) -> None:
    assert refused(event_type, {"mms_id": 7}, audio_name="a.mp3") == {}
    assert refused(event_type, {"mms_id": 7}, video_name="v.3gp") == {}
    assert list(refused(event_type, {"mms_id": 7})) == ["audio_name"]
    assert list(refused(event_type, {"mms_id": 7}, audio_name="a.mp3", video_name="v.3gp")) == ["video_name"]
    assert list(refused(event_type, {"mms_id": 7}, video_name=5)) == ["video_name"]


def test_neither_file_belongs_to_what_was_saved_and_sent_and_video_may_be_named_of_a_video() -> None:
    assert refused("mms.saved_and_sent", {"mms_id": 7}) == {}
    assert refused("mms.saved_and_sent", {"mms_id": 7}, audio_name=5) == {}, "not listed, and so free"
    assert (
        refused("mms.video_failed", {"mms_id": 7}) == refused("mms.video_failed", {"mms_id": 7}, video_name="v") == {}
    )
    assert list(refused("mms.video_failed", {"mms_id": 7}, video_name=5)) == ["video_name"]


@pytest.mark.parametrize("value", [None, 5, [], {}, "x", 10**4000, float("inf")])
def test_fields_that_a_type_does_not_list_are_free(value: object) -> None:
    assert refused("sms.sent", SMS, reference=value, handset=value, id=value) == {}


@pytest.mark.parametrize("event_type", ["contact.created", "accountvault.deleted", "order.shipped", "sms.link.clicked"])
def test_of_all_other_types_any_object_is_data(event_type: str) -> None:
    assert refusals(event_type, {"to": 5, "status": None}) == {}
    assert not is_judged(event_type)
    assert completed(event_type, {"a": 1}) == with_constants(event_type, {"a": 1}) == {"a": 1}


def test_messages_are_short_and_printable_whatever_was_sent() -> None:
    [message] = refused("sms.sent", SMS, status="\x1b[2J" + "ü" * 5_000)["status"]

    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 400


# --- what stands where nothing was sent -----------------------------------------------------------------------------


def test_constants_and_defaults_stand_where_they_were_left_out() -> None:
    assert completed("mms.sent", MMS) == {**MMS, "sent_as": "MMS", "status": "Message Sent"}
    assert completed("mms.sent", {**MMS, "sent_as": "SMS"})["sent_as"] == "SMS"
    assert completed("mms.delivered", MMS) == {**MMS, "sent_as": "MMS", "status": "Message Sent/Delivered"}
    assert completed("mms.undelivered", {**SMS, "sent_as": "SMS"})["status"] == "Message Sent/Failed"
    assert completed("sms.undelivered", SMS)["status"] == "Message Sent/Failed"
    assert "status" not in completed("mms.undelivered", MMS), "how it failed must be said"
    assert completed("sms.received", MO) == MO


def test_only_what_can_be_nothing_else_is_filled_in_to_compare_what_a_body_shows() -> None:
    assert with_constants("sms.sent", SMS) == {**SMS, "status": "Message Sent"}
    assert with_constants("sms.undelivered", SMS) == SMS
    assert with_constants("mms.sent", MMS) == {**MMS, "status": "Message Sent"}
    assert with_constants("mms.delivered", MMS) == {**MMS, "sent_as": "MMS", "status": "Message Sent/Delivered"}
    assert with_constants("mms.delivered", {**SMS, "sent_as": "SMS"})["status"] == "Message Sent/Delivered"


def test_the_data_that_was_sent_is_not_changed() -> None:
    sent = dict(SMS)

    completed("sms.sent", sent)
    with_constants("sms.sent", sent)

    assert sent == SMS


# --- whatever is sent -----------------------------------------------------------------------------------------------

NAMES = sorted({field.name for known in CATALOG.values() for row in known.rows for field in row.fields})
CHOICES = sorted(
    {choice for known in CATALOG.values() for row in known.rows for field in row.fields for choice in field.choices}
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(CHOICES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(CATALOG)), st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_any_data_is_judged_and_what_is_taken_stays_taken_when_completed(name: str, data: dict[str, Any]) -> None:
    found = refusals(name, data)

    assert all(message and message.isprintable() for messages in found.values() for message in messages)
    if not found and is_judged(name):
        assert row_of(name, data) is not None
        whole = completed(name, data)
        assert refusals(name, whole) == {}
        assert completed(name, whole) == whole
        assert with_constants(name, data).items() <= whole.items()
