"""The queues of a worker: one lane a config, one window a host, and a fair share for each account.

Only bookkeeping: nothing here waits, sends or stores. `now` is the loop's monotonic time in seconds.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.domain.crews import CONNECTIONS, Keys, host_key
from postback.domain.deliveries import Claim
from postback.domain.rates import Bucket
from postback.domain.wire import Destination, Outcome
from postback.engine.sharing import Sharing
from postback.engine.windows import LANE_START, Window, blames_the_host, overwhelms

SHARE_OF_SHRUNK: Final = 4
"""Lanes whose window has shrunk share at most one in so many of the worker's places."""

LANES_KEPT: Final = 20_000
"""Idle lanes are forgotten beyond this many."""


class Host:
    """A host and port, which bounds all lanes that lead to it. `holds` while other workers have all of it."""

    __slots__ = ("blocked", "holds", "in_flight", "key", "window")

    def __init__(self, key: int) -> None:
        self.key = key
        self.holds = False
        self.window = Window(CONNECTIONS, CONNECTIONS)
        self.in_flight = 0
        self.blocked: deque[Lane] = deque()

    @property
    def is_full(self) -> bool:
        return self.in_flight >= self.window.size

    def allot(self, connections: int) -> bool:
        """Whether it holds no more, or does so now."""
        held, self.holds = self.holds, connections == 0
        if connections:
            self.window.limit(connections)
        return self.holds != held


class Lane:
    """The queue of one config inside this worker.

    `in_flight` are attempts under way, `reserved` places of events whose commit is under way, `waiting` claims
    in memory, `taken` all places it holds, those of attempts not yet settled included. `spilled` says that the store may hold due deliveries that found no room here.
    `is_elsewhere` says that other workers have all of it: it holds, and what is due of it is theirs.
    `pumping` is for whoever starts attempts: it is about to start all that may be started.
    """

    __slots__ = (
        "account",
        "bucket",
        "config",
        "destination",
        "holds",
        "host",
        "in_flight",
        "is_elsewhere",
        "paused_until",
        "pumping",
        "reserved",
        "spilled",
        "taken",
        "waiting",
        "window",
    )

    def __init__(self, config: PostbackConfig, destination: Destination | None, host: Host) -> None:
        self.account = config.account
        self.config = config
        self.holds = config.holds
        self.is_elsewhere = False
        self.destination = destination
        self.host = host
        self.window = Window(LANE_START, config.max_in_flight)
        # Full at whatever time it is first asked.
        self.bucket = Bucket(config.rate_limit, 0.0) if config.rate_limit is not None else None
        self.in_flight = 0
        self.reserved = 0
        self.waiting: deque[Claim] = deque()
        self.paused_until = 0.0
        self.pumping = False
        self.spilled = False
        self.taken = 0

    @property
    def places(self) -> int:
        return self.in_flight + self.reserved + len(self.waiting)

    def is_idle(self, now: float) -> bool:
        """Whether one that is made anew would be the same."""
        return (
            not self.taken
            and not self.window.shrunk
            and not self.spilled
            and now >= self.paused_until
            and (self.bucket is None or self.bucket.is_full(now))
        )

    def is_held(self, now: float) -> bool:
        return self.holds or now < self.paused_until

    def room(self, now: float) -> int:
        """How many more deliveries this lane can take: a slot each, and as many again may wait unless it has shrunk."""
        if self.holds or now < self.paused_until:
            return 0
        window, waiting = self.window, len(self.waiting)
        if window.shrunk or self.host.window.shrunk:
            room = min(window.size, self.host.window.size)
        else:
            room = 2 * window.size
        room -= self.in_flight + self.reserved + waiting
        if self.bucket is not None:
            room = min(room, self.bucket.tokens(now) - self.reserved - waiting)
        return max(0, room)

    def may_start(self, now: float) -> bool:
        return (
            bool(self.waiting)
            and self.in_flight < self.window.size
            and not self.holds
            and now >= self.paused_until
            and (self.bucket is None or self.bucket.tokens(now) > 0)
        )

    def is_worth_a_claim(self, now: float) -> bool:
        """Whether there is room for half a window, or for all that the rate gives: many small claims cost more than few."""
        room = self.room(now)
        if self.bucket is not None and room > 0:
            return True
        return room * 2 >= self.window.size

    def wait_for_tokens_s(self, now: float) -> float | None:
        """How long until its rate lets it take more; None where its rate is not what keeps it."""
        if self.bucket is None or self.holds:
            return None
        spoken_for = self.reserved + len(self.waiting)
        return None if self.bucket.tokens(now) > spoken_for else self.bucket.wait_s(now, spoken_for)


