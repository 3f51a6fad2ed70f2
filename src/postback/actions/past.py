"""Spans of time for charts, and what is over of them: what was counted then changes no more, so it is added up once."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from postback.actions.stats import DAY_S, Step
from postback.domain.stats import Tally, together

LATE_MS: Final = 120_000
"""So long after its end a step is over: what was under way then is written down by now."""

AT_ONCE: Final = 12
"""Steps that are added up by one look into the store."""

KEPT: Final = 1_000
"""Accounts and spans whose past is remembered, those that were asked for last."""


class Span(NamedTuple):
    """What a chart shows: so many steps, each so long (s); the last is the one that has just begun."""

    name: str
    words: str
    step_s: int
    steps: int


HOUR: Final = Span("hour", "Last hour", 60, 60)
SPANS: Final[Mapping[str, Span]] = {
    span.name: span for span in (HOUR, Span("day", "24 hours", 900, 96), Span("week", "7 days", DAY_S // 12, 84))
}


class Past:
    """Steps of an account that are over. The account is named with the time (unix ms) it was made: another one may have its
    name some day."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, str], dict[int, Tally]] = OrderedDict()

    def steps(self, account: str, made_ms: int, span: Span, since_ms: int) -> list[Step]:
        """Those that are known, from that one on without a gap."""
        kept = self._kept.get((account, made_ms, span.name), {})
        found = []
        while since_ms in kept:
            found.append(Step(since_ms, kept[since_ms]))
            since_ms += span.step_s * 1000
        return found

    def keep(self, account: str, made_ms: int, span: Span, steps: Iterable[Step]) -> None:
        key = (account, made_ms, span.name)
        kept = self._kept.setdefault(key, {})
        self._kept.move_to_end(key)
        kept.update(steps)
        for at_ms in sorted(kept)[: -span.steps]:
            del kept[at_ms]
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def coarser(steps: Iterable[Step], step_ms: int) -> list[Step]:
    """The same time in longer steps."""
    of_step: defaultdict[int, list[Tally]] = defaultdict(list)
    for step in steps:
        of_step[step.at_ms - step.at_ms % step_ms].append(step.tally)
    return [Step(at_ms, together(tallies)) for at_ms, tallies in of_step.items()]


def first_of(span: Span, now_ms: int) -> int:
    """Where its first step begins, in unix ms. Steps begin where a multiple of their length does."""
    step_ms = span.step_s * 1000
    return now_ms - now_ms % step_ms - (span.steps - 1) * step_ms
