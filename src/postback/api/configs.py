"""/v2/postbackconfigs: who wants to hear of what, where."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from postback.actions.config_secrets import OVERLAP_MAX_S, OVERLAP_S
from postback.actions.configs import FILTERS, LISTED
from postback.actions.fields import Reader as FieldReader
from postback.actions.fields import text, whole
from postback.api.answers import answer, no_content
from postback.api.documents import ONE, READING, WRITING, documented, list_parameters, listed, needed, query, wrapped
from postback.api.fields import fields_of, values_of
from postback.api.keys import Joined, Reader, Writer
from postback.api.lists import Parameters, expansions, listing, page_of
from postback.api.schema_parts import ref
from postback.api.services import Services
from postback.api.views import CONFIG_EXPANDS, HEALTH, attempt_view, config_view
from postback.domain.configs import PostbackConfig
from postback.domain.errors import InvalidValue

router = APIRouter(tags=["postback configs"])

_ONE = wrapped("postbackconfig", "PostbackConfig")
_NEW = wrapped("postbackconfig", "NewPostbackConfig")
_EXPAND = query("expand", f"Adds {', '.join(CONFIG_EXPANDS)}; several are joined by commas.")

_ROTATION: Final[Mapping[str, FieldReader]] = {"overlap": whole(0, OVERLAP_MAX_S)}
_TEST: Final[Mapping[str, FieldReader]] = {"event_type": text()}


@router.post(
    "/v2/postbackconfigs",
    **documented("Create a postback config", status=201, answer=_ONE, body=_NEW, errors=(409, *WRITING)),
)
async def create_postbackconfig(request: Request, principal: Writer, services: Joined) -> Response:
    fields = await fields_of(request, services, "postbackconfig")
    config, has_new_secret = await services.config_actions.create(principal.account, fields, by=principal.actor)
    view = config_view(config, services.base_url, shows_secret=has_new_secret)
    return answer(201, {"postbackconfig": view})


@router.get(
    "/v2/postbackconfigs",
    **documented(
        "List postback configs",
        answer=listed("postbackconfigs", "PostbackConfig"),
        parameters=[*list_parameters(LISTED), _EXPAND],
        errors=(*READING, 422),
    ),
)
async def list_postbackconfigs(request: Request, principal: Reader, services: Joined) -> Response:
    asked = listing(request, LISTED, FILTERS, expandable=CONFIG_EXPANDS)
    page = await services.config_actions.list(principal.account, asked.query)
    views = await _views(services, principal.account, page.items, asked.expand)
    address = f"{services.base_url}/v2/postbackconfigs"
    return answer(200, page_of("postbackconfigs", views, page.total, asked, address))


@router.get(
    "/v2/postbackconfigs/{config_id}",
    **documented(
        "Show a postback config",
        answer=_ONE,
        parameters=[_EXPAND],
        errors=(*ONE, 422),
    ),
)
async def show_postbackconfig(request: Request, config_id: str, principal: Reader, services: Joined) -> Response:
    expand = expansions(Parameters(request, "expand"), CONFIG_EXPANDS)
    config = await services.config_actions.find(principal.account, config_id)
    [view] = await _views(services, principal.account, [config], expand)
    return answer(200, {"postbackconfig": view})


@router.put(
    "/v2/postbackconfigs/{config_id}",
    **documented(
        "Change a postback config",
        answer=_ONE,
        body=_NEW,
        errors=(404, *WRITING),
        description="What is not sent stays, null removes. A url on another scheme, host or port needs the Basic "
        "password and the secret headers sent again; the signing secret is then replaced by a new one. A signing "
        "secret that is new by this change is shown in full, this once.",
    ),
)
async def change_postbackconfig(request: Request, config_id: str, principal: Writer, services: Joined) -> Response:
    fields = await fields_of(request, services, "postbackconfig")
    config, has_new_secret = await services.config_actions.change(
        principal.account, config_id, fields, by=principal.actor
    )
    view = config_view(config, services.base_url, shows_secret=has_new_secret)
    return answer(200, {"postbackconfig": view})


@router.delete(
    "/v2/postbackconfigs/{config_id}",
    **documented(
        "Delete a postback config",
        status=204,
        errors=(*ONE, 503),
        description="Its open deliveries are cancelled; the log stays.",
    ),
)
async def delete_postbackconfig(config_id: str, principal: Writer, services: Joined) -> Response:
    await services.config_actions.delete(principal.account, config_id, by=principal.actor)
    return no_content()


@router.post(
    "/v2/postbackconfigs/{config_id}/pause",
    **documented(
        "Hold what is owed",
        answer=_ONE,
        errors=(*ONE, 409, 503),
        description="Deliveries are still made, and held until the config is resumed.",
    ),
)
async def pause_postbackconfig(config_id: str, principal: Writer, services: Joined) -> Response:
    config = await services.config_actions.pause(principal.account, config_id, by=principal.actor)
    return answer(200, {"postbackconfig": config_view(config, services.base_url, ["state"])})


@router.post(
    "/v2/postbackconfigs/{config_id}/resume",
    **documented(
        "Let go what was held",
        answer=_ONE,
        errors=(*ONE, 503),
        description="In order of acceptance. Ends a pause, and a disabling by 410 Gone.",
    ),
)
async def resume_postbackconfig(config_id: str, principal: Writer, services: Joined) -> Response:
    config = await services.config_actions.resume(principal.account, config_id, by=principal.actor)
    return answer(200, {"postbackconfig": config_view(config, services.base_url, ["state"])})


@router.post(
    "/v2/postbackconfigs/{config_id}/rotate-secret",
    **documented(
        "Replace the signing secret",
        answer=ref("RotatedSecret"),
        body=ref("Rotation"),
        needs_body=False,
        errors=(404, 409, *WRITING),
        description="The new one is shown this once. Until the overlap ends attempts are signed with both.",
    ),
)
async def rotate_secret(request: Request, config_id: str, principal: Writer, services: Joined) -> Response:
    values = await values_of(request, services, _ROTATION)
    overlap_s = values.get("overlap", OVERLAP_S)
    secret = await services.config_actions.rotate_secret(principal.account, config_id, overlap_s, by=principal.actor)
    return answer(200, {"signing_secret": secret})


@router.get(
    "/v2/postbackconfigs/{config_id}/explain",
    **documented(
        "Would this config get that event, and why",
        answer=ref("Explained"),
        parameters=[needed(query("event_id", "The event, which may have happened before the config was made."))],
        errors=(*ONE, 422),
    ),
)
async def explain_postbackconfig(request: Request, config_id: str, principal: Reader, services: Joined) -> Response:
    event_id = Parameters(request, "event_id").text("event_id")
    if not event_id:
        raise InvalidValue.of("event_id", "Event Id cannot be blank.")
    explained = await services.config_checks.explain(principal.account, config_id, event_id)
    return answer(200, {"wants": explained.wants, "reasons": explained.reasons})


@router.post(
    "/v2/postbackconfigs/{config_id}/test",
    **documented(
        "Send an example event now",
        answer=wrapped("attempt", "Attempt"),
        body=ref("Test"),
        needs_body=False,
        errors=(404, *WRITING),
        description="One attempt, the same way as any delivery, also while the config is paused or disabled. It is in "
        "the log, marked as a test.",
    ),
)
async def test_postbackconfig(request: Request, config_id: str, principal: Writer, services: Joined) -> Response:
    values = await values_of(request, services, _TEST)
    attempt, sent = await services.config_checks.test(
        principal.account, config_id, values.get("event_type"), by=principal.actor
    )
    return answer(200, {"attempt": attempt_view(attempt, sent)})


async def _views(
    services: Services, account: str, configs: Sequence[PostbackConfig], expand: Sequence[str]
) -> list[dict[str, Any]]:
    asked = [config.id for config in configs] if HEALTH in expand else []
    health = await services.stats_actions.health(account, asked) if asked else {}
    return [config_view(config, services.base_url, expand, health=health.get(config.id)) for config in configs]
