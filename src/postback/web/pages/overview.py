"""The start page: how deliveries fare, why some failed, what needs attention, and the first steps where nothing is there."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from starlette.responses import Response

from postback.actions.past import HOUR, SPANS, Span
from postback.domain.stats import MINUTE_MS
from postback.ports import Query
from postback.resources import RESOURCES
from postback.web import glance
from postback.web.visit import Visit


class FirstStep(NamedTuple):
    """Of the way to a first delivery: what to do, why, whether it is done, and where it is done, for those who may."""

    name: str
    why: str
    is_done: bool
    path: str | None = None
    button: str = ""


async def show(visit: Visit) -> Response:
    return await visit.page("overview/show.html", **await _parts(visit))


async def section(visit: Visit) -> str:
    """All but the head of the page."""
    return visit.section("overview/parts.html", **await _parts(visit))


async def mark(visit: Visit) -> str:
    """Another one each time that anything has happened, and each minute."""
    steps = await visit.services.stats.steps(
        visit.account, visit.now_ms - HOUR.steps * MINUTE_MS, None, HOUR.step_s, None
    )
    counted = ("accepted", "delivered", "failed", "retried")
    return " ".join(str(n) for n in (visit.now_ms // MINUTE_MS, *(glance.total(steps, name) for name in counted)))


async def _parts(visit: Visit) -> Mapping[str, Any]:
    span = SPANS.get(visit.asked("span"), HOUR)
    begun = await visit.services.overview.begun(visit.account)
    found = await visit.services.overview.glance(visit.account, span, sees_operators=visit.principal.is_operator)
    return {
        "span": span,
        "spans": [(one.words, _path(one), one is span) for one in SPANS.values()],
        "steps": [] if begun.is_delivered else await _first_steps(visit, is_accepted=begun.is_accepted),
        "is_used": begun.is_accepted,
        "figures": glance.figures_of(found),
        "minutes": glance.minutes_of(found),
        "oldest_due_ms": found.waits.oldest_due_ms,
        "chart": glance.chart_of(span, found.steps),
        "failures": glance.failures_of(found.failures, found.configs),
        "concerns": found.concerns,
        "has_more_concerns": found.has_more_concerns,
        "kinds": glance.KINDS,
        "series": glance.SERIES,
        "error_words": glance.error_words,
    }


def _path(span: Span) -> str:
    return "/" if span is HOUR else f"/?span={span.name}"


async def _first_steps(visit: Visit, *, is_accepted: bool) -> list[FirstStep]:
    one = Query(page_size=1)
    locations = await visit.services.records.list(visit.account, RESOURCES["location"], one)
    configs = await visit.services.configs.list(visit.account, one)
    location = locations.items[0] if locations.items else None
    home = f"/locations/{location.id}" if location is not None else None
    return [
        FirstStep(
            "Add a location",
            "A place of business; records, events and postback configs belong to one.",
            location is not None,
            "/locations/add" if visit.may("change records") else None,
            "Add Location",
        ),
        FirstStep(
            "Add a postback",
            "A URL of yours, and what it wants to hear of.",
            configs.total > 0,
            f"/postbackconfigs/add?location_id={location.id}" if location and visit.may("change configs") else None,
            "Add Postback",
        ),
        FirstStep(
            "Add a contact, or publish an event",
            "Either is something that your URL is told of.",
            is_accepted,
            f"{home}/contacts/add" if home and visit.may("change records") else None,
            "Add Contact",
        ),
        FirstStep("See it delivered", "Here, as soon as your URL has answered.", is_done=False),
    ]
