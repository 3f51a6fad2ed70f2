"""How much this worker may do while others come and go, and while not all know yet who is there."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.crews import CONNECTIONS, NOBODY, Crew, Peer, crew_of, mark_of, part_of, share

AT_FIRST: Final = 0
"""The worker before `begin`: alone, with all there is."""


class Sharing:
    """Keeps within what each crew gives this worker that it minds. `now` is the loop's monotonic time in seconds.

    A crew is minded from the moment when it is heard of; those before it are dropped when all its members have said
    that they mind it. So there is one crew at any time that every worker minds, and what it gives to each adds up to no
    more than there is. Who was not heard of for too long is minded by nobody, and has nothing until it is again.
    """

    def __init__(self, in_touch_s: float = math.inf) -> None:
        self.worker = AT_FIRST
        self.goes_by = 0
        """The mark to tell others: of the newest crew, once this worker is within what that gives it."""
        self.trusted_until = math.inf
        """Others may count on it that nothing is started from then on."""
        self.since: float | None = None
        """When it last came to have more than before; None where nobody can have had that until then."""
        self._in_touch_s = in_touch_s
        self._crews: list[Crew] = [(AT_FIRST,)]
        self._is_new = True

    def begin(self, worker: int) -> None:
        """As this worker, which is known to nobody yet and has nothing."""
        self.worker = worker
        self.goes_by = 0
        self.trusted_until = -math.inf
        self._crews = [NOBODY]

    @property
    def crew(self) -> Crew:
        """As it was heard of last."""
        return self._crews[-1]

    @property
    def is_agreed(self) -> bool:
        """Whether all others mind the same crew, as far as is known."""
        return len(self._crews) == 1 and self.crew != NOBODY

    def hear(self, peers: Sequence[Peer], asked_at: float, now: float) -> bool:
        """What a heartbeat that was sent at `asked_at` has brought; whether this worker may do other than before."""
        before = self._crews
        if now >= self.trusted_until:
            # Others may have taken what it had.
            self.begin(self.worker)
        self.trusted_until = asked_at + self._in_touch_s
        crew = crew_of(peers)
        if crew != self.crew:
            self._crews = [*(known for known in self._crews if known != crew), crew]
        elif all(peer.goes_by == mark_of(crew) for peer in peers):
            self._agree(crew, now)
        return self._crews != before

    def has_news(self, keeps_within: Callable[[], bool]) -> bool:
        """Whether others are to be told that this worker minds the newest crew; it must be within what that gives it."""
        mark = mark_of(self.crew)
        if self.goes_by == mark or not keeps_within():
            return False
        self.goes_by = mark
        return True

    def part(self, config: PostbackConfig) -> int:
        """How many attempts of the config may be under way here."""
        return min(part_of(self.worker, crew, config) for crew in self._crews)

    def newest_part(self, config: PostbackConfig) -> int:
        return part_of(self.worker, self.crew, config)

    @property
    def connections(self) -> int:
        """How many attempts may be under way here to one host and port."""
        return min(_connections(crew) for crew in self._crews)

    @property
    def newest_connections(self) -> int:
        return _connections(self.crew)

    def _agree(self, crew: Crew, now: float) -> None:
        if self._crews == [crew]:
            return
        if not (self._is_new and len(crew) == 1 and self._crews == [NOBODY, crew]):
            self.since = now
        self._is_new = False
        self._crews = [crew]


def _connections(crew: Crew) -> int:
    return share(CONNECTIONS, max(1, len(crew)))
