"""The start page: how deliveries fare, and what to do next where there is nothing yet."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from starlette.responses import Response

from postback.actions.stats import Step
from postback.domain.stats import percentile_ms
from postback.ports import Query
from postback.resources import RESOURCES
from postback.web.visit import Visit

HOUR_MS: Final = 3_600_000
STEP_S: Final = 60


class Figure(NamedTuple):
    """A number of the last hour, how it came to be by the minute, and what it means; `kind` is its colour."""

    name: str
    value: int
    line: Sequence[int]
    kind: str
    key: str


async def show(visit: Visit) -> Response:
    services, account, one = visit.services, visit.account, Query(page_size=1)
    locations = await services.records.list(account, RESOURCES["location"], one)
    configs = await services.configs.list(account, one)
    steps = await services.stats.steps(account, visit.now_ms - HOUR_MS, None, STEP_S, None)
    return await visit.page(
        "overview.html",
        figures=figures_of(steps),
        p50_ms=_percentile(steps, 50),
        p99_ms=_percentile(steps, 99),
        location=locations.items[0] if locations.items else None,
        location_count=locations.total,
        config_count=configs.total,
        has_deliveries=any(step.tally.accepted for step in steps),
    )


def figures_of(steps: Sequence[Step]) -> Sequence[Figure]:
    def figure(name: str, key: str, kind: str) -> Figure:
        line = [int(getattr(step.tally, key)) for step in steps]
        return Figure(name, sum(line), line, kind, key)

    return [
        figure("Accepted", "accepted", "plain"),
        figure("Delivered", "delivered", "good"),
        figure("Failed attempts, tried again", "retried", "warn"),
        figure("Failed", "failed", "bad"),
    ]


def _percentile(steps: Sequence[Step], percent: int) -> int | None:
    latencies: dict[int, int] = {}
    for step in steps:
        for digits, count in step.tally.latencies.items():
            latencies[digits] = latencies.get(digits, 0) + count
    return percentile_ms(latencies, percent)
