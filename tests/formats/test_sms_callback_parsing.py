"""What the format sms-callback understands: bodies of all kinds and ages, and nothing but Malformed for the rest."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from postback.domain.catalog import SAYABLE
from postback.domain.errors import InvalidValue, Malformed
from postback.domain.facts import refusals
from postback.domain.messaging import CALLBACK_STATUSES
from postback.formats import brackets, render, sms_callback
from tests.build import NOON, a_config, an_event

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARIS = "Europe/Paris"
TYPES = sorted(SAYABLE[sms_callback.NAME] or ())

RECEIPT = {"message_id": "sms_1", "number": "+33639980417", "status": "ACK", "DELIVERY_DATE": "2021-06-18 09:27:14"}
REPLY = {"message_id": "sms_1", "number": "+33639980417", "text": "Oui", "sim_card_number": "38015",
         "answer_date": "2021-06-18 10:02:45"}  # fmt: skip
STOP = {"message_id": "sms_1", "number": "+33639980417", "text": "STOP", "stop_date": "2021-06-18 10:05:09"}


def understood(body: Any, content_type: str = JSON, time_zone: str | None = None) -> tuple[str, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    parsed = sms_callback.parse(raw, content_type, time_zone)
    data = json.loads(parsed.data)
    assert isinstance(data, dict)
    return parsed.type, data


# --- the words of receipts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "words"),
    [
        ("sms.sent", ["ACK", "TRANSMITTED", "PROCESSED", "ISP_SEND"]),
        ("sms.delivered", ["DELIVERED", "READ", "OPENED", "CLICKED"]),
        ("sms.failed", ["NOT_ALLOWED", "BLACKLISTED_NUMBER", "ANTI_FLOODING", "SPAM_PRESUMPTION"]),
        (
            "sms.undelivered",
            ["NOT_DELIVERED", "UNKNOWN_DELIVERY", "BAD_DESTINATION", "UNDEFINED", "EXPIRED", "NOT_DELIVERABLE",
             "BUSY", "REFUSED", "SOMETHING_NEW"],
        ),
    ],
)  # fmt: skip
def test_the_word_of_a_receipt_tells_the_type_and_is_kept(event_type: str, words: list[str]) -> None:
    for word in words:
        found, data = understood({**RECEIPT, "status": word})

        assert (found, data["callback_status"]) == (event_type, word)


def test_a_word_in_small_letters_means_the_same_and_is_kept_as_it_is() -> None:
    event_type, data = understood({**RECEIPT, "status": "delivered"})

    assert (event_type, data["callback_status"]) == ("sms.delivered", "delivered")


@pytest.mark.parametrize("word", CALLBACK_STATUSES)
def test_a_receipt_that_was_understood_goes_out_again_as_it_came(word: str) -> None:
    body = json.dumps({**RECEIPT, "status": word}, separators=(",", ":")).encode()

    event_type, data = understood(body, time_zone=PARIS)
    again = an_event(type=event_type, data=json.dumps(data).encode())

    assert render(again, a_config(format=sms_callback.NAME), 1, NOON).body == body
    assert refusals(event_type, {**data, "tracking_id": "T"}) == {}


# --- names and shapes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [JSON, FORM])
@pytest.mark.parametrize("change", [str.lower, str.upper, str.title], ids=["lower", "upper", "title"])
def test_field_names_are_understood_in_any_case(change: Any, content_type: str) -> None:
    for body in (RECEIPT, REPLY, STOP, {**REPLY, "reception_date": REPLY["answer_date"]}):
        names = {name: value for name, value in body.items() if name != "answer_date" or "reception_date" not in body}
        changed = {change(name): value for name, value in names.items()}
        raw = urlencode(changed) if content_type == FORM else json.dumps(changed)

        event_type, data = understood(raw.encode(), content_type)

        assert (event_type, data) == understood(names)
        assert data["message_id"] == "sms_1"


def test_the_case_of_names_within_the_meta_data_is_kept() -> None:
    for body, content_type in (
        (json.dumps({**RECEIPT, "META_DATA": {"Order": "1"}}).encode(), JSON),
        (urlencode({**RECEIPT, "META_DATA[Order]": "1"}).encode(), FORM),
    ):
        assert understood(body, content_type)[1]["meta_data"] == {"Order": "1"}


def test_content_types_are_understood_with_parameters_and_in_any_case() -> None:
    expected = understood(STOP)

    for content_type in ("Application/JSON; charset=utf-8", "text/json", "application/vnd.receipt+json"):
        assert understood(STOP, content_type) == expected
    assert understood(urlencode(STOP).encode(), "application/X-WWW-form-urlencoded;charset=UTF-8") == expected


@pytest.mark.parametrize("nothing", [None, "", "left out"])
def test_an_id_that_is_null_or_empty_is_no_id(nothing: str | None) -> None:
    for body in (RECEIPT, REPLY, STOP):
        changed = {**body, "message_id": nothing} if nothing != "left out" else {**body}
        if nothing == "left out":
            del changed["message_id"]

        assert "message_id" not in understood(changed)[1]


def test_an_empty_form_value_is_no_id_either() -> None:
    assert "message_id" not in understood(urlencode({**REPLY, "message_id": ""}).encode(), FORM)[1]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_channel_that_is_null_or_empty_is_none(nothing: str | None) -> None:
    assert "channel" not in understood({**RECEIPT, "channel": nothing})[1]


def test_a_number_is_its_digits() -> None:
    assert understood({**RECEIPT, "number": "+33 6 39-98.04 17"})[1]["to"] == "33639980417"
    assert understood({**REPLY, "number": "33639980417"})[1]["from"] == "33639980417"
    assert understood({**STOP, "number": "+33639980417"})[1]["mobile"] == "33639980417"


def test_the_older_receipt_of_a_call_is_understood() -> None:
    body = {"message_id": "voice_1", "number": "+33639980417", "status": "BUSY",
            "delivery_date": "2021-06-18 09:31:52", "call_duration": 0, "charged_duration": 0}  # fmt: skip

    assert understood(body, time_zone=PARIS) == (
        "sms.undelivered",
        {"to": "33639980417", "message_id": "voice_1", "callback_status": "BUSY",
         "timestamp": "2021-06-18T09:31:52+02:00", "call_duration": 0, "charged_duration": 0},
    )  # fmt: skip


def test_the_newer_receipt_with_list_and_price_is_understood() -> None:
    body = {"channel": "sms", "message_id": "sms_1", "list_name": "VIP June", "number": "+33639980417",
            "status": "DELIVERED", "Unit_Price": 0.049, "delivery_date": "2021-06-18 09:27:14", "meta_data": {}}  # fmt: skip

    assert understood(body) == (
        "sms.delivered",
        {"to": "33639980417", "message_id": "sms_1", "callback_status": "DELIVERED",
         "timestamp": "2021-06-18T09:27:14", "channel": "sms", "meta_data": {}, "list_name": "VIP June",
         "unit_price": 0.049, "status": "Message Sent/Delivered"},
    )  # fmt: skip


def test_what_a_sender_adds_does_not_replace_what_we_call_so() -> None:
    _, data = understood({**RECEIPT, "To": "5", "timestamp": 1, "callback_status": "X", "new": [1, {"A": None}]})

    assert data == {**understood(RECEIPT)[1], "new": [1, {"A": None}]}


def test_what_is_not_named_otherwise_is_kept_byte_for_byte() -> None:
    kept = b'{"n": 1.0e2, "huge": 1e999, "big": %b, "e": "\\u00e9\\/"}' % (b"9" * 5_000)
    body = b'{"NUMBER":"+1","status":"ACK","Later":%b,"delivery_date":"2021-06-18 09:27:14","meta_data":%b}' % (
        kept,
        kept,
    )

    data = sms_callback.parse(body, JSON).data

    assert data.count(kept) == 2
    assert data.endswith(b',"later":' + kept + b"}")


def test_an_opt_out_without_a_text_is_understood() -> None:
    for text in ({"text": None}, {}):
        body = {**{name: STOP[name] for name in STOP if name != "text"}, **text}

        assert understood(body)[1] == {
            "mobile": "33639980417",
            "timestamp": "2021-06-18T10:05:09",
            "message_id": "sms_1",
        }


def test_an_empty_text_is_a_text() -> None:
    assert understood({**REPLY, "text": ""})[1]["text"] == ""


def test_meta_data_that_is_an_empty_list_is_an_empty_object() -> None:
    """As the common language of receivers writes an object without members."""
    assert understood({**RECEIPT, "meta_data": []})[1]["meta_data"] == {}
    assert understood(urlencode({**RECEIPT, "meta_data": ""}).encode(), FORM)[1]["meta_data"] == {}


# --- dates -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "time_zone", "expected"),
    [
        ("2021-06-18 09:27:14", None, "2021-06-18T09:27:14"),
        ("2021-06-18 09:27:14", PARIS, "2021-06-18T09:27:14+02:00"),
        ("2021-12-18 09:27:14", PARIS, "2021-12-18T09:27:14+01:00"),
        ("2021-06-18 09:27:14", "America/St_Johns", "2021-06-18T09:27:14-02:30"),
        ("2021-06-18 09:27:14", "UTC", "2021-06-18T09:27:14+00:00"),
        # The clock is put forward at 2: the offset is that from before.
        ("2026-03-29 02:30:00", PARIS, "2026-03-29T02:30:00+01:00"),
        # It is put back at 3: of the two the first is meant.
        ("2026-10-25 02:30:00", PARIS, "2026-10-25T02:30:00+02:00"),
        # A day that was left out.
        ("2011-12-30 12:00:00", "Pacific/Apia", "2011-12-30T12:00:00-10:00"),
        # An offset of 9 minutes and 21 seconds cannot be said; the moment can.
        ("1880-01-01 00:00:00", PARIS, "1879-12-31T23:50:39+00:00"),
        ("0001-01-01 00:00:00", None, "0001-01-01T00:00:00"),
        ("9999-12-31 23:59:59", PARIS, "9999-12-31T23:59:59+01:00"),
    ],
)
def test_a_local_date_gets_the_offset_of_its_zone(date: str, time_zone: str | None, expected: str) -> None:
    assert understood({**STOP, "stop_date": date}, time_zone=time_zone)[1]["timestamp"] == expected
    form = urlencode({**STOP, "stop_date": date}).encode()
    assert understood(form, FORM, time_zone)[1]["timestamp"] == expected


@pytest.mark.parametrize(
    "date",
    [
        "", "now", "2021-06-18", "2021-06-18T09:27:14", "2021-06-18 09:27", "2021-06-18 09:27:14Z", "2021-02-29 00:00:00",
        "0000-01-01 00:00:00", "2021-06-18 24:00:00", "2021-06-18 23:59:60", "٢٠٢١-06-18 09:27:14", " 2021-06-18 09:27:14",
        "2021-06-18 09:27:14\n", "0001-01-01 00:00:00 ", 20210618, None, ["2021-06-18 09:27:14"],
    ],
)  # fmt: skip
def test_what_is_no_local_date_is_malformed(date: Any) -> None:
    with pytest.raises(Malformed):
        understood({**STOP, "stop_date": date}, time_zone=PARIS)


def test_a_date_that_no_calendar_holds_is_malformed() -> None:
    with pytest.raises(Malformed):
        understood({**STOP, "stop_date": "0001-01-01 00:00:00"}, time_zone=PARIS)


def test_a_time_zone_that_is_not_known_is_the_callers_mistake() -> None:
    with pytest.raises(InvalidValue, match="time_zone: 'Nowhere' is not a time zone"):
        sms_callback.parse(b"{}", JSON, "Nowhere")


# --- what is none of this format ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b'"x"', b"1", b"\xff\xfe", b"{", b'{"stop_date"', b"[" * 100_000,
        b'{"stop_date":"2021-06-18 10:05:09"}',
        json.dumps({**RECEIPT, "status": ""}).encode(),
        json.dumps({**RECEIPT, "status": None}).encode(),
        json.dumps({**RECEIPT, "number": 33639980417}).encode(),
        json.dumps({**RECEIPT, "number": "BRAND"}).encode(),
        json.dumps({**RECEIPT, "message_id": {}}).encode(),
        json.dumps({**RECEIPT, "channel": 1}).encode(),
        json.dumps({**RECEIPT, "meta_data": [1]}).encode(),
        json.dumps({**RECEIPT, "meta_data": "x"}).encode(),
        json.dumps({**RECEIPT, "delivery_date": RECEIPT["DELIVERY_DATE"]}).encode(),
        json.dumps({**RECEIPT, "stop_date": RECEIPT["DELIVERY_DATE"]}).encode(),
        json.dumps({**REPLY, "reception_date": REPLY["answer_date"]}).encode(),
        json.dumps({**REPLY, "text": None}).encode(),
        json.dumps({**REPLY, "sim_card_number": None}).encode(),
        json.dumps({**STOP, "text": "\ud800"}).encode(),
        json.dumps({**STOP, "\ud800": "x"}).encode(),
        json.dumps({**STOP, "no": 1}).encode().replace(b": 1}", b": NaN}"),
        json.dumps({**STOP, "no": 1}).encode().replace(b": 1}", b": -Infinity}"),
        json.dumps({**STOP, "deep": 1}).encode().replace(b": 1}", b": " + b"[" * 100_000),
        json.dumps({**STOP, "deep": 1}).encode().replace(b": 1}", b": " + b"[" * 900 + b"]" * 900 + b"}x"),
        json.dumps(STOP).encode().replace(b'{"', b'{"number":"+1","', 1),
    ],
)  # fmt: skip
def test_json_that_is_no_callback_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        sms_callback.parse(body, JSON, PARIS)


STOP_FORM = urlencode(STOP).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"&", b"\xff", b"stop_date=2021-06-18+10%3A05%3A09", STOP_FORM + b"&x", STOP_FORM + b"&number=%2B1",
        STOP_FORM + b"&NUMBER=%2B1", STOP_FORM + b"&x=%FF", STOP_FORM + b"&x=%ED%A0%80", STOP_FORM + "&x=é".encode(),
        STOP_FORM + b"&meta_data=x", STOP_FORM + b"&meta_data=&meta_data[a]=1", STOP_FORM + b"&meta_data[a]=1&meta_data[a]=2",
        STOP_FORM + b"&meta_data[a]=1&meta_data[a][b]=2", STOP_FORM + b"&meta_data[a][b]=2&meta_data[a]=1",
        STOP_FORM + b"&meta_data[" + b"a][" * brackets.DEPTH_MAX + b"a]=1",
    ],
)  # fmt: skip
def test_a_form_that_is_no_callback_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        sms_callback.parse(body, FORM, PARIS)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/xml", "sms-callback", "application/json2", ";"]
)
def test_a_body_of_another_content_type_is_malformed(content_type: str) -> None:
    with pytest.raises(Malformed, match="the content type is"):
        sms_callback.parse(json.dumps(STOP).encode(), content_type)


# --- where nothing else is installed -------------------------------------------------------------------------------------


def test_callbacks_are_understood_with_the_standard_library_alone() -> None:
    code = (
        "from postback.formats import sms_callback; "
        f"print(sms_callback.parse({json.dumps(RECEIPT).encode()!r}, {JSON!r}).type, "
        f"sms_callback.parse({STOP_FORM!r}, {FORM!r}).type)"
    )

    # -S leaves out all that is installed.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(sms_callback.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "sms.sent subscriber.unsubscribed"
