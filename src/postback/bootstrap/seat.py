"""One process of several: which one it is, and what joins it to its parent and to the others."""

import os
import select
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from postback.bootstrap.sharing import Door
from postback.bootstrap.started import Started


class Made(msgspec.Struct, frozen=True, tag=True):
    """It has made an operator key that is kept nowhere."""

    key: str


class Answers(msgspec.Struct, frozen=True, tag=True):
    """It has started and answers. `started` is told by the one that made what a new database needs."""

    started: Started | None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It did not start; `why` also says what would help."""

    why: str


Report = Made | Answers | Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """`number` is from 1 to `count`. The parent writes to `orders` what stopping.told_by_parent hears, and reads from
    `reports`; `folder` is private to them, `log_lock` a file in it that each locks while it writes to the log.
    """

    number: int
    count: int
    is_first: bool
    orders: int
    reports: int
    parent: int
    folder: Path
    log_lock: int
    door: Door | None

    def report(self, report: Report) -> None:
        """A line, which is short enough to be written at once."""
        # That nobody reads any more `orders` tells too, and there it is answered by a good end.
        with suppress(BrokenPipeError):
            os.write(self.reports, msgspec.json.encode(report, enc_hook=str) + b"\n")

    @property
    def is_orphaned(self) -> bool:
        """From the end of its orders on, which the system makes a moment before it gives the process another parent."""
        orders = select.poll()
        orders.register(self.orders, 0)
        return any(events & select.POLLHUP for _, events in orders.poll(0)) or os.getppid() != self.parent

    def leave(self) -> None:
        """Without a parent, whoever is last takes the folder away; to the others it is not empty."""
        if self.is_orphaned:
            with suppress(OSError):
                self.folder.rmdir()


def read_report(line: bytes) -> Report:
    return msgspec.json.decode(line, type=Made | Answers | Refused, dec_hook=_decoded)


def _decoded(kind: type[Any], value: Any) -> Any:
    """A Path, which JSON has as text."""
    return kind(value)
