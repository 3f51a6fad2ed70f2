"""Events: the list with its filters."""

from typing import Any

from starlette.responses import Response

from postback.domain.catalog import CATALOG
from postback.web.pages.deliveries import LABELS
from postback.web.pages.log_filter import CURSOR, LOOKED_AT, OF_EVENTS, PAGE_SIZE, Asked, asked_of, shown_of
from postback.web.pages.named import locations_of, offered_locations
from postback.web.visit import Visit


async def show_list(visit: Visit) -> Response:
    asked = await asked_of(visit, OF_EVENTS)
    return await visit.page(
        "events/list.html",
        200 if asked.narrowed is not None else 422,
        form=asked.form,
        labels=LABELS,
        event_types=list(CATALOG),
        offered_locations=await offered_locations(visit),
        **await _found(visit, asked),
    )


async def section(visit: Visit) -> str:
    return visit.section("events/found.html", **await _found(visit, await asked_of(visit, OF_EVENTS)))


async def _found(visit: Visit, asked: Asked) -> dict[str, Any]:
    if asked.narrowed is None:
        return shown_of(visit, asked, None)
    part = await visit.services.log.events(
        visit.account, asked.narrowed, visit.asked(CURSOR) or None, PAGE_SIZE, LOOKED_AT
    )
    return {
        **shown_of(visit, asked, part),
        "locations": await locations_of(visit, [event.location_id for event, _ in part.items]),
    }
