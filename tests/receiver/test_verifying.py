"""The check of a signature: what it accepts, in which shapes, for how long, and with which secrets."""

import subprocess
import sys
import time
from collections import UserDict
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from werkzeug.datastructures import Headers as FlaskHeaders

from postback.domain.configs import SigningSecret
from postback.domain.ids import event_text
from postback.formats import json_webhook
from postback.formats.signing import sign
from postback.receiver import clock, verifying
from postback.receiver.verifying import SignatureRefused, verify
from tests.build import NOON, a_config, an_event
from tests.receiver.signed import BODY, GOOD, ID, NOW, OLD, OTHER, SECRET, SIGNATURE, refusal, signed

# --- what is accepted ------------------------------------------------------------------------------------------------


def _message(pairs: list[tuple[str, str]]) -> Message:
    message = Message()
    for name, value in [*pairs, ("Cookie", "1"), ("Cookie", "2")]:
        message[name] = value
    return message


def test_what_the_format_sends_is_accepted_and_its_id_comes_back() -> None:
    config = a_config(format="json", signing_secrets=(SigningSecret(SECRET), SigningSecret(OLD, NOON + 1)))

    rendered = json_webhook.render(an_event(), config, 1, NOON)

    for secret in (SECRET, OLD):
        assert verify(rendered.body, dict(rendered.headers), secret, now=NOW + 2) == event_text(an_event().id)


@pytest.mark.parametrize(
    "shape",
    [
        dict,
        lambda pairs: {name.title(): value for name, value in pairs},
        lambda pairs: {name.upper().encode(): value.encode() for name, value in pairs},
        UserDict,
        list,
        iter,
        lambda pairs: [(name.encode(), value.encode()) for name, value in pairs],
        lambda pairs: [(b"host", b"\xff"), *((name.encode(), value) for name, value in pairs), ("x", "é")],
        lambda pairs: FlaskHeaders([*pairs, ("cookie", "1"), ("cookie", "2")]),
        _message,
    ],
    ids=["dict", "title", "bytes", "mapping", "list", "iterator", "asgi", "mixed", "werkzeug", "http.server"],
)
def test_headers_come_in_many_shapes(shape: Callable[[list[tuple[str, str]]], Any]) -> None:
    assert verify(BODY, shape(list(GOOD.items())), SECRET, now=NOW) == ID


@pytest.mark.parametrize("body", [BODY.decode(), bytearray(BODY), memoryview(BODY)], ids=["text", "bytearray", "view"])
def test_a_body_may_come_as_text_or_buffer(body: Any) -> None:
    assert verify(body, GOOD, SECRET, now=NOW) == ID


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"\x00" * 1_000_000, "Grüße".encode()])
def test_a_body_of_any_bytes_is_accepted_with_its_own_signature(body: bytes) -> None:
    assert verify(body, signed(ID, str(NOW), body), SECRET, now=NOW) == ID


@pytest.mark.parametrize("secrets", [SECRET, [SECRET], (OTHER, SECRET), {SECRET}, iter([OLD, SECRET])])
def test_one_or_several_secrets(secrets: Any) -> None:
    assert verify(BODY, GOOD, secrets, now=NOW) == ID


def test_a_rotation_is_survived_with_either_secret_until_the_old_one_is_gone() -> None:
    during = GOOD | {"webhook-signature": sign([SECRET, OLD], ID, NOW, BODY)}

    assert verify(BODY, during, SECRET, now=NOW) == verify(BODY, during, OLD, now=NOW) == ID
    assert verify(BODY, GOOD, [OLD, SECRET], now=NOW) == ID
    assert "none of the signatures" in refusal(GOOD, secrets=OLD)


@pytest.mark.parametrize(
    "signatures",
    [
        f"v1a,{'A' * 86}== {SIGNATURE}",
        f"{SIGNATURE} v1a,{'A' * 86}==",
        f"{sign([OTHER], ID, NOW, BODY)} {SIGNATURE}",
        f"nonsense ,, v1 v2,x {SIGNATURE} v1,",
        f"  {SIGNATURE}  ",
    ],
)
def test_what_stands_beside_the_right_signature_does_no_harm(signatures: str) -> None:
    assert verify(BODY, GOOD | {"webhook-signature": signatures}, SECRET, now=NOW) == ID


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age_s", [-300, -299, 0, 299, 300])
def test_300_seconds_either_way_are_accepted(age_s: int) -> None:
    assert verify(BODY, GOOD, SECRET, now=NOW + age_s) == ID


@pytest.mark.parametrize(
    ("age_s", "message"),
    [(301, "signed 301 s ago"), (-301, "signed 301 s ahead"), (300.5, " ago"), (10**9, " ago"), (float("nan"), "s")],
)
def test_more_is_refused(age_s: float, message: str) -> None:
    assert message in refusal(GOOD, now=NOW + age_s)


def test_another_tolerance_may_be_asked_for() -> None:
    assert verify(BODY, GOOD, SECRET, now=NOW + 5, tolerance_s=5) == ID
    with pytest.raises(SignatureRefused, match="at most 5 s"):
        verify(BODY, GOOD, SECRET, now=NOW + 6, tolerance_s=5)


def test_the_time_is_that_of_the_clock_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = str(int(time.time()))

    assert verify(BODY, signed(ID, fresh), SECRET) == ID
    assert clock.now_s() == pytest.approx(time.time(), abs=60)
    monkeypatch.setattr(verifying, "now_s", lambda: NOW + 301.0)
    with pytest.raises(SignatureRefused, match="301 s ago"):
        verify(BODY, GOOD, SECRET)


# --- secrets that are none: a mistake of the programmer, not of the sender --------------------------------------------


@pytest.mark.parametrize(
    "secrets",
    [
        [],
        (),
        "",
        [""],
        "hunter2",
        ["whsec_hunter2"],
        SECRET.encode(),
        [SECRET, "whsec_"],
        [None],
        [SECRET, 7],
        SECRET[:-1],
    ],
)
def test_secrets_that_are_none_are_a_value_error_at_once(secrets: Any) -> None:
    with pytest.raises(ValueError, match="signing secret") as raised:
        verify(BODY, {}, secrets, now=NOW)

    assert not isinstance(raised.value, SignatureRefused)
    assert "hunter2" not in str(raised.value)


def test_a_refusal_cannot_be_taken_for_such_a_mistake() -> None:
    assert not issubclass(SignatureRefused, ValueError)


# --- where it runs ---------------------------------------------------------------------------------------------------


def test_it_needs_the_standard_library_only() -> None:
    """Receivers have it where nothing else is installed: -S leaves out all that was."""
    code = f"""
import sys
from postback.receiver.verifying import SignatureRefused, verify
print(verify({BODY!r}, {GOOD!r}, {SECRET!r}, now={NOW}))
try:
    verify(b"", {GOOD!r}, {SECRET!r}, now={NOW})
except SignatureRefused as refused:
    print(refused)
print([path for path in sys.path if "site-packages" in path])
"""
    folder = str(Path(verifying.__file__).parents[2])

    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": folder}, capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        ID,
        "none of the signatures is that of this body, id and time with a known secret",
        "[]",
    ]
