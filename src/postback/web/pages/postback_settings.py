"""Postback settings: where the XML postbacks of the messaging system go."""

from dataclasses import asdict
from typing import Final

from starlette.responses import Response

from postback.actions.account_wide import Shown
from postback.actions.postback_settings import PostbackSettings
from postback.domain.errors import InvalidValue
from postback.domain.event_types import Layout
from postback.web.forms import Form
from postback.web.visit import Visit

LABELS: Final = {
    "postback_url": "Postback URL",
    "enabled": "Enabled",
    "mo_postback_url": "MO Postback URL",
    "mms_mo_postback": "MMS MO Postback",
    "pass_postback_url": "Pass Postback URL",
    "pass_generate_postback": "Pass Generate Postback",
    "xml_layout": "Layout",
    "xml_content_type": "Body",
    "xml_strict_historic": "Strictly historic",
}


async def show(visit: Visit) -> Response:
    shown = await _shown(visit)
    return await _page(visit, shown, Form.of(asdict(shown.settings)))


async def change(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.services.account_wide.change(visit.account, PostbackSettings, form.fields(*LABELS), by=visit.actor)
    except InvalidValue as error:
        return await _page(visit, await _shown(visit), form.wrong(error), 422)
    return visit.go("/postbacksettings", "Saved: from the next postback on.")


async def _shown(visit: Visit) -> Shown[PostbackSettings]:
    return await visit.services.account_wide.show(visit.account, PostbackSettings)


async def _page(visit: Visit, shown: Shown[PostbackSettings], form: Form, status: int = 200) -> Response:
    configs = {shown.settings.URLS[purpose]: config for purpose, config in shown.configs.items()}
    health = await visit.services.stats.health(visit.account, [config.id for config in configs.values()])
    return await visit.page(
        "settings/postbacks.html",
        status,
        form=form,
        configs=configs,
        health=health,
        labels=LABELS,
        layouts=list(Layout),
    )
