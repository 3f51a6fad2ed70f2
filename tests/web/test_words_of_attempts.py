"""An attempt in words, as a bar and as a command line: pure functions, without a page around them."""

import itertools
import shlex
from dataclasses import replace
from typing import Any

import pytest

from postback.actions.log import SentRequest
from postback.domain.deliveries import Verdict
from postback.domain.wire import Note, Reason
from postback.ports import AttemptView
from postback.web.commands import curl
from postback.web.reasons import decided, note_in_words, reason_in_words
from postback.web.timings import LEAST, WIDTH, parts_of, total_ms

AN_ATTEMPT = AttemptView(
    number=1,
    counter=1,
    verdict=Verdict.DELIVERED,
    config=None,
    worker=1,
    manual=False,
    test=False,
    started_ms=1_000,
    rendered_ms=1_010,
    sent_ms=1_100,
    ended_ms=1_500,
    wait_ms=0,
    status=200,
    reason=None,
    detail=None,
    body_hash=None,
    dns_ms=20,
    connect_ms=30,
    tls_ms=40,
    first_byte_ms=300,
)


def an_attempt(**changes: Any) -> AttemptView:
    return replace(AN_ATTEMPT, **changes)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_told_in_words(reason: Reason) -> None:
    assert "_" not in reason_in_words(reason)


@pytest.mark.parametrize("note", list(Note))
def test_every_note_is_told_in_a_sentence(note: Note) -> None:
    assert note_in_words(note).endswith(".")


def test_a_reason_of_a_newer_version_is_told_as_it_is() -> None:
    assert reason_in_words("out_of_luck") == "out of luck"
    assert reason_in_words(None) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": Verdict.DELIVERED}, "Delivered: the receiver acknowledged it."),
        (
            {"verdict": Verdict.RETRY, "wait_ms": 300_000, "reason": "response_timeout"},
            "Another attempt after 5 min: no answer in time.",
        ),
        (
            {"verdict": Verdict.RETRY, "wait_ms": 250, "reason": "no_route"},
            "Another attempt after 250 ms: no route to the host.",
        ),
        (
            {"verdict": Verdict.FAILED, "reason": "connection_refused"},
            "Given up: connection refused, and no attempt is left.",
        ),
        ({"verdict": Verdict.FAILED, "status": 410, "reason": "bad_status"}, "410 Gone, which also disables"),
        ({"verdict": Verdict.FAILED, "reason": "cannot_render"}, "Given up: format cannot say the event."),
        ({"verdict": Verdict.FAILED, "reason": "bad_status", "test": True}, "a test has one attempt"),
        ({"verdict": Verdict.CANCELLED, "reason": "cancelled"}, "Cancelled: no more attempts."),
        ({"verdict": Verdict.INTERRUPTED, "reason": "interrupted"}, "Owed again at once, and no attempt is used up"),
        ({"verdict": Verdict.INTERRUPTED, "reason": "interrupted", "wait_ms": 4000}, "Owed again after 4 s"),
        ({"verdict": Verdict.LATE}, "Decides nothing"),
    ],
)
def test_what_was_decided_is_told_with_why(changes: dict[str, Any], said: str) -> None:
    assert said in decided(an_attempt(**changes))


def test_the_parts_of_an_attempt_follow_each_other_and_fill_the_bar() -> None:
    parts = parts_of(an_attempt())

    assert [(part.key, part.ms) for part in parts] == [
        ("waiting", 10), ("dns", 20), ("connect", 30), ("tls", 40), ("answer", 300), ("rest", 100),
    ]  # fmt: skip
    assert sum(part.ms for part in parts) == total_ms(an_attempt()) == 500
    for one, following in itertools.pairwise(parts):
        assert following.x == pytest.approx(one.x + one.width, abs=0.2)
    assert parts[-1].x + parts[-1].width == pytest.approx(WIDTH, abs=0.5)


def test_what_took_no_time_can_be_seen_and_what_did_not_happen_is_left_out() -> None:
    warm = parts_of(an_attempt(dns_ms=None, connect_ms=None, tls_ms=None, started_ms=1_010))
    nothing = parts_of(an_attempt(rendered_ms=1_000, ended_ms=1_000, dns_ms=0, connect_ms=0, tls_ms=0, first_byte_ms=0))

    assert [part.key for part in warm] == ["waiting", "answer", "rest"]
    assert warm[0].ms == 0
    assert all(part.width >= LEAST for part in (*warm, *nothing))


def test_a_row_in_which_nothing_was_sent_has_no_bar() -> None:
    assert parts_of(an_attempt(started_ms=None, rendered_ms=None)) == []
    assert total_ms(an_attempt(started_ms=None)) is None


def test_a_command_line_says_the_request_without_its_secrets() -> None:
    headers = {"host": "h", "content-length": "9", "authorization": "***", "X-Api-Key": "s3cret", "X-It's": "a 'b' $c"}
    sent = SentRequest("https://ann:opensesame@crm.example/in?a=1&b=2", headers, b"@it's\n$(date) `x`")

    words = shlex.split(curl(sent) or "")

    assert words == [
        *("curl", "--request", "POST", "https://ann:***@crm.example/in?a=1&b=2"),
        *("--header", "authorization: ***", "--header", "X-Api-Key: ***", "--header", "X-It's: a 'b' $c"),
        *("--data-raw", "@it's\n$(date) `x`"),
    ]


def test_there_is_no_command_line_for_a_body_that_is_not_known() -> None:
    assert curl(SentRequest("https://crm.example/in", {}, None)) is None
