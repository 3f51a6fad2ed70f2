"""How modules are loaded, which is most of what a short command does: without looking for garbage among what stays."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from postback.cli.interrupted import ended_by_interrupt


@contextmanager
def loading() -> Iterator[None]:
    """Load them within. Hardly any of the objects that are made is garbage, and a sixth of a server's start would go into
    looking for it, then and later. Ctrl-C ends the process."""
    gc.disable()
    try:
        with ended_by_interrupt():
            yield
    finally:
        gc.freeze()
        gc.enable()
