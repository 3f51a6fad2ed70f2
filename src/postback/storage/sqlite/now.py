"""The time of each transaction, and what has to move when the wall clock has gone back since the last one."""

import sqlite3
from typing import Final

from postback.ports import Clock

SLACK_MS: Final = 1000
"""A clock that is put back by less makes deliveries late by less: not worth touching every row for."""


class Now:
    """`ms` is one time for a whole transaction. Used by whoever writes, alone."""

    def __init__(self, clock: Clock) -> None:
        self.ms = 0
        self._clock = clock
        self._last_ms = 0
        # The latest that anything was written at, where the clock was put back by less than is worth touching since.
        self._highest_ms = 0
        self._went_back = False

    def begin(self, raw: sqlite3.Connection) -> None:
        """Move what waits first: what is written after it is right already."""
        self.ms = self._clock()
        self._went_back = self.ms < self._highest_ms - SLACK_MS
        if self._went_back:
            # By the jump from the last transaction, not from the highest: what it wrote must not become early.
            turn_back(raw, self.ms, self._last_ms, asked_for_after_ms=self._highest_ms)

    def committed(self) -> None:
        """Only now has it moved."""
        self._last_ms = self.ms
        self._highest_ms = self.ms if self._went_back else max(self.ms, self._highest_ms)


def turn_back(raw: sqlite3.Connection, now: int, last_ms: int, *, asked_for_after_ms: int) -> None:
    """The clock went back from `last_ms` to `now`: nothing may wait for the size of the jump as well.

    What was never tried and is due after `asked_for_after_ms` was asked for at a time of day, and stays there.
    The lanes may become too early by this, which the next claim puts right.
    """
    jump = last_ms - now
    raw.execute(
        """
        UPDATE owed
        SET due_at_ms = due_at_ms - ?
        WHERE due_at_ms > ? AND (logged > 0 OR due_at_ms <= ?)
        """,
        (jump, now, asked_for_after_ms),
    )
    # All of them: one that is due already may have a delivery that was not, and now is before it.
    raw.execute("UPDATE lanes SET next_due_ms = next_due_ms - ?", (jump,))
    raw.execute("UPDATE workers SET beat_ms = ? WHERE beat_ms > ?", (now, now))
