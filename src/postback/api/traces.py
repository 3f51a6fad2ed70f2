"""The trace that a request belongs to, as its sender says it (W3C Trace Context)."""

from typing import Final

from starlette.types import Scope

from postback.domain.traces import HEADER, read_traceparent

_NAME: Final = HEADER.encode()


def trace_of(scope: Scope) -> str | None:
    """None where there is no such header, or two, or one that is none: a trace is a help, never a reason to refuse."""
    found: bytes | None = None
    for name, value in scope["headers"]:
        if name == _NAME:
            if found is not None:
                return None
            found = value
    trace = None if found is None else read_traceparent(found.decode("latin-1"))
    return None if trace is None else str(trace)
