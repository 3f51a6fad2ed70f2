"""Callbacks: where receipts, answers and opt-outs of the SMS system go, and whether their receivers keep its rule."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from starlette.responses import Response

from postback.actions.account_wide import Shown
from postback.actions.callbacks import Callbacks
from postback.actions.receiver_manners import Seen
from postback.domain.configs import PostbackConfig
from postback.domain.errors import InvalidValue
from postback.domain.ids import config_text
from postback.web.config_form import ABOUT_NAMING
from postback.web.forms import Form
from postback.web.pages.config import tested
from postback.web.visit import Visit

LABELS: Final = {
    "callback_url_for_deliveries": "Deliveries URL",
    "callback_url_for_inbounds": "Inbounds URL",
    "callback_url_for_blacklisted_numbers": "Blacklisted numbers URL",
}
HINTS: Final = {
    "callback_url_for_deliveries": "What became of messages that were sent: sent, delivered, undelivered, failed.",
    "callback_url_for_inbounds": "What people answer.",
    "callback_url_for_blacklisted_numbers": "Who wants to hear no more.",
}
_FIELDS: Final = (*LABELS, "payload", "naming")


async def show(visit: Visit) -> Response:
    shown = await _shown(visit)
    return await _page(visit, shown, Form.of(asdict(shown.settings)))


async def change(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.services.account_wide.change(visit.account, Callbacks, form.fields(*_FIELDS), by=visit.actor)
    except InvalidValue as error:
        return await _page(visit, await _shown(visit), form.wrong(error), 422)
    return visit.go("/callbacks", "Saved: from the next callback on.")


async def test(visit: Visit) -> Response:
    """Of what is saved: what is typed and not saved yet stays in the form."""
    form, shown = await visit.form(), await _shown(visit)
    which = form.text("which")
    config = _by_url(shown).get(which)
    is_saved = config is not None and form.text(which).strip() in ("", config.url)
    if which in LABELS and (config is None or not is_saved):
        unsaved = form.wrong(InvalidValue.of(which, "Save it first: a test goes to the URL that is saved."))
        return await _page(visit, shown, unsaved, 422)
    if config is None:
        return await _page(visit, shown, Form.of(asdict(shown.settings)), 422)
    # Whoever sends nothing but which one it is has typed nothing.
    kept = form if which in form.values else Form.of(asdict(shown.settings))
    attempt, sent = await visit.services.config_checks.test(visit.account, config_text(config.id), None, by=visit.actor)
    result = {"label": LABELS[which], **tested(config, attempt, sent)}
    return await _page(visit, shown, kept, tested=result)


async def _shown(visit: Visit) -> Shown[Callbacks]:
    return await visit.services.account_wide.show(visit.account, Callbacks)


def _by_url(shown: Shown[Callbacks]) -> Mapping[str, PostbackConfig]:
    """The setting with the URL → its config."""
    return {shown.settings.URLS[purpose]: config for purpose, config in shown.configs.items()}


async def _page(visit: Visit, shown: Shown[Callbacks], form: Form, status: int = 200, **context: Any) -> Response:
    configs = _by_url(shown)
    answers: list[tuple[str, Seen]] = []
    for name, config in configs.items():
        answers += [(name, seen) for seen in await visit.services.manners.recent(config)]
    health = await visit.services.stats.health(visit.account, [config.id for config in configs.values()])
    answers.sort(key=lambda one: one[1].attempt.ended_ms, reverse=True)
    known = {
        "form": form,
        "tested": None,
        "configs": configs,
        "health": health,
        "answers": answers,
        "broken": sum(1 for _, seen in answers if seen.broke),
        "labels": LABELS,
        "hints": HINTS,
        "about_naming": ABOUT_NAMING,
    }
    return await visit.page("settings/callbacks.html", status, **{**known, **context})
