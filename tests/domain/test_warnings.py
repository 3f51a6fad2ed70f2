"""What the owner of a config is warned of: receivers of callbacks answer at once, and with nothing."""

from dataclasses import replace

import pytest

from postback.domain.configs import Warned
from postback.domain.policy import POLICIES, policy_of_format
from postback.domain.verdict import WARNED_LEAST_MS, warning
from postback.domain.wire import Outcome, Reason, Timings, Unreachable
from tests.build import NOON, a_config, answered

CALLBACK = a_config(format="sms-callback", deadlines=policy_of_format("sms-callback").deadlines)


def unreachable(reason: Reason) -> Outcome:
    return Unreachable(reason, "", Timings())


def test_a_body_in_a_good_answer_is_a_warning() -> None:
    assert "answered with a body" in (warning(CALLBACK, answered(200, body=b"\n"), NOON) or "")
    assert "answered with a body" in (warning(CALLBACK, answered(200, body=b"<html></html>"), NOON) or "")


def test_an_answer_that_came_too_late_is_a_warning_with_the_time_that_was_there() -> None:
    late = warning(CALLBACK, unreachable(Reason.RESPONSE_TIMEOUT), NOON)

    assert late is not None
    assert "within 1 s" in late


def test_an_empty_answer_in_time_is_none() -> None:
    assert warning(CALLBACK, answered(204), NOON) is None


@pytest.mark.parametrize(
    "outcome",
    [answered(500, body=b"Traceback"), answered(404), *map(unreachable, (Reason.DNS_ERROR, Reason.CONNECTION_REFUSED))],
    ids=["500", "404", "dns", "refused"],
)
def test_a_failure_that_is_no_lateness_neither_warns_nor_ends_a_warning(outcome: Outcome) -> None:
    warned = replace(CALLBACK, warned=Warned("it answered with a body", NOON - 10 * WARNED_LEAST_MS))

    assert warning(CALLBACK, outcome, NOON) is None
    assert warning(warned, outcome, NOON) is None


def test_what_is_warned_of_already_is_not_written_again() -> None:
    text = warning(CALLBACK, answered(200, body=b"ok"), NOON)
    assert text is not None
    warned = replace(CALLBACK, warned=Warned(text, NOON))

    assert warning(warned, answered(200, body=b"ok"), NOON + 1) is None
    assert warning(warned, answered(200, body=b"ok"), NOON + 10 * WARNED_LEAST_MS) is None


def test_another_warning_takes_the_place_of_one_but_not_at_once() -> None:
    """A receiver that was late and answered with a body by turns made a new state of its config with each attempt:
    a write each, and all that was just being accepted for the account matched again."""
    warned = replace(CALLBACK, warned=Warned("it answered with a body", NOON))
    late = unreachable(Reason.RESPONSE_TIMEOUT)

    assert warning(warned, late, NOON + WARNED_LEAST_MS - 1) is None
    assert "within 1 s" in (warning(warned, late, NOON + WARNED_LEAST_MS) or "")


def test_a_good_answer_ends_a_warning_but_not_at_once() -> None:
    warned = replace(CALLBACK, warned=Warned("it answered with a body", NOON))

    assert warning(warned, answered(200), NOON + WARNED_LEAST_MS - 1) is None
    assert warning(warned, answered(200), NOON + WARNED_LEAST_MS) == ""


@pytest.mark.parametrize("format_name", [name for name in POLICIES if name != "sms-callback"])
def test_other_formats_take_any_answer(format_name: str) -> None:
    config = a_config(format=format_name)

    assert warning(config, answered(200, body=b"OK, thank you"), NOON) is None
    assert warning(config, unreachable(Reason.RESPONSE_TIMEOUT), NOON) is None
