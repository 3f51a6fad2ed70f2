"""Conservation: whatever was accepted is owed or has ended. The counters say it at once, the log at leisure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from postback.domain.deliveries import Verdict
from postback.domain.ids import first_id_at
from postback.storage.measures import ACCEPTED, CANCELLED, DELIVERED, FAILED, REMOVED, REPLAYED, RETRIED

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

NAMES: Final = {
    ACCEPTED: "accepted",
    DELIVERED: "delivered",
    FAILED: "failed",
    RETRIED: "retried",
    CANCELLED: "cancelled",
}
"""What both the counters and the log know."""

ENDS: Final = {
    Verdict.DELIVERED.value: DELIVERED,
    Verdict.FAILED.value: FAILED,
    Verdict.CANCELLED.value: CANCELLED,
}


class Balance(NamedTuple):
    """What was accepted, and what became of it: of an account by the counters, of one of its days by the log."""

    accepted: int
    replayed: int
    delivered: int
    failed: int
    cancelled: int
    owed: int

    @property
    def missing(self) -> int:
        """How many are neither owed nor ended; below 0, how many are both or were never accepted."""
        return self.accepted + self.replayed - self.delivered - self.failed - self.cancelled - self.owed

    def __str__(self) -> str:
        return (
            f"{self.accepted:,} accepted + {self.replayed:,} replayed = {self.delivered:,} delivered + "
            f"{self.failed:,} failed + {self.cancelled:,} cancelled + {self.owed:,} owed"
        )


class Logged(NamedTuple):
    """The whole log, counted: account and day of acceptance → its balance; account → how much of each measure."""

    days: Mapping[tuple[str, int], Balance]
    totals: Mapping[str, Mapping[int, int]]


def differences(totals: Mapping[str, Mapping[int, int]], logged: Logged) -> Iterator[tuple[str, str, int, int]]:
    """(account, what, by the counters, by the log) wherever the two are not the same.

    What retention has removed from the log is no difference: the counters know how much it was.
    """
    for account, counts in totals.items():
        in_log = logged.totals.get(account, {})
        for measure, name in NAMES.items():
            expected = counts.get(measure, 0) - counts.get(REMOVED + measure, 0)
            if expected != in_log.get(measure, 0):
                yield account, name, expected, in_log.get(measure, 0)


def balance(counts: Mapping[int, int], owed: int) -> Balance:
    """Of one account, by its counters."""
    measures = (ACCEPTED, REPLAYED, DELIVERED, FAILED, CANCELLED)
    return Balance._make([*(counts.get(measure, 0) for measure in measures), owed])


class Counting:
    """The log as it is read, an hour of acceptance after the other."""

    def __init__(self) -> None:
        self._days: defaultdict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        self._totals: defaultdict[str, Counter[int]] = defaultdict(Counter)

    def add(
        self,
        hour: int,
        accepted: Iterable[tuple[str, int]],
        owed: Iterable[tuple[str, int]],
        ended: Iterable[tuple[str, int, int]],
        attempts: Iterable[tuple[str, int, bool, int]],
    ) -> None:
        """How many of each account: deliveries accepted, still owed, ended by verdict; and attempts by verdict, those
        that are tests apart."""
        days, totals, day = self._days, self._totals, hour * HOUR_MS // DAY_MS
        for account, deliveries in accepted:
            days[account, day]["accepted"] += deliveries
            totals[account][ACCEPTED] += deliveries
        for account, count in owed:
            days[account, day]["owed"] += count
        for account, verdict, count in ended:
            if verdict in ENDS:
                days[account, day][NAMES[ENDS[verdict]]] += count
        for account, verdict, is_test, count in attempts:
            if is_test:
                # It is on record as an event with a delivery, and no count ever knew it.
                totals[account][ACCEPTED] -= count
            elif verdict in ENDS:
                totals[account][ENDS[verdict]] += count
            elif verdict == Verdict.RETRY:
                totals[account][RETRIED] += count

    def logged(self) -> Logged:
        return Logged({key: _balance_of_day(counts) for key, counts in self._days.items()}, self._totals)


def hours_between(first: int | None, last: int | None) -> range:
    """Those of the events from the first to the last id; none where there is none."""
    if first is None or last is None:
        return range(0)
    hour = first_id_at(HOUR_MS)
    return range(first // hour, last // hour + 1)


def _balance_of_day(counts: Mapping[str, int]) -> Balance:
    """A delivery that was replayed is in one state now, like any other: nothing is added for it."""
    return Balance(
        accepted=counts["accepted"],
        replayed=0,
        delivered=counts["delivered"],
        failed=counts["failed"],
        cancelled=counts["cancelled"],
        owed=counts["owed"],
    )
