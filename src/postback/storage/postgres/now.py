"""The time of each transaction, and what has to move when the server's clock has gone back since the last one."""

from typing import Any, Final

import asyncpg

from postback.domain.errors import Unavailable
from postback.storage.postgres.clock import NOW, ServerClock

SLACK_MS: Final = 1000
"""A clock that is put back by less makes deliveries late by less: not worth touching every row for."""

_LOCK: Final = 0x70_6F_73_74_0003


class WentBack(Unavailable):
    """The server's clock is before what this process has seen of it: nothing of the transaction may stand."""


class Moment:
    """One time for a whole transaction, asked of the server in its first statement: `ms`, once that has answered.

    Statements are given `given` for NOW.
    """

    __slots__ = ("_after_ms", "given", "ms")

    def __init__(self, given: int | None, after_ms: int) -> None:
        self.given = given
        self.ms = 0
        self._after_ms = after_ms

    def is_at(self, ms: int) -> int:
        """It is; WentBack where that cannot be. Before this was asked the process had seen `after_ms` already."""
        if ms < self._after_ms - SLACK_MS:
            raise WentBack("the database's clock went back; ask again")
        self.ms = ms
        return ms


class Times:
    """What this process has seen of the server's clock."""

    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock
        self._last_ms = 0
        # The latest that anything was written at, where the clock was put back by less than is worth touching since.
        self._highest_ms = 0

    def moment(self) -> Moment:
        """Of a transaction that begins now."""
        return Moment(self._clock.given, self._highest_ms)

    def passed(self, moment: Moment) -> None:
        """The transaction is durable."""
        if moment.ms:
            self._last_ms = moment.ms
            self._highest_ms = max(self._highest_ms, moment.ms)

    async def turn_back(self, raw: "asyncpg.Connection[Any]") -> None:
        """In a transaction: what waits is moved, unless another process has moved it."""
        await raw.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        now: int = await raw.fetchval(f"SELECT {NOW}", self._clock.given)
        if now < self._highest_ms - SLACK_MS and await raw.fetchval(_IS_NEWS, now):
            # By the jump from the last transaction, not from the highest: what it wrote must not become early.
            await turn_back(raw, now, self._last_ms, asked_for_after_ms=self._highest_ms)
        self._last_ms = self._highest_ms = now


# Whoever has moved what waits has put these right, and nobody who lives is silent for long: a jump that is shorter than
# the time between two heartbeats may pass for one that was seen to, and makes what waits late by no more than that.
_IS_NEWS: Final = "SELECT EXISTS (SELECT 1 FROM workers WHERE beat_ms > $1)"


async def turn_back(raw: "asyncpg.Connection[Any]", now: int, last_ms: int, *, asked_for_after_ms: int) -> None:
    """The clock went back from `last_ms` to `now`: nothing may wait for the size of the jump as well.

    What was never tried and is due after `asked_for_after_ms` was asked for at a time of day, and stays there; but not
    what was due when it was accepted, by a process that has seen more of the clock than whoever calls this.
    The lanes may become too early by this, which the next claim puts right.
    """
    jump = last_ms - now
    await raw.execute(
        """
        UPDATE owed AS o
        SET due_at_ms = due_at_ms - $1
        WHERE
            due_at_ms > $2
            AND (
                logged > 0
                OR due_at_ms <= $3
                OR EXISTS (SELECT 1 FROM events WHERE id = o.event_id AND accepted_ms >= o.due_at_ms - $4)
            )
        """,
        jump,
        now,
        asked_for_after_ms,
        SLACK_MS,
    )
    # All of them: one that is due already may have a delivery that was not, and now is before it.
    await raw.execute("UPDATE lanes SET next_due_ms = next_due_ms - $1", jump)
    await raw.execute("UPDATE workers SET beat_ms = $1 WHERE beat_ms > $1", now)
