"""/v2/callbacks and /v2/postbacksettings: the settings of the two messaging systems, each for a whole account."""

from dataclasses import asdict
from typing import Final

from fastapi import APIRouter, Request, Response

from postback.actions.account_wide import Settings, Shown
from postback.actions.callbacks import Callbacks
from postback.actions.postback_settings import PostbackSettings
from postback.api.answers import answer
from postback.api.documents import READING, WRITING, documented, wrapped
from postback.api.fields import fields_of
from postback.api.keys import Joined, Reader, Writer
from postback.api.schema_parts import Schema, an_object, ref
from postback.api.views import View, state_view
from postback.domain.configs import PostbackConfig
from postback.domain.ids import config_text

router = APIRouter(tags=["account-wide settings"])


def _settings(name: str, schema: str) -> Schema:
    return an_object({name: ref(schema), "configs": ref("ConfigsOfSettings")}, required=(name, "configs"))


_CALLBACKS: Final = _settings("callbacks", "Callbacks")
_POSTBACK_SETTINGS: Final = _settings("postbacksettings", "PostbackSettings")
_CHANGES: Final = (
    "What is not sent stays, null is the default again. A URL that is null removes its postback config, with what "
    "it still owes."
)


@router.get(
    "/v2/callbacks",
    **documented("Show where callbacks go", answer=_CALLBACKS, errors=READING),
)
async def show_callbacks(principal: Reader, services: Joined) -> Response:
    return _answer("callbacks", await services.account_wide.show(principal.account, Callbacks))


@router.put(
    "/v2/callbacks",
    **documented(
        "Say where callbacks go",
        answer=_CALLBACKS,
        body=wrapped("callbacks", "NewCallbacks"),
        errors=(409, *WRITING),
        description=_CHANGES,
    ),
)
async def change_callbacks(request: Request, principal: Writer, services: Joined) -> Response:
    fields = await fields_of(request, services, "callbacks")
    by, change = principal.actor, services.account_wide.change
    return _answer("callbacks", await change(principal.account, Callbacks, fields, by=by))


@router.get(
    "/v2/postbacksettings",
    **documented(
        "Show where XML postbacks go",
        answer=_POSTBACK_SETTINGS,
        errors=READING,
    ),
)
async def show_postbacksettings(principal: Reader, services: Joined) -> Response:
    return _answer("postbacksettings", await services.account_wide.show(principal.account, PostbackSettings))


@router.put(
    "/v2/postbacksettings",
    **documented(
        "Say where XML postbacks go",
        answer=_POSTBACK_SETTINGS,
        body=wrapped("postbacksettings", "NewPostbackSettings"),
        errors=(409, *WRITING),
        description=_CHANGES,
    ),
)
async def change_postbacksettings(request: Request, principal: Writer, services: Joined) -> Response:
    fields = await fields_of(request, services, "postbacksettings")
    by, change = principal.actor, services.account_wide.change
    return _answer("postbacksettings", await change(principal.account, PostbackSettings, fields, by=by))


def _answer(name: str, shown: Shown[Settings]) -> Response:
    """The settings, and beside them what has become of their configs."""
    found = {shown.settings.URLS[purpose]: config for purpose, config in shown.configs.items()}
    configs = {url: _config(found[url]) if url in found else None for url in shown.settings.URLS.values()}
    return answer(200, {name: asdict(shown.settings), "configs": configs})


def _config(config: PostbackConfig) -> View:
    return {"id": config_text(config.id), "is_active": config.is_active, **state_view(config)}
