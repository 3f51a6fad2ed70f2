"""Ctrl-C before a command has begun its work: an end in one line, where each module being loaded would show its own."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

CODE: Final = 130
SAID: Final = "interrupted before it had started"


@contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """While it is entered, and until somebody else hears it, Ctrl-C ends the process. It stays ignored where it was."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _end:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    """At once: an exception would be raised in the middle of whatever is being loaded, and some of it catches all."""
    with suppress(OSError):
        os.write(2, f"error: {SAID}\n".encode())
    os._exit(CODE)
