"""The format api-default, against the documented samples in both directions."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postback.domain.errors import CannotRender, Malformed
from postback.formats import api_default, render
from tests.build import NOON, a_config, an_event

GOLDEN = Path(__file__).parent / "golden"
FORM = "application/x-www-form-urlencoded"
SAMPLES = sorted(path.stem for path in GOLDEN.glob("*.form"))
VERBS = {"create": "created", "update": "updated", "delete": "deleted"}

each_sample = pytest.mark.parametrize("name", SAMPLES)


def the_event_type(name: str) -> str:
    resource, word, *_ = name.split("_")
    return f"{resource}.{VERBS[word]}"


def data_of(body: bytes) -> bytes:
    return dict(parse_qsl(body.decode()))["data"].encode()


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def test_there_are_twelve_samples_of_four_resources() -> None:
    assert len(SAMPLES) == 12
    assert {name.split("_")[0] for name in SAMPLES} == {"accountvault", "contact", "transaction", "transactionbatch"}


@each_sample
def test_a_record_goes_out_as_documented(name: str) -> None:
    record = json.loads(golden(f"{name}.data.json"))
    event = an_event(type=the_event_type(name), data=json.dumps(record, indent=3).encode())

    rendered = render(event, a_config(), 1, NOON)

    assert rendered.body == golden(f"{name}.form").rstrip(b"\n")
    assert rendered.content_type == FORM
    assert rendered.headers == ()


@each_sample
def test_a_documented_body_is_understood(name: str) -> None:
    parsed = api_default.parse(golden(f"{name}.form").rstrip(b"\n"), FORM)

    assert parsed.type == the_event_type(name)
    assert name.startswith(f"{parsed.resource}_")
    assert parsed.number_of_attempts == 1
    assert json.loads(parsed.data) == json.loads(golden(f"{name}.data.json"))


@each_sample
def test_a_body_reads_as_the_docs_print_it(name: str) -> None:
    printed = json.loads(golden(f"{name}.json"))

    parsed = api_default.parse(golden(f"{name}.form").rstrip(b"\n"), f"{FORM}; charset=utf-8")

    assert parsed.data.decode() == printed["data"]
    assert str(parsed.number_of_attempts) == str(printed["number_of_attempts"])


def test_expanded_records_follow_the_own_keys_in_the_order_asked_for() -> None:
    body = golden("transaction_update_expanded.form").rstrip(b"\n")
    record = json.loads(golden("transaction_update_expanded.data.json"))
    contact = record.pop("contact")
    del record["changelogs"], record["tags"]
    event = an_event(
        type="transaction.updated",
        data=json.dumps(record).encode(),
        expands=json.dumps({"tags": [], "contact": contact, "location": {"id": "loc_1"}}).encode(),
    )

    rendered = render(event, a_config(expands=("contact", "changelogs", "tags")), 1, NOON)

    assert rendered.body == body


@pytest.mark.parametrize(
    ("data", "expands", "expected"),
    [
        (b"{}", None, b'{"tags":[],"location":null}'),
        (b'{"id":1}', b'{"location":{ "id": "a\\u00e9" }}', b'{"id":1,"tags":[],"location":{"id":"a\\u00e9"}}'),
        (b'{"tags":["x"],"id":1}', None, b'{"tags":["x"],"id":1,"location":null}'),
        (b'{"id":1}', b'{"tags":null,"location":1.0e2}', b'{"id":1,"tags":null,"location":1.0e2}'),
    ],
)
def test_what_there_is_nothing_for_is_an_empty_list_or_null(
    data: bytes, expands: bytes | None, expected: bytes
) -> None:
    rendered = render(an_event(data=data, expands=expands), a_config(expands=("tags", "location", "tags")), 1, NOON)

    assert data_of(rendered.body) == expected


def test_a_config_that_asks_for_nothing_gets_nothing_that_others_asked_for() -> None:
    rendered = render(an_event(data=b'{"id":1}', expands=b'{"tags":[]}'), a_config(), 1, NOON)

    assert data_of(rendered.body) == b'{"id":1}'


def test_expands_that_are_damaged_cannot_be_rendered() -> None:
    for expands in (b"[]", b"{", b'{"tags":\xff}'):
        with pytest.raises(CannotRender):
            render(an_event(expands=expands), a_config(expands=("tags",)), 1, NOON)


def test_the_counter_is_all_that_differs_between_attempts() -> None:
    first, third = (render(an_event(), a_config(), counter, NOON).body for counter in (1, 3))

    assert first.replace(b"number_of_attempts=1", b"number_of_attempts=3") == third


@pytest.mark.parametrize(
    ("event_type", "word", "resource"),
    [
        ("contact.created", "CREATE", "contact"),
        ("contact.updated", "UPDATE", "contact"),
        ("contact.deleted", "DELETE", "contact"),
        ("invoice.paid", "PAID", "invoice"),
        ("sms.link.clicked-twice", "CLICKED-TWICE", "sms.link"),
    ],
)
def test_the_verb_is_what_stands_after_the_last_dot(event_type: str, word: str, resource: str) -> None:
    body = render(an_event(type=event_type), a_config(), 1, NOON).body

    assert body.startswith(f"type={word}&resource={resource}&number_of_attempts=1&data=".encode())
    assert api_default.parse(body, FORM).type == event_type


def test_numbers_escapes_and_key_order_go_out_as_they_came() -> None:
    data = b' {"z": 1.0e2, "a" : [ -0, 1E+999, 123456789012345678901234567890 ],\n"e":"\\u00e9\\/\xc3\xa9 x", "z":2} '

    body = render(an_event(data=data), a_config(), 1, NOON).body

    expected = b'{"z":1.0e2,"a":[-0,1E+999,123456789012345678901234567890],"e":"\\u00e9\\/\xc3\xa9 x","z":2}'
    assert data_of(body) == expected


def test_10_numbers_of_any_size_are_understood_as_they_are_sent() -> None:
    data = b'{"big":' + b"9" * 5_000 + b',"huge":1e999}'

    rendered = render(an_event(data=data), a_config(), 1, NOON)

    assert api_default.parse(rendered.body, rendered.content_type).data == data


def test_28_hostile_texts_go_out_and_come_back_literally() -> None:
    texts = [
        "'; DROP TABLE events;--",
        "%25 %_\\",
        "$1 :name {{7*7}} ${jndi:ldap://x}",
        "a=b&c=d+e;f#g",
        "\u202e\ud7ff𝄞",
    ]
    data = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).join(('{"texts":', "}")).encode()

    rendered = render(an_event(data=data), a_config(), 1, NOON)

    assert api_default.parse(rendered.body, rendered.content_type).data == data


def test_data_too_large_to_be_remembered_is_encoded_all_the_same() -> None:
    data = b'{"text":"' + b"x y" * 2_000 + b'"}'

    assert data_of(render(an_event(data=data), a_config(), 1, NOON).body) == data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"type=CREATE&resource=contact&number_of_attempts=1",
        b"type=CREATE&resource=contact&number_of_attempts=1&data=",
        b"type=CREATE&resource=contact&number_of_attempts=1&data=[]",
        b"type=CREATE&resource=contact&number_of_attempts=1&data={}&data={}",
        b"type=CREATE&resource=contact&number_of_attempts=one&data={}",
        b"type=CREATE&resource=contact&number_of_attempts=-1&data={}",
        b"type=CREATE&resource=contact&number_of_attempts=%D9%A1&data={}",
        b"type=CREATE&resource=contact&number_of_attempts=1&data=" + b"[" * 100_000,
        b"type=CREATE&resource=contact&number_of_attempts=1&data=%FF",
        b"type=CREATE&resource=contact&number_of_attempts=1&data=\xff",
        b"type=CRE%0D%0AATE&resource=contact&number_of_attempts=1&data={}",
        b"type=CREATE&resource=&number_of_attempts=1&data={}",
        b"type=CREATE&resource=contact&number_of_attempts=1&data=%7B%22a%22%3ANaN%7D",
        b"type=CREATE&resource=contact&number_of_attempts=1&data=%7B%22a%22%3A-Infinity%7D",
    ],
)
def test_a_body_that_is_no_postback_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        api_default.parse(body, FORM)


def test_parameters_that_a_later_sender_adds_do_no_harm() -> None:
    assert (
        api_default.parse(b"data=%7B%7D&type=CREATE&extra=&number_of_attempts=2&resource=contact", FORM).data == b"{}"
    )


json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), json_texts), st.booleans())
def test_any_object_is_encoded_as_the_standard_library_does(data: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(data, ensure_ascii=ascii_only, separators=(",", ":"))

    body = render(an_event(data=text.encode()), a_config(), 1, NOON).body

    assert body.partition(b"&data=")[2].decode() == quote_plus(text)
    assert api_default.parse(body, FORM).data.decode() == text


def test_formats_import_nothing_beyond_the_standard_library() -> None:
    """The receiver's part is installed where nothing else is."""
    code = (
        "import sys; before = set(sys.modules); import postback.formats; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names; "
        "print(sorted(new))"
    )

    folder = str(Path(api_default.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": folder}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "['postback']"
