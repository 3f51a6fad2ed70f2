"""What is owed, and who works on it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from postback.domain.accounts import Actor
from postback.domain.crews import NOTHING, Keys, Peer
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, Refused, Settled, Settlement
from postback.domain.jobs import JobKind
from postback.ports.jobs import Job, LogFilter


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

    async def count_for_job(self, account: str, kind: JobKind, narrowed: LogFilter, at_most: int | None = None) -> int:
        """How many deliveries a job would select now; no more than `at_most`, or else COUNTED_MAX, are counted."""

    async def start_job(
        self, account: str, job_id: str, kind: JobKind, narrowed: LogFilter, *, by: Actor | None = None
    ) -> Job:
        """Put a job on record, that is to replay or cancel what fits the filter now. Conflict while RUNNING_MAX run."""

    async def jobs_in_turn(self, kind: JobKind | None = None) -> Sequence[str]:
        """Of each account that has jobs (of that kind, where one is named), the oldest that is not done."""

    async def run_job(self, job_id: str, limit: int) -> int:
        """Go on with a job where it was, by a small step: up to so many deliveries, in the order of their events.

        How many were replayed or cancelled; 0 says nothing of what is left.
        """

    async def find_job(self, account: str, job_id: str) -> Job:
        """NotFound unless it is the account's."""

    async def list_jobs(self, account: str, before: str | None, limit: int) -> Sequence[Job]:
        """The account's jobs, the newest first; `before` is the last one of the page before."""

    async def bury(self, limit: int) -> int:
        """Cancel up to so many open deliveries of deleted configs, and remove the configs that have none left; then
        up to so many rows of the history of deleted accounts. How many; 0 when nothing is left to do."""

    async def expire(self, before_ms: int, limit: int) -> int:
        """Fail what is still owed of events accepted before then; a day later remove those that are finished, with
        their log; and whatever else is that old and needed no more; up to so many rows. How many; 0 when nothing is
        left to do."""
