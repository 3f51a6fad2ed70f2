"""The arithmetic of retries, and what counts as a success."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.policy import ATTEMPTS_MAX, JITTER, RetryPolicy, SuccessRule


def waits_of(policy: RetryPolicy, dice: float = 0.0) -> list[int | None]:
    """The wait after each attempt, up to the one that says that it was the last."""
    return [policy.wait_ms_after(attempt, lambda: dice) for attempt in range(1, policy.attempts + 1)]


def test_the_default_is_one_attempt() -> None:
    assert waits_of(RetryPolicy()) == [None]


def test_a_fixed_interval_is_the_wait_after_each_attempt_but_the_last() -> None:
    assert waits_of(RetryPolicy(4, (300,))) == [300_000, 300_000, 300_000, None]


def test_a_schedule_gives_its_waits_in_turn_and_its_last_wait_repeats() -> None:
    assert waits_of(RetryPolicy(6, (5, 60, 3600))) == [5_000, 60_000, 3_600_000, 3_600_000, 3_600_000, None]


def test_a_schedule_longer_than_the_attempts_is_cut() -> None:
    assert waits_of(RetryPolicy(2, (5, 60, 3600))) == [5_000, None]


def test_after_the_last_attempt_there_is_no_wait_however_late_it_is_asked() -> None:
    policy = RetryPolicy(3, (1,))

    assert [policy.wait_ms_after(attempt, lambda: 0.0) for attempt in (3, 4, 1_000)] == [None] * 3


def test_without_jitter_the_dice_are_not_rolled() -> None:
    def dice() -> float:
        raise AssertionError("rolled")

    assert RetryPolicy(2, (7,)).wait_ms_after(1, dice) == 7_000


@given(
    st.integers(2, ATTEMPTS_MAX),
    st.lists(st.integers(1, 604_800), min_size=1, max_size=49),
    st.floats(0, 1, exclude_max=True),
)
def test_jitter_only_adds_and_no_more_than_a_tenth(attempts: int, waits_s: list[int], dice: float) -> None:
    exact = waits_of(RetryPolicy(attempts, tuple(waits_s)))
    jittered = waits_of(RetryPolicy(attempts, tuple(waits_s), jitter=True), dice)

    assert (exact[-1], jittered[-1]) == (None, None)
    for wait_ms, with_jitter_ms in zip(exact[:-1], jittered[:-1], strict=True):
        assert wait_ms is not None
        assert with_jitter_ms is not None
        assert wait_ms <= with_jitter_ms <= wait_ms * (1 + JITTER)


@pytest.mark.parametrize(
    ("status", "any_2xx", "exactly_200"),
    [(199, False, False), (200, True, True), (201, True, False), (299, True, False), (300, False, False)],
)
def test_the_owner_says_what_acknowledges(status: int, any_2xx: bool, exactly_200: bool) -> None:
    assert SuccessRule.ANY_2XX.accepts(status) is any_2xx
    assert SuccessRule.EXACTLY_200.accepts(status) is exactly_200
