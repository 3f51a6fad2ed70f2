"""The overview in words, numbers and drawings: what its template shows of an account at a glance."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from postback.actions.overview import FailedSo, Glance, Matter
from postback.actions.past import Span
from postback.actions.stats import Step
from postback.domain.causes import WITH_STATUS, Cause, in_words
from postback.domain.configs import PostbackConfig
from postback.domain.stats import LastError, Tally, percentile_ms
from postback.domain.times import rfc3339
from postback.domain.wire import Reason
from postback.web.charts import NARROW, WIDE, Stacked, lines, stacked
from postback.web.shown import duration, number

CONFIGS_SHOWN: Final = 3
"""Of a cause, by name."""

SERIES: Final = (("delivered", "delivered", "good"), ("tried again", "retried", "warn"), ("failed", "failed", "bad"))
"""What a chart stacks, from the ground up: what it is called, what is counted, its colour."""

KINDS: Final[Mapping[Matter, str]] = {
    Matter.EXPIRED: "bad",
    Matter.DISABLED: "bad",
    Matter.FAILING: "bad",
    Matter.EXPIRES: "warn",
    Matter.WARNED: "warn",
    Matter.PAUSED: "warn",
}


class Figure(NamedTuple):
    """A number, how it came to be in the last hour as points of lines, and what it means; `kind` is its colour."""

    key: str
    name: str
    value: str
    hint: str
    lines: Sequence[str]
    kind: str = "plain"


class Minute(NamedTuple):
    """A step of the last hour in numbers."""

    at_ms: int
    tally: Tally
    p50_ms: int | None
    p99_ms: int | None
    waiting: int


class Chart(NamedTuple):
    """The same columns for wide and for narrow windows; `rows` are those in which anything happened, the newest first."""

    title: str
    drawings: Sequence[tuple[str, Stacked]]
    totals: Sequence[tuple[str, str, int]]
    rows: Sequence[Step]


class FailureRow(NamedTuple):
    """A cause in words. `others` of its configs are not named; `query` selects these deliveries."""

    words: str
    deliveries: int
    config_count: int
    configs: Sequence[tuple[PostbackConfig, str]]
    others: int
    first_ms: int
    last_ms: int
    query: str


def figures_of(glance: Glance) -> Sequence[Figure]:
    steps, waits = glance.hour, glance.waits
    waiting = waiting_by_step(waits.deliveries, steps)
    delivered, failed = total(steps, "delivered"), total(steps, "failed")
    more = "more than " if waits.has_more else ""
    least = "at least " if waits.has_more else ""

    def by_step(name: str) -> Sequence[str]:
        return lines([getattr(step.tally, name) for step in steps])

    def latency(percent: int) -> tuple[str, Sequence[str]]:
        return duration(percentile(steps, percent)), lines([percentile([step], percent) for step in steps])

    p50, p50_lines = latency(50)
    p99, p99_lines = latency(99)
    return [
        Figure("delivered", "Delivered", number(delivered), _share(delivered, failed), by_step("delivered"), "good"),
        Figure(
            "retrying",
            "Retrying now",
            least + number(waits.retrying),
            f"failed attempts: {number(total(steps, 'retried'))}",
            by_step("retried"),
            "warn",
        ),
        Figure("failed", "Failed", number(failed), "given up", by_step("failed"), "bad"),
        Figure("p50", "Half within", p50, "from accepted to delivered", p50_lines),
        Figure("p99", "99 of 100 within", p99, "from accepted to delivered", p99_lines),
        Figure("waiting", "Waiting now", more + number(waits.deliveries), "nothing is overdue", lines(waiting)),
    ]


def minutes_of(glance: Glance) -> Sequence[Minute]:
    """Those in which anything happened, the newest first."""
    waiting = waiting_by_step(glance.waits.deliveries, glance.hour)
    rows = [
        Minute(step.at_ms, step.tally, percentile([step], 50), percentile([step], 99), left)
        for step, left in zip(glance.hour, waiting, strict=True)
        if step.tally != _NOTHING
    ]
    return rows[::-1]


def waiting_by_step(now: int, steps: Sequence[Step]) -> Sequence[int]:
    """How many waited at the end of each step, by what waits now and what has come and gone since."""
    found, left = [], now
    for _, tally in reversed(steps):
        found.append(max(left, 0))
        left -= tally.accepted + tally.replayed - tally.delivered - tally.failed - tally.cancelled
    return found[::-1]


def chart_of(span: Span, steps: Sequence[Step]) -> Chart:
    columns = [(at_ms, [getattr(tally, counted) for _, counted, _ in SERIES]) for at_ms, tally in steps]
    return Chart(
        title=f"Deliveries {_EVERY[span.step_s]}",
        drawings=[
            (name, stacked(columns, span.step_s * 1000, size)) for name, size in (("wide", WIDE), ("narrow", NARROW))
        ],
        totals=[(name, kind, total(steps, counted)) for name, counted, kind in SERIES],
        rows=[step for step in reversed(steps) if any(getattr(step.tally, counted) for _, counted, _ in SERIES)],
    )


def failures_of(failures: Iterable[FailedSo], configs: Mapping[int, PostbackConfig]) -> Sequence[FailureRow]:
    return [_failure(one, configs) for one in failures]


def error_words(error: LastError) -> str:
    """Why the last attempt failed, as far as the error says it."""
    if error.reason is None:
        return "no answer"
    reason = Reason(error.reason)
    return in_words(Cause(reason, str(error.status) if reason in WITH_STATUS and error.status is not None else ""))


def total(steps: Sequence[Step], counted: str) -> int:
    return sum(getattr(step.tally, counted) for step in steps)


def percentile(steps: Sequence[Step], percent: int) -> int | None:
    latencies: dict[int, int] = {}
    for step in steps:
        for digits, count in step.tally.latencies.items():
            latencies[digits] = latencies.get(digits, 0) + count
    return percentile_ms(latencies, percent)


def _failure(one: FailedSo, configs: Mapping[int, PostbackConfig]) -> FailureRow:
    asked = {"state": "failed", "reason": str(one.cause), "from": rfc3339(one.accepted_since_ms)}
    words = in_words(one.cause)
    named = [configs[config_id] for config_id in one.configs if config_id in configs][:CONFIGS_SHOWN]
    return FailureRow(
        words=words[:1].upper() + words[1:],
        deliveries=one.deliveries,
        config_count=len(one.configs),
        configs=[(config, number(one.configs[config.id])) for config in named],
        others=len(one.configs) - len(named),
        first_ms=one.first_ms,
        last_ms=one.last_ms,
        query=urlencode(asked),
    )


def _share(delivered: int, failed: int) -> str:
    """Of what has come to an end; a share that is rounded never says that all of it was delivered where that is not so."""
    if not delivered and not failed:
        return "in the last hour"
    share = 1000 * delivered // (delivered + failed)
    return f"{share / 10:g}% of what ended"


_NOTHING: Final = Tally()
_EVERY: Final = {60: "per minute", 900: "per 15 minutes", 7200: "per 2 hours"}
