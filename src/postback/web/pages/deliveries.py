"""Deliveries: the list with its filters, and replaying or cancelling one of them."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import Response

from postback.domain.catalog import CATALOG
from postback.domain.deliveries import State
from postback.domain.jobs import SELECTABLE, JobKind
from postback.domain.wire import Reason
from postback.web.pages.log_filter import (
    CURSOR,
    LOOKED_AT,
    OF_DELIVERIES,
    PAGE_SIZE,
    Asked,
    asked_of,
    shown_of,
)
from postback.web.pages.named import configs_of, offered_configs, offered_locations
from postback.web.visit import Visit

STATES: Final[Sequence[tuple[str, str]]] = (
    ("", "Any state"),
    (State.PENDING, "Pending or retrying: waiting for its time"),
    (State.CLAIMED, "Claimed: under way"),
    (State.HELD, "Held: its config is paused or disabled"),
    (State.DELIVERED, "Delivered"),
    (State.FAILED, "Failed"),
    (State.CANCELLED, "Cancelled"),
)
REASONS: Final = [str(reason) for reason in Reason]
LABELS: Final = {
    "reason": "Reason",
    "type": "Event type",
    "config": "Postback config",
    "location": "Location",
    "from": "Accepted from",
    "to": "Accepted before",
}


async def show_list(visit: Visit) -> Response:
    asked = await asked_of(visit, OF_DELIVERIES)
    return await visit.page(
        "deliveries/list.html",
        200 if asked.narrowed is not None else 422,
        form=asked.form,
        states=STATES,
        labels=LABELS,
        reasons=REASONS,
        event_types=list(CATALOG),
        offered_configs=await offered_configs(visit),
        offered_locations=await offered_locations(visit),
        **await _found(visit, asked),
    )


async def section(visit: Visit) -> str:
    """The list alone, for whoever follows it."""
    return visit.section("deliveries/found.html", **await _found(visit, await asked_of(visit, OF_DELIVERIES)))


async def _found(visit: Visit, asked: Asked) -> dict[str, Any]:
    if asked.narrowed is None:
        return shown_of(visit, asked, None)
    part = await visit.services.log.deliveries(
        visit.account, asked.narrowed, visit.asked(CURSOR) or None, PAGE_SIZE, LOOKED_AT
    )
    return {
        **shown_of(visit, asked, part),
        "configs": await configs_of(visit, [view.config_id for view in part.items]),
        "is_cancellable": asked.narrowed.state in SELECTABLE[JobKind.CANCEL],
        "is_replayable": asked.narrowed.state is None or asked.narrowed.state in SELECTABLE[JobKind.REPLAY],
    }
