"""Templates: autoescaped, strict about names, and with every character that cannot be seen named, wherever text is shown.

What a template prints goes through `visible`, so no page can forget it. Only the values of form fields are kept as they
are (the filter `raw`, still escaped), since they are sent back.
"""

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from postback.domain.ids import config_text, delivery_text, event_text
from postback.domain.masking import masked, without_secrets
from postback.web import shown, statics
from postback.web.reasons import reason_in_words


def _finalized(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    return shown.visible(str(value)) if isinstance(value, str) else value


def _raw(value: object) -> Markup:
    return escape("" if value is None else str(value))


def environment() -> Environment:
    made = Environment(
        loader=PackageLoader("postback.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "raw": _raw,
        "middle_cut": shown.middle_cut,
        "ago": shown.ago,
        "ago_by_minute": shown.ago_by_minute,
        "exact": shown.exact,
        "number": shown.number,
        "duration": shown.duration,
        "browser": shown.browser,
        "wants": shown.wants,
        "contact_name": shown.contact_name,
        "waited": shown.waited,
        "pair": lambda value: (value, value),
        "reason_in_words": reason_in_words,
        "shown_state": shown.shown_state,
        "config_id": config_text,
        "event_id": event_text,
        "delivery_id": lambda delivery: delivery_text(delivery.event.id, delivery.config_id),
        "shown_headers": lambda headers: masked(headers).items(),
        "without_password": without_secrets,
    }
    made.globals["static"] = statics.url
    return made


_ENVIRONMENT: Final = environment()


def render(template: str, context: Mapping[str, Any]) -> str:
    return _ENVIRONMENT.get_template(template).render(context)
