"""The rule that is breaker, slow start, herd control and probe in one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.wire import CONNECTION_REASONS, Reason, Timings, Unreachable
from postback.engine.windows import LANE_START, Window, asks_to_pause, blames_the_host, overwhelms
from tests.build import answered

TIMEOUTS = {Reason.CONNECT_TIMEOUT, Reason.RESPONSE_TIMEOUT, Reason.CONNECTION_RESET}


def unreachable(reason: Reason) -> Unreachable:
    return Unreachable(reason, "in words", Timings())


def test_a_window_grows_by_one_with_each_success_up_to_its_limit() -> None:
    window = Window(LANE_START, 6)

    sizes = []
    for _ in range(4):
        window.grow()
        sizes.append(window.size)

    assert sizes == [5, 6, 6, 6]


def test_it_halves_with_each_failure_and_one_always_remains_as_the_probe() -> None:
    window = Window(64, 64)

    sizes = []
    for _ in range(8):
        window.shrink()
        sizes.append(window.size)

    assert sizes == [32, 16, 8, 4, 2, 1, 1, 1]
    assert window.shrunk


def test_the_first_success_ends_the_caution_and_not_yet_the_small_size() -> None:
    window = Window(8, 64)
    window.shrink()

    window.grow()

    assert (window.size, window.shrunk) == (5, False)


def test_a_lower_limit_counts_at_once_and_a_higher_one_has_to_be_earned() -> None:
    window = Window(LANE_START, 64)
    for _ in range(30):
        window.grow()

    window.limit(5)
    assert window.size == 5
    window.limit(50)
    assert window.size == 5
    window.grow()
    assert window.size == 6


def test_a_limit_below_the_start_holds_from_the_beginning() -> None:
    assert Window(LANE_START, 2).size == 2


@given(st.lists(st.booleans(), max_size=200), st.integers(1, 64))
def test_whatever_happens_a_window_stays_between_one_and_its_limit(successes: list[bool], most: int) -> None:
    window = Window(LANE_START, most)

    for success in successes:
        window.grow() if success else window.shrink()

        assert 1 <= window.size <= most
        assert window.shrunk is not success


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
def test_an_answer_that_says_too_much_makes_the_window_smaller(status: int) -> None:
    assert overwhelms(answered(status))
    assert not blames_the_host(answered(status))


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 410, 422, 600, 999])
def test_an_answer_that_says_something_else_does_not(status: int) -> None:
    assert not overwhelms(answered(status))


@pytest.mark.parametrize("reason", list(Reason))
def test_timeouts_and_failed_connections_make_it_smaller_and_nothing_of_our_own_does(reason: Reason) -> None:
    assert overwhelms(unreachable(reason)) is (reason in TIMEOUTS or reason in CONNECTION_REASONS)
    assert blames_the_host(unreachable(reason)) is (reason in CONNECTION_REASONS)


def test_only_429_and_503_speak_for_the_whole_receiver() -> None:
    assert [status for status in range(200, 600) if asks_to_pause(answered(status))] == [429, 503]
    assert not asks_to_pause(unreachable(Reason.RESPONSE_TIMEOUT))
