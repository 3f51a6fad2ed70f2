"""Add Postback, and changing one: a form with everything that a config can be told, and the body that it would send."""

from typing import Any

from starlette.responses import Response

from postback.actions.config_options import OPTIONS, SIGNED
from postback.actions.config_preview import Preview, preview
from postback.actions.config_wants import EXPANDS
from postback.actions.configs import Saved
from postback.domain import trial
from postback.domain.catalog import CATALOG
from postback.domain.configs import RESOURCES, PostbackConfig
from postback.domain.errors import InvalidValue
from postback.domain.event_types import Layout
from postback.domain.ids import config_text
from postback.domain.policy import POLICIES, SuccessRule
from postback.web.config_form import ABOUT_NAMING, ATTEMPTS_OF_FORMATS, LABELS, PREVIEW, fields_of, form_of, new_form
from postback.web.forms import Form
from postback.web.pages.config import show_secret
from postback.web.pages.named import offered_locations
from postback.web.visit import Visit


async def show_add(visit: Visit) -> Response:
    return await _page(visit, None, new_form(visit.asked("location_id")))


async def add(visit: Visit) -> Response:
    form = await visit.form()
    if form.text(PREVIEW):
        return await _page(visit, None, form)
    try:
        saved = await visit.services.configs.create(visit.account, fields_of(form, None), by=visit.actor)
    except InvalidValue as error:
        return await _page(visit, None, form.wrong(error), 422)
    return await _done(visit, saved, "The postback was added. Send a test to see what its receiver answers.")


async def show_edit(visit: Visit) -> Response:
    config = await _config(visit)
    return await _page(visit, config, form_of(config))


async def edit(visit: Visit) -> Response:
    config, form = await _config(visit), await visit.form()
    if form.text(PREVIEW):
        return await _page(visit, config, form)
    try:
        saved = await visit.services.configs.change(
            visit.account, config_text(config.id), fields_of(form, config), by=visit.actor
        )
    except InvalidValue as error:
        return await _page(visit, config, form.wrong(error), 422)
    return await _done(visit, saved, "Saved: from the next attempt on.")


async def _done(visit: Visit, saved: Saved, said: str) -> Response:
    config = saved.config
    if saved.has_new_secret:
        return await show_secret(visit, config, config.signing_secrets[0].text, said)
    return visit.go(f"/postbackconfigs/{config_text(config.id)}", said)


async def _config(visit: Visit) -> PostbackConfig:
    return await visit.services.configs.find(visit.account, visit.param("config_id"))


async def _page(visit: Visit, config: PostbackConfig | None, form: Form, status: int = 200) -> Response:
    shown, why_not = _previewed(visit, config, form)
    known: dict[str, Any] = {
        "config": config,
        "action": "/postbackconfigs/add" if config is None else f"/postbackconfigs/{config_text(config.id)}/edit",
        "locations": await offered_locations(visit),
        "preview": shown,
        "why_no_preview": why_not,
        "resources": RESOURCES,
        "formats": list(POLICIES),
        "expands": EXPANDS,
        "event_types": list(CATALOG),
        "layouts": list(Layout),
        "success_rules": list(SuccessRule),
        "is_signed": config is not None and config.format in SIGNED and bool(config.signing_secrets),
        "options": OPTIONS,
        "about_naming": ABOUT_NAMING,
        "attempts_of_formats": ATTEMPTS_OF_FORMATS,
        "labels": LABELS,
        "about_url": _about_url(visit, config),
    }
    return await visit.page("configs/edit.html", status, form=form, **known)


def _about_url(visit: Visit, config: PostbackConfig | None) -> str:
    if config is not None or not visit.services.calls_loopback:
        return "Where the POSTs go."
    return (
        f"Where the POSTs go. To try it out: {trial.RECEIVER_URL}, while “listen --port {trial.RECEIVER_PORT}” runs on the "
        "server’s machine; its terminal says how."
    )


def _previewed(visit: Visit, config: PostbackConfig | None, form: Form) -> tuple[Preview | None, str]:
    """The body of an example event, or why there is none."""
    try:
        fields = fields_of(form, config)
        return preview(visit.account, fields, form.text("preview_type") or None, visit.now_ms), ""
    except InvalidValue as error:
        if "event_types" in error.errors and not form.text("event_types").strip():
            return None, "name an event type that it wants to hear of, and an example of it stands here."
        return None, "; ".join(message for messages in error.errors.values() for message in messages)