class Lanes:
    """All lanes of a worker, and the two things they share: its places and its memory for bodies (bytes).

    `sharing` says how much of each is this worker's.
    """

    def __init__(self, places: int, memory: int, sharing: Sharing | None = None) -> None:
        self.sharing = sharing or Sharing()
        self.lanes: dict[int, Lane] = {}
        self.taken = 0
        self.bytes_held = 0
        self.places = places
        self.memory = memory
        self._hosts: dict[tuple[str, int], Host] = {}
        self._by_account: dict[str, list[Lane]] = {}
        self._shrunk_taken = 0

    @property
    def bytes_left(self) -> int:
        return self.memory - self.bytes_held

    @property
    def places_for_shrunk(self) -> int:
        """Those left to lanes whose window has shrunk, all together."""
        return self.places // SHARE_OF_SHRUNK - self._shrunk_taken

    def open(self, config: PostbackConfig, destination: Destination | None) -> Lane:
        """The lane of a config, made when there is none."""
        lane = self.lanes.get(config.id)
        if lane is None:
            lane = self.lanes[config.id] = Lane(config, destination, self._host(config.id, destination))
            self._allot(lane)
            self._drain(lane)
            self._by_account.setdefault(lane.account, []).append(lane)
        return lane

    def of(self, account: str) -> Sequence[Lane]:
        """The lanes of an account."""
        return self._by_account.get(account, ())

    def accounts(self) -> Sequence[str]:
        """Those that have lanes here, first those of which something is in hand or waits in the store."""
        return sorted(self._by_account, key=lambda account: all(lane.is_idle for lane in self._by_account[account]))

    def refresh(self, lane: Lane, config: PostbackConfig, destination: Destination | None, now: float) -> None:
        """The config was edited: from the next attempt on the lane goes by the new version."""
        host = self._host(config.id, destination)
        if host is not lane.host:
            host.in_flight += lane.in_flight
            lane.host.in_flight -= lane.in_flight
            lane.host = host
        lane.config, lane.destination = config, destination
        self._allot(lane)
        if config.rate_limit is None:
            lane.bucket = None
        elif lane.bucket is None:
            lane.bucket = Bucket(config.rate_limit, now)
        else:
            lane.bucket.change(config.rate_limit, now)

    def reallot(self, keys: Keys | None = None) -> Sequence[Lane]:
        """Other workers share these lanes and hosts now, or all: the lanes of which more or less is this one's."""
        sharing = self.sharing
        hosts = [host for host in self._hosts.values() if keys is None or host.key in keys]
        changed = {host for host in hosts if host.allot(sharing.connections(host.key))}
        lanes = [lane for key, lane in self.lanes.items() if keys is None or key in keys or lane.host in changed]
        return [lane for lane in lanes if self._allot(lane)]

    def over(self) -> Keys:
        """Of what more is under way than the newest crew gives this worker."""
        sharing = self.sharing
        hosts = (host.key for host in self._hosts.values() if host.in_flight > sharing.newest_connections)
        under_way = (lane for lane in self.lanes.values() if lane.in_flight)
        lanes = (lane.config.id for lane in under_way if lane.in_flight > sharing.newest_part(lane.config))
        return frozenset(chain(hosts, lanes))

    def reserve(self, lane: Lane, size: int, now: float) -> bool:
        """A place for an event that is being accepted, where the lane has room and nothing older waits in the store."""
        if lane.spilled or lane.room(now) < 1 or not self._has_place(lane) or size > self.bytes_left:
            return False
        lane.reserved += 1
        self._take(lane, size)
        return True

    def unreserve(self, lane: Lane, size: int) -> None:
        """The event was not accepted after all."""
        lane.reserved -= 1
        self.leave(lane, size)

    def take(self, lane: Lane, claim: Claim, *, reserved: bool) -> None:
        """A claim to carry out; a reserved one has its place already."""
        if reserved:
            lane.reserved -= 1
        else:
            self._take(lane, len(claim.event.data))
        lane.waiting.append(claim)

    def start(self, lane: Lane, now: float) -> Claim | None:
        """The next claim to attempt now, or None; a lane that only its host stops is called when the host has room."""
        if not lane.may_start(now) or now >= self.sharing.trusted_until:
            return None
        host = lane.host
        if host.in_flight >= host.window.size:
            if lane not in host.blocked:
                host.blocked.append(lane)
            return None
        lane.in_flight += 1
        host.in_flight += 1
        if lane.bucket is not None:
            lane.bucket.take(now)
        return lane.waiting.popleft()

    def finish(self, lane: Lane, outcome: Outcome, success: bool, paused_until: float) -> None:
        """An attempt ended: its slot is free, and both windows learn from it; `paused_until` in the past is no pause."""
        window, host = lane.window, lane.host
        lane.in_flight -= 1
        host.in_flight -= 1
        was_shrunk = window.shrunk
        if success:
            window.grow()
            host.window.grow()
        elif overwhelms(outcome):
            window.shrink()
            if blames_the_host(outcome):
                host.window.shrink()
        lane.paused_until = max(lane.paused_until, paused_until)
        if was_shrunk != window.shrunk:
            self._shrunk_taken += lane.taken if window.shrunk else -lane.taken

    def leave(self, lane: Lane, size: int) -> None:
        """A place is free again: its delivery was settled or released."""
        self.taken -= 1
        lane.taken -= 1
        self.bytes_held -= size
        if lane.window.shrunk:
            self._shrunk_taken -= 1

    def excess(self, lane: Lane, now: float) -> Sequence[Claim]:
        """Waiting claims that the lane can no longer carry out soon: paused, its window has shrunk, its rate is lower."""
        allowed = 0 if lane.is_held(now) else max(0, lane.window.size - (lane.in_flight if lane.window.shrunk else 0))
        if lane.bucket is not None:
            allowed = min(allowed, lane.bucket.tokens(now))
        return [lane.waiting.pop() for _ in range(len(lane.waiting) - allowed)]

    def freed(self, host: Host) -> Iterable[Lane]:
        """Lanes that waited for this host and may try now, the longest waiting first."""
        while host.blocked and not host.is_full:
            yield host.blocked.popleft()

    def forget_idle(self, now: float) -> None:
        """Lanes without work and without anything learned are made anew when they are needed."""
        if len(self.lanes) <= LANES_KEPT:
            return
        self.lanes = {key: lane for key, lane in self.lanes.items() if not lane.is_idle(now)}
        self._by_account = {}
        for lane in self.lanes.values():
            self._by_account.setdefault(lane.account, []).append(lane)
        in_use = {id(lane.host) for lane in self.lanes.values()}
        self._hosts = {key: host for key, host in self._hosts.items() if id(host) in in_use or host.window.shrunk}

    def _allot(self, lane: Lane) -> bool:
        """Whether it is another part of the lane than before."""
        part, was_elsewhere = self.sharing.part(lane.config), lane.is_elsewhere
        had = lane.holds, lane.window.most
        lane.is_elsewhere = part == 0
        lane.holds = lane.config.holds or lane.is_elsewhere or lane.host.holds
        if part:
            lane.window.limit(part)
            if was_elsewhere:
                self._drain(lane)
        return (lane.holds, lane.window.most) != had

    def _drain(self, lane: Lane) -> None:
        """Another worker may have used up its rate until then."""
        if lane.bucket is not None and self.sharing.since is not None:
            lane.bucket.drain(self.sharing.since)

    def _host(self, config_id: int, destination: Destination | None) -> Host:
        # A config whose URL cannot be read has no host; one of its own keeps the rest simple.
        key = (destination.host, destination.port) if destination else (f"config {config_id}", 0)
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = Host(host_key(*key))
            host.allot(self.sharing.connections(host.key))
        return host

    def _has_place(self, lane: Lane) -> bool:
        if self.taken >= self.places:
            return False
        return not lane.window.shrunk or self.places_for_shrunk > 0

    def _take(self, lane: Lane, size: int) -> None:
        self.taken += 1
        lane.taken += 1
        self.bytes_held += size
        if lane.window.shrunk:
            self._shrunk_taken += 1
