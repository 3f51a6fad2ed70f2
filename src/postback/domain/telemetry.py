"""What happened, as typed facts: the engine reports them, and `observability` logs and counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Settlement
from postback.domain.events import Event


class InHand(NamedTuple):
    """What one worker holds now, and what it may hold at most; lanes are configs that it delivers to.

    `workers` are those that share the lanes, this one among them, and a lane is elsewhere while others have all of it.
    A lane is held while its config or its receiver wants nothing, throttled while its rate keeps what waits, shrunk after
    timeouts, failures to connect and 5xx.
    """

    deliveries: int
    deliveries_max: int
    body_bytes: int
    body_bytes_max: int
    attempts: int
    events_waiting: int
    lanes: int
    lanes_held: int
    lanes_throttled: int
    lanes_shrunk: int
    lanes_elsewhere: int
    workers: int


class Backlog(NamedTuple):
    """Deliveries that have not ended, those of them that are due and nobody's, and the age of the oldest of these."""

    owed: int
    due: int
    oldest_due_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things are at this moment; no backlog, and no bytes of the store, where it cannot be read.

    On PostgreSQL the bytes are those of the database, and its log is everybody's: None.
    """

    ready: bool
    in_hand: InHand
    backlog: Backlog | None
    database_bytes: int | None
    log_bytes: int | None


class AttemptFinished(NamedTuple):
    """A named tuple, since one is made for every attempt."""

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
class EventTraced:
    """An event is durable, and its acceptance is a span: `event.trace`. `parent` is the traceparent that it came with.

    Reported only where spans are exported. Times are unix ms.
    """

    event: Event
    parent: str | None
    began_ms: int
    ended_ms: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction of the store is durable: how long it took, how many rows it wrote, and what it added to the log.

    Tests are left out. `replayed` are finished deliveries that are owed again; `attempts` are verdict and reason of each
    row of the log, `took_ms` how long those of them took that were POSTs; `latencies_ms` are from the acceptance of an
    event to its acknowledgement.
    """

    took_s: float
    rows: int
    events: int = 0
    deliveries: int = 0
    replayed: int = 0
    attempts: Sequence[tuple[int, str | None]] = ()
    took_ms: Sequence[int] = ()
    latencies_ms: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Claimed:
    """The store was asked for what is due, and gave it after so long; what was written before it included."""

    took_s: float


@dataclass(frozen=True, slots=True)
class StaleSettlements:
    """Claims that no longer held when their outcome was settled: the outcome is on record and decided nothing."""

    count: int


@dataclass(frozen=True, slots=True)
class WorkerEnlisted:
    """This process works under that number from now on: at its start, and after others took it for dead."""

    worker: int


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """Another worker was found dead, and what it had claimed is owed again."""

    worker: int


@dataclass(frozen=True, slots=True)
class StoreFailed:
    """A write did not go through and is tried again. `what` is the port's verb."""

    what: str
    error: str


STORE_WRITES: Final = ("accept", "beat", "claim", "free", "keep", "release", "replay", "settle", "tell", "watch")
"""Each `what` that there is."""


@dataclass(frozen=True, slots=True)
class StoreLost:
    """No connection to the store can be made, for so long by now; reported at first and from time to time, by its name."""

    name: str
    why: str
    for_s: float


@dataclass(frozen=True, slots=True)
class StoreFound:
    """The store answers again, after so long."""

    name: str
    after_s: float


@dataclass(frozen=True, slots=True)
class KeysMissing:
    """Ids of keys that secrets of the store are encrypted with and that this process does not have; reported when they
    have changed, also to none."""

    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class InternalError:
    """A bug met inside an attempt, or with one event; the traceback is logged.

    The delivery goes on by its policy; the event is refused.
    """

    error: BaseException


Fact = (
    AttemptFinished
    | TestFinished
    | EventTraced
    | Committed
    | Claimed
    | StaleSettlements
    | WorkerEnlisted
    | WorkerDied
    | StoreFailed
    | StoreLost
    | StoreFound
    | KeysMissing
    | InternalError
)
