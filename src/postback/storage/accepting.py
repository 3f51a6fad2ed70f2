"""What accepting a batch comes to: decided here for every database, from what it knows of accounts and keys."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from postback.domain.deliveries import Accepted, Claim, Idempotency, NewDeliveries, Refused
from postback.domain.errors import ConfigsPassed, Conflict, NotFound, PostbackError
from postback.domain.events import Event
from postback.domain.making import made
from postback.storage.journal import Gathered
from postback.storage.measures import ACCEPTED
from postback.storage.tracking import tracking_id_of

IDEMPOTENCY_MS: Final = 24 * 3600 * 1000

EVENT_COLUMNS: Final = (
    *("id", "account", "location_id", "type", "subject", "occurred_at", "accepted_ms"),
    *("deliveries", "data", "expands", "trace", "tracking_id"),
)
EventRow = tuple[object, ...]
"""The columns of `events`, in the order of EVENT_COLUMNS."""

OWED_COLUMNS: Final = (
    *("event_id", "config_id", "account", "order_key", "due_at_ms", "worker", "claim", "claimed_ms"),
    *("attempts", "forgiven", "interruptions", "logged", "manual"),
)
OwedRow = tuple[int, int, str, str | None, int, int | None, int | None, int | None]
"""The columns of a new row of `owed` up to `claimed_ms`, in the order of OWED_COLUMNS; the rest are 0."""

Answer = Accepted | Refused

First = tuple[int, int, bytes]
"""Of the event that used a key first, while the key holds: its id, its deliveries, the hash of its body."""

KeyRow = tuple[str, bytes]
"""Account and key_hash of an idempotency key."""


class Batch(NamedTuple):
    """What is to be written, and the answers once it is durable."""

    events: Sequence[EventRow]
    owed: Sequence[OwedRow]
    keys: Mapping[KeyRow, First]
    answers: Sequence[Answer]


def decide(
    journal: Gathered,
    units: Sequence[NewDeliveries],
    versions: Mapping[str, int | None],
    known: Mapping[KeyRow, First],
    worker: int | None,
    tokens: Callable[[], int],
    complete: Callable[[NewDeliveries], Event],
) -> Batch:
    """`versions` are the accounts' versions of configs, None where there is no such account.

    `worker` is None where it is dead: what a dead worker is given nobody would carry out, so deliveries are born
    unclaimed then. `complete` does what else belongs to a unit that is accepted, and gives the event to be stored.
    """
    now = journal.now
    answers: list[Answer] = []
    events: list[EventRow] = []
    owed: list[OwedRow] = []
    keys: dict[KeyRow, First] = {}
    accepted: Counter[tuple[str, int]] = Counter()

    for unit in units:
        idempotency = unit.idempotency
        account = unit.event.account
        again = answer_without(unit, versions, known, keys)
        if again is not None:
            answers.append(again)
            continue
        if idempotency is not None:
            keys[account, idempotency.key_hash] = (unit.event.id, len(unit.targets), idempotency.body_hash)
        event = complete(unit)

        events.append(event_row(event, len(unit.targets)))
        due = now if unit.due_at_ms is None else unit.due_at_ms
        claimant = worker if due <= now else None
        claims = []
        for config_id, claimed in unit.targets:
            accepted[account, config_id] += 1
            if claimed and claimant is not None:
                token = tokens()
                owed.append((event.id, config_id, account, event.subject, due, claimant, token, now))
                claims.append(made(Claim, (event, config_id, token, 0, 0, 0, False, now)))
            else:
                owed.append((event.id, config_id, account, event.subject, due, None, None, None))
                journal.due(account, config_id, due)
        answers.append(Accepted(event.id, len(unit.targets), claims))
    for (account, config_id), times in accepted.items():
        journal.count(account, config_id, ACCEPTED, times)
    return Batch(events, owed, keys, answers)


def event_row(event: Event, deliveries: int) -> EventRow:
    return (*event[:7], deliveries, event.data, event.expands, event.trace, tracking_id_of(event.type, event.data))


def answer_without(
    unit: NewDeliveries,
    versions: Mapping[str, int | None],
    known: Mapping[KeyRow, First],
    keys: Mapping[KeyRow, First],
) -> Answer | None:
    """The answer where nothing is to be stored: a repeat, or matched with configs that have changed since.

    `keys` are those that were used earlier in the batch.
    """
    account, idempotency = unit.event.account, unit.idempotency
    if idempotency is not None:
        key = (account, idempotency.key_hash)
        first = keys.get(key) or known.get(key)
        if first is not None:
            return _answer_again(first, idempotency)
    if versions[account] != unit.config_version:
        return Refused(_passed(account, versions[account]))
    return None


def _answer_again(first: First, idempotency: Idempotency) -> Answer:
    event_id, deliveries, body_hash = first
    if body_hash != idempotency.body_hash:
        return Refused(Conflict("this idempotency key was used before, with another body"))
    return Accepted(event_id, deliveries, known=True)


def _passed(account: str, version: int | None) -> PostbackError:
    if version is None:
        return NotFound("account", account)
    return ConfigsPassed(f"the configs of account {account} changed; match the event again")
