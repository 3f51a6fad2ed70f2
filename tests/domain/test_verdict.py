"""What follows from an outcome, without a network and without a clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.deliveries import Verdict
from postback.domain.policy import RetryPolicy, SuccessRule
from postback.domain.verdict import Decision, decide, reason_of, retry_after_ms
from postback.domain.wire import Outcome, Reason, Timings, Unreachable
from tests.build import NOON, a_claim, a_config, answered

THREE_TIMES = a_config(retry=RetryPolicy(attempts=3, waits_s=(60, 120)))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def decision(outcome: Outcome, *, attempts: int = 0, forgiven: int = 0, **config: object) -> Decision:
    claim = a_claim(attempts=attempts, forgiven=forgiven)
    return decide(claim, a_config(**{"retry": THREE_TIMES.retry, **config}), outcome, NOON, lambda: 0.0)


def unreachable(reason: Reason) -> Unreachable:
    return Unreachable(reason, "in words", Timings())


def asked(*values: str, status: int = 503) -> Outcome:
    return answered(status, headers=[(b"Retry-After", value.encode("latin-1")) for value in values])


def test_a_success_is_what_the_owner_calls_one() -> None:
    assert decision(answered(204)).verdict is Verdict.DELIVERED
    assert decision(answered(299)).verdict is Verdict.DELIVERED
    assert decision(answered(300)).verdict is Verdict.RETRY
    assert decision(answered(200), success=SuccessRule.EXACTLY_200).verdict is Verdict.DELIVERED
    assert decision(answered(201), success=SuccessRule.EXACTLY_200).verdict is Verdict.RETRY


def test_a_failure_waits_as_the_policy_says_until_there_is_no_attempt_left() -> None:
    assert decision(answered(500), attempts=0) == Decision(Verdict.RETRY, 60_000)
    assert decision(unreachable(Reason.CONNECT_TIMEOUT), attempts=1) == Decision(Verdict.RETRY, 120_000)
    assert decision(answered(500), attempts=2) == Decision(Verdict.FAILED)


def test_attempts_before_a_replay_do_not_count() -> None:
    assert decision(answered(500), attempts=5, forgiven=5) == Decision(Verdict.RETRY, 60_000)
    assert decision(answered(500), attempts=7, forgiven=5) == Decision(Verdict.FAILED)


def test_an_interruption_uses_no_attempt_up() -> None:
    assert decision(unreachable(Reason.INTERRUPTED), attempts=2) == Decision(Verdict.INTERRUPTED)


@pytest.mark.parametrize("reason", [Reason.CANNOT_RENDER, Reason.POISON, Reason.EXPIRED])
def test_what_cannot_succeed_is_not_tried_again(reason: Reason) -> None:
    assert decision(unreachable(reason)) == Decision(Verdict.FAILED)


@pytest.mark.parametrize("status", [0, 101, 300, 399, 418, 500, 999])
def test_84_every_other_status_is_a_failure(status: int) -> None:
    assert decision(answered(status)).verdict is Verdict.RETRY


def test_55_a_redirect_is_told_from_other_failures() -> None:
    assert reason_of(answered(307)) is Reason.REDIRECT_NOT_FOLLOWED
    assert reason_of(answered(500)) is Reason.BAD_STATUS
    assert reason_of(unreachable(Reason.DNS_ERROR)) is Reason.DNS_ERROR


@pytest.mark.parametrize(
    "value",
    [
        "-5",
        "soon",
        "NaN",
        "",
        "+5",
        "1.5",
        "0x10",
        "1e20",
        "\xb2",
        "Mon, 01 Jan 1990 00:00:00 GMT",
        "Fri, 31 Feb 2027 00:00:00 GMT",
        "Fri, 31 Dec 99999999999999999999 23:59:59 GMT",
        "Fri, 31 Dec 2026 23:59:59 +99999999999",
        "Sat, 01 Jan 0001 00:00:00 +2359",
        "2026-09-21T12:00:00Z",
    ],
)
def test_92_a_retry_after_that_means_nothing_changes_nothing(value: str) -> None:
    assert retry_after_ms(asked(value), NOON) is None
    assert decision(asked(value)) == Decision(Verdict.RETRY, 60_000)


def test_92_two_values_mean_nothing() -> None:
    assert decision(asked("600", "900")) == Decision(Verdict.RETRY, 60_000)


@pytest.mark.parametrize("value", ["99999999999999999999", "9" * 6000, "86401", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_92_more_than_a_day_is_a_day(value: str) -> None:
    assert decision(asked(value)) == Decision(Verdict.RETRY, DAY_MS)


def test_92_a_wait_is_lengthened_and_never_shortened() -> None:
    assert decision(asked("600")) == Decision(Verdict.RETRY, 600_000)
    assert decision(asked("5")) == Decision(Verdict.RETRY, 60_000)
    assert decision(asked("0")) == Decision(Verdict.RETRY, 60_000)


def test_92_seconds_and_dates_are_understood() -> None:
    assert retry_after_ms(asked(" 7 "), NOON) == 7_000
    assert retry_after_ms(asked("Mon, 21 Sep 2026 15:13:20 GMT"), NOON) == HOUR_MS
    assert retry_after_ms(asked("Mon, 21 Sep 2026 16:13:50 +0200"), NOON) == 30_000


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40))
def test_92_no_retry_after_breaks_the_decision(value: str) -> None:
    wait_ms = decision(asked(value)).wait_ms

    assert 60_000 <= wait_ms <= DAY_MS


def test_98_gone_ends_the_delivery_and_disables_the_config() -> None:
    gone = decision(answered(410))

    assert gone.verdict is Verdict.FAILED
    assert gone.disables is not None
    assert "410" in gone.disables
    assert decision(answered(500)).disables is None


@pytest.mark.parametrize("status", [429, 503, 500, 404])
def test_99_retry_after_counts_on_every_failed_answer(status: int) -> None:
    assert decision(asked("600", status=status)) == Decision(Verdict.RETRY, 600_000)


def test_99_retry_after_makes_no_further_attempt() -> None:
    assert decision(asked("600"), attempts=2) == Decision(Verdict.FAILED)
