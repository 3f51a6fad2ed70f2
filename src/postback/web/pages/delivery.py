"""A delivery: its story, and what can be done with it."""

from typing import Any, Final

from starlette.responses import Response

from postback.actions.config_checks import explained
from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import State
from postback.domain.errors import Conflict, NotFound
from postback.domain.events import Event
from postback.domain.ids import config_text
from postback.ports import DeliveryView
from postback.web.pages.named import locations_of
from postback.web.story import told
from postback.web.visit import Visit

ATTEMPTS_SHOWN: Final = 50
LEAST_SHOWN: Final = 5
BODIES_MAX: Final = 4 << 20
"""The newest attempts are shown, since with each replay there are more; of events that are long fewer, since each request
is made again, which takes a moment for so many bytes."""

OPEN: Final = (State.PENDING, State.CLAIMED, State.HELD)


async def show(visit: Visit) -> Response:
    return await visit.page("deliveries/show.html", **await _story(visit))


async def section(visit: Visit) -> str:
    return visit.section("deliveries/story.html", **await _story(visit))


async def replay(visit: Visit) -> Response:
    try:
        await visit.services.log.replay(visit.account, visit.param("delivery_id"), by=visit.actor)
    except Conflict as error:
        return visit.go(_path(visit), f"It was not replayed: {error}.", "problem")
    return visit.go(_path(visit), "Owed again, from now on; its attempts are counted anew.")


async def show_cancel(visit: Visit) -> Response:
    view, _ = await _find(visit)
    if view.state not in OPEN:
        return visit.go(_path(visit), f"There is nothing to cancel: it is {view.state}.", "problem")
    return await visit.confirm(
        title="Cancel this delivery?",
        sentences=[
            f"{view.event.type} is not sent by this postback config any more.",
            "An attempt that is under way still reaches the receiver. It can be replayed later.",
        ],
        facts={"Attempts so far": view.attempts_made},
        action=f"{_path(visit)}/cancel",
        button="Cancel delivery",
        back=_path(visit),
        back_label="Keep it",
    )


async def cancel(visit: Visit) -> Response:
    try:
        await visit.services.log.cancel(visit.account, visit.param("delivery_id"), by=visit.actor)
    except Conflict as error:
        return visit.go(_path(visit), f"It was not cancelled: {error}.", "problem")
    return visit.go(_path(visit), "Cancelled: no more attempts.")


async def _find(visit: Visit) -> tuple[DeliveryView, Any]:
    return await visit.services.log.delivery(
        visit.account, _id(visit), sees_all=visit.principal.sees_all, newest=attempts_shown
    )


def attempts_shown(event: Event) -> int:
    return max(min(ATTEMPTS_SHOWN, BODIES_MAX // max(len(event.data), 1)), LEAST_SHOWN)


async def _story(visit: Visit) -> dict[str, Any]:
    view, attempts = await _find(visit)
    config = await _config(visit, view)
    return {
        "delivery": view,
        "config": config,
        "explained": None if config is None else explained(config, view.event),
        "location_name": (await locations_of(visit, [view.event.location_id])).get(view.event.location_id or ""),
        "attempts": [told(attempt, request) for attempt, request in reversed(attempts)],
        "are_more": bool(attempts) and attempts[0][0].number > 1,
        "is_open": view.state in OPEN,
    }


async def _config(visit: Visit, view: DeliveryView) -> PostbackConfig | None:
    """None where it is deleted; the log stays."""
    try:
        return await visit.services.configs.find(visit.account, config_text(view.config_id))
    except NotFound:
        return None


def _id(visit: Visit) -> str:
    """Of the page, or of what a stream follows."""
    return str(visit.request.path_params.get("delivery_id") or visit.asked("id"))


def _path(visit: Visit) -> str:
    return f"/deliveries/{visit.param('delivery_id')}"
