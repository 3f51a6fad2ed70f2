"""Spans of time for charts, and what is over of them: what was counted then changes no more, so it is added up once."""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
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


class Looks:
    """When what is kept was looked at, by the clock and by the monotonic one (s): a clock that was set back is known by the
    two, also where it has caught up before anybody looks again."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last_ms = self._ms()
        self._ahead_ms = -self._last_ms

    def not_over_since(self, now_ms: int) -> int | None:
        """Unix ms: what ended later may have been kept as over and have gone on since. None where the clock went on."""
        last_ms, self._last_ms = self._last_ms, self._ms()
        ahead_ms = now_ms - self._last_ms
        if ahead_ms >= self._ahead_ms - LATE_MS:
            self._ahead_ms = max(ahead_ms, self._ahead_ms)
            return None
        self._ahead_ms = ahead_ms
        return now_ms - (self._last_ms - last_ms) - LATE_MS

    def _ms(self) -> int:
        return int(self._monotonic() * 1000)


class Past:
    """Steps of an account that are over. The account is named with the time (unix ms) it was made: another one may have its
    name some day."""

    def __init__(self, looks: Looks | None = None) -> None:
        self._kept: OrderedDict[tuple[str, int, str], dict[int, Tally]] = OrderedDict()
        self._looks = looks or Looks()

    def look(self, now_ms: int) -> None:
        """Before anything is asked for: what is yet to happen, as the clock was set back, is forgotten."""
        over_ms = self._looks.not_over_since(now_ms)
        if over_ms is None:
            return
        for (_, _, name), kept in self._kept.items():
            step_ms = SPANS[name].step_s * 1000
            for at_ms in [one for one in kept if one + step_ms > over_ms]:
                del kept[at_ms]

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
