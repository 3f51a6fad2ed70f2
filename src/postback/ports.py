"""The outside world in one page. Each method is one sentence of the domain and, where it writes, one transaction.

`storage` keeps Queue, Configs, Records, Log and Stats; `engine` keeps Intake and Courier; `transport` keeps Sender.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

from postback.domain.accounts import Account, Actor, ApiKey
from postback.domain.configs import ConfigState, PostbackConfig, Snapshot
from postback.domain.crews import NOTHING, Keys, Peer
from postback.domain.deliveries import Accepted, Claim, Idempotency, NewDeliveries, Refused, Settled, Settlement, State
from postback.domain.events import Event
from postback.domain.ids import config_text
from postback.domain.jobs import JobKind
from postback.domain.notices import Trouble
from postback.domain.records import Change, Record
from postback.domain.restored import Copy, Owing
from postback.domain.stats import Health, Tally
from postback.domain.telemetry import Fact
from postback.domain.times import rfc3339
from postback.domain.wire import Outcome, Request

T = TypeVar("T")

Clock = Callable[[], int]
"""Unix time in milliseconds."""

Dice = Callable[[], float]
"""A number from 0 up to, not including, 1."""

Report = Callable[[Fact], None]
"""Where facts go to be logged and counted. Never raises."""


NewSpan = Callable[[str | None], str]
"""A span (its traceparent) in the trace that a request came with, or in a trace of its own where it came with none."""


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

    async def enlist(self, host: str, *, is_held: bool = False) -> Worker:
        """A new worker lives from now on; on a store that admits one, what earlier workers held is freed, unless all is
        held: `free_dead` frees it then."""

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

    async def settle(self, worker: Worker, settlements: Sequence[Settlement]) -> Settled:
        """Journal every attempt; move on only the deliveries whose claim still holds. What that came to."""

    async def keep_test(self, worker: Worker, settlement: Settlement, *, by: Actor | None = None) -> None:
        """Put a test on record: its event and its one attempt, marked as a test. Nothing is owed, nothing is counted."""

    async def beat(
        self, worker: Worker, goes_by: int = 0, *, keeps: Keys = NOTHING, leaves: bool = False
    ) -> Sequence[Peer]:
        """I live, and say of myself what a Peer does. Who else was heard of lately, this worker among them.

        WorkerDeclaredDead when others took this worker for dead.
        """

    async def free_dead(self, worker: Worker) -> Sequence[int]:
        """Whoever does not live any more loses its claims: interrupted, owed again. Those that this worker has freed.

        It may take long, and be several transactions: what is left where it raises is freed by the next call.
        """

    def on_workers(self, changed: Callable[[], None]) -> None:
        """Call `changed()` on the loop, as far as word of it comes, when others come, go, or say something else."""

    async def replay(self, account: str, event_id: int, config_id: int, *, by: Actor | None = None) -> None:
        """Owe a finished delivery again, now, its policy anew. Conflict while it is owed or its config is gone."""

    async def cancel(self, account: str, event_id: int, config_id: int, *, by: Actor | None = None) -> None:
        """End an open delivery; a claim on it is void. Conflict when it is not open."""

    async def count_for_job(self, account: str, kind: JobKind, narrowed: "LogFilter") -> int:
        """How many deliveries a job would select now; no more than COUNTED_MAX are counted."""

    async def start_job(
        self, account: str, job_id: str, kind: JobKind, narrowed: "LogFilter", *, by: Actor | None = None
    ) -> "Job":
        """Put a job on record, that is to replay or cancel what fits the filter now. Conflict while RUNNING_MAX run."""

    async def jobs_in_turn(self, kind: JobKind | None = None) -> Sequence[str]:
        """Of each account that has jobs (of that kind, where one is named), the oldest that is not done."""

    async def run_job(self, job_id: str, limit: int) -> int:
        """Go on with a job where it was, by a small step: up to so many deliveries, in the order of their events.

        How many were replayed or cancelled; 0 says nothing of what is left.
        """

    async def find_job(self, account: str, job_id: str) -> "Job":
        """NotFound unless it is the account's."""

    async def list_jobs(self, account: str, before: str | None, limit: int) -> Sequence["Job"]:
        """The account's jobs, the newest first; `before` is the last one of the page before."""

    async def bury(self, limit: int) -> int:
        """Cancel up to so many open deliveries of deleted configs, and remove the configs that have none left; then
        up to so many rows of the history of deleted accounts. How many; 0 when nothing is left to do."""

    async def expire(self, before_ms: int, limit: int) -> int:
        """Fail what is still owed of events accepted before then; a day later remove those that are finished, with
        their log; and whatever else is that old and needed no more; up to so many rows. How many; 0 when nothing is
        left to do."""


