"""How much this worker may do while others come and go, and while not all know yet who is there."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.crews import CONNECTIONS, NOBODY, NOTHING, Crew, Keys, Peer, crew_of, mark_of, part_of, share

AT_FIRST: Final = 0
"""The worker before `begin`: alone, with all there is."""

KEPT_MAX: Final = 1_000
"""Who has more than so many lanes and hosts to name waits until there are fewer: all others read them at each heartbeat."""


class Sharing:
    """Keeps within what each crew gives this worker that it minds. `now` is the loop's monotonic time in seconds.

    A crew is minded from the moment when it is heard of; those before it are dropped when all its members have said
    that they mind it. So there is one crew at any time that every worker minds, and what it gives to each adds up to no
    more than there is. Who was not heard of for too long is minded by nobody, and has nothing until it is again.

    Each lane and each host has a history of its own, so that one that hangs does not keep the others: a member names
    those of which it still has more under way than the new crew gives it, and for these alone the crews before it are
    minded by all until it names them no more. Who leaves is part of no crew from the moment when others are told, and
    names all that it still has under way.
    """

    def __init__(self, in_touch_s: float = math.inf) -> None:
        self.worker = AT_FIRST
        self.goes_by = 0
        """The mark to tell others: of the newest crew that this worker minds."""
        self.keeps = NOTHING
        """To tell with it: that of which this worker is not yet within what that crew gives it."""
        self.leaves = False
        """To tell with it: that nothing more is begun here, and all that is under way is kept."""
        self.let_go = NOTHING
        """What was kept until the last heartbeat, and is no more."""
        self.trusted_until = math.inf
        """Others may count on it that nothing is started from then on."""
        self.since: float | None = None
        """When all last agreed on who has what; nobody else has begun any of what is this worker's since then. None where
        nobody can have done so before."""
        self._in_touch_s = in_touch_s
        self._crews: list[Crew] = [(AT_FIRST,)]
        self._kept: dict[Crew, Keys] = {}
        self._is_new = True
        self._is_leaving = False

    def begin(self, worker: int) -> None:
        """As this worker, which is known to nobody yet and has nothing."""
        self.worker = worker
        self.goes_by = 0
        self.keeps = NOTHING
        self.leaves = False
        self.trusted_until = -math.inf
        self._crews = [NOBODY]
        self._kept = {}

    def leave(self) -> None:
        """Has nothing from now on."""
        self._is_leaving = True

    @property
    def crew(self) -> Crew:
        """As it was heard of last."""
        return self._crews[-1]

    @property
    def is_agreed(self) -> bool:
        """Whether all others mind the same crew, as far as is known, and nothing is kept from before it."""
        if self._is_leaving:
            return self.leaves and not self.keeps
        return len(self._crews) == 1 and self.crew != NOBODY and not self._kept and not self.keeps

    def hear(self, peers: Sequence[Peer], asked_at: float, now: float) -> bool:
        """What a heartbeat that was sent at `asked_at` has brought; whether this worker may do other than before.

        Where that is so only of what is `let_go`, the answer is no.
        """
        before = self._crews
        self.let_go = NOTHING
        if now >= self.trusted_until:
            # Others may have taken what it had.
            self.begin(self.worker)
        self.trusted_until = asked_at + self._in_touch_s
        crew = crew_of(peers)
        # Also of one that leaves nobody knows when it last began something.
        self._is_new = self._is_new and len(peers) == 1
        if crew != self.crew:
            self._crews = [*(known for known in self._crews if known != crew), crew]
        elif all(peer.leaves or peer.goes_by == mark_of(crew) for peer in peers):
            self._agree(crew, NOTHING.union(*(peer.keeps for peer in peers)), now)
        return self._crews != before

    def has_news(self, over: Callable[[], Keys]) -> bool:
        """Whether others are to be told that this worker minds the newest crew, that it leaves, or that it keeps less than
        before; `over` says of what it has more under way than the newest crew gives it."""
        told = self.goes_by, self.leaves, self.keeps
        mark, leaves, keeps = mark_of(self.crew), self._is_leaving, self.keeps
        if (self.goes_by, self.leaves) != (mark, leaves):
            keeps = over()
            if len(keeps) > KEPT_MAX:
                return False
        elif keeps:
            keeps &= over()
        self.goes_by, self.leaves, self.keeps = mark, leaves, keeps
        return (mark, leaves, keeps) != told

    def part(self, config: PostbackConfig) -> int:
        """How many attempts of the config may be under way here."""
        if self._is_leaving:
            return 0
        return min(part_of(self.worker, crew, config) for crew in self._minded(config.id))

    def newest_part(self, config: PostbackConfig) -> int:
        return 0 if self._is_leaving else part_of(self.worker, self.crew, config)

    def connections(self, host: int) -> int:
        """How many attempts may be under way here to a host and port, by its key."""
        return 0 if self._is_leaving else min(map(_connections, self._minded(host)))

    @property
    def newest_connections(self) -> int:
        return 0 if self._is_leaving else _connections(self.crew)

    def _minded(self, key: int) -> Sequence[Crew]:
        if not self._kept:
            return self._crews
        return [*self._crews, *(crew for crew, keys in self._kept.items() if key in keys)]

    def _agree(self, crew: Crew, keeps: Keys, now: float) -> None:
        if self._crews == [crew]:
            self.let_go = NOTHING.union(*self._kept.values()) - keeps
        else:
            if not (self._is_new and self._crews == [NOBODY, crew]):
                self.since = now
            self._is_new = False
        kept = {known: keys & keeps for known, keys in self._kept.items()}
        kept |= dict.fromkeys(self._crews, keeps)
        self._crews = [crew]
        self._kept = {known: keys for known, keys in kept.items() if keys and known != crew}


def _connections(crew: Crew) -> int:
    return share(CONNECTIONS, len(crew)) if crew else 0
