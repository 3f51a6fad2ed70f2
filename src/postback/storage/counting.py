"""What the log that retention takes away comes to in measures."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from postback.domain.deliveries import Verdict
from postback.storage.measures import ACCEPTED, CANCELLED, DELIVERED, FAILED, RETRIED

_MEASURES: Final = {
    Verdict.DELIVERED: DELIVERED,
    Verdict.FAILED: FAILED,
    Verdict.RETRY: RETRIED,
    Verdict.CANCELLED: CANCELLED,
}


def removed(
    accepted: Iterable[tuple[str, int]], attempts: Iterable[tuple[str, int, bool, int]]
) -> Counter[tuple[str, int]]:
    """(account, measure) → how many are about to go, by what goes of each account: the deliveries of its events, and
    its attempts by verdict, those that are tests apart."""
    gone: Counter[tuple[str, int]] = Counter()
    for account, deliveries in accepted:
        gone[account, ACCEPTED] += deliveries
    for account, verdict, is_test, count in attempts:
        if is_test:
            # Neither accepted nor delivered by any count.
            gone[account, ACCEPTED] -= count
        elif verdict in _MEASURES:
            gone[account, _MEASURES[Verdict(verdict)]] += count
    return gone
