"""The outside world in one page. Each method is one sentence of the domain and, where it writes, one transaction.

`storage` keeps Queue, Configs, Records and Log; `engine` keeps Intake and Courier; `transport` keeps Sender.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from postback.domain.accounts import Account, ApiKey
from postback.domain.configs import ConfigState, PostbackConfig, Snapshot
from postback.domain.deliveries import Accepted, Claim, Idempotency, NewDeliveries, Refused, Settlement, State
from postback.domain.events import Event
from postback.domain.records import Change, Record
from postback.domain.telemetry import Fact
from postback.domain.wire import Outcome, Request

T = TypeVar("T")

Clock = Callable[[], int]
"""Unix time in milliseconds."""

Dice = Callable[[], float]
"""A number from 0 up to, not including, 1."""

Report = Callable[[Fact], None]
"""Where facts go to be logged and counted. Never raises."""


class Worker(NamedTuple):
    """A process that accepts and delivers. `slot` (0–511) is its own while it lives; `last_id` the highest event id so far."""

    id: int
    slot: int
    last_id: int


class Waiting(NamedTuple):
    """A lane with deliveries that nobody has claimed. `due_in_ms` is 0 or less when the first is due."""

    account: str
    config_id: int
    due_in_ms: int


class Queue(Protocol):
    """What is owed. Unavailable is raised where the store cannot take a write now; nothing is half done then."""

    async def enlist(self, host: str) -> Worker:
        """A new worker lives from now on; on a store that admits one, what earlier workers held is freed as `beat` does."""

    async def retire(self, worker: Worker) -> None:
        """The worker ends in good order: what it still holds is freed and marked interrupted."""

    async def accept(self, worker: Worker, units: Sequence[NewDeliveries]) -> Sequence[Accepted | Refused]:
        """Keep each event with its deliveries and record changes, or none of it; durable on return.

        A known idempotency key is answered with the first event, or refused with Conflict for another body.
        An event matched with an older version of its account's configs is refused with ConfigsPassed.
        """

    async def waiting(self, worker: Worker, within_ms: int, limit: int) -> Sequence[Waiting]:
        """Lanes, not held, whose first unclaimed delivery is due within that time; the longest due first."""

    async def claim(self, worker: Worker, room: Mapping[int, int], max_bytes: int) -> Sequence[Claim]:
        """Take up to so many due deliveries of each lane, in order of due time, lanes in the order given.

        Nobody else may have them while this worker lives. Stops after `max_bytes` of bodies.
        """

    async def release(self, claims: Sequence[Claim]) -> None:
        """Give back what was never started: due as before, no attempt and no interruption counted."""

    async def settle(self, worker: Worker, settlements: Sequence[Settlement]) -> int:
        """Journal every attempt; move on only the deliveries whose claim still holds. How many those were."""

    async def keep_test(self, worker: Worker, settlement: Settlement) -> None:
        """Put a test on record: its event and its one attempt, marked as a test. Nothing is owed, nothing is counted."""

    async def beat(self, worker: Worker) -> Sequence[int]:
        """I live. Whoever does not any more loses its claims in the same transaction: interrupted, owed again.

        WorkerDeclaredDead when others took this worker for dead.
        """

    async def replay(self, account: str, event_id: int, config_id: int) -> None:
        """Owe a finished delivery again, now, its policy anew. Conflict while it is owed or its config is gone."""

    async def cancel(self, account: str, event_id: int, config_id: int) -> None:
        """End an open delivery; a claim on it is void. Conflict when it is not open."""

    async def bury(self, limit: int) -> int:
        """Cancel up to so many open deliveries of deleted configs, and remove the configs that have none left."""

    async def expire(self, before_ms: int, limit: int) -> int:
        """Fail what is still owed of events accepted before then; a day later remove those that are finished, with
        their log; and idempotency keys that have run out; up to so many rows. How many; 0 when nothing is left to do."""


class Configs(Protocol):
    """Postback configs; each change is a new version and raises the account's version."""

    async def snapshot(self, account: str) -> Snapshot:
        """The configs of an account as they are now."""

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed(account)` on the loop after each change of the account's configs is durable."""

    async def add(self, config: PostbackConfig) -> None:
        """InvalidValue when its location is not the account's."""

    async def find(self, account: str, config_id: int) -> PostbackConfig:
        """NotFound unless it is the account's and not deleted."""

    async def change(self, config: PostbackConfig) -> None:
        """Put a new version in place; `config.version` is the one it was made from (else RevisionPassed)."""

    async def set_state(self, account: str, config_id: int, state: ConfigState, reason: str | None) -> None:
        """Pause, resume or disable: one row, however much is owed."""

    async def delete(self, account: str, config_id: int) -> None:
        """Gone at once for everyone; `bury` cancels what is open, and the log stays."""

    async def arrange(
        self, added: Sequence[PostbackConfig], changed: Sequence[PostbackConfig], deleted: Sequence[PostbackConfig]
    ) -> None:
        """`add`, `change` and `delete` of configs of one account, all in one transaction or none of it.

        RevisionPassed when another change came between, also when it added a config of the same purpose.
        """

    async def list(self, account: str, query: "Query") -> "Page[PostbackConfig]": ...


@dataclass(frozen=True, slots=True)
class Query:
    """A page of a list. `filters` is field → any of these texts; `sort` is field or -field; `page` counts from 1."""

    page: int = 1
    page_size: int = 20
    sort: str = "-created_ts"
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    total: int


class Records(Protocol):
    """What people and programs set up. Every query is bound to an account in one place."""

    async def find(self, account: str, resource: str, record_id: str) -> Record: ...

    async def find_by_key(self, account: str, resource: str, location_id: str, key: str) -> Record | None: ...

    async def list(self, account: str, resource: str, query: Query) -> Page[Record]: ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Changes that make no event (locations), in one transaction; the rest go with their event through Intake."""


class Accounts(Protocol):
    async def save(self, account: Account) -> None:
        """Make it, or change its name and metadata."""

    async def find(self, account: str) -> Account: ...

    async def list(self, query: Query) -> Page[Account]: ...

    async def delete(self, account: str) -> None:
        """Conflict while it has locations, configs or deliveries owed; its keys go with it."""

    async def add_key(self, key: ApiKey) -> None: ...

    async def key_by_hash(self, key_hash: bytes) -> ApiKey | None: ...

    async def list_keys(self, account: str | None, query: Query, *, with_operators: bool = False) -> Page[ApiKey]:
        """None lists the operator keys; `with_operators` lists them among those of the account."""

    async def revoke_key(self, account: str | None, key_id: str) -> None: ...

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        """Key id → unix ms of its last use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What a list of the log is narrowed to; times are unix ms of acceptance, `until_ms` exclusive."""

    location_id: str | None = None
    config_id: int | None = None
    event_type: str | None = None
    subject: str | None = None
    state: State | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery as people see it: a view of what is owed and of its log."""

    event: Event
    config_id: int
    state: State
    attempts_made: int
    due_ms: int | None
    finished_ms: int | None
    last_status: int | None
    last_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One row of a delivery's log. Times are unix ms. `counter` is what an api-default body showed.

    A row without `sent_ms` never reached the receiver; `config` is the version it was made with, where one is known.
    """

    number: int
    counter: int
    verdict: int
    config: PostbackConfig | None
    worker: int | None
    manual: bool
    test: bool
    started_ms: int | None
    rendered_ms: int | None
    sent_ms: int | None
    ended_ms: int
    wait_ms: int
    status: int | None
    reason: str | None
    detail: str | None
    body_hash: bytes | None
    answer_headers: Sequence[tuple[bytes, bytes]] = ()
    answer_body: bytes = b""
    truncated: bool = False
    notes: Sequence[str] = ()
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None


class Log(Protocol):
    """What happened. Lists go from the newest event to the oldest; `before` is the last key of the page before."""

    async def events(
        self, account: str, narrowed: LogFilter, before: int | None, limit: int
    ) -> Sequence[tuple[Event, int]]:
        """Events, each with the number of its deliveries."""

    async def event(self, account: str, event_id: int) -> tuple[Event, int]: ...

    async def deliveries(
        self, account: str, narrowed: LogFilter, before: tuple[int, int] | None, limit: int
    ) -> Sequence[DeliveryView]: ...

    async def deliveries_of(self, account: str, event_id: int) -> Sequence[DeliveryView]: ...

    async def delivery(
        self, account: str, event_id: int, config_id: int
    ) -> tuple[DeliveryView, Sequence[AttemptView]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """What a publisher sent, checked and complete but for its id; `due_at_ms` (unix) for later, None for now."""

    account: str
    type: str
    data: bytes
    location_id: str | None = None
    subject: str | None = None
    occurred_at: str | None = None
    due_at_ms: int | None = None
    idempotency: Idempotency | None = None
    changes: Sequence[Change] = ()


class Intake(Protocol):
    """The way in: matches events with the configs that want them and makes both durable."""

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Accepted | Refused]:
        """One answer for each, in order, after all that was accepted is durable.

        Unavailable, for all of them, when too many events are waiting for the commit.
        """


class Courier(Protocol):
    """The way of a test: the same as that of any delivery, without a place in a queue."""

    async def test(self, config: PostbackConfig, event: NewEvent) -> int:
        """POST the event to the config now, also while it is paused; the id of the event, once its attempt is on record."""


class Sender(Protocol):
    """The one way out: deliveries, tests, replays, everything that is ever sent goes through it."""

    def send(self, request: Request, answered: Callable[[Outcome], None]) -> None:
        """POST it and call `answered` exactly once, on the loop, with what came of it; never raises."""

    async def close(self, grace_s: float) -> None:
        """End: what is still under way after so many seconds is answered as `interrupted`."""