class Configs(Protocol):
    """Postback configs; each change is a new version, raises the account's version, and is on record with its actor."""

    async def snapshot(self, account: str) -> Snapshot:
        """The configs of an account as they are now."""

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed(account)` on the loop after each change of the account's configs is durable."""

    def watch_all(self, changed: Callable[[], None]) -> None:
        """Call `changed()` on the loop when those of any account may have changed: word of it may have been lost."""

    async def add(self, config: PostbackConfig, *, by: Actor | None = None) -> None:
        """InvalidValue when its location is not the account's; Conflict when that is one config more than it is allowed."""

    async def find(self, account: str, config_id: int) -> PostbackConfig:
        """NotFound unless it is the account's and not deleted."""

    async def change(self, config: PostbackConfig, *, rotates: bool = False, by: Actor | None = None) -> None:
        """Put a new version in place; `config.version` is the one it was made from (else RevisionPassed).

        `rotates` says that nothing but its signing secret is another.
        """

    async def set_state(
        self, account: str, config_id: int, state: ConfigState, reason: str | None, *, by: Actor | None = None
    ) -> None:
        """Pause, resume or disable: one row, however much is owed."""

    async def delete(self, account: str, config_id: int, *, by: Actor | None = None) -> None:
        """Gone at once for everyone; `bury` cancels what is open, and the log stays."""

    async def arrange(
        self,
        added: Sequence[PostbackConfig],
        changed: Sequence[PostbackConfig],
        deleted: Sequence[PostbackConfig],
        *,
        by: Actor | None = None,
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
    async def save(self, account: Account, *, by: Actor | None = None) -> None:
        """Make it, or change its name, metadata and limits; Conflict while an account of that id is being forgotten."""

    async def find(self, account: str) -> Account: ...

    async def list(self, query: Query) -> Page[Account]: ...

    async def delete(self, account: str, *, by: Actor | None = None) -> None:
        """Conflict while it has locations, configs or deliveries owed; its keys go with it, and `bury` forgets its history."""

    async def add_key(self, key: ApiKey, *, by: Actor | None = None) -> None: ...

    async def key_by_hash(self, key_hash: bytes) -> ApiKey | None: ...

    async def list_keys(self, account: str | None, query: Query, *, with_operators: bool = False) -> Page[ApiKey]:
        """None lists the operator keys; `with_operators` lists them among those of the account."""

    async def revoke_key(self, account: str | None, key_id: str, *, by: Actor | None = None) -> None: ...

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        """Key id → unix ms of its last use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What a list of the audit is narrowed to; times are unix ms, `until_ms` exclusive."""

    action: str | None = None
    target: str | None = None
    key_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change: who made it (None is the server itself), and what it changed, secrets as `***`."""

    id: int
    at_ms: int
    by: Actor | None
    action: str
    target: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


class Audit(Protocol):
    """Who changed what. A change and its entry are written together, or neither is; what changes nothing has none."""

    async def entries(
        self, account: str, narrowed: AuditFilter, before: int | None, limit: int
    ) -> Sequence[AuditEntry]:
        """From the newest to the oldest; `before` is the last id of the page before."""


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

    def as_asked(self) -> Mapping[str, object]:
        """What is narrowed, by the names that callers use."""
        said = {
            "state": self.state,
            "postbackconfig_id": None if self.config_id is None else config_text(self.config_id),
            "event_type": self.event_type,
            "location_id": self.location_id,
            "subject": self.subject,
            "since": None if self.since_ms is None else rfc3339(self.since_ms),
            "until": None if self.until_ms is None else rfc3339(self.until_ms),
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Many deliveries to be replayed or cancelled. Times are unix ms; `ended_ms` is None while it runs.

    `selected` counts what fitted when it was made, `done` what it has come to, `skipped` what it found to be owed
    again, ended or gone. Where more than COUNTED_MAX fitted, `selected` grows with them.
    """

    id: str
    account: str
    kind: JobKind
    narrowed: LogFilter
    selected: int
    done: int
    skipped: int
    created_ms: int
    ended_ms: int | None = None


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


class Stats(Protocol):
    """What was counted as it happened, to the minute."""

    async def steps(
        self, account: str, since_ms: int, until_ms: int, step_ms: int, config_id: int | None = None
    ) -> Mapping[int, Tally]:
        """Start of a step → what happened in it, of all configs or of one; steps without anything are left out.

        All times are whole minutes (in unix ms), and both ends are whole steps; `until_ms` is exclusive.
        """

    async def health(self, account: str, config_ids: Sequence[int], since_ms: int) -> Mapping[int, Health]:
        """How each of these configs is doing, by what was counted since then."""


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


class Troubles(Protocol):
    """Configs that fail."""

    async def of(self, account: str, config_id: int) -> Trouble:
        """How the config has fared since its last success, to the minute."""

    async def told(self, account: str, config_id: int, failing_ms: int | None) -> bool:
        """Since when others have been told that it fails, None that it is well again; False where that was so already."""


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


class Sender(Protocol):
    """The one way out: deliveries, tests, replays, everything that is ever sent goes through it."""

    def send(self, request: Request, answered: Callable[[Outcome], None]) -> None:
        """POST it and call `answered` exactly once, on the loop, with what came of it; never raises."""

    async def close(self, grace_s: float) -> None:
        """End: what is still under way after so many seconds is answered as `interrupted`."""
