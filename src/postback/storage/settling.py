"""What settlements come to: decided here for every database, from the rows whose claim still holds."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from postback.domain.causes import cause_of
from postback.domain.deliveries import (
    INTERRUPTIONS_MAX,
    Settlement,
    Verdict,
    again_at_ms,
    interruption_wait_ms,
)
from postback.domain.stats import MINUTE_MS
from postback.domain.wire import Answered, Reason, Unreachable
from postback.storage import journal as journals
from postback.storage import measures
from postback.storage.journal import AttemptRow, Gathered, settled_row
from postback.storage.measures import CERTIFICATE_BITS

Key = tuple[int, int, int]
"""Event, config, token."""

Counts = tuple[int, int, int, int]
"""What `owed` says of a claim that holds: attempts, interruptions, logged, manual."""


# Looking a member up costs as much as a call; these are asked for with every settlement.
DELIVERED: Final = Verdict.DELIVERED
INTERRUPTED: Final = Verdict.INTERRUPTED
LATE: Final = Verdict.LATE


class Decided(NamedTuple):
    """`ended` are to be removed from `owed`; `moved` are (attempts, interruptions, due_at_ms, *key) of those that go on.

    `failed` have failed for good, as they are on record; `late` decide nothing, and are to be journaled as `late_row`;
    `telling` disable their config or warn of something.
    """

    ended: Sequence[Key]
    moved: Sequence[tuple[int, int, int, int, int, int]]
    failed: Sequence[Settlement]
    late: Sequence[Settlement]
    telling: Sequence[Settlement]

    @property
    def number(self) -> int:
        """How many moved on."""
        return len(self.ended) + len(self.moved)


def key_of(settlement: Settlement) -> Key:
    claim = settlement.claim
    return claim.event.id, claim.config_id, claim.token


def decide(journal: Gathered, worker: int, settlements: Sequence[Settlement], held: dict[Key, Counts]) -> Decided:
    """`held` is emptied by this: what is settled twice in one batch is late the second time."""
    now = journal.now
    latencies_ms: dict[tuple[str, int], list[int]] = {}
    ended: list[Key] = []
    moved: list[tuple[int, int, int, int, int, int]] = []
    failed: list[Settlement] = []
    late: list[Settlement] = []
    telling: list[Settlement] = []

    for given in settlements:
        claim, verdict = given.claim, given.verdict
        event, config_id = claim.event, claim.config_id
        key = (event.id, config_id, claim.token)
        owed = held.pop(key, None)
        if owed is None or verdict is LATE:
            late.append(given)
            continue
        attempts, interruptions, logged, manual = owed
        settlement = _interrupted(given, interruptions) if verdict is INTERRUPTED else given
        row = settled_row(settlement, worker, logged + 1, attempts + 1, manual, now)
        journal.attempt(row)
        if isinstance(given.outcome, Answered) and given.outcome.certificate_ends_ms is not None:
            seen = certificate_seen(now, given.outcome.certificate_ends_ms)
            journal.last(event.account, config_id, measures.CERTIFICATE, seen)

        if verdict is DELIVERED:
            ended.append(key)
            lane = (event.account, config_id)
            if lane not in latencies_ms:
                latencies_ms[lane] = []
            latencies_ms[lane].append(max(row[journals.ENDED_MS] - event.accepted_ms, 0))
        elif settlement.verdict.ends:
            ended.append(key)
            failed.append(settlement)
            journal.failed(event.account, config_id, event.id, cause_of(settlement.outcome))
        else:
            due_at_ms = again_at_ms(now, row[journals.ENDED_MS], settlement.wait_ms)
            journal.due(event.account, config_id, due_at_ms)
            if verdict is Verdict.RETRY:
                journal.count(event.account, config_id, measures.RETRIED)
                journal.erred(event.account, config_id, event.id)
                moved.append((attempts + 1, 0, due_at_ms, *key))
            else:
                moved.append((attempts, interruptions + 1, due_at_ms, *key))
        if given.disables is not None or given.warns is not None:
            telling.append(given)
    for (account, config_id), all_ms in latencies_ms.items():
        journal.delivered(account, config_id, all_ms)
    return Decided(ended, moved, failed, late, telling)


def certificate_seen(now: int, ends_ms: int) -> int:
    """The value of CERTIFICATE."""
    return (now // MINUTE_MS) << CERTIFICATE_BITS | min(max(ends_ms // MINUTE_MS, 0), (1 << CERTIFICATE_BITS) - 1)


def late_row(settlement: Settlement, worker: int, n: int, now: int) -> AttemptRow:
    """On record under the next free number, which whoever has the delivery now must not take."""
    claim = settlement.claim
    row = list(settled_row(settlement, worker, n, claim.attempts + 1, int(claim.manual), now))
    row[journals.VERDICT] = Verdict.LATE.value
    row[journals.WAIT_MS] = 0
    return tuple(row)


def _interrupted(settlement: Settlement, interruptions: int) -> Settlement:
    """The tenth interruption in a row ends the delivery; any other makes it wait."""
    times = interruptions + 1
    if times < INTERRUPTIONS_MAX:
        return settlement._replace(wait_ms=interruption_wait_ms(times))
    outcome = settlement.outcome
    poison = Unreachable(Reason.POISON, f"interrupted {times} times in a row", outcome.timings, outcome.notes)
    return settlement._replace(verdict=Verdict.FAILED, outcome=poison)
