"""What every statement of the hot path writes beside its rows: the log of attempts, the counters, the lanes."""

from collections import Counter
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from postback.domain.causes import Cause
from postback.domain.deliveries import INTERRUPTIONS_MAX, Settlement, Verdict, interruption_wait_ms
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered, Reason
from postback.storage import measures
from postback.storage.causes import measure_of
from postback.storage.committed import Uncommitted
from postback.storage.measures import CANCELLED, ERROR_AT, FAILED, LAST_ERROR, REPLAYED

AttemptRow = tuple[Any, ...]
"""The columns of `attempts`, in the order of ATTEMPT_COLUMNS."""

ATTEMPT_COLUMNS: Final = (
    *("event_id", "config_id", "n", "account", "counter", "verdict", "manual", "config_version", "worker"),
    *("started_ms", "rendered_ms", "sent_ms", "ended_ms", "wait_ms", "status", "reason", "detail", "body_hash"),
    *("answer_headers", "answer_body", "truncated", "notes", "dns_ms", "connect_ms", "tls_ms", "first_byte_ms"),
)

N: Final = 2
COUNTER: Final = 4
VERDICT: Final = 5
RENDERED_MS: Final = 10
SENT_MS: Final = 11
ENDED_MS: Final = 12
WAIT_MS: Final = 13
REASON: Final = 15
DETAIL: Final = 16
BODY_HASH: Final = 17
"""Where these stand in an AttemptRow."""

TEST: Final = 2
"""What `manual` says of a test; 1 says that a person asked for the delivery, 0 that nobody did."""

DELIVERED: Final = Verdict.DELIVERED
"""Looking a member up costs as much as a call; this one is asked for with every settlement."""

_VERDICT_AND_REASON: Final = itemgetter(VERDICT, REASON)


class Owed(NamedTuple):
    """A row of `owed`, as far as ending or freeing it needs. OWED_COLUMNS selects it."""

    event_id: int
    config_id: int
    account: str
    attempts: int
    interruptions: int
    logged: int
    manual: int
    worker: int | None
    claimed_ms: int | None


OWED_COLUMNS: Final = "event_id, config_id, account, attempts, interruptions, logged, manual, worker, claimed_ms"


class Interrupted(NamedTuple):
    """What interruptions come to: rows (interruptions, due_at_ms, event, config) that are owed again, and keys
    (event, config) that are given up."""

    freed: Sequence[tuple[int, int, int, int]]
    ended: Sequence[tuple[int, int]]


class Gathered:
    """What one transaction adds to log, counters and lanes; each database writes it in a few statements of its own."""

    def __init__(self, now: int, new: Uncommitted) -> None:
        self.now = now
        self.new = new
        self.attempts: list[AttemptRow] = []
        self.counts: dict[tuple[str, int, int], int] = {}
        self.lasts: dict[tuple[str, int, int], int] = {}
        self.dues: dict[int, tuple[str, int]] = {}

    def attempt(self, row: AttemptRow) -> None:
        self.attempts.append(row)

    def count(self, account: str, config_id: int, measure: int, times: int = 1) -> None:
        key = (account, config_id, measure)
        self.counts[key] = self.counts.get(key, 0) + times

    def failed(self, account: str, config_id: int, event_id: int, cause: Cause) -> None:
        """A delivery of this config has failed for good."""
        self.count(account, config_id, FAILED)
        self.count(account, config_id, measure_of(cause))
        self.erred(account, config_id, event_id)

    def erred(self, account: str, config_id: int, event_id: int) -> None:
        """An attempt of this config has failed just now."""
        self.last(account, config_id, LAST_ERROR, event_id)
        self.last(account, config_id, ERROR_AT, self.now)

    def last(self, account: str, config_id: int, measure: int, value: int) -> None:
        """What LAST_SUCCESS, LAST_ERROR, CERTIFICATE or ERROR_AT of this config is from now on."""
        self.lasts[account, config_id, measure] = value

    def delivered(self, account: str, config_id: int, latencies_ms: Sequence[int]) -> None:
        """So many deliveries of this config have succeeded now, each so long after its event was accepted."""
        self.count(account, config_id, measures.DELIVERED, len(latencies_ms))
        self.last(account, config_id, measures.LAST_SUCCESS, self.now)
        for digits, times in Counter(map(int.bit_length, latencies_ms)).items():
            self.count(account, config_id, measures.LATENCY + digits, times)
        self.new.latencies_ms += latencies_ms

    def due(self, account: str, config_id: int, due_at_ms: int) -> None:
        """A delivery of this lane is unclaimed from now on, and due then."""
        known = self.dues.get(config_id)
        if known is None or due_at_ms < known[1]:
            self.dues[config_id] = (account, due_at_ms)

    def interrupt(self, held: Sequence[Owed]) -> Interrupted:
        """Their worker died: each is on record as interrupted and owed again, or given up after the tenth in a row."""
        now = self.now
        freed, ended = [], []
        for owed in held:
            times = owed.interruptions + 1
            if times >= INTERRUPTIONS_MAX:
                ended.append((owed.event_id, owed.config_id))
                self.attempt(bare_row(owed, Verdict.FAILED, Reason.POISON, now, counts=True))
                self.failed(owed.account, owed.config_id, owed.event_id, Cause(Reason.POISON))
                continue
            wait_ms = interruption_wait_ms(times)
            freed.append((times, now + wait_ms, owed.event_id, owed.config_id))
            self.attempt(bare_row(owed, Verdict.INTERRUPTED, Reason.INTERRUPTED, now, wait_ms=wait_ms, counts=True))
            self.due(owed.account, owed.config_id, now + wait_ms)
        return Interrupted(freed, ended)

    def end(self, open_ones: Sequence[Owed], verdict: Verdict, reason: Reason) -> None:
        """They end without an outcome, whether claimed or not: cancelled, expired."""
        for owed in open_ones:
            self.attempt(bare_row(owed, verdict, reason, self.now))
            if verdict is Verdict.CANCELLED:
                self.count(owed.account, owed.config_id, CANCELLED)
            else:
                self.failed(owed.account, owed.config_id, owed.event_id, Cause(reason))

    def note(self) -> None:
        """All of it is part of the transaction now."""
        note_attempts(self.new, self.attempts)
        self.new.replayed += sum(n for key, n in self.counts.items() if key[2] == REPLAYED)


