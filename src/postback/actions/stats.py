"""Numbers over time, and the health of configs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from postback.domain.errors import InvalidValue
from postback.domain.stats import MINUTE_MS, Health, Tally
from postback.ports import Clock, Stats

DAY_S: Final = 86_400
HOURS_SHOWN: Final = 24
"""How far back the steps begin, where nobody says it."""

STEPS_MAX: Final = 1_000
STEPS_SHOWN: Final = 300
"""About so many at most, where nobody says how long a step is."""

LENGTHS_S: Final = (60, 300, 900, 3600, 21_600, DAY_S)
"""Those that a step may have without being asked for."""

HEALTH_MS: Final = 3_600_000
LATEST_MS: Final = (1 << 42) - 1
"""No event was ever accepted later: ids end there."""


class Step(NamedTuple):
    """`at_ms` is its start, in unix ms."""

    at_ms: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class StatsActions:
    stats: Stats
    clock: Clock

    async def steps(
        self, account: str, since_ms: int | None, until_ms: int | None, step_s: int | None, config_id: int | None
    ) -> Sequence[Step]:
        """Every step from the one that `since_ms` is in to the one that `until_ms` ends or is in, empty ones too."""
        until_ms = min(self.clock() if until_ms is None else until_ms, LATEST_MS)
        since_ms = max(until_ms - _span_ms(step_s) if since_ms is None else since_ms, 0)
        if since_ms >= until_ms:
            raise InvalidValue.of("since", "since is not before until, which is now where it is not sent")
        step_ms = (_length_s(until_ms - since_ms) if step_s is None else step_s) * 1000
        if step_ms % MINUTE_MS:
            raise InvalidValue.of("step", f"step is {step_s}; expected whole minutes in seconds: 60, 120 and so on")
        first_ms, end_ms = since_ms // step_ms * step_ms, -(-until_ms // step_ms) * step_ms
        count = (end_ms - first_ms) // step_ms
        if count > STEPS_MAX:
            raise InvalidValue.of(
                "step",
                f"from since to until there are {count} steps of {step_ms // 1000} s; expected at most {STEPS_MAX}",
            )
        counted = await self.stats.steps(account, first_ms, end_ms, step_ms, config_id)
        return [Step(at_ms, counted.get(at_ms, Tally())) for at_ms in range(first_ms, end_ms, step_ms)]

    async def health(self, account: str, config_ids: Sequence[int]) -> Mapping[int, Health]:
        """By the last sixty minutes, the one that has just begun included."""
        now_ms = self.clock()
        since_ms = now_ms - now_ms % MINUTE_MS - HEALTH_MS + MINUTE_MS
        return await self.stats.health(account, config_ids, since_ms)


def _span_ms(step_s: int | None) -> int:
    """How much is shown where nobody says from when on."""
    day_ms = HOURS_SHOWN * 3_600_000
    return day_ms if step_s is None else min(day_ms, STEPS_SHOWN * step_s * 1000)


def _length_s(span_ms: int) -> int:
    """The finest that makes no more steps than a chart can show; a day where even that makes more."""
    for length_s in LENGTHS_S:
        if span_ms <= length_s * 1000 * STEPS_SHOWN:
            return length_s
    return DAY_S
