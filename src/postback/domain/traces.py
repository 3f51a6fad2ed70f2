"""W3C Trace Context: the trace that an event belongs to, and the span that each of its attempts is."""

import hashlib
import re
from typing import Final, NamedTuple

HEADER: Final = "traceparent"

_HEADER: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LENGTH: Final = 55
_SAMPLED: Final = 0x01
_FLAGS: Final = 0x03
"""Of the flags those that have a meaning: sampled, and that the trace id is random."""


class Trace(NamedTuple):
    """A place in a trace: ids in lower-case hexadecimal, as the header has them."""

    trace_id: str
    span_id: str
    flags: int

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & _SAMPLED)


def read_traceparent(text: str) -> Trace | None:
    """What the header says; None for what is no such header, which is then as if it were not there."""
    found = _HEADER.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, _ = found.groups()
    if version == "ff" or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    if version == "00" and len(text) != _LENGTH:
        # Only later versions may say more.
        return None
    return Trace(trace_id, span_id, int(flags, 16) & _FLAGS)


def attempt_span(trace: Trace, event_id: int, config_id: int, counter: int, rendered_ms: int) -> Trace:
    """The span of an attempt: made of what the log keeps of it, so that the log can tell which one it was."""
    said = f"{event_id}.{config_id}.{counter}.{rendered_ms}"
    return trace._replace(span_id=hashlib.sha256(said.encode()).hexdigest()[:16])
