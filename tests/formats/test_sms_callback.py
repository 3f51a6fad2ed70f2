"""The format sms-callback: the documented samples in both directions, and every event that it can say."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from postback.domain.catalog import CATALOG, RECEIPTS, SAYABLE
from postback.domain.configs import FormatOptions, PostbackConfig
from postback.domain.errors import CannotRender
from postback.domain.facts import refusals, with_constants
from postback.domain.times import unix_ms
from postback.formats import FORMATS, is_sayable, render, sms_callback
from postback.formats.brackets import DEPTH_MAX
from tests.build import NOON, a_config, an_event

GOLDEN = Path(__file__).parent / "golden" / "sms_callback"
MANIFEST = json.loads((GOLDEN / "manifest.json").read_text())
PARIS = MANIFEST["time_zone"]
CONTENT_TYPE = {"json": "application/json", "form": "application/x-www-form-urlencoded"}

DELIVERED = {"to": "33639980417", "tracking_id": "T-1", "timestamp": "2021-06-18T09:27:14+02:00"}
RECEIVED = {"from": "33639980417", "to": "38015", "text": "Oui", "received": "2021-06-18T10:02:45+02:00"}
STOPPED = {"mobile": "33639980417", "campaign_id": 7, "timestamp": "2021-06-18T10:05:09+02:00"}

each_sample = pytest.mark.parametrize("sample", MANIFEST["files"], ids=lambda sample: sample["file"])
each_payload = pytest.mark.parametrize("payload", ["json", "form"])
each_naming = pytest.mark.parametrize("naming", ["overview", "reference"])


def a_callback_config(payload: str = "json", naming: str = "overview", time_zone: str | None = None) -> PostbackConfig:
    options = FormatOptions(callback_payload=payload, callback_naming=naming, time_zone=time_zone)
    return a_config(format=sms_callback.NAME, options=options)


def body_of(
    event_type: str, data: Any, payload: str = "json", naming: str = "overview", time_zone: str | None = None
) -> bytes:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return render(an_event(type=event_type, data=raw), a_callback_config(payload, naming, time_zone), 1, NOON).body


def shown_by(body: bytes) -> dict[str, Any]:
    found = json.loads(body) if body.startswith(b"{") else dict(parse_qsl(body.decode(), keep_blank_values=True))
    assert isinstance(found, dict)
    return found


def on_the_wire(name: str) -> bytes:
    """A sample as it is sent: JSON without the white space that it is printed with."""
    text = (GOLDEN / name).read_text("utf-8").rstrip("\n")
    if name.endswith(".json"):
        text = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    return text.encode()


# --- the samples -----------------------------------------------------------------------------------------------------


def test_every_sample_is_in_the_manifest() -> None:
    assert {sample["file"] for sample in MANIFEST["files"]} == {path.name for path in GOLDEN.iterdir()} - {
        "manifest.json"
    }


@each_sample
def test_an_event_goes_out_as_documented(sample: dict[str, Any]) -> None:
    event = an_event(type=sample["type"], data=json.dumps(sample["data"], indent=3).encode())

    for time_zone in (None, PARIS):
        rendered = render(event, a_callback_config(sample["payload"], sample["naming"], time_zone), 1, NOON)

        assert rendered.body == on_the_wire(sample["file"])
        assert rendered.content_type == CONTENT_TYPE[sample["payload"]]
        assert rendered.headers == ()


@each_sample
def test_a_documented_body_is_understood(sample: dict[str, Any]) -> None:
    body = (GOLDEN / sample["file"]).read_bytes().rstrip(b"\n")

    parsed = sms_callback.parse(body, CONTENT_TYPE[sample["payload"]], PARIS)

    assert parsed.type == sample["type"]
    assert json.loads(parsed.data) == sample["data"]
    assert (parsed.id, parsed.number_of_attempts, parsed.occurred_at) == (None, None, None)


# --- every event that can be said --------------------------------------------------------------------------------------


EXAMPLES = [(name, row.example) for name in sorted(SAYABLE[sms_callback.NAME] or ()) for row in CATALOG[name].rows]
FURTHER = {
    "message_id": "sms_é",
    "channel": "rcs",
    "meta_data": {"order": "A 1&b=c", "tags": ["x", {"y": "ü"}]},
}


def as_shown(event_type: str, data: dict[str, Any], naming: str) -> dict[str, Any]:
    """The facts of an event that a callback of this naming carries, as `parse` gives them but for the time."""
    is_receipt = event_type in RECEIPTS
    words = {"sms.sent": "ACK", "sms.delivered": "DELIVERED", "sms.undelivered": "NOT_DELIVERED"}
    number = next(name for name in ("mobile", "from", "to") if name in data and (name != "from" or not is_receipt))
    shown = {number: data[number]}
    if is_receipt:
        shown["callback_status"] = data.get("callback_status") or words.get(event_type, "NOT_ALLOWED")
        if naming == "reference":
            shown |= {"channel": data.get("channel", "sms"), "meta_data": data.get("meta_data", {})}
    elif number == "from":
        shown |= {"to": data["to"], "text": data["text"]}
    else:
        shown["text"] = data.get("text", "STOP")
    if data.get("message_id") or data.get("tracking_id"):
        shown["message_id"] = data.get("message_id") or data["tracking_id"]
    return with_constants(event_type, shown)


@each_payload
@each_naming
@pytest.mark.parametrize("time_zone", ["UTC", PARIS, "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"])
@pytest.mark.parametrize("further", [False, True], ids=["example", "with all that callbacks show"])
@pytest.mark.parametrize(("event_type", "example"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_the_same_facts_come_back(
    event_type: str, example: dict[str, Any], further: bool, time_zone: str, naming: str, payload: str
) -> None:
    data = {**example, **(FURTHER if further else {})}
    assert refusals(event_type, data) == {}

    body = body_of(event_type, data, payload, naming, time_zone)
    parsed = sms_callback.parse(body, CONTENT_TYPE[payload], time_zone)

    facts = json.loads(parsed.data)
    at, expected_at = (one.pop("received", None) or one.pop("timestamp", "") for one in (facts, dict(data)))
    expected = as_shown(event_type, data, naming)
    if payload == "form" and expected.get("meta_data") == {}:
        del expected["meta_data"]
    assert parsed.type == event_type
    assert facts == expected
    assert unix_ms(at) == unix_ms(expected_at)


def test_all_six_types_and_no_others_can_be_said() -> None:
    assert sorted(name for name, _ in EXAMPLES) == sorted([*RECEIPTS, "sms.received", "subscriber.unsubscribed"])
    for name, known in CATALOG.items():
        event = an_event(type=name, data=json.dumps(known.example).encode())
        assert is_sayable(event, a_callback_config()) is (name in dict(EXAMPLES))


def test_a_type_that_is_none_of_the_three_cannot_be_rendered() -> None:
    with pytest.raises(CannotRender, match=r"sms-callback cannot say mms\.sent; it says sms\.sent, sms\.delivered"):
        body_of("mms.sent", {})


# --- the fields ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "data", "overview", "reference"),
    [
        (
            "sms.delivered", DELIVERED, ["message_id", "number", "status", "DELIVERY_DATE"],
            ["channel", "message_id", "number", "status", "delivery_date", "meta_data"],
        ),
        (
            "sms.received", RECEIVED, ["message_id", "number", "text", "sim_card_number", "answer_date"],
            ["message_id", "number", "text", "sim_card_number", "reception_date"],
        ),
        (
            "subscriber.unsubscribed", STOPPED, ["message_id", "number", "text", "stop_date"],
            ["message_id", "number", "text", "stop_date"],
        ),
    ],
)  # fmt: skip
def test_each_kind_has_its_fields_in_their_order(
    event_type: str, data: dict[str, Any], overview: list[str], reference: list[str]
) -> None:
    further = {**data, "channel": "rcs", "meta_data": {"a": 1}}

    for names, naming in ((overview, "overview"), (reference, "reference")):
        assert list(shown_by(body_of(event_type, further, "json", naming))) == names
        form = [name if name != "meta_data" else "meta_data[a]" for name in names]
        assert list(shown_by(body_of(event_type, further, "form", naming))) == form


@pytest.mark.parametrize(
    ("event_type", "data", "status"),
    [
        ("sms.sent", {}, "ACK"),
        ("sms.delivered", {}, "DELIVERED"),
        ("sms.undelivered", {}, "NOT_DELIVERED"),
        ("sms.failed", {}, "NOT_ALLOWED"),
        ("sms.undelivered", {"callback_status": "EXPIRED"}, "EXPIRED"),
        ("sms.delivered", {"callback_status": "READ"}, "READ"),
    ],
)
def test_the_status_is_the_word_that_was_sent_or_that_of_the_type(
    event_type: str, data: dict[str, str], status: str
) -> None:
    assert shown_by(body_of(event_type, {**DELIVERED, **data}))["status"] == status


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        ({"message_id": "m", "tracking_id": "t"}, "m"),
        ({"tracking_id": "t"}, "t"),
        ({"message_id": "", "tracking_id": "t"}, "t"),
        ({"message_id": "", "tracking_id": ""}, None),
        ({}, None),
        ({"tracking_id": 5}, None),
    ],
)
def test_the_message_id_is_the_own_one_then_the_tracking_id_then_none(ids: dict[str, Any], shown: str | None) -> None:
    data = {**RECEIVED, **ids}

    assert shown_by(body_of("sms.received", data))["message_id"] == shown
    assert shown_by(body_of("sms.received", data, "form"))["message_id"] == (shown or "")


@pytest.mark.parametrize("number", ["12025550143", "+12025550143", "+1 (202) 555-0143", "1.202.555.0143"])
def test_a_number_is_a_plus_and_its_digits(number: str) -> None:
    for event_type, data, name in (
        ("sms.sent", DELIVERED, "to"),
        ("sms.received", RECEIVED, "from"),
        ("subscriber.unsubscribed", STOPPED, "mobile"),
    ):
        assert shown_by(body_of(event_type, {**data, name: number}))["number"] == "+12025550143"
        assert b"number=%2B12025550143&" in body_of(event_type, {**data, name: number}, "form")


def test_an_opt_out_says_stop_where_nobody_knows_what_was_written() -> None:
    assert shown_by(body_of("subscriber.unsubscribed", STOPPED))["text"] == "STOP"
    assert shown_by(body_of("subscriber.unsubscribed", {**STOPPED, "text": "Arrêt"}))["text"] == "Arrêt"
    assert shown_by(body_of("subscriber.unsubscribed", {**STOPPED, "text": ""}))["text"] == ""


def test_json_is_compact_and_letters_stand_in_it_as_they_are() -> None:
    body = body_of("sms.received", {**RECEIVED, "text": 'é "𝄞"\n\u2028'})

    assert (
        body
        == (
            '{"message_id":null,"number":"+33639980417","text":"é \\"𝄞\\"\\n\u2028",'
            '"sim_card_number":"38015","answer_date":"2021-06-18 10:02:45"}'
        ).encode()
    )


# --- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "time_zone", "date"),
    [
        ("2026-03-02T08:44:57-05:00", None, "2026-03-02 08:44:57"),
        ("2026-03-02T08:44:57Z", None, "2026-03-02 08:44:57"),
        ("2026-03-02T08:44:57.999999999Z", None, "2026-03-02 08:44:57"),
        ("2026-03-02T08:44:57+05", None, "2026-03-02 08:44:57"),
        ("2026-12-31T23:59:59.999Z", PARIS, "2027-01-01 00:59:59"),
        ("2026-03-02T08:44:57.9-05:00", PARIS, "2026-03-02 14:44:57"),
        ("2026-07-02T08:44:57-05", PARIS, "2026-07-02 15:44:57"),
        ("2026-03-29T00:59:59Z", PARIS, "2026-03-29 01:59:59"),
        ("2026-03-29T01:00:00Z", PARIS, "2026-03-29 03:00:00"),
        ("2026-10-25T00:30:00Z", PARIS, "2026-10-25 02:30:00"),
        ("2026-10-25T01:30:00Z", PARIS, "2026-10-25 02:30:00"),
        ("2026-03-02T08:44:57+05:30", "Asia/Kathmandu", "2026-03-02 08:59:57"),
        ("0999-03-02T08:44:57Z", None, "0999-03-02 08:44:57"),
        ("0001-01-01T00:00:00+14:00", None, "0001-01-01 00:00:00"),
        ("9999-12-31T23:59:59-23:59", None, "9999-12-31 23:59:59"),
    ],
)
def test_a_date_is_local_and_cut_to_the_second(time: str, time_zone: str | None, date: str) -> None:
    assert shown_by(body_of("sms.received", {**RECEIVED, "received": time}, time_zone=time_zone))["answer_date"] == date


def test_the_date_is_the_first_time_that_there_is() -> None:
    config = a_callback_config()

    def date(event_type: str, data: dict[str, Any], occurred_at: str | None) -> str:
        event = an_event(type=event_type, data=json.dumps(data).encode(), occurred_at=occurred_at)
        *_, last = shown_by(render(event, config, 1, NOON).body).values()
        return str(last)

    received, timestamp, occurred = (f"2026-01-0{day}T00:00:00+01:00" for day in (1, 2, 3))
    times = {"received": received, "timestamp": timestamp}
    assert date("sms.received", {**RECEIVED, **times}, occurred) == "2026-01-01 00:00:00"
    assert date("sms.received", {**RECEIVED, **times, "received": ""}, occurred) == "2026-01-02 00:00:00"
    assert date("sms.sent", {"to": "1", "timestamp": timestamp}, occurred) == "2026-01-02 00:00:00"
    assert date("sms.sent", {"to": "1"}, occurred) == "2026-01-03 00:00:00"
    assert date("sms.sent", {"to": "1", "timestamp": ""}, occurred) == "2026-01-03 00:00:00"
    # What its type does not list is not looked at.
    assert date("sms.sent", {"to": "1", "received": True}, occurred) == "2026-01-03 00:00:00"


def test_the_date_of_an_event_that_has_no_time_is_that_of_its_acceptance() -> None:
    event = an_event(type="sms.sent", data=b'{"to":"1"}', occurred_at=None, accepted_ms=1_790_000_000_999)

    assert shown_by(render(event, a_callback_config(), 1, NOON).body)["DELIVERY_DATE"] == "2026-09-21 14:13:20"
    local = render(event, a_callback_config(time_zone=PARIS), 1, NOON)
    assert shown_by(local.body)["DELIVERY_DATE"] == "2026-09-21 16:13:20"


# --- meta data -------------------------------------------------------------------------------------------------------


def test_meta_data_goes_into_json_as_it_came_but_for_white_space() -> None:
    data = b'{"to":"1", "meta_data" : { "n": 1.0e2, "big": %b, "e": "\\u00e9\\/", "a": [ ], "n": null } }' % (
        b"9" * 5_000
    )

    body = body_of("sms.sent", data, "json", "reference")

    expected = b',"meta_data":{"n":1.0e2,"big":%b,"e":"\\u00e9\\/","a":[],"n":null}}' % (b"9" * 5_000)
    assert body.endswith(expected)


def test_meta_data_goes_into_a_form_in_brackets() -> None:
    meta_data = (
        b'{"s":"a b&c","n":1.0e2,"yes":true,"no":false,"none":null,"e":{},"l":[],"in":{"x":{"y":"1"}},"k":["p",["q"]]}'
    )

    body = body_of("sms.sent", b'{"to":"1","meta_data":%b}' % meta_data, "form", "reference")

    assert body.partition(b"00&")[2].decode().replace("%5B", "[").replace("%5D", "]") == (
        "meta_data[s]=a+b%26c&meta_data[n]=1.0e2&meta_data[yes]=true&meta_data[no]=false&meta_data[none]="
        "&meta_data[in][x][y]=1&meta_data[k][0]=p&meta_data[k][1][0]=q"
    )
    assert json.loads(sms_callback.parse(body, CONTENT_TYPE["form"]).data)["meta_data"] == {
        "s": "a b&c", "n": "1.0e2", "yes": "true", "no": "false", "none": "", "in": {"x": {"y": "1"}}, "k": ["p", ["q"]],
    }  # fmt: skip


def test_keys_with_brackets_come_back_from_a_form() -> None:
    meta_data = {"a[b": "1", "c]": {"[d": "2"}, "": "3", "=&": "4"}

    body = body_of("sms.sent", {"to": "1", "meta_data": meta_data}, "form", "reference")

    assert json.loads(sms_callback.parse(body, CONTENT_TYPE["form"]).data)["meta_data"] == meta_data


# --- what cannot be said -----------------------------------------------------------------------------------------------


@each_payload
@each_naming
@pytest.mark.parametrize(
    ("event_type", "data", "field"),
    [
        ("sms.sent", {}, "data.to"),
        ("sms.sent", {"to": "nobody"}, "data.to"),
        ("sms.sent", {"to": "١٢٣"}, "data.to"),
        ("sms.sent", {"to": 12}, "data.to"),
        ("sms.sent", {"to": "1", "message_id": 5}, "data.message_id"),
        ("sms.sent", {"to": "1", "callback_status": None}, "data.callback_status"),
        ("sms.sent", {"to": "1", "timestamp": "2026-02-30T00:00:00Z"}, "data.timestamp"),
        ("sms.sent", {"to": "1", "timestamp": "2026-02-03T00:00:00+25:00"}, "data.timestamp"),
        ("sms.received", {**RECEIVED, "from": "BRAND"}, "data.from"),
        ("sms.received", {"from": "1", "to": "2", "received": RECEIVED["received"]}, "data.text"),
        ("sms.received", {"from": "1", "text": "x", "received": RECEIVED["received"]}, "data.to"),
        ("sms.received", {**RECEIVED, "text": ["x"]}, "data.text"),
        ("sms.received", {**RECEIVED, "received": "yesterday"}, "data.received"),
        ("sms.received", {**RECEIVED, "text": "\ud800"}, "data.text"),
        ("subscriber.unsubscribed", {**STOPPED, "mobile": ""}, "data.mobile"),
    ],
)
def test_data_that_cannot_be_said_is_refused_by_name(
    event_type: str, data: dict[str, Any], field: str, naming: str, payload: str
) -> None:
    with pytest.raises(CannotRender, match=field):
        body_of(event_type, data, payload, naming)


@pytest.mark.parametrize(
    ("time", "time_zone"), [("0001-01-01T00:00:00Z", "America/New_York"), ("9999-12-31T23:59:59Z", PARIS)]
)
def test_a_date_that_no_calendar_holds_is_refused_by_name(time: str, time_zone: str) -> None:
    with pytest.raises(CannotRender, match=r"data\.timestamp"):
        body_of("sms.sent", {**DELIVERED, "timestamp": time}, time_zone=time_zone)


@pytest.mark.parametrize("time_zone", ["", "Nowhere", "../x", "/etc/passwd", "Europe", "a" * 5_000, "\ud800", "a\0"])
def test_a_time_zone_that_is_not_known_is_refused_by_name(time_zone: str) -> None:
    with pytest.raises(CannotRender, match="time_zone is "):
        body_of("sms.sent", DELIVERED, time_zone=time_zone)


@pytest.mark.parametrize(
    "meta_data",
    [
        b"[]", b"null", b'"x"', b'{"a":"\\udc00"}', b'{"a][b":1}',
        b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1),
    ],
)  # fmt: skip
def test_meta_data_that_no_form_can_say_is_refused_by_name(meta_data: bytes) -> None:
    data = b'{"to":"1","meta_data":%b}' % meta_data

    with pytest.raises(CannotRender, match=r"data\.meta_data"):
        body_of("sms.sent", data, "form", "reference")
    # The naming `overview` does not show it.
    assert body_of("sms.sent", data, "form", "overview")


def test_meta_data_as_deep_as_a_form_goes_comes_back() -> None:
    meta_data = b'{"a":' * DEPTH_MAX + b'"1"' + b"}" * DEPTH_MAX

    body = body_of("sms.sent", b'{"to":"1","meta_data":%b}' % meta_data, "form", "reference")

    assert json.loads(sms_callback.parse(body, CONTENT_TYPE["form"]).data)["meta_data"] == json.loads(meta_data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[1]", b'"text"', b"null", b'{"to":"1"}{}', b'{"to":"1","a":NaN}', b'{"to":"1","a":"\xff"}',
        b'{"to":"1","a":' + b"[" * 100_000,
    ],
)  # fmt: skip
@each_payload
def test_damaged_data_cannot_be_rendered(payload: str, data: bytes) -> None:
    with pytest.raises(CannotRender, match="the data of the event"):
        body_of("sms.sent", data, payload, "reference")


# --- attempts --------------------------------------------------------------------------------------------------------


def test_the_body_is_the_same_in_every_attempt() -> None:
    event = an_event(type="sms.sent", data=json.dumps(DELIVERED).encode())

    assert render(event, a_callback_config(), 1, NOON) == render(event, a_callback_config(), 7, NOON + 10**9)


def test_configs_that_choose_otherwise_get_other_bodies_of_the_same_event() -> None:
    """Bodies are remembered: by all that they depend on."""
    choices = [(p, n, z) for p in ("json", "form") for n in ("overview", "reference") for z in (None, PARIS, "UTC")]
    data = {**DELIVERED, "timestamp": "2021-06-18T09:27:14+05:00"}

    bodies = {choice: body_of("sms.delivered", data, *choice) for choice in choices}

    assert len(set(bodies.values())) == len(choices)
    assert {choice: body_of("sms.delivered", data, *choice) for choice in choices} == bodies


def test_data_too_large_to_be_remembered_goes_out_all_the_same() -> None:
    text = "long " * 2_000

    body = body_of("sms.received", {**RECEIVED, "text": text}, "form")

    assert shown_by(body)["text"] == text


def test_the_format_is_registered() -> None:
    assert FORMATS[sms_callback.NAME] is sms_callback
