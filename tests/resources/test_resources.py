"""Records: what callers may send, and how a record is shown to them and said in an event."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from postback.domain.errors import InvalidValue
from postback.domain.records import Record
from postback.resources import RESOURCES, Kind, Resource, changed, check, event_data, new_record

GOLDEN = Path(__file__).parent / "golden"
CONTACT = RESOURCES["contact"]
LOCATION = RESOURCES["location"]
SENT: dict[str, Any] = {"last_name": "Jones", "location_id": "loc_main"}

CREATED_TS = 1561946400
CONTACT_ID = "21f0b2a9d6e34f7fb1c04e55"

each_resource = pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda resource: resource.name)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def the_documented_contact() -> Record:
    sent = golden("contact_create_request.json")["contact"]
    cleaned = check(CONTACT, sent, creating=True)
    return new_record(CONTACT, cleaned, account="default", id=CONTACT_ID, now_ms=CREATED_TS * 1000 + 7)


def errors_of(resource: Resource, sent: Mapping[str, object], *, creating: bool = True) -> dict[str, list[str]]:
    with pytest.raises(InvalidValue) as raised:
        check(resource, sent, creating=creating)
    return {field: list(messages) for field, messages in raised.value.errors.items()}


# --- the documented contact ------------------------------------------------------------------------------------------


def compact(sample: object) -> bytes:
    return json.dumps(sample, separators=(",", ":")).encode()


def test_a_new_contact_is_said_as_documented() -> None:
    assert event_data(the_documented_contact()) == compact(golden("contact_create.data.json"))


def test_a_changed_contact_is_said_as_documented() -> None:
    sent = {
        "company_name": "Harbor & Finch",
        "email": "n.okafor@example.com",
        "cell_phone": "2025550119",
        "email_trx_receipt": "1",
    }

    record = changed(CONTACT, the_documented_contact(), check(CONTACT, sent, creating=False), now_ms=1561950000_000)

    assert (
        event_data(record) == compact(golden("contact_update.data.json")) == compact(golden("contact_delete.data.json"))
    )


def test_what_is_beyond_ascii_is_said_in_escapes() -> None:
    sent = {"first_name": "Zoë", "last_name": "Núñez", "address": "5 Rue de l'Été / A"}

    record = changed(CONTACT, the_documented_contact(), check(CONTACT, sent, creating=False), now_ms=1561950600_000)

    assert event_data(record) == compact(golden("contact_update_unicode.data.json"))
    assert b"Zo\\u00eb" in event_data(record)


def test_the_api_shows_a_new_contact_as_documented() -> None:
    """Key for key the documented answer, then the fields that the samples leave out."""
    documented = golden("contact_create_response_201.json")["contact"]
    del documented["_links"]

    shown = CONTACT.api_view(the_documented_contact())

    assert list(shown.items())[: len(documented)] == list(documented.items())
    assert list(shown)[len(documented) :] == ["state", "contact_c1", "contact_c2", "contact_c3"]


def test_the_api_shows_when_a_contact_was_changed() -> None:
    record = changed(CONTACT, the_documented_contact(), {"city": "Paris"}, now_ms=1561950000_999)

    assert CONTACT.api_view(record)["modified_ts"] == 1561950000


def test_a_contact_is_never_older_than_it_was() -> None:
    record = changed(CONTACT, the_documented_contact(), {}, now_ms=CREATED_TS * 1000 - 86_400_000)

    assert record.body["modified_ts"] == CREATED_TS


def test_a_location_needs_nothing_but_a_name() -> None:
    cleaned = check(LOCATION, {"name": "Main Street"}, creating=True)

    record = new_record(LOCATION, cleaned, account="default", id="loc_1", now_ms=CREATED_TS * 1000)

    assert record.location_id is None
    assert record.body["tz"] == "America/New_York"
    assert record.body["contact_email_trx_receipt_default"] is False
    assert list(LOCATION.api_view(record)) == list(record.body)


# --- what may be sent ------------------------------------------------------------------------------------------------


@each_resource
def test_everything_wrong_is_told_at_once(resource: Resource) -> None:
    texts = [field for field in resource.fields if field.kind is Kind.TEXT and not field.read_only]

    errors = errors_of(resource, {"nonsense": 1, **{field.name: "x" * (field.at_most + 1) for field in texts}})

    required = {field.name for field in resource.fields if field.required}
    assert set(errors) == {"nonsense"} | {field.name for field in texts} | required
    assert errors["nonsense"] == [f"nonsense is not a field of {resource.one}"]
    for field in texts:
        assert errors[field.name][0].startswith(f"{field.name} has {field.at_most + 1} characters; expected "), field


@pytest.mark.parametrize("blank", [None, "", " \t\u00a0"])
def test_what_is_required_cannot_be_blank(blank: object) -> None:
    assert errors_of(CONTACT, SENT | {"last_name": blank}) == {"last_name": ["Last Name cannot be blank."]}
    assert errors_of(CONTACT, {"last_name": blank}, creating=False) == {"last_name": ["Last Name cannot be blank."]}
    assert errors_of(CONTACT, {"last_name": "Jones"}) == {"location_id": ["Location Id cannot be blank."]}


@pytest.mark.parametrize("wrong", [5, "x" * 37, "loc\0", "\ud83d", ["loc_main"]])
def test_a_location_that_cannot_be_one_is_not_valid(wrong: object) -> None:
    assert errors_of(CONTACT, SENT | {"location_id": wrong}) == {"location_id": ["location_id provided is not valid"]}


def test_a_change_needs_nothing_and_keeps_what_is_not_sent() -> None:
    record = the_documented_contact()

    assert changed(CONTACT, record, check(CONTACT, {}, creating=False), now_ms=CREATED_TS * 1000).body == {
        **record.body,
        "modified_ts": CREATED_TS,
    }


def test_null_removes() -> None:
    full = changed(CONTACT, the_documented_contact(), {"city": "Paris", "email_trx_receipt": True}, now_ms=0)

    cleaned = check(CONTACT, {"city": None, "email_trx_receipt": None, "header_message_type": None}, creating=False)

    assert cleaned == {"city": None, "email_trx_receipt": False, "header_message_type_id": 0}
    assert changed(CONTACT, full, cleaned, now_ms=0).body["city"] is None


def test_the_location_of_a_contact_cannot_be_changed() -> None:
    errors = errors_of(CONTACT, {"location_id": "loc_main"}, creating=False)

    assert errors == {"location_id": ["location_id can be given only when a contact is made"]}


@pytest.mark.parametrize(
    ("field", "taken"),
    [
        ("state", ["NY"]),
        ("zip", ["1234", "123456789012"]),
        ("email", ["a@b.c", "x" * 64]),
        ("home_phone", ["2025550119"]),
        ("contact_balance", ["", "24.50"]),
        ("header_message", ["", "x" * 250]),
        ("date_of_birth", ["2000-02-29", None]),
    ],
)
def test_documented_limits_are_kept_to_the_letter(field: str, taken: list[object]) -> None:
    for value in taken:
        assert check(CONTACT, {field: value}, creating=False) == {field: value}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("state", "NYC", "state has 3 characters; expected exactly 2"),
        ("zip", "123", "zip has 3 characters; expected 4 to 12"),
        ("email", "", "email has 0 characters; expected 5 to 64"),
        ("contact_c3", "x" * 129, "contact_c3 has 129 characters; expected at most 128"),
        ("zip", 20001, "zip is 20001; expected a string"),
        ("contact_balance", 1e300, "contact_balance is 1e+300; expected a string"),
        ("city", True, "city is true; expected a string"),
        ("city", ["Paris"], "city is a list; expected a string"),
        ("city", {"a": 1}, "city is an object; expected a string"),
        ("email_trx_receipt", "yes", """email_trx_receipt is 'yes'; expected "1" or "0", 1 or 0, true or false"""),
        ("email_trx_receipt", 2, 'email_trx_receipt is 2; expected "1" or "0", 1 or 0, true or false'),
        ("header_message_type", 5, "header_message_type is 5; expected a number from 0 to 4"),
        ("header_message_type", "1e0", "header_message_type is '1e0'; expected a number from 0 to 4"),
        ("header_message_type", True, "header_message_type is true; expected a number from 0 to 4"),
    ],
)
def test_a_refusal_says_what_would_be_right(field: str, value: object, message: str) -> None:
    assert errors_of(CONTACT, {field: value}, creating=False) == {field: [message]}


@pytest.mark.parametrize("sent", ["1", 1, True])
def test_flags_are_taken_in_every_documented_form(sent: object) -> None:
    assert check(CONTACT, {"email_trx_receipt": sent}, creating=False) == {"email_trx_receipt": True}


def test_the_header_type_is_taken_by_both_of_its_names() -> None:
    for name in ("header_message_type", "header_message_type_id"):
        assert check(CONTACT, {name: "3"}, creating=False) == {"header_message_type_id": 3}

    errors = errors_of(CONTACT, {"header_message_type": 1, "header_message_type_id": 2}, creating=False)

    assert errors == {
        "header_message_type": ["header_message_type and header_message_type_id are the same field, and differ"]
    }


def test_whoever_updates_what_exists_has_to_say_which() -> None:
    assert errors_of(CONTACT, SENT | {"update_if_exists": "1"}) == {
        "contact_api_id": ["Contact Api Id cannot be blank."]
    }
    cleaned = check(CONTACT, SENT | {"update_if_exists": "1", "contact_api_id": "c-1"}, creating=True)

    record = new_record(CONTACT, cleaned, account="default", id="con_1", now_ms=0)

    assert record.key == "c-1"
    assert "update_if_exists" not in record.body
    assert "update_if_exists" not in changed(CONTACT, record, cleaned, now_ms=0).body


def test_an_empty_api_id_is_none() -> None:
    for sent in ({}, {"contact_api_id": ""}, {"contact_api_id": None}):
        record = new_record(CONTACT, check(CONTACT, SENT | sent, creating=True), account="a", id="con_1", now_ms=0)
        assert record.key is None


@each_resource
def test_lists_know_every_stored_field_by_the_name_that_callers_see(resource: Resource) -> None:
    sent = {field.name: "Main" for field in resource.fields if field.required}
    record = new_record(resource, sent, account="a", id="x", now_ms=0)

    unlisted = {field.name for field in resource.fields if field.sensitive or field.kind in (Kind.AMOUNTS, Kind.JSON)}
    assert set(resource.api_view(record)) - unlisted <= set(resource.listed)
    assert {field.name for field in resource.listed.values()} - {"location_id"} == set(record.body) - unlisted - {
        "location_id"
    }


# --- bad inputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["last_name", "contact_api_id", "address"])
def test_06_a_nul_is_refused_in_every_text(field: str) -> None:
    assert errors_of(CONTACT, SENT | {field: "a\0b"}) == {
        field: [f"{field} contains a NUL character, which is not allowed here"]
    }


def test_05_half_a_surrogate_pair_is_refused() -> None:
    errors = errors_of(CONTACT, SENT | {"last_name": "\ud83d"})

    assert errors == {"last_name": ["last_name contains half of a surrogate pair, which is no character"]}


@pytest.mark.parametrize(
    "name",
    ["😀👩‍👩‍👧", "e" + "\u0301" * 60, "\u202etxt.exe", "\ufeffBOM", "Zoe\u0308", "Zo\u00eb", " lead and trail "],
)
def test_23_names_are_kept_exactly(name: str) -> None:
    cleaned = check(CONTACT, SENT | {"last_name": name}, creating=True)

    record = new_record(CONTACT, cleaned, account="default", id="con_1", now_ms=0)

    assert json.loads(event_data(record))["last_name"] == name


def test_23_names_are_measured_in_characters() -> None:
    assert check(CONTACT, {"last_name": "é" * 64}, creating=False)
    assert errors_of(CONTACT, {"last_name": "e" + "\u0301" * 10_000}, creating=False) == {
        "last_name": ["last_name has 10,001 characters; expected 1 to 64"]
    }


@each_resource
def test_34_what_the_server_sets_cannot_be_given(resource: Resource) -> None:
    ours = [field.name for field in resource.fields if field.read_only]

    errors = errors_of(resource, dict.fromkeys(ours, 1), creating=False)

    assert {"id", "created_ts"} <= set(ours)
    assert errors == {name: [f"{name} is set by the server and cannot be given"] for name in ours}


@each_resource
@pytest.mark.parametrize("name", ["account", "tenant_id", "__proto__", "_links", "constructor", ""])
def test_34_unknown_fields_are_refused_by_name(resource: Resource, name: str) -> None:
    errors = errors_of(resource, {name: 1}, creating=False)

    assert errors == {name: [f"{name} is not a field of {resource.one}"]}


def test_34_a_flood_of_unknown_fields_is_answered_shortly() -> None:
    errors = errors_of(CONTACT, {f"{n:03}" * 500: n for n in range(1, 500)}, creating=False)

    assert len(errors) == 20
    assert max(map(len, errors)) == 64


@pytest.mark.parametrize(
    "value",
    ["0000-01-01", "2001-02-29", "9999-12-32", "2019-07-01T00:00:00Z", "20190701", "٢٠١٩-٠٧-٠١", 1561946400, "now"],
)
def test_38_a_date_has_to_be_one(value: object) -> None:
    [message] = errors_of(CONTACT, {"date_of_birth": value}, creating=False)["date_of_birth"]

    assert message.endswith("expected a date as yyyy-mm-dd")
    assert message.isascii()


def test_11_numbers_of_any_size_are_refused_in_few_words() -> None:
    for huge in (2**63, -(2**64), 10**5_000):
        [message] = errors_of(CONTACT, {"header_message_type": huge}, creating=False)["header_message_type"]
        assert message == "header_message_type is a number of many digits; expected a number from 0 to 4"
