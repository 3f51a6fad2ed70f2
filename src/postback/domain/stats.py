"""Numbers: what happened in a step of time, and how a config is doing."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MINUTE_MS: Final = 60_000
"""Nothing is counted more finely."""

PENDING_MAX: Final = 10_000
"""Of what a config has waiting nobody needs to know more than that it is more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Deliveries by what became of them, each counted when it did; of the delivered ones how long they took.

    `retried` are failed attempts after which there is another; `replayed` are finished deliveries that were owed again.
    `latencies` is number of binary digits of the milliseconds from acceptance to success → how many took so long.
    """

    accepted: int = 0
    delivered: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    replayed: int = 0
    latencies: Mapping[int, int] = field(default_factory=dict)


def together(tallies: Iterable[Tally]) -> Tally:
    """One of them all."""
    counts: Counter[str] = Counter()
    latencies: Counter[int] = Counter()
    for tally in tallies:
        counts.update({name: getattr(tally, name) for name in COUNTED})
        latencies.update(tally.latencies)
    return Tally(**counts, latencies=dict(latencies))


COUNTED: Final = ("accepted", "delivered", "failed", "retried", "cancelled", "replayed")


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """The last attempt of a config that was no success."""

    event_id: int
    at_ms: int
    status: int | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a config is doing: of the last hour what was delivered, failed and retried, and what waits now.

    `pending` counts up to PENDING_MAX; `has_more` says that there is more than that.
    """

    delivered: int = 0
    failed: int = 0
    retried: int = 0
    pending: int = 0
    has_more: bool = False
    last_success_ms: int | None = None
    last_error: LastError | None = None
    certificate_ends_ms: int | None = None
    """When the certificate expires that the receiver last showed, to the minute; None where it has shown none."""


def percentile_ms(latencies: Mapping[int, int], percent: int) -> int | None:
    """So many percent took at most that long; None where nothing was delivered.

    The slowest of them took more than half of it: of a latency its number of binary digits is all that is kept.
    """
    rank = -(-sum(latencies.values()) * percent // 100)
    for digits in sorted(latencies):
        rank -= latencies[digits]
        if latencies[digits] and rank <= 0:
            return (1 << digits) - 1
    return None