def note_attempts(new: Uncommitted, rows: Sequence[AttemptRow]) -> None:
    new.attempts += map(_VERDICT_AND_REASON, rows)
    new.took_ms += [row[ENDED_MS] - row[RENDERED_MS] for row in rows if row[BODY_HASH] is not None]


def ended_ms(settlement: Settlement) -> int | None:
    """When its attempt ended, by the clock that measured it; None where nothing was sent."""
    return settlement.rendered_ms + settlement.outcome.timings.total_ms if settlement.rendered_ms else None


def settled_row(settlement: Settlement, worker: int, n: int, counter: int, manual: int, now: int) -> AttemptRow:
    """The row of an attempt as its settlement tells it: verdict, wait and reason are the settlement's own."""
    claim, verdict, outcome, config_version, wait_ms, body_hash, rendered_ms, _, _ = settlement
    dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, sent_after_ms = outcome.timings
    event, notes, rendered = claim.event, outcome.notes, rendered_ms or None
    if isinstance(outcome, Answered):
        status, detail, truncated = outcome.status, None, 1 if outcome.truncated else 0
        headers = b"".join([b"%b: %b\n" % header for header in outcome.headers]) or None
        body = outcome.body or None
    else:
        status, detail, truncated, headers, body = None, outcome.detail, 0, None, None
    return (
        event.id,
        claim.config_id,
        n,
        event.account,
        counter,
        int(verdict),
        manual,
        config_version or None,
        worker,
        claim.claimed_ms,
        rendered,
        None if rendered is None or sent_after_ms is None else rendered + sent_after_ms,
        now if rendered is None else rendered + total_ms,
        wait_ms,
        status,
        None if verdict is DELIVERED else reason_of(outcome).value,
        detail,
        body_hash,
        headers,
        body,
        truncated,
        ",".join(notes) if notes else None,
        dns_ms,
        connect_ms,
        tls_ms,
        first_byte_ms,
    )


def bare_row(
    owed: Owed, verdict: Verdict, reason: Reason, now: int, *, wait_ms: int = 0, counts: bool = False
) -> AttemptRow:
    """The row of what came to pass without an outcome; a claim that was on the delivery is kept in it.

    `counts` says that an attempt was under way, whose body may have shown the next number.
    """
    counter = owed.attempts + 1 if counts else owed.attempts
    none = None
    return (
        *(owed.event_id, owed.config_id, owed.logged + 1, owed.account, counter, verdict.value, owed.manual, none),
        *(owed.worker, owed.claimed_ms, none, none, now, wait_ms, none, reason.value, none, none),
        *(none, none, 0, none, none, none, none, none),
    )
