"""What happened: events, deliveries, attempts, and their numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import State
from postback.domain.events import Event
from postback.domain.stats import Health, Tally
from postback.ports.jobs import LogFilter, Sought


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """A delivery as people see it: a view of what is owed and of its log. `test` says that it began as one."""

    event: Event
    config_id: int
    state: State
    attempts_made: int
    due_ms: int | None
    finished_ms: int | None
    last_status: int | None
    last_reason: str | None
    test: bool


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
    """What happened. Lists go from the newest event to the oldest; `before` is the last key of the page before, and
    events older than `since` are not looked at."""

    async def events(
        self, account: str, narrowed: LogFilter, before: int | None, limit: int, since: int | None = None
    ) -> Sequence[tuple[Event, int]]:
        """Events, each with the number of its deliveries."""

    async def reach_of_events(self, account: str, narrowed: LogFilter, before: int | None, rows: int) -> int | None:
        """The event that so many events back lead to; None where such a list ends before, or comes past no others."""

    async def event(self, account: str, event_id: int) -> tuple[Event, int]: ...

    async def deliveries(
        self,
        account: str,
        narrowed: LogFilter,
        before: tuple[int, int] | None,
        limit: int,
        since: int | None = None,
    ) -> Sequence[DeliveryView]: ...

    async def reach(
        self,
        account: str,
        narrowed: LogFilter,
        before: tuple[int, int] | None,
        rows: int,
        *,
        of_open: bool = False,
    ) -> int | None:
        """The same of deliveries, or of those alone that are open; by fewer rows where they are looked for in the log of
        attempts."""

    async def sought(self, account: str, text: str) -> Sought:
        """What a text stands for that somebody searches for: the beginning of an id, the host of a URL, the name
        of a config, a tracking id, else a subject.

        InvalidValue where too many configs are meant.
        """

    async def deliveries_of(self, account: str, event_id: int, limit: int | None = None) -> Sequence[DeliveryView]:
        """By their configs; of many the first of them."""

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
