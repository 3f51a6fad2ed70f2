"""The page on troubleshooting knows every word of the log, and what it quotes is what the product says."""

import re
import ssl
from pathlib import Path

import pytest

from postback.domain.configs import ConfigState
from postback.domain.deliveries import State
from postback.domain.verdict import warning
from postback.domain.wire import Note, Outcome, Reason, Timings, Unreachable
from postback.transport.failures import bad_tls
from postback.transport.tls import client_context
from tests import manual
from tests.build import NOON, a_config, answered
from tests.transport.certificates import Authority

PAGE = (manual.ROOT / "docs" / "guide" / "troubleshooting.md").read_text("utf-8")
SHOWN = manual.headings(PAGE)


@pytest.mark.parametrize(("title", "words"), [("Reasons", list(Reason)), ("Notes", list(Note))])
def test_every_reason_and_note_has_a_heading_and_no_other_word_has(title: str, words: list[str]) -> None:
    assert manual.headings(manual.section(PAGE, title)) == [str(word) for word in words]


@pytest.mark.parametrize("word", [*Reason, *Note])
def test_a_reason_says_what_it_means_and_what_either_side_does(word: str) -> None:
    lines = [line for line in manual.section(PAGE, str(word)).splitlines() if line]

    meaning, *to_do = lines
    assert meaning[0].isupper()
    assert [re.match(r"- \*\*(\w+):\*\* \S", line) is not None for line in to_do] == [True, True], word
    assert [line[4:8] for line in to_do] == ["Rece", "Here"]


def test_every_state_is_explained() -> None:
    configs = manual.headings(manual.section(PAGE, "States of a config"))

    assert manual.column(manual.section(PAGE, "States of a delivery"), "state") == [
        "pending", "claimed", "held", "delivered", "failed", "cancelled",
    ]  # fmt: skip
    assert sorted(manual.column(PAGE, "state")) == sorted(State)
    # A deleted one is not shown to anybody.
    assert configs == [state for state in ConfigState if state is not ConfigState.DELETED]


def test_every_warning_is_on_the_page_in_its_words() -> None:
    late = Unreachable(Reason.RESPONSE_TIMEOUT, "", Timings())
    outcomes: list[Outcome] = [late, answered(body=b"<html></html>")]

    said = [warning(a_config(format="sms-callback"), outcome, NOON) for outcome in outcomes]

    assert [re.sub(r"\d+ s", "… s", text or "") for text in said] == manual.column(PAGE, "warning")


def test_what_is_quoted_of_certificates_is_what_an_attempt_says(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "Stranger")
    details = [
        detail_with(authority.server(["client.example"], days=-1), authority),
        detail_with(authority.server(["other.example"]), authority),
        detail_with(stranger.server(["client.example"]), authority),
        detail_with(authority.server(["client.example"], self_signed=True), authority),
        detail_with(None, authority),
        detail_with(only_old(authority.server(["client.example"])), authority),
    ]

    quoted = manual.column(PAGE, "detail")
    assert len(quoted) == len(details)
    for words, detail in zip(quoted, details, strict=True):
        assert words.rstrip("…") in detail


def detail_with(server: ssl.SSLContext | None, authority: Authority) -> str:
    """What an attempt says of a receiver called client.example; of None, which answers in plain text."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(str(authority.file)).wrap_bio(to_client, to_server, server_hostname="client.example")
    other = None if server is None else server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return str(bad_tls(error))
        if other is None:
            to_client.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            continue
        try:
            other.do_handshake()
        except ssl.SSLError:
            continue
    raise AssertionError("the certificate was accepted")


def only_old(context: ssl.SSLContext) -> ssl.SSLContext:
    """It offers nothing that we do."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-SHA256")
    return context
