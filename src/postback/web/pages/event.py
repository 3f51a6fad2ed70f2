"""An event: what it says, its deliveries as they happen, and why each postback config wants it or not."""

from collections import Counter
from typing import Any, Final

import msgspec
from starlette.responses import Response

from postback.actions.config_checks import explained
from postback.domain.jobs import SELECTABLE, JobKind
from postback.ports import Query
from postback.web.pages.named import configs_of, locations_of
from postback.web.shown import SHOWN_STATES, shown_state, text_of
from postback.web.visit import Visit

DELIVERIES_SHOWN: Final = 200
CONFIGS_EXPLAINED: Final = 50
DATA_SHOWN: Final = 100_000
"""Characters of its data; the API shows all of it."""


async def show(visit: Visit) -> Response:
    found = await _found(visit)
    event = found["event"]
    configs = await visit.services.configs.list(visit.account, Query(page_size=CONFIGS_EXPLAINED, sort="location_id"))
    judged = [(config, explained(config, event)) for config in configs.items]
    data = pretty(event.data)
    return await visit.page(
        "events/show.html",
        **found,
        data=data[:DATA_SHOWN],
        is_cut=len(data) > DATA_SHOWN,
        location_name=(await locations_of(visit, [event.location_id])).get(event.location_id or ""),
        wanting=[one for one in judged if one[1].wants],
        others=[one for one in judged if not one[1].wants],
        configs_more=configs.total - len(configs.items),
    )


async def section(visit: Visit) -> str:
    return visit.section("events/deliveries.html", **await _found(visit))


def pretty(data: bytes) -> str:
    """JSON on lines of its own, its numbers and escapes as they came; what cannot be read is shown as it is."""
    try:
        shown = msgspec.json.format(data, indent=2)
    except (msgspec.DecodeError, RecursionError):
        shown = data
    return text_of(shown)


async def _found(visit: Visit) -> dict[str, Any]:
    event_id = str(visit.request.path_params.get("event_id") or visit.asked("id"))
    event, total, deliveries = await visit.services.log.event(
        visit.account, event_id, sees_all=visit.principal.sees_all, most=DELIVERIES_SHOWN
    )
    states = Counter(shown_state(view) for view in deliveries)
    replayable = Counter(view.state for view in deliveries if not view.test)
    return {
        "event": event,
        "deliveries": deliveries,
        "total": total,
        "has_more": total > len(deliveries),
        "configs": await configs_of(visit, [view.config_id for view in deliveries]),
        "replayable": [
            (state, replayable[state])
            for state in SELECTABLE[JobKind.REPLAY]
            if replayable[state] or total > len(deliveries)
        ],
        "states": [(state, states[state]) for state in SHOWN_STATES if states[state]],
    }
