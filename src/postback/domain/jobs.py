"""Jobs over many deliveries: what they do, and to deliveries in which states."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from postback.domain.deliveries import State

COUNTED_MAX: Final = 100_000
"""Counting what a job would select ends here: whoever asks is not to wait for millions."""

RUNNING_MAX: Final = 10
"""Jobs of one account that may run at the same time; they are done one after the other."""


class JobKind(StrEnum):
    REPLAY = "replay"
    CANCEL = "cancel"


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"


SELECTABLE: Final[Mapping[JobKind, tuple[State, ...]]] = {
    JobKind.REPLAY: (State.FAILED, State.DELIVERED, State.CANCELLED),
    JobKind.CANCEL: (State.PENDING, State.HELD, State.CLAIMED),
}
"""What is finished can be replayed, and what is open cancelled."""
