"""The form of a postback config: what a person typed as the fields that the actions take, and a config as a form."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from postback.actions.config_options import OPTIONS, SIGNED
from postback.domain.configs import DISABLE_AFTER_S, FormatOptions, PostbackConfig
from postback.domain.errors import InvalidValue
from postback.domain.masking import masked
from postback.domain.policy import POLICIES
from postback.web.forms import Form, number

RESOURCE: Final = "resource"
EVENT_TYPES: Final = "event_types"
WANTS_BY: Final = "wants_by"
"""Which of the two ways to say what is wanted: one of the two above."""

PREVIEW: Final = "preview"
"""The button that shows a body, and saves nothing."""

FLAGS: Final = ("on_create", "on_update", "on_delete")
_OF_A_RESOURCE: Final = (RESOURCE, *FLAGS, "product_transaction_id", "expands")
_TEXTS: Final = ("url", "location_id", "name", "format", "is_active", "success_status")
_NUMBERS: Final = (
    "number_of_attempts", "attempt_interval", "connect_timeout", "response_timeout", "total_timeout", "max_in_flight",
    "rate_limit",
)  # fmt: skip

LABELS: Final[Mapping[str, str]] = {
    "url": "URL",
    "location_id": "Location",
    "event_types": "Event types",
    "format": "Format",
    "xml_layout": "Layout",
    "xml_content_type": "Body",
    "xml_strict_historic": "Strictly historic",
    "callback_payload": "Payload",
    "callback_naming": "Naming",
    "disable_after": "Disable after",
    "max_in_flight": "Attempts at the same time",
    "rate_limit": "Deliveries a second",
    "success_status": "Success",
    "headers": "Headers",
}
"""Where a field is called otherwise than its name says."""

ABOUT_NAMING: Final = (
    "Of the dates: overview has DELIVERY_DATE and answer_date, reference delivery_date and reception_date."
)
"""What the two namings differ in; each is called after the document that has it."""

ATTEMPTS_OF_FORMATS: Final = ", ".join(f"{name} {policy.retry.attempts}" for name, policy in POLICIES.items())
"""How often each format tries where nothing is said: with some it is once, which nobody would guess."""

_OPTION_DEFAULTS: Final = FormatOptions()
_NEW: Final[Mapping[str, object]] = {
    WANTS_BY: RESOURCE,
    RESOURCE: "contact",
    **dict.fromkeys(FLAGS, True),
    "is_active": True,
    "format": "api-default",
    **{name: getattr(_OPTION_DEFAULTS, name) for name in OPTIONS},
}


def new_form(location_id: str) -> Form:
    """What a form begins with; without a location it is one for the whole account, which wants events by their types."""
    begun = _NEW if location_id else {**_NEW, WANTS_BY: EVENT_TYPES}
    return Form.of({**begun, "location_id": location_id})


def sets_secret(form: Form) -> bool:
    """Whether what is saved changes the signing secret; a look at a body saves nothing."""
    touches = form.text("signing_secret") != "" or form.is_on("remove_signing_secret")
    return touches and not form.text(PREVIEW)


def form_of(config: PostbackConfig) -> Form:
    """A config to be changed: what its owner sent, its secrets never. What was left to the format is empty."""
    sent = config.as_sent
    shown: dict[str, object] = {
        **{name: sent.get(name) for name in ("name", "success_status", *_NUMBERS)},
        "url": config.url,
        "location_id": config.location_id,
        "is_active": config.is_active,
        "format": config.format,
        WANTS_BY: EVENT_TYPES if config.resource is None else RESOURCE,
        RESOURCE: config.resource,
        **{name: getattr(config, name) for name in FLAGS},
        "product_transaction_id": config.product_transaction_id,
        "expands": ", ".join(config.expands),
        EVENT_TYPES: "\n".join(config.event_types),
        **{name: getattr(config.options, name) for name in OPTIONS},
        "retry_schedule": ", ".join(str(wait) for wait in config.retry.waits_s) if "retry_schedule" in sent else None,
        "disable_after": sent.get("disable_after"),
        "never_disable": config.disable_after_s is None,
        "headers": "\n".join(f"{name}: {value}" for name, value in masked(config.headers).items()),
    }
    return Form.of(shown)


def fields_of(form: Form, old: PostbackConfig | None) -> dict[str, object]:
    """What is sent to the actions. Of a new config what is empty is left out; of an old one it is removed.

    InvalidValue for a line of headers that is none.
    """
    fields: dict[str, Any] = dict(form.fields(*_TEXTS))
    fields |= {name: number(form.text(name)) for name in _NUMBERS}
    fields["retry_schedule"] = [number(wait) for wait in _parts(form.text("retry_schedule"))] or None
    fields["headers"] = _headers(form.text("headers"))
    fields |= _wants(form)
    fields |= _options(form)
    if old is None:
        return (
            {name: value for name, value in fields.items() if value is not None}
            | _credentials(form, old)
            | _end(form, old)
        )
    return fields | _credentials(form, old) | _end(form, old)


def _wants(form: Form) -> dict[str, object]:
    if form.text(WANTS_BY) == EVENT_TYPES:
        # Empty, it says what is missing.
        return {RESOURCE: None, EVENT_TYPES: _parts(form.text(EVENT_TYPES))}
    return {**form.fields(*_OF_A_RESOURCE), EVENT_TYPES: None}


def _options(form: Form) -> dict[str, object]:
    """Of the format that is chosen; those of the others mean nothing to it."""
    chosen = form.text("format")
    return form.fields(*(name for name, option in OPTIONS.items() if chosen in option.formats and name in form.values))


def _credentials(form: Form, old: PostbackConfig | None) -> dict[str, object]:
    """Secrets are never shown, so one that is empty stays as it is."""
    fields: dict[str, object] = {}
    if old is not None and form.is_on("remove_basic_auth"):
        fields = {"basic_auth_username": None, "basic_auth_password": None}
    if form.text("format") in SIGNED:
        if old is not None and form.is_on("remove_signing_secret"):
            fields["signing_secret"] = None
        fields |= form.filled("signing_secret")
    # A password may well begin with a space.
    fields |= {name: form.text(name) for name in ("basic_auth_username", "basic_auth_password") if form.text(name)}
    return fields


def _end(form: Form, old: PostbackConfig | None) -> dict[str, object]:
    """Null stands for never here, so what is empty has to be said in seconds where something else was said before."""
    if form.is_on("never_disable"):
        return {"disable_after": None}
    typed = number(form.text("disable_after"))
    if typed is not None:
        return {"disable_after": typed}
    return {"disable_after": DISABLE_AFTER_S} if old is not None and "disable_after" in old.as_sent else {}


def _parts(text: str) -> Sequence[str]:
    return text.replace(",", " ").split()


def _headers(text: str) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon:
            raise InvalidValue.of("headers", f"headers has the line {line.strip()[:64]}; expected Name: value on each")
        if name.strip() in headers:
            raise InvalidValue.of("headers", f"headers has {name.strip()[:64]} twice; expected each name once")
        headers[name.strip()] = value.strip()
    return headers or None
