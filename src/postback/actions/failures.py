"""What has failed within a span of time: what is over of it changes no more, so it is asked for once and kept."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, NamedTuple

from postback.actions.past import LATE_MS, Looks
from postback.domain.causes import Cause
from postback.domain.stats import MINUTE_MS
from postback.ports import Failures, Overview

QUARTER_MS: Final = 15 * MINUTE_MS
HOURS_MS: Final = 120 * MINUTE_MS
DAY_MS: Final = 24 * 60 * MINUTE_MS

LENGTHS_MS: Final = (DAY_MS, HOURS_MS, QUARTER_MS)
"""Of the parts that are kept, each of which begins where a multiple of its length does."""

KEPT_ROWS: Final = 50_000
"""Of all accounts together; each row is a cause and a config in one part."""


class Owner(NamedTuple):
    """An account by its name and the time (unix ms) it was made: another one may have its name some day."""

    account: str
    made_ms: int


class Run(NamedTuple):
    """So many parts of one length (ms), one after the other."""

    at_ms: int
    length_ms: int
    parts: int

    @property
    def starts(self) -> Sequence[int]:
        return range(self.at_ms, self.until_ms, self.length_ms)

    @property
    def until_ms(self) -> int:
        return self.at_ms + self.parts * self.length_ms


class PastFailures:
    """Parts that are over. Those that were asked for last are kept, as many as KEPT_ROWS allows."""

    def __init__(self, looks: Looks | None = None) -> None:
        self._kept: OrderedDict[tuple[Owner, int, int], Sequence[Failures]] = OrderedDict()
        self._rows = 0
        self._looks = looks or Looks()

    def look(self, now_ms: int) -> None:
        """Before anything is asked for: what is yet to happen, as the clock was set back, is forgotten."""
        over_ms = self._looks.not_over_since(now_ms)
        if over_ms is None:
            return
        for owner, length_ms, at_ms in list(self._kept):
            if at_ms + length_ms > over_ms:
                self._rows -= _size(self._kept.pop((owner, length_ms, at_ms)))

    def known(self, owner: Owner, run: Run) -> dict[int, Sequence[Failures]]:
        """Start of a part → its rows, of those that are kept."""
        found = {}
        for at_ms in run.starts:
            key = (owner, run.length_ms, at_ms)
            if key in self._kept:
                self._kept.move_to_end(key)
                found[at_ms] = self._kept[key]
        return found

    def keep(self, owner: Owner, length_ms: int, parts: Mapping[int, Sequence[Failures]]) -> None:
        for at_ms, rows in parts.items():
            key = (owner, length_ms, at_ms)
            self._rows += _size(rows) - _size(self._kept.pop(key, None))
            self._kept[key] = rows
        while self._rows > KEPT_ROWS:
            _, rows = self._kept.popitem(last=False)
            self._rows -= _size(rows)


@dataclass(frozen=True, slots=True)
class FailureActions:
    overview: Overview
    past: PastFailures = field(default_factory=PastFailures)

    async def since(self, owner: Owner, since_ms: int, now_ms: int) -> Sequence[Failures]:
        """From that minute to the one of now, one row for each cause and config."""
        self.past.look(now_ms)
        end_ms = now_ms - now_ms % MINUTE_MS + MINUTE_MS
        first_ms = min(-(-since_ms // QUARTER_MS) * QUARTER_MS, end_ms)
        over = list(runs(first_ms, now_ms - LATE_MS))
        found = await self._asked(owner, since_ms, first_ms)
        for run in over:
            found += [row for rows in (await self._of_run(owner, run)).values() for row in rows]
        found += await self._asked(owner, over[-1].until_ms if over else first_ms, end_ms)
        return together(found)

    async def _of_run(self, owner: Owner, run: Run) -> Mapping[int, Sequence[Failures]]:
        """Start of a part → its rows."""
        found = self.past.known(owner, run)
        unknown = [at_ms for at_ms in run.starts if at_ms not in found]
        if not unknown:
            return found
        if run.length_ms == DAY_MS:
            new = {at_ms: await self._of_day(owner, at_ms) for at_ms in unknown}
        else:
            until_ms = unknown[-1] + run.length_ms
            asked = await self.overview.failures(owner.account, unknown[0], until_ms, run.length_ms)
            new = {at_ms: asked.get(at_ms, ()) for at_ms in unknown}
        self.past.keep(owner, run.length_ms, new)
        return found | new

    async def _of_day(self, owner: Owner, at_ms: int) -> Sequence[Failures]:
        parts = await self._of_run(owner, Run(at_ms, HOURS_MS, DAY_MS // HOURS_MS))
        return together(row for rows in parts.values() for row in rows)

    async def _asked(self, owner: Owner, since_ms: int, until_ms: int) -> list[Failures]:
        """What is not kept, as it is only a part of a part."""
        if since_ms >= until_ms:
            return []
        asked = await self.overview.failures(owner.account, since_ms, until_ms, DAY_MS)
        return [row for rows in asked.values() for row in rows]


def runs(first_ms: int, over_ms: int) -> Iterator[Run]:
    """What lies between, in parts of which each is the longest that begins there; `first_ms` is where a quarter does."""
    for length_ms, parts in groupby(_parts(first_ms, over_ms), key=lambda part: part[1]):
        starts = [at_ms for at_ms, _ in parts]
        yield Run(starts[0], length_ms, len(starts))


def together(rows: Iterable[Failures]) -> Sequence[Failures]:
    """One row for each cause and config."""
    found: dict[tuple[Cause, int], Failures] = {}
    for row in rows:
        known = found.get((row.cause, row.config_id))
        found[row.cause, row.config_id] = row if known is None else _added(known, row)
    return list(found.values())


def _parts(at_ms: int, over_ms: int) -> Iterator[tuple[int, int]]:
    while at_ms + QUARTER_MS <= over_ms:
        length_ms = next(one for one in LENGTHS_MS if at_ms % one == 0 and at_ms + one <= over_ms)
        yield at_ms, length_ms
        at_ms += length_ms


def _added(one: Failures, other: Failures) -> Failures:
    return Failures(
        one.cause,
        one.config_id,
        one.deliveries + other.deliveries,
        min(one.first_ms, other.first_ms),
        max(one.last_ms, other.last_ms),
    )


def _size(rows: Sequence[Failures] | None) -> int:
    return 0 if rows is None else len(rows) + 1
