"""The members of a JSON object as they stood, against the standard library's own reading."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postback.domain.errors import Malformed
from postback.formats import FORMATS
from postback.formats.json_data import members

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(texts, values, max_size=4), st.sampled_from([None, 0, 3]), st.booleans())
def test_each_member_is_what_it_says(sent: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(sent, indent=indent, ensure_ascii=ascii_only).encode()

    found = members(body)

    assert {name: json.loads(text) for name, (_, text) in found.items()} == sent
    assert all(text in body for _, text in found.values())


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"}", b"[]", b"null", b'"a"', b"{,}", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{"a":1 "b":2}',
        b'{"a":1}}', b'{"a":1} x', b"{a:1}", b"{'a':1}", b"{1:1}", b'{"a":1,"a":1}', b'{"a":01}', b'{"a":.5}',
        b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":"\x01"}', b'{"a":"\xff"}', b'{"a":"\\x"}', b'{"a":"',
        b'\xef\xbb\xbf{"a":1}', b'\xff\xfe{\x00}\x00', b'{"a":' + b"[" * 200_000, b'{"a":' + b'{"a":' * 100_000,
        b'{"a":1}\x00', b'\x0b{"a":1}', b'{"\xed\xa0\x80":1}',
    ],
)  # fmt: skip
def test_what_is_no_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        members(body)


def test_numbers_of_any_size_keep_their_digits() -> None:
    digits = b"9" * 5_000

    assert members(b'{"a":' + digits + b',"b":1e999}')["a"][1] == digits


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=60), st.sampled_from(["application/json", "application/cloudevents+json", "text/x", "\ud800"])
)
@example(b'{"specversion":"1.0","id":"\\ud800","source":"/","type":"a.b","data":{}}', "application/json")
def test_parsing_raises_nothing_but_malformed(noise: bytes, content_type: str) -> None:
    whole = b'{"specversion":"1.0","id":"1","source":"/","type":"a.b","timestamp":"2026-04-09T10:15:09Z","data":{}}'
    for body in (noise, whole[: len(noise)] + noise, whole[: len(noise)] + noise + whole[len(noise) :]):
        for name in ("json", "cloudevents"):
            with suppress(Malformed):
                FORMATS[name].parse(body, content_type)
