"""Charts as plain geometry: round marks, columns that add up, lines with gaps where nothing is known."""

import pytest

from postback.web.charts import NARROW, WIDE, Size, lines, round_levels, short, stacked

MINUTE_MS = 60_000
NINE = 1_790_067_600_000
"""09:00 UTC."""

SMALL = Size(110, 120, 10, 20, 4)
"""A plot of 100 units from 10 on, and of 92 units from 8 to 100."""


def columns(*values: tuple[int, ...], step_ms: int = MINUTE_MS) -> list[tuple[int, tuple[int, ...]]]:
    """From nine on, or from before where a step begins then."""
    first = NINE - NINE % step_ms
    return [(first + place * step_ms, one) for place, one in enumerate(values)]


@pytest.mark.parametrize(
    ("highest", "levels"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (4, [0, 1, 2, 3, 4]),
        (5, [0, 2, 4, 6]),
        (9, [0, 5, 10]),
        (40, [0, 10, 20, 30, 40]),
        (41, [0, 20, 40, 60]),
        (1_340, [0, 500, 1_000, 1_500]),
        (99_999, [0, 50_000, 100_000]),
    ],
)
def test_marks_are_round_and_reach_what_is_shown(highest: int, levels: list[int]) -> None:
    assert round_levels(highest) == levels


def test_whatever_is_shown_there_are_few_marks_and_all_fits() -> None:
    for highest in (*range(1, 2_000), 10**6 + 1, 7 * 10**9):
        levels = round_levels(highest)

        assert 2 <= len(levels) <= 5, highest
        assert levels[-1] >= highest, highest
        assert levels[-2] < highest, highest
        assert int(str(levels[1]).rstrip("0")) in (1, 2, 5), highest


def test_a_column_stands_on_the_ground_and_each_series_on_the_one_below() -> None:
    chart = stacked(columns((10, 6, 4), (0, 0, 0)), MINUTE_MS, SMALL)

    assert [bar.series for bar in chart.bars] == [0, 1, 2]
    assert [bar.y for bar in chart.bars] == [54.0, 26.4, 8.0]
    assert [bar.height for bar in chart.bars] == [46.0, 27.6, 18.4]
    for lower, upper in zip(chart.bars, chart.bars[1:], strict=False):
        assert upper.y + upper.height == pytest.approx(lower.y)
    assert chart.bars[0].y + chart.bars[0].height == chart.base == 100
    assert [(mark.text, mark.at) for mark in chart.levels] == [("0", 100), ("5", 77), ("10", 54), ("15", 31), ("20", 8)]


def test_columns_share_the_width_and_nothing_has_no_bar() -> None:
    chart = stacked(columns((1,), (0,), (1,), (1,)), MINUTE_MS, SMALL)

    assert [bar.x for bar in chart.bars] == [11.0, 61.0, 86.0]
    assert {bar.width for bar in chart.bars} == {23.0}


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("count", [1, 60, 84, 96])
def test_everything_is_drawn_within_the_drawing(size: Size, count: int) -> None:
    chart = stacked(columns(*((place, 2 * place, 1) for place in range(count))), MINUTE_MS, size)

    assert all(bar.width > 0.5 and bar.height > 0 for bar in chart.bars)
    assert min(bar.x for bar in chart.bars) >= size.left
    assert max(bar.x + bar.width for bar in chart.bars) <= size.width
    assert min(bar.y for bar in chart.bars) >= size.top - 0.01
    assert all(size.top <= mark.at <= chart.base for mark in chart.levels)
    assert len(chart.times) <= size.times + 1


@pytest.mark.parametrize(
    ("count", "step_ms", "size", "said"),
    [
        (60, MINUTE_MS, WIDE, ["09:00", "09:10", "09:20", "09:30", "09:40", "09:50"]),
        (60, MINUTE_MS, NARROW, ["09:00", "09:20", "09:40"]),
        (96, 15 * MINUTE_MS, NARROW, ["12:00", "18:00", "00:00", "06:00"]),
        (84, 120 * MINUTE_MS, WIDE, ["23 Sep", "24 Sep", "25 Sep", "26 Sep", "27 Sep", "28 Sep", "29 Sep"]),
        (84, 120 * MINUTE_MS, NARROW, ["24 Sep", "26 Sep", "28 Sep"]),
    ],
)
def test_times_are_marked_where_they_are_round(count: int, step_ms: int, size: Size, said: list[str]) -> None:
    chart = stacked(columns(*[(1,)] * count, step_ms=step_ms), step_ms, size)

    assert [mark.text for mark in chart.times] == said


def test_of_nothing_there_is_an_empty_chart() -> None:
    chart = stacked([], MINUTE_MS, SMALL)

    assert (list(chart.bars), list(chart.times)) == ([], [])
    assert [mark.text for mark in chart.levels] == ["0", "1"]


def test_a_line_rises_to_the_highest_and_breaks_where_nothing_is_known() -> None:
    assert lines([0, 5, 10], 100, 24) == ["0,22 50,12 100,2"]
    assert lines([8, None, 4, 8, None], 100, 24) == ["0,2 2,2", "50,12 75,2"]
    assert lines([None, 8, None, 4], 90, 24) == ["28,2 32,2", "88,12 90,12"]
    assert lines([0, 0], 100, 24) == ["0,22 100,22"]
    assert lines([None, None]) == []
    assert lines([]) == []


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (950, "950"), (1_000, "1k"), (1_500, "1.5k"), (2_000_000, "2M"), (5 * 10**9, "5G")]
)
def test_marks_are_short(value: int, said: str) -> None:
    assert short(value) == said
