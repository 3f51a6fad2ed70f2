"""How an event becomes bytes for a receiver, and back. Nothing beyond the standard library is imported at import.

A format is a module with `NAME`, `render` and `parse`; both directions stand in one file.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from postback.domain.catalog import SAYABLE
from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender
from postback.domain.events import Event
from postback.domain.traces import HEADER, attempt_span, read_traceparent
from postback.formats import api_default, cloudevents, json_webhook, sms_callback, xml_postback
from postback.formats.body import Parsed, Rendered

__all__ = ["FORMATS", "Format", "Parsed", "Rendered", "is_sayable", "render"]


class Format(Protocol):
    """One way to say events."""

    NAME: str

    def render(self, event: Event, config: PostbackConfig, counter: int, now_ms: int, /) -> Rendered:
        """The bytes of attempt number `counter`; CannotRender for what this format cannot say."""

    def parse(self, body: bytes, content_type: str, time_zone: str | None = None, /) -> Parsed:
        """What a body shows; Malformed where it is none of this format. `time_zone` (IANA) is that of local dates."""


FORMATS: Final[Mapping[str, Format]] = {
    api_default.NAME: api_default,
    xml_postback.NAME: xml_postback,
    sms_callback.NAME: sms_callback,
    json_webhook.NAME: json_webhook,
    cloudevents.NAME: cloudevents,
}


_SAYS_ALL: Final = frozenset(name for name, types in SAYABLE.items() if types is None)


def render(event: Event, config: PostbackConfig, counter: int, now_ms: int) -> Rendered:
    """The bytes of attempt number `counter` for this config; CannotRender where there are none."""
    chosen = FORMATS.get(config.format)
    if chosen is None:
        raise CannotRender(f"format is {config.format!r}; expected one of {', '.join(FORMATS)}")
    rendered = chosen.render(event, config, counter, now_ms)
    return rendered if event.trace is None else _traced(rendered, event, config, counter, now_ms)


def _traced(rendered: Rendered, event: Event, config: PostbackConfig, counter: int, now_ms: int) -> Rendered:
    """With the header that lets the receiver go on with the event's trace; one that the config sets itself stays alone."""
    trace = read_traceparent(event.trace or "")
    if trace is None or any(name.lower() == HEADER for name in config.headers):
        return rendered
    span = attempt_span(trace, event.id, config.id, counter, now_ms)
    return rendered._replace(headers=(*rendered.headers, (HEADER, str(span))))


def is_sayable(event: Event, config: PostbackConfig) -> bool:
    """Whether this event can be said to this config. Formats that put the data in as it is can say whatever was accepted."""
    if config.format in _SAYS_ALL:
        return True
    try:
        render(event, config, 1, 0)
    except CannotRender:
        return False
    return True
