"""What the engine does for those who ask: the way in, tests, and a hold."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from postback.domain.accounts import Actor
from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Accepted, Idempotency, Refused
from postback.domain.records import Change
from postback.domain.restored import Copy, Owing


class NewEvent(NamedTuple):
    """What a publisher sent, checked and complete but for its id; `due_at_ms` (unix) for later, None for now.

    A named tuple, since one is made for every event (a frozen dataclass costs four times as much).
    """

    account: str
    type: str
    data: bytes
    location_id: str | None = None
    subject: str | None = None
    occurred_at: str | None = None
    due_at_ms: int | None = None
    idempotency: Idempotency | None = None
    changes: Sequence[Change] = ()
    trace: str | None = None
    """The traceparent that the request came with."""


class Intake(Protocol):
    """The way in: matches events with the configs that want them and makes both durable."""

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Accepted | Refused]:
        """One answer for each, in order, after all that was accepted is durable.

        Unavailable, for all of them, when too many events are waiting for the commit.
        """


class Courier(Protocol):
    """The way of a test: the same as that of any delivery, without a place in a queue."""

    async def test(self, config: PostbackConfig, event: NewEvent, *, by: Actor | None = None) -> int:
        """POST the event to the config now, also while it is paused; the id of the event, once its attempt is on record."""


class Held(Protocol):
    """A server that was started after a restore delivers nothing until somebody has seen what it would send."""

    @property
    def is_held(self) -> bool: ...

    @property
    def copy(self) -> Copy | None:
        """What it was started on; None where it was not started after a restore."""

    async def owing(self) -> Owing:
        """What would be sent."""

    async def release(self, *, by: Actor | None = None) -> None:
        """Deliver from now on, once that is on record; where nothing is held nothing changes."""
