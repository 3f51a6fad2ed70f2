"""Charts as plain geometry, for templates to draw as SVG: where bars, lines and the marks of axes stand."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

from postback.domain.times import rfc3339

MARKS: Final = 4
"""Of the upright axis, above 0, at most."""

_DASH: Final = 2
_ROUND: Final = (1, 2, 5, 10)
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS

_BETWEEN_MARKS_MS: Final = (
    *(10 * _MINUTE_MS, 20 * _MINUTE_MS, 30 * _MINUTE_MS, _HOUR_MS, 3 * _HOUR_MS, 6 * _HOUR_MS, 12 * _HOUR_MS),
    *(_DAY_MS, 2 * _DAY_MS, 7 * _DAY_MS),
)
"""How far apart marks of time may be."""


class Size(NamedTuple):
    """Of a drawing, in its own units; `left` and `bottom` are the room for the axes, `times` how many marks of time fit."""

    width: int
    height: int
    left: int
    bottom: int
    times: int
    top: int = 8


WIDE: Final = Size(1040, 260, 56, 28, 9)
NARROW: Final = Size(340, 200, 44, 26, 4)


class Mark(NamedTuple):
    """On an axis: where, and what stands there."""

    at: float
    text: str


class Bar(NamedTuple):
    """A part of a column: which series it is of, and where it stands."""

    series: int
    x: float
    y: float
    width: float
    height: float


class Stacked(NamedTuple):
    """A chart of columns, each of several series one upon the other. `base` is where 0 is, `right` where the plot ends."""

    size: Size
    bars: Sequence[Bar]
    levels: Sequence[Mark]
    times: Sequence[Mark]
    base: float
    right: float


def stacked(columns: Sequence[tuple[int, Sequence[int]]], step_ms: int, size: Size) -> Stacked:
    """`columns` are the start of each step (unix ms) and a number of each series, which stand from the ground up."""
    levels = round_levels(max((sum(values) for _, values in columns), default=0))
    base, right = float(size.height - size.bottom), float(size.width)
    unit = (base - size.top) / levels[-1]
    pitch = (right - size.left) / max(len(columns), 1)
    gap = min(2.0, pitch / 4)
    bars = []
    for place, (_, values) in enumerate(columns):
        y = base
        for series, value in enumerate(values):
            height = value * unit
            y -= height
            if value:
                bars.append(
                    Bar(
                        series,
                        _round(size.left + place * pitch + gap / 2),
                        _round(y),
                        _round(pitch - gap),
                        _round(height),
                    )
                )
    return Stacked(
        size=size,
        bars=bars,
        levels=[Mark(_round(base - level * unit), short(level)) for level in levels],
        times=_times([at_ms for at_ms, _ in columns], step_ms, size, pitch),
        base=base,
        right=right,
    )


def round_levels(highest: int) -> Sequence[int]:
    """0 and the marks above it, whole and round, the last at `highest` or above."""
    if highest <= 0:
        return [0, 1]
    scale = 1
    while scale * _ROUND[-1] * MARKS < highest:
        scale *= 10
    step = next(scale * one for one in _ROUND if scale * one * MARKS >= highest)
    return list(range(0, -(-highest // step) * step + 1, step))


def lines(values: Sequence[int | None], width: int = 120, height: int = 30) -> Sequence[str]:
    """The points of a line through these values, one line for each run of them that are known."""
    highest = max((value for value in values if value is not None), default=0) or 1
    pitch = width / max(len(values) - 1, 1)
    room = height - 4
    found = []
    for is_known, run in groupby(enumerate(values), lambda one: one[1] is not None):
        points = [(_round(place * pitch), _round(height - 2 - (value or 0) / highest * room)) for place, value in run]
        if is_known:
            # A line needs two ends; a single value is a dash.
            (x, y), *rest = points
            ends = points if rest else [(max(x - _DASH, 0), y), (min(x + _DASH, width), y)]
            found.append(" ".join(f"{x:g},{y:g}" for x, y in ends))
    return found


def short(value: int) -> str:
    """`950`, `1.5k`, `2M`: at most a few characters."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return str(value)


def time_of_day(ms: int) -> str:
    """`14:05`, in UTC."""
    return rfc3339(ms)[11:16]


def _times(starts: Sequence[int], step_ms: int, size: Size, pitch: float) -> Sequence[Mark]:
    """Marks at the starts that are round: at most as many as fit."""
    span_ms = len(starts) * step_ms
    apart_ms = next((one for one in _BETWEEN_MARKS_MS if span_ms / one <= size.times), _BETWEEN_MARKS_MS[-1])
    return [
        Mark(_round(size.left + place * pitch), _day(at_ms) if apart_ms >= _DAY_MS else time_of_day(at_ms))
        for place, at_ms in enumerate(starts)
        if at_ms % apart_ms == 0
    ]


def _day(ms: int) -> str:
    """`21 Nov`."""
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    date = rfc3339(ms)
    return f"{int(date[8:10])} {months[int(date[5:7]) - 1]}"


def _round(value: float) -> float:
    return round(value, 2)
