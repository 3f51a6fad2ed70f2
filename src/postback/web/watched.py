"""Sections of pages that go on while they are seen: what a stream asks for, and sends where it has changed."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from postback.web.pages import deliveries, delivery, event, events, overview, replays
from postback.web.visit import Visit


class Section(NamedTuple):
    """`html` is the section as it is now; a visit asks for it by the same parameters, or the `id`, as its page has.

    `mark` is asked first where there is one, since it costs less: as long as it says the same the section is the same.
    """

    html: Callable[[Visit], Awaitable[str]]
    mark: Callable[[Visit], Awaitable[str]] | None = None


SECTIONS: Final[Mapping[str, Section]] = {
    "overview": Section(overview.section, overview.mark),
    "deliveries": Section(deliveries.section),
    "delivery": Section(delivery.section),
    "events": Section(events.section),
    "event": Section(event.section),
    "replays": Section(replays.list_section),
    "replay": Section(replays.section),
}
"""What stands in `watch` of `/live` → the section."""
