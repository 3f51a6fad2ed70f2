"""/v2/events (reading) and /v2/deliveries: what happened, and doing it again."""

from fastapi import APIRouter, Request, Response

from postback.actions.access import Principal
from postback.api.answers import answer
from postback.api.documents import LOG_PARAMETERS, ONE, READING, documented, query, wrapped
from postback.api.keys import Joined, Reader, Writer
from postback.api.lists import PAGE_SIZE, PAGE_SIZE_MAX, Parameters
from postback.api.replay_schemas import SEARCHED
from postback.api.schema_parts import ref
from postback.api.services import Services
from postback.api.views import attempt_view, delivery_view, event_view, event_with_deliveries_view
from postback.domain.causes import parse_cause
from postback.domain.deliveries import State
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.ids import parse
from postback.ports import LogFilter, Sought
from postback.resources.fields import shown

router = APIRouter()

_PAGING = ("since", "until", "page_size", "cursor")


@router.get(
    "/v2/events",
    tags=["events"],
    **documented(
        "List events, the newest first",
        answer=ref("Events"),
        parameters=[
            query("type", "Only events of this type."),
            query("location_id", "Only events of this location."),
            query("subject", "Only events about this: a record's id, a number, an address."),
            query("search", SEARCHED),
            *LOG_PARAMETERS,
        ],
        errors=(*READING, 422),
    ),
)
async def list_events(request: Request, principal: Reader, services: Joined) -> Response:
    asked = Parameters(request, "type", "location_id", "subject", "search", *_PAGING)
    narrowed = LogFilter(
        event_type=asked.text("type"),
        location_id=asked.text("location_id"),
        subject=asked.text("subject"),
        since_ms=asked.time("since"),
        until_ms=asked.time("until"),
        sought=await _sought(asked, principal, services),
    )
    size = asked.number("page_size", PAGE_SIZE, PAGE_SIZE_MAX)
    part = await services.log_actions.events(principal.account, narrowed, asked.text("cursor"), size)
    views = [event_view(event, deliveries) for event, deliveries in part.items]
    return answer(200, {"events": views, "next_cursor": part.next_cursor})


@router.get(
    "/v2/events/{event_id}",
    tags=["events"],
    **documented("Show an event with its deliveries", answer=wrapped("event", "EventWithDeliveries"), errors=ONE),
)
async def show_event(event_id: str, principal: Reader, services: Joined) -> Response:
    event, _, deliveries = await services.log_actions.event(principal.account, event_id, sees_all=principal.sees_all)
    return answer(200, {"event": event_with_deliveries_view(event, deliveries)})


@router.get(
    "/v2/deliveries",
    tags=["deliveries"],
    **documented(
        "List deliveries, the newest event first",
        answer=ref("Deliveries"),
        parameters=[
            query("state", "Only deliveries in this state.", enum=list(State)),
            query("postbackconfig_id", "Only deliveries to this config."),
            query("event_type", "Only deliveries of events of this type."),
            query("location_id", "Only deliveries of events of this location."),
            query(
                "reason",
                "Only deliveries whose last attempt failed for this reason: connection_refused, bad_status.503, "
                "tls_error.certificate_expired.",
            ),
            query("search", SEARCHED),
            *LOG_PARAMETERS,
        ],
        errors=(*READING, 422),
    ),
)
async def list_deliveries(request: Request, principal: Reader, services: Joined) -> Response:
    asked = Parameters(request, "state", "postbackconfig_id", "event_type", "location_id", "reason", "search", *_PAGING)
    narrowed = LogFilter(
        state=_state(asked.text("state")),
        config_id=config_id_of(asked.text("postbackconfig_id")),
        event_type=asked.text("event_type"),
        location_id=asked.text("location_id"),
        reason=_reason(asked.text("reason")),
        since_ms=asked.time("since"),
        until_ms=asked.time("until"),
        sought=await _sought(asked, principal, services),
    )
    size = asked.number("page_size", PAGE_SIZE, PAGE_SIZE_MAX)
    part = await services.log_actions.deliveries(principal.account, narrowed, asked.text("cursor"), size)
    return answer(200, {"deliveries": [delivery_view(view) for view in part.items], "next_cursor": part.next_cursor})


@router.get(
    "/v2/deliveries/{delivery_id}",
    tags=["deliveries"],
    **documented("Show a delivery with its attempts", answer=wrapped("delivery", "DeliveryWithAttempts"), errors=ONE),
)
async def show_delivery(delivery_id: str, principal: Reader, services: Joined) -> Response:
    delivery, attempts = await services.log_actions.delivery(
        principal.account, delivery_id, sees_all=principal.sees_all
    )
    view = delivery_view(delivery)
    view["attempts"] = [attempt_view(attempt, sent) for attempt, sent in attempts]
    return answer(200, {"delivery": view})


@router.post(
    "/v2/deliveries/{delivery_id}/replay",
    tags=["deliveries"],
    **documented(
        "Deliver once more",
        status=202,
        answer=wrapped("delivery", "Delivery"),
        errors=(*ONE, 409, 503),
        description="A finished delivery is owed again, now; its policy begins anew. 409 while it is owed.",
    ),
)
async def replay_delivery(delivery_id: str, principal: Writer, services: Joined) -> Response:
    delivery = await services.log_actions.replay(principal.account, delivery_id, by=principal.actor)
    return answer(202, {"delivery": delivery_view(delivery)})


@router.post(
    "/v2/deliveries/{delivery_id}/cancel",
    tags=["deliveries"],
    **documented(
        "Give a delivery up",
        answer=wrapped("delivery", "Delivery"),
        errors=(*ONE, 409, 503),
        description="No more attempts; one that is under way decides nothing. 409 when it is finished.",
    ),
)
async def cancel_delivery(delivery_id: str, principal: Writer, services: Joined) -> Response:
    delivery = await services.log_actions.cancel(principal.account, delivery_id, by=principal.actor)
    return answer(200, {"delivery": delivery_view(delivery)})


async def _sought(asked: Parameters, principal: Principal, services: Services) -> Sought | None:
    search = asked.text("search")
    return None if search is None else await services.log_actions.sought(principal.account, search)


def _state(text: str | None) -> State | None:
    if text is None or text in list(State):
        return None if text is None else State(text)
    raise InvalidValue.of("state", f"state is {shown(text)}; expected one of {', '.join(State)}")


def _reason(text: str | None) -> str | None:
    return None if text is None else str(parse_cause(text))


def config_id_of(text: str | None) -> int | None:
    """The number of the config that a query is narrowed to, None where it is to none."""
    try:
        return None if text is None else parse("pbc", text)
    except NotFound:
        message = f"postbackconfig_id is {shown(text)}; expected the id of a postback config"
        raise InvalidValue.of("postbackconfig_id", message) from None
