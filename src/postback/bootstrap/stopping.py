"""How a process hears that it is to stop: by signals where it stands alone, from its parent where it is one of several."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

STOP: Final = b"s"
HURRY: Final = b"h"
"""What a parent writes; that nothing more will be written means that it is gone."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def told_by_signals(stop: Callable[[], None], hurry: Callable[[], None]) -> Iterator[None]:
    """The first SIGTERM or SIGINT asks for a good end, each further one for a quick one."""
    asked = False

    def heard() -> None:
        nonlocal asked
        if asked:
            hurry()
        asked = True
        stop()

    with _on_signals(heard, lambda: asked):
        yield


@contextlib.contextmanager
def ended_by_parent(orders: int, end: Callable[[], None]) -> Iterator[None]:
    """For the time of a start: `end` is called at the parent's first word, and at its end, until `told_by_parent` hears."""
    loop = asyncio.get_running_loop()
    loop.add_reader(orders, end)
    try:
        yield
    finally:
        loop.remove_reader(orders)


@contextlib.contextmanager
def told_by_parent(orders: int, stop: Callable[[], None], hurry: Callable[[], None]) -> Iterator[None]:
    """By what the parent writes, and by its end.

    A signal asks for a good end, never for a quick one: Ctrl-C at a terminal, and supervisors, send it to the parent and
    to each of its children, so one request comes twice.
    """
    loop = asyncio.get_running_loop()

    def heard() -> None:
        said = os.read(orders, 16)
        if HURRY in said:
            hurry()
        if not said:
            loop.remove_reader(orders)
        stop()

    loop.add_reader(orders, heard)
    try:
        with _on_signals(stop, lambda: True):
            yield
    finally:
        loop.remove_reader(orders)


def heed_no_more() -> None:
    """What comes while the last things are closed and said has been heeded already."""
    for name in SIGNALS:
        signal.signal(name, signal.SIG_IGN)


@contextlib.contextmanager
def _on_signals(heard: Callable[[], None], is_heeded: Callable[[], bool]) -> Iterator[None]:
    """Whatever comes after the end is heeded no more where `is_heeded` says so, and by default otherwise.

    The loop's own handlers would give way to the default for a moment, in which a signal kills.
    """
    loop = asyncio.get_running_loop()
    told, telling = socket.socketpair()
    told.setblocking(False)
    telling.setblocking(False)

    def read() -> None:
        for number in told.recv(64):
            if number in SIGNALS:
                heard()

    loop.add_reader(told, read)
    before = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    for name in SIGNALS:
        signal.signal(name, _written_to_wakeup)
        signal.siginterrupt(name, False)
    try:
        yield
    finally:
        if is_heeded():
            heed_no_more()
        else:
            for name in SIGNALS:
                signal.signal(name, signal.default_int_handler if name is signal.SIGINT else signal.SIG_DFL)
        signal.set_wakeup_fd(before)
        loop.remove_reader(told)
        told.close()
        telling.close()


def _written_to_wakeup(_number: int, _frame: object) -> None:
    """Python has written its number to the wakeup socket by now, which is how the loop hears of it."""
