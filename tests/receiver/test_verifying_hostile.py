"""The check of a signature against hostile requests: it accepts or it refuses, and raises nothing else."""

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postback.formats.signing import sign
from postback.receiver.verifying import SignatureRefused, verify
from tests.build import NOON
from tests.proving import times
from tests.receiver.signed import BODY, GOOD, ID, NOW, OTHER, SECRET, SIGNATURE, by_hand, refusal, signed

ENCODED = SIGNATURE.removeprefix("v1,")
WRONG = "v1," + base64.b64encode(bytes(32)).decode()
SAME_BITS = {"A": "B", "Q": "R", "g": "h", "w": "x", "E": "F", "U": "V", "k": "l", "0": "1", "I": "J", "Y": "Z", "o": "p",
             "4": "5", "M": "N", "c": "d", "s": "t", "8": "9"}  # fmt: skip
"""The last letter of 32 bytes in base64, and another that most decoders take for the same."""

HOSTILE_SIGNATURES = {
    "empty": "",
    "blank": " ",
    "only blanks": " " * 5_000,
    "only the version": "v1",
    "only the version and a comma": "v1,",
    "no comma": f"v1{ENCODED}",
    "no version": ENCODED,
    "no version but the comma": f",{ENCODED}",
    "two commas": f"v1,,{ENCODED}",
    "a comma at the end": f"{SIGNATURE},",
    "two commas and two signatures": f"{SIGNATURE},{ENCODED}",
    "a space within": f"v1, {ENCODED}",
    "double spaces": f"{WRONG}  {WRONG}",
    "padding missing": SIGNATURE.rstrip("="),
    "padding doubled": f"{SIGNATURE}=",
    "padding in the middle": f"v1,{ENCODED[:20]}={ENCODED[20:]}",
    "not base64": "v1,!!!!",
    "truncated by one": SIGNATURE[:-1],
    "truncated to a half": SIGNATURE[: len(SIGNATURE) // 2],
    "truncated to one letter": f"v1,{ENCODED[0]}",
    "truncated bytes, well encoded": f"v1,{base64.b64encode(base64.b64decode(ENCODED)[:16]).decode()}",
    "one byte, well encoded": f"v1,{base64.b64encode(base64.b64decode(ENCODED)[:1]).decode()}",
    "extended": f"{SIGNATURE}AAAA",
    "extended bytes, well encoded": f"v1,{base64.b64encode(base64.b64decode(ENCODED) + b'x').decode()}",
    "twice in one": f"v1,{base64.b64encode(base64.b64decode(ENCODED) * 2).decode()}",
    "the same bytes, otherwise encoded": f"v1,{ENCODED[:-2]}{SAME_BITS[ENCODED[-2]]}=",
    "hexadecimal": f"v1,{base64.b64decode(ENCODED).hex()}",
    "one letter changed": f"v1,{'B' if ENCODED[0] == 'A' else 'A'}{ENCODED[1:]}",
    "lower case": SIGNATURE.lower(),
    "version in capitals": f"V1,{ENCODED}",
    "version 1a": f"v1a,{ENCODED}",
    "version 2": f"v2,{ENCODED}",
    "version 10": f"v10,{ENCODED}",
    "tab before": f"\t{SIGNATURE}",
    "tab instead of a space": f"{WRONG}\t{SIGNATURE}",
    "line feed after": f"{SIGNATURE}\n",
    "another header injected": f"{SIGNATURE}\r\nx: y",
    "null byte after": f"{SIGNATURE}\0",
    "joined by commas": f"{WRONG},{SIGNATURE}",
    "quoted": f'"{SIGNATURE}"',
    "Latin letters": f"v1,é{ENCODED[1:]}",
    "letters of full width": f"\uff56\uff11,{ENCODED}",
    "half a surrogate pair": f"v1,\ud800{ENCODED[1:]}",
    "bytes above ASCII": b"v1,\xff\xfe",
    "UTF-8 in bytes": "v1,é".encode(),
    "of another secret": sign([OTHER], ID, NOW, BODY),
    "thousands of wrong ones": " ".join([WRONG] * 5_000),
    "thousands of wrong ones and the right one": " ".join([*[WRONG] * 5_000, SIGNATURE]),
    "thousands of spaces and the right one": " " * 5_000 + SIGNATURE,
    "ten megabytes": "v1," + "A" * 10_000_000,
    "a list": [SIGNATURE],
    "nothing": None,
    "a number": 1,
}


@pytest.mark.parametrize("signature", HOSTILE_SIGNATURES.values(), ids=HOSTILE_SIGNATURES.keys())
def test_a_signature_that_is_not_exactly_the_right_one_is_refused(signature: Any) -> None:
    assert refusal(GOOD | {"webhook-signature": signature})


HOSTILE_TIMESTAMPS = {
    "empty": "",
    "negative": "-1",
    "with a sign": f"+{NOW}",
    "with a fraction": f"{NOW}.0",
    "with an exponent": "1.79e9",
    "hexadecimal": hex(NOW),
    "with underscores": f"{NOW:_}",
    "with a space before": f" {NOW}",
    "with a line feed": f"{NOW}\n",
    "in milliseconds": str(NOON),
    "a time for people": "2026-09-21T12:00:00Z",
    "not a number": "NaN",
    "infinite": "inf",
    "of Arabic digits": "".join(chr(0x660 + int(digit)) for digit in str(NOW)),
    "a superscript": "²",
    "of ten million digits": "9" * 10_000_000,
    "with zeros before it": "0" * 10 + str(NOW),
    "zero": "0",
    "half a surrogate pair": "\ud800",
    "bytes above ASCII": b"\xff",
    "null byte": f"{NOW}\0",
    "two of them": f"{NOW}, {NOW}",
    "a number and not its text": NOW,
}


@pytest.mark.parametrize("timestamp", HOSTILE_TIMESTAMPS.values(), ids=HOSTILE_TIMESTAMPS.keys())
def test_a_timestamp_that_is_none_is_refused(timestamp: Any) -> None:
    assert "timestamp" in refusal(GOOD | {"webhook-timestamp": timestamp}) or timestamp == "0"


@pytest.mark.parametrize(
    "timestamp",
    [text for text in HOSTILE_TIMESTAMPS.values() if isinstance(text, str) and text.isascii() and len(text) < 100],
    ids=repr,
)
def test_such_a_timestamp_is_refused_also_when_it_was_signed(timestamp: str) -> None:
    assert "timestamp" in refusal(signed(ID, timestamp)) or timestamp == "0"


HOSTILE_IDS = {
    "empty": "",
    "another one": "evt_38fweqg95zw01",
    "with a dot": f"{ID}.{NOW}",
    "with a space": f"{ID} ",
    "with a line feed": f"{ID}\n",
    "with a null byte": f"{ID}\0",
    "in capitals": ID.upper(),
    "Latin letters": "évt",
    "half a surrogate pair": "\udfff",
    "bytes above ASCII": b"\xe9vt",
    "a million letters": "e" * 1_000_000,
    "a dictionary": {},
}


@pytest.mark.parametrize("id", HOSTILE_IDS.values(), ids=HOSTILE_IDS.keys())
def test_an_id_that_is_not_exactly_the_right_one_is_refused(id: Any) -> None:
    assert refusal(GOOD | {"webhook-id": id})


@pytest.mark.parametrize("id", ["", "a.b", ".", "e" * 257])
def test_an_id_that_cannot_be_one_is_refused_also_when_it_was_signed(id: str) -> None:
    """With a dot in it, the same signature would be right for another id, another time and another body."""
    assert "webhook-id is" in refusal(signed(id, str(NOW)))


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_header_is_refused_by_name(name: str) -> None:
    assert refusal({key: value for key, value in GOOD.items() if key != name}) == f"the header {name} is missing"


@pytest.mark.parametrize("name", GOOD)
def test_a_header_that_is_there_twice_is_refused(name: str) -> None:
    twice = f"the header {name} is there twice"

    assert refusal([*GOOD.items(), (name, GOOD[name])]) == twice
    assert refusal(GOOD | {name.title(): GOOD[name]}) == twice
    assert refusal([(name.upper().encode(), b"\xff"), *GOOD.items()]) == twice


@pytest.mark.parametrize(
    "headers",
    [
        {},
        [],
        {"": ""},
        {b"\xff": b"\xff", "\ud800": "\ud800", 1: 2, None: None},
        {"webhook_id": ID, "webhook_timestamp": str(NOW), "webhook_signature": SIGNATURE},
        {f" {name}": value for name, value in GOOD.items()},
        # The sign for kelvin is k in lower case.
        {name.replace("k", "\u212a"): value for name, value in GOOD.items()},
        {name.replace("h", "\uff48"): value for name, value in GOOD.items()},
        {name.encode("utf-16"): value for name, value in GOOD.items()},
    ],
)
def test_names_that_only_look_alike_are_not_the_headers(headers: Mapping[Any, Any]) -> None:
    assert "missing" in refusal(headers)


@pytest.mark.parametrize(
    "body",
    [
        b"", BODY + b" ", BODY + b"\n", BODY[:-1], b" " + BODY, BODY.replace(b":", b": "), b"\xff\xfe", b"\xef\xbb\xbf" + BODY,
        BODY + b"\x00", BODY * 2, "\ud800", BODY.decode() + "\udfff",
    ],
)  # fmt: skip
def test_a_body_that_is_not_exactly_the_signed_one_is_refused(body: bytes | str) -> None:
    assert refusal(GOOD, body)


def test_more_data_cannot_be_signed_by_who_knows_a_signature() -> None:
    """A plain hash of secret and body could be continued without the secret; and the padding is no part of a body."""
    signed_content = f"{ID}.{NOW}.".encode() + BODY
    length = 64 + len(signed_content)
    padding = b"\x80" + b"\0" * (-(length + 9) % 64) + (length * 8).to_bytes(8, "big")

    for body in (BODY + padding, BODY + padding + b"forged", BODY + b"\x80"):
        assert refusal(GOOD, body)


def test_the_parts_of_what_is_signed_cannot_be_moved() -> None:
    body = f"{NOW}.".encode() + BODY

    headers = signed(ID, str(NOW), body)

    assert verify(body, headers, SECRET, now=NOW) == ID
    assert refusal(headers | {"webhook-id": f"{ID}.{NOW}"}, BODY)


PIECES = [
    SIGNATURE, SIGNATURE, f"{WRONG} ", "v1,", "v1a,", "v1", ",", " ", "  ", "=", "\t", "\n", "\0", "é", "\ud800", "A" * 43,
    ENCODED, ENCODED[:-1], str(NOW), str(NOW), str(NOW + 300), str(NOW - 301), "9" * 20, "-", ".", ID, ID, BODY.decode(),
    BODY.decode(), "{}", "\x80",
]  # fmt: skip
NAMES = [*GOOD, "Webhook-Id", "WEBHOOK-SIGNATURE", b"webhook-timestamp", "x", "\ud800"]

Request = tuple[bytes | str, Any]


def _request(noise: bytes) -> Request:
    """A right request with some of it changed as the noise says: made by hand, since 20,000 of them are to be quick."""
    choices, changes = noise[0], [noise[start : start + 4] for start in range(1, 13, 4)][: noise[0] & 3]
    headers = [(NAMES[name % len(NAMES)], _value(rest)) for name, *rest in changes]
    whole: Any = [*GOOD.items(), *headers] if choices & 4 else GOOD | dict(headers)
    if choices & 8:
        whole = [(_as_bytes(name), _as_bytes(value)) for name, value in dict(whole).items()]
    return _value(noise[13:]) if choices & 16 else BODY, whole


def _value(noise: Sequence[int]) -> str | bytes:
    if noise[0] & 7 == 7:
        return bytes(noise[1:])
    # The first says how many of the others there are; each is a piece or a character.
    some = noise[1 : 2 + noise[0] % 3]
    return "".join(PIECES[one % 40] if one % 40 < len(PIECES) else chr(one * 257) for one in some)


def _outcome(body: bytes | str, headers: Any) -> str:
    """Refused or accepted; and what is accepted has a signature that is right by another calculation."""
    try:
        id = verify(body, headers, SECRET, now=NOW)
    except SignatureRefused:
        return "refused"
    said = {_as_text(name).lower(): _as_text(value) for name, value in dict(headers).items()}
    content = body.encode() if isinstance(body, str) else body
    assert id == said["webhook-id"]
    assert abs(int(said["webhook-timestamp"]) - NOW) <= 300
    assert by_hand(SECRET, id, said["webhook-timestamp"], content) in said["webhook-signature"].split(" ")
    return "accepted"


def test_thousands_of_requests_are_each_accepted_or_refused() -> None:
    """20,000 as a proof."""
    requests = times(4_000, 20_000)
    outcomes: Counter[str] = Counter()

    @settings(max_examples=requests, deadline=None, database=None)
    @given(st.binary(min_size=16, max_size=16))
    def one_request(noise: bytes) -> None:
        outcomes[_outcome(*_request(noise))] += 1

    one_request()

    assert outcomes["accepted"] > requests / 40
    assert outcomes["refused"] > requests / 2


texts = st.text(max_size=20) | st.binary(max_size=20)


@settings(max_examples=300, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(NAMES) | texts, texts, max_size=4), st.just(BODY) | texts)
def test_texts_of_any_characters_are_refused(headers: dict[Any, Any], body: bytes | str) -> None:
    assert _outcome(body, headers) == "refused"


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _as_text(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
