"""A delivery: one event owed to one config.

                      ┌────── an outcome that may be retried, or an interruption ──────┐
                      ▼                                                                │
    accepted ──▶  pending  ──── claim ────▶  claimed  ──── success ────▶  delivered    │
                   │  ▲                       │  │  └──── no more attempts ▶ failed    │
                   │  │                       │  └────────────────────────────────────-┘
                   │  └── release, the worker died
                   └──────── cancel ──────────┴──▶  cancelled

    delivered, failed, cancelled ──── replay ────▶  pending

*Held* is what a pending delivery is called while its config is paused or disabled.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from postback.domain.errors import PostbackError
from postback.domain.events import Event
from postback.domain.records import Change
from postback.domain.wire import Outcome

INTERRUPTIONS_MAX: Final = 10
"""Workers in a row that may die over a delivery before it is given up as `poison`."""

CLOCKS_DIFFER_MS: Final = 20
"""A loop's clock stands still within a turn and is rounded: so far it may be from the world's."""


class State(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"


class Verdict(IntEnum):
    """What was decided after an attempt; what is stored of it."""

    RETRY = 0
    DELIVERED = 1
    FAILED = 2
    CANCELLED = 3
    INTERRUPTED = 4
    """The worker died or had to stop: owed again, and no attempt is used up."""
    LATE = 5
    """The outcome of a claim that no longer held: on record, and decides nothing."""

    @property
    def ends(self) -> bool:
        return self in (Verdict.DELIVERED, Verdict.FAILED, Verdict.CANCELLED)


class Target(NamedTuple):
    """A config that wants a new event; `claimed` when the accepting worker has room to carry it out at once."""

    config_id: int
    claimed: bool


class Claim(NamedTuple):
    """The right to work on a delivery, proved by `token`.

    `attempts` are the POSTs so far that had an outcome (an api-default body shows one more);
    the first `forgiven` of them, those before a replay, do not count against the policy.
    `claimed_ms` is unix ms of the store's clock.
    """

    event: Event
    config_id: int
    token: int
    attempts: int
    forgiven: int
    interruptions: int
    manual: bool
    claimed_ms: int


class Settlement(NamedTuple):
    """What an attempt came to. It says how long to wait, never until when: the store's clock is the clock.

    `config_version`, `rendered_ms` (unix ms) and `body_hash` (SHA-256) say what was sent: the log shows it by rendering anew.
    """

    claim: Claim
    verdict: Verdict
    outcome: Outcome
    config_version: int
    wait_ms: int = 0
    body_hash: bytes | None = None
    rendered_ms: int = 0
    disables: str | None = None
    """Why the config is to be disabled with this (a 410), or None."""
    warns: str | None = None
    """What the config's owner is to be warned of from now on; "" ends a warning, None leaves it as it is."""


class Settled(NamedTuple):
    """What a batch of settlements has come to: how many deliveries moved on, which of them have failed for good, and
    which configs were disabled by it, each with why."""

    moved: int
    failed: Sequence[Settlement]
    disabled: Mapping[int, str]


def interruption_wait_ms(interruptions: int) -> int:
    """How long a delivery waits after its worker died for the n-th time in a row: 0, 1, 2, 4 … 60 s."""
    return 0 if interruptions <= 1 else min(1 << (interruptions - 2), 60) * 1000


def again_at_ms(now_ms: int, ended_ms: int, wait_ms: int) -> int:
    """When a delivery is due again: so long after the end of its attempt, also where the loop's clock, which measured the
    attempt, is a few milliseconds ahead of the store's. What is further ahead was measured before the clock was put back.
    """
    ahead_ms = ended_ms - now_ms
    return now_ms + (ahead_ms if 0 < ahead_ms <= CLOCKS_DIFFER_MS else 0) + wait_ms


class Idempotency(NamedTuple):
    """A caller's key, and the hash of what it sent with it: the same again is answered with the first event."""

    key_hash: bytes
    body_hash: bytes


class NewDeliveries(NamedTuple):
    """An event with everything that becomes durable together with it, or not at all.

    `config_version` is the account's version of configs that `targets` were matched with.
    `due_at_ms` is unix ms, None for at once. `expands` are the related records that any of the targets asks for.
    """

    event: Event
    targets: Sequence[Target]
    config_version: int
    idempotency: Idempotency | None = None
    changes: Sequence[Change] = ()
    due_at_ms: int | None = None
    expands: Sequence[str] = ()


class Accepted(NamedTuple):
    """An event that is durable now. `claims` are its deliveries that the accepting worker is to carry out;
    `known` says that its idempotency key had been used before, and that this is the first event again.
    `unsayable` of the deliveries will fail, because the format of their config cannot say this event."""

    event_id: int
    deliveries: int
    claims: Sequence[Claim] = ()
    known: bool = False
    unsayable: int = 0


class Refused(NamedTuple):
    """An event that was not accepted, and why; its neighbours in the batch were not touched by it."""

    error: PostbackError
