"""The database's clock, the one that all processes share; or the one that the store was opened with, instead."""

import time
from typing import Final

from postback.ports import Clock
from postback.storage.postgres.door import Door

NOW: Final = "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)"
"""Unix milliseconds, in a statement whose first parameter is `ServerClock.given`."""


class ServerClock:
    """Called, it says the time as it was asked last, and what has passed since on this machine's own steady clock."""

    def __init__(self, injected: Clock | None, steady: Clock | None = None) -> None:
        self._injected = injected
        self.steady: Clock = steady or injected or _steady_ms
        """Milliseconds of a clock that does not jump; by default the injected one where there is one."""
        self._ahead_ms = 0

    @property
    def given(self) -> int | None:
        """The injected clock's time, None where there is none: what statements are given for NOW."""
        return None if self._injected is None else self._injected()

    def __call__(self) -> int:
        given = self.given
        return self._ahead_ms + _steady_ms() if given is None else given

    async def ask(self, door: Door) -> int:
        """The database's time; from now on this clock goes by it."""
        if self._injected is not None:
            return self._injected()
        before = _steady_ms()
        now: int = await door.raw.fetchval(f"SELECT {NOW}", None)
        # The answer was right somewhere between.
        self._ahead_ms = now - (before + _steady_ms()) // 2
        return now


def _steady_ms() -> int:
    return int(time.monotonic() * 1000)
