"""The one way out."""

from collections.abc import Callable
from typing import Protocol

from postback.domain.wire import Outcome, Request


class Sender(Protocol):
    """The one way out: deliveries, tests, replays, everything that is ever sent goes through it."""

    def send(self, request: Request, answered: Callable[[Outcome], None]) -> None:
        """POST it and call `answered` exactly once, on the loop, with what came of it; never raises."""

    async def close(self, grace_s: float) -> None:
        """End: what is still under way after so many seconds is answered as `interrupted`."""
