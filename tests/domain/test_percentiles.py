"""Percentiles from a histogram that knows of each latency only how many binary digits it has."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.domain.stats import percentile_ms


def test_nothing_delivered_has_no_percentile() -> None:
    assert percentile_ms({}, 50) is None
    assert percentile_ms({7: 0}, 99) is None


@pytest.mark.parametrize(
    ("latencies", "p50", "p99"),
    [
        ({0: 1}, 0, 0),
        ({1: 1}, 1, 1),
        ({7: 98, 10: 2}, 127, 1023),
        ({7: 99, 10: 1}, 127, 127),
        ({3: 1, 12: 1}, 7, 4095),
        ({12: 1, 3: 3}, 7, 4095),
    ],
)
def test_a_percentile_is_the_end_of_the_range_that_it_falls_into(latencies: dict[int, int], p50: int, p99: int) -> None:
    assert (percentile_ms(latencies, 50), percentile_ms(latencies, 99)) == (p50, p99)


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 100))
def test_the_true_percentile_is_at_most_that_and_more_than_half_of_it(taken_ms: list[int], percent: int) -> None:
    shown = percentile_ms(Counter(ms.bit_length() for ms in taken_ms), percent)

    true = sorted(taken_ms)[-(-len(taken_ms) * percent // 100) - 1]
    assert shown is not None
    assert true <= shown
    assert shown == 0 or true > shown / 2
