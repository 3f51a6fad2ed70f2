"""Patterns of event types: `*` is all, `sms.*` is all that begins with `sms.`, anything else is a type itself."""

from typing import Final

from postback.domain.events import is_event_type

EXPECTED: Final = "expected *, the beginning of a type with .* after it such as sms.*, or a type such as sms.received"

_EVERYTHING: Final = "*"
_REST: Final = ".*"


def is_pattern(text: str) -> bool:
    """Whether this can name anything at all."""
    # What stands before `.*` has one part less than the types that it names.
    return text == _EVERYTHING or is_event_type(text.removesuffix(_REST) + ".x" if text.endswith(_REST) else text)


def names(pattern: str, event_type: str) -> bool:
    if pattern == _EVERYTHING:
        return True
    return event_type.startswith(pattern[:-1]) if pattern.endswith(_REST) else event_type == pattern
