"""Sections of pages that go on while they are seen: what a stream asks for, and sends where it has changed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from postback.web.pages import deliveries, delivery, event, events, replays
from postback.web.visit import Visit

Section = Callable[[Visit], Awaitable[str]]
"""The section as it is now, as HTML; a visit asks for it by the same filters, or the `id`, as its page has."""

SECTIONS: Final[Mapping[str, Section]] = {
    "deliveries": deliveries.section,
    "delivery": delivery.section,
    "events": events.section,
    "event": event.section,
    "replays": replays.list_section,
    "replay": replays.section,
}
"""What stands in `watch` of `/live` → the section."""
