"""What a config would send, before there is one: the body of an example event."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from postback.actions.config_checks import example_for
from postback.actions.config_fields import READERS, attributes_of
from postback.actions.config_options import OPTIONS
from postback.actions.fields import Errors, read
from postback.domain.configs import PostbackConfig, SigningSecret
from postback.domain.events import Event
from postback.formats import render
from postback.formats.signing import new_secret

SHAPING: Final = ("format", *OPTIONS, "location_id", "resource", "on_create", "on_update", "on_delete", "event_types")
"""The fields that a body depends on."""

_NOWHERE: Final = "https://receiver.example"


class Preview(NamedTuple):
    """The first attempt of an example event of this type, but for its signature, which changes with each."""

    event_type: str
    content_type: str
    body: str


def preview(account: str, fields: Mapping[str, object], event_type: str | None, now_ms: int) -> Preview:
    """By the fields of a config, which need not be complete; without a type the first one that they want.

    InvalidValue for fields that cannot be taken, and for a type that the format cannot say.
    """
    errors = Errors()
    values = read({name: value for name, value in fields.items() if name in SHAPING}, READERS, errors)
    errors.raise_any()
    config = PostbackConfig(
        id=0,
        account=account,
        version=1,
        **attributes_of({**values, "url": _NOWHERE}),
        signing_secrets=(SigningSecret(new_secret()),),
    )
    example = example_for(config, event_type)
    event = Event(
        0, account, example.location_id, example.type, example.subject, example.occurred_at, now_ms, example.data
    )
    rendered = render(event, config, 1, now_ms)
    return Preview(example.type, rendered.content_type, rendered.body.decode())
