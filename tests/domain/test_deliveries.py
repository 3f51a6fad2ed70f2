"""The states of a delivery, as far as they are rules and not rows."""

import pytest

from postback.domain.deliveries import INTERRUPTIONS_MAX, Verdict, again_at_ms, interruption_wait_ms


@pytest.mark.parametrize(
    ("verdict", "ends"),
    [
        (Verdict.RETRY, False),
        (Verdict.DELIVERED, True),
        (Verdict.FAILED, True),
        (Verdict.CANCELLED, True),
        (Verdict.INTERRUPTED, False),
        (Verdict.LATE, False),
    ],
)
def test_a_delivery_ends_when_it_is_delivered_failed_or_cancelled(verdict: Verdict, ends: bool) -> None:
    assert verdict.ends is ends


def test_every_verdict_has_been_thought_of() -> None:
    assert len(Verdict) == 6


def test_the_numbers_of_verdicts_are_stored_and_never_change() -> None:
    assert {verdict.name: verdict.value for verdict in Verdict} == {
        "RETRY": 0,
        "DELIVERED": 1,
        "FAILED": 2,
        "CANCELLED": 3,
        "INTERRUPTED": 4,
        "LATE": 5,
    }


def test_after_the_first_death_of_a_worker_it_goes_on_at_once_and_then_ever_later() -> None:
    waits_s = [interruption_wait_ms(times) / 1000 for times in range(1, INTERRUPTIONS_MAX)]

    assert waits_s == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_no_number_of_deaths_makes_it_wait_for_more_than_a_minute() -> None:
    assert {interruption_wait_ms(times) for times in range(8, 1_000)} == {60_000}


@pytest.mark.parametrize(
    ("now_ms", "ended_ms", "again_ms"),
    [(1_000, 1_000, 1_300), (1_000, 400, 1_300), (1_000, 1_001, 1_301), (1_000, 1_020, 1_320), (1_000, 9_000, 1_300)],
)
def test_a_wait_begins_no_sooner_than_its_attempt_ended_as_far_as_two_clocks_of_one_machine_differ(
    now_ms: int, ended_ms: int, again_ms: int
) -> None:
    """An attempt that the loop measured as ending a millisecond after the store's now was tried again that much early."""
    assert again_at_ms(now_ms, ended_ms, 300) == again_ms
