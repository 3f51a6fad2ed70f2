"""How an event becomes bytes for a receiver, and back. Nothing beyond the standard library is imported at import.

A format is a module with `NAME`, `can_say`, `render` and `parse`; both directions stand in one file.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from postback.domain.configs import PostbackConfig
from postback.domain.errors import CannotRender
from postback.domain.events import Event
from postback.formats import api_default
from postback.formats.body import Parsed, Rendered

__all__ = ["FORMATS", "Format", "Parsed", "Rendered", "render"]


class Format(Protocol):
    """One way to say events."""

    NAME: str

    def can_say(self, event_type: str, /) -> bool:
        """Whether events of this type can be said at all; the data of a single one may still be beyond it."""

    def render(self, event: Event, config: PostbackConfig, counter: int, now_ms: int, /) -> Rendered:
        """The bytes of attempt number `counter`; CannotRender for what this format cannot say."""

    def parse(self, body: bytes, content_type: str, /) -> Parsed:
        """What a body shows; Malformed where it is none of this format."""


FORMATS: Final[Mapping[str, Format]] = {api_default.NAME: api_default}


def render(event: Event, config: PostbackConfig, counter: int, now_ms: int) -> Rendered:
    """The bytes of attempt number `counter` for this config; CannotRender where there are none."""
    chosen = FORMATS.get(config.format)
    if chosen is None:
        raise CannotRender(f"format is {config.format!r}; expected one of {', '.join(FORMATS)}")
    return chosen.render(event, config, counter, now_ms)
