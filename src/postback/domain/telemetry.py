"""What happened, as typed facts: the engine reports them, and `observability` logs and counts."""

from dataclasses import dataclass

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Settlement


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    settlement: Settlement
    config: PostbackConfig


@dataclass(frozen=True, slots=True)
class TestFinished:
    """A test that somebody asked for: it is in the log of the config, and in no count."""

    # Not a test, whatever pytest thinks of the name.
    __test__ = False

    settlement: Settlement
    config: PostbackConfig


@dataclass(frozen=True, slots=True)
class EventsAccepted:
    events: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class StaleSettlements:
    """Claims that no longer held when their outcome was settled: the outcome is on record and decided nothing."""

    count: int


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """Another worker was found dead, and what it had claimed is owed again."""

    worker: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """A write did not go through and is tried again. `what` is the port's verb."""

    what: str
    error: str


@dataclass(frozen=True, slots=True)
class InternalError:
    """A bug met inside an attempt, or with one event; the traceback is logged.

    The delivery goes on by its policy; the event is refused.
    """

    error: BaseException


Fact = AttemptFinished | TestFinished | EventsAccepted | StaleSettlements | WorkerDied | StoreFailed | InternalError
