"""Whatever the values, the bytes and the dates: callbacks come back as they went, or are refused in one way."""

import json
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postback.domain.catalog import CATALOG, RECEIPTS, SAYABLE
from postback.domain.configs import FormatOptions
from postback.domain.errors import CannotRender, Malformed
from postback.domain.messaging import CALLBACK_STATUSES
from postback.formats import render, sms_callback
from tests.build import NOON, a_config, an_event

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PARIS = "Europe/Paris"
TYPES = sorted(SAYABLE[sms_callback.NAME] or ())

A_CALLBACK = {"message_id": "sms_1", "number": "+33639980417", "text": "STOP", "status": "ACK", "sim_card_number": "1"}
DATED = [{**A_CALLBACK, name: "2021-06-18 09:27:14"} for name in ("DELIVERY_DATE", "answer_date", "stop_date")]

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
field_names = st.sampled_from(
    ["message_id", "number", "status", "text", "sim_card_number", "channel", "meta_data", "DELIVERY_DATE", "stop_date",
     "answer_date", "reception_date", "delivery_date", "meta_data[a]", "meta_data[a][b]"]
)  # fmt: skip
dates = st.datetimes().map(lambda at: at.isoformat(" ", "seconds"))
zones = st.sampled_from([None, PARIS, "UTC", "Asia/Kathmandu", "America/New_York"])
near_callbacks = st.builds(
    lambda whole, changes: {**whole, **changes},
    st.sampled_from([*DATED, {}]),
    st.dictionaries(field_names | st.text(), dates | values, max_size=5),
)


def is_understood_or_malformed(body: bytes, content_type: str, time_zone: str | None) -> None:
    try:
        parsed = sms_callback.parse(body, content_type, time_zone)
    except Malformed:
        return
    assert parsed.type in TYPES
    assert isinstance(json.loads(parsed.data, parse_constant=pytest.fail), dict)


@settings(max_examples=300, deadline=None)
@given(near_callbacks, zones)
def test_what_is_nearly_a_callback_is_understood_or_malformed(fields: dict[str, Any], time_zone: str | None) -> None:
    is_understood_or_malformed(json.dumps(fields).encode(), JSON, time_zone)
    form = "&".join(
        f"{quote_plus(name.encode(errors='replace'))}={quote_plus(str(value).encode(errors='replace'))}"
        for name, value in fields.items()
    )
    is_understood_or_malformed(form.encode(), FORM, time_zone)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([JSON, FORM]) | st.text(), zones)
def test_any_bytes_are_understood_or_malformed(body: bytes, content_type: str, time_zone: str | None) -> None:
    is_understood_or_malformed(body, content_type, time_zone)


def a_time(least: int, most: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda at, fraction, offset: f"{at.isoformat('T', 'seconds')}{fraction}{offset}",
        # Python's own limits are naive.
        st.datetimes(datetime(least, 1, 1), datetime(most, 12, 31)),  # noqa: DTZ001
        st.sampled_from(["", ".0", ".999999999"]),
        st.sampled_from(["Z", "+00:00", "-05", "+05:45", "-23:59", "+23:59"]),
    )


# Local times before zones have offsets with seconds; none here comes near the ends of the calendar.
valid_changes = st.fixed_dictionaries(
    {"timestamp": a_time(1900, 9998), "received": a_time(1900, 9998)},
    optional={
        "message_id": texts.filter(bool),
        "channel": texts.filter(bool),
        "text": texts,
        "callback_status": st.sampled_from(CALLBACK_STATUSES),
        "meta_data": st.dictionaries(
            texts.filter(lambda key: "][" not in key), texts | st.lists(texts, min_size=1, max_size=3), max_size=4
        ),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TYPES), valid_changes, st.sampled_from(["json", "form"]), st.sampled_from(["overview", "reference"]),
    zones,
)  # fmt: skip
def test_whatever_the_values_are_they_come_back(
    event_type: str, changed: dict[str, Any], payload: str, naming: str, time_zone: str | None
) -> None:
    data = {**CATALOG[event_type].example, **changed}
    options = FormatOptions(callback_payload=payload, callback_naming=naming, time_zone=time_zone)
    event = an_event(type=event_type, data=json.dumps(data).encode())

    rendered = render(event, a_config(format=sms_callback.NAME, options=options), 1, NOON)
    parsed = sms_callback.parse(rendered.body, rendered.content_type, time_zone)
    found = json.loads(parsed.data)

    shown = ["message_id"]
    if event_type in RECEIPTS:
        shown += ["callback_status"] if "callback_status" in data else []
        shown += ["channel"] if "channel" in data and naming == "reference" else []
        shown += ["meta_data"] if data.get("meta_data") and naming == "reference" else []
    else:
        shown += ["text"]
        assert parsed.type == event_type
    for name in shown:
        if name in data:
            assert found[name] == data[name]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.dictionaries(
        st.sampled_from(["to", "from", "mobile", "message_id", "callback_status", "channel", "meta_data", "text",
                         "timestamp", "received", "tracking_id"]),
        values | a_time(1, 9999), max_size=5,
    ),
    st.sampled_from(["json", "form"]), st.sampled_from(["overview", "reference"]), zones,
)  # fmt: skip
def test_whatever_the_data_is_what_goes_out_is_well_formed(
    event_type: str, changed: dict[str, Any], payload: str, naming: str, time_zone: str | None
) -> None:
    """Also data that the catalog refuses: it may have been accepted by another version."""
    options = FormatOptions(callback_payload=payload, callback_naming=naming, time_zone=time_zone)
    data = {**CATALOG[event_type].example, **changed}
    event = an_event(type=event_type, data=json.dumps(data).encode())

    try:
        rendered = render(event, a_config(format=sms_callback.NAME, options=options), 1, NOON)
    except CannotRender:
        return

    if payload == "form":
        shown = dict(parse_qsl(rendered.body.decode("ascii"), True, True, errors="strict"))
    else:
        shown = json.loads(rendered.body.decode(), parse_constant=pytest.fail)
    assert shown["number"][0] == "+"
    assert shown["number"][1:].isdigit()
    assert len([name for name in shown if name.lower().endswith("_date")]) == 1
