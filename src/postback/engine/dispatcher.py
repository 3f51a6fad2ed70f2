"""Claim → attempt → settle, for ever: gives claims to their lanes and settles what has come of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final, TypeVar

from postback.domain.configs import ConfigState, PostbackConfig, Snapshot
from postback.domain.crews import Keys
from postback.domain.deliveries import Claim, Settlement, Verdict
from postback.domain.errors import Unavailable
from postback.domain.telemetry import AttemptFinished, Claimed, StaleSettlements, StoreFailed
from postback.domain.verdict import retry_after_ms
from postback.engine.attempt import Attempter, destination_of
from postback.engine.due import Due
from postback.engine.hold import Hold
from postback.engine.lanes import Host, Lane, Lanes
from postback.engine.refill import Refill
from postback.engine.snapshots import Snapshots
from postback.engine.throttled import Throttled
from postback.engine.waiting import happens
from postback.engine.windows import asks_to_pause
from postback.ports import Clock, Queue, Report, Worker

T = TypeVar("T")

LOOK_EVERY_S: Final = 1.0
"""The store is asked for due work at least this often; nearer due times are looked for when they come."""

CLAIM_BYTES: Final = 16 << 20

CLAIM_AT_ONCE: Final = 500
"""While the store gives out deliveries of many lanes, whatever else is to be written waits: not for more than these."""

SETTLE_AT_ONCE: Final = 2_000
DISABLED_WITHIN_S: Final = 1.0
STORE_RETRY_S: Final = (0.05, 0.2, 1.0, 5.0)

# Looking a member up costs as much as a call; this one is asked for with every settlement.
DELIVERED: Final = Verdict.DELIVERED


def _ignore(*_: object) -> None:
    """Nobody asked to hear of it."""


class Dispatcher:
    """Everything between a claim and its settlement. `now` is the loop's monotonic time in seconds.

    `troubled` is called with each attempt of a config that failed, and with the successes of one that was failing;
    `failed` with each delivery that has failed for good and `disabled` with each config that was disabled by a 410,
    once that is on record.
    """

    def __init__(
        self,
        queue: Queue,
        snapshots: Snapshots,
        lanes: Lanes,
        attempter: Attempter,
        report: Report,
        clock: Clock,
        now: Callable[[], float],
        hold: Hold | None = None,
    ) -> None:
        self.troubled: Callable[[PostbackConfig, bool], None] = _ignore
        self.failed: Callable[[Settlement, PostbackConfig], None] = _ignore
        self.disabled: Callable[[PostbackConfig, str], None] = _ignore
        self.worker = Worker(0, 0, 0)
        self._queue = queue
        self._lanes = lanes
        self._attempter = attempter
        self._report = report
        self._clock = clock
        self._now = now
        self._hold = hold or Hold()
        self._finished: list[Settlement] = []
        self._something_finished = asyncio.Event()
        self._look_now = asyncio.Event()
        self._next_look = 0.0
        self._throttled = Throttled()
        self._refill = Refill(lanes)
        self._due = Due(queue, snapshots, lanes)
        self._unsettled = 0
        self._is_draining = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        # Lanes that may hold more than they will start soon, or may start more than before.
        self._to_relieve: set[int] = set()
        snapshots.renewed = self._renew
        snapshots.in_use = lanes.accounts

    # --- what the intake asks -----------------------------------------------------------------------------------

    def reserve(self, config: PostbackConfig, size: int) -> bool:
        """A place for a delivery of `size` bytes that is being accepted, to be born claimed; or False: it is stored."""
        if self._is_draining or self._hold.holds:
            return False
        lane = self._lanes.lanes.get(config.id) or self._lane(config)
        return self._lanes.reserve(lane, size, self._now())

    def unreserve(self, config_id: int, size: int) -> None:
        self._lanes.unreserve(self._lanes.lanes[config_id], size)

    def begin(self, claims: Sequence[Claim]) -> None:
        """Carry out deliveries that were born claimed."""
        now = self._now()
        for claim in claims:
            lane = self._lanes.lanes[claim.config_id]
            self._count(lane, claim, reserved=True)
            self._pump(lane, now)
            if lane.waiting and lane.is_held(now):
                # It was paused while the event was committed, and nobody calls a lane when a pause is over.
                self._to_relieve.add(claim.config_id)
                self._look_now.set()

    def stored(self, config_id: int) -> None:
        """A delivery was accepted without a place here: it waits in the store."""
        lane = self._lanes.lanes.get(config_id)
        if lane is not None:
            lane.spilled = True
            self._ask_to_refill(lane)

    # --- the three things that run ------------------------------------------------------------------------------

    async def look(self, stopping: asyncio.Event) -> None:
        """Claim what is due and nobody's, until `stopping`: when room appears, when something is due, each second."""
        failures = 0
        while not stopping.is_set():
            try:
                await self._look()
                failures = 0
            except Unavailable as error:
                self._report(StoreFailed("claim", str(error)))
                self._next_look = self._now() + STORE_RETRY_S[min(failures, len(STORE_RETRY_S) - 1)]
                failures += 1
            await happens(self._look_now, min(self._next_look, self._throttled.next_at) - self._now())
            self._look_now.clear()

    async def settle(self, stopping: asyncio.Event) -> None:
        """Settle whatever has finished by now in one batch, until `stopping` and nothing is left to settle."""
        while True:
            await self._something_finished.wait()
            self._something_finished.clear()
            while self._finished:
                batch = self._finished[:SETTLE_AT_ONCE]
                del self._finished[:SETTLE_AT_ONCE]
                await self._settle(batch)
            if stopping.is_set():
                return

    async def drain(self) -> None:
        """Give back what was not started, take nothing more, and return when all that is under way has been settled."""
        self._is_draining = True
        await self._give_back([claim for lane in self._lanes.lanes.values() for claim in _withdraw(lane)])
        await self._is_empty.wait()

    def wake(self) -> None:
        """Let `look` and `settle` notice that they are to stop, or that the store has work."""
        self._next_look = 0.0
        self._look_now.set()
        self._something_finished.set()

    def abandon(self) -> None:
        """Others have taken this worker for dead: what waits here is theirs. What is under way ends and decides nothing."""
        for lane in self._lanes.lanes.values():
            claims = _withdraw(lane)
            for claim in claims:
                self._lanes.leave(lane, len(claim.event.data))
            self._left(len(claims))

    def reallot(self, keys: Keys | None = None) -> None:
        """Other workers share these lanes and hosts now, or all: give back what is theirs, look for what is this one's."""
        self._to_relieve.update(lane.config.id for lane in self._lanes.reallot(keys))
        self.wake()

    # --- looking ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        if self._hold.holds:
            self._next_look = self._now() + LOOK_EVERY_S
            return
        for config_id in self._to_relieve.copy():
            self._to_relieve.discard(config_id)
            lane = self._lanes.lanes.get(config_id)
            if lane is not None:
                await self._relieve(lane)
        await self._find_due()
        now = self._now()
        for lane in self._throttled.let_go(now):
            self._refill.add(lane)
        room, full = self._refill.share(now, CLAIM_AT_ONCE)
        for lane in full:
            self._throttled.add(lane, now)
        if room:
            await self._claim(room)

    async def _find_due(self) -> None:
        now = self._now()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY_S
            self._lanes.forget_idle(now)
            for lane in await self._due.find(self.worker, int(LOOK_EVERY_S * 1000)):
                self._is_due(lane)
            if self._due.next_in_ms is not None:
                self._look_at(self._now() + self._due.next_in_ms / 1000)
        for lane in await self._due.open_some():
            self._is_due(lane)
        if self._due.is_left:
            self._look_now.set()

    def _is_due(self, lane: Lane) -> None:
        lane.spilled = True
        self._refill.add(lane)

    async def _claim(self, room: Mapping[int, int]) -> None:
        # What is stored while the claim is under way spills a lane again; what the claim finds must not hide that.
        for config_id in room:
            self._lanes.lanes[config_id].spilled = False
        max_bytes = min(CLAIM_BYTES, self._lanes.bytes_left)
        asked = self._now()
        claims = await self._queue.claim(self.worker, room, max_bytes)
        self._report(Claimed(self._now() - asked))
        taken = dict.fromkeys(room, 0)
        for claim in claims:
            taken[claim.config_id] += 1
            self._count(self._lanes.lanes[claim.config_id], claim, reserved=False)
        stopped_early = sum(len(claim.event.data) for claim in claims) >= max_bytes
        for config_id, got in taken.items():
            lane = self._lanes.lanes[config_id]
            lane.spilled |= got == room[config_id] or stopped_early
            await self._relieve(lane)
            self._ask_to_refill(lane)
        asked_for = sum(room.values())
        if self._refill and (len(claims) < asked_for or asked_for == CLAIM_AT_ONCE):
            # Not all of these places were needed, or there are more: the next in turn may have them.
            self._look_now.set()

    def _look_at(self, when: float) -> None:
        if when < self._next_look:
            self._next_look = when
            self._look_now.set()

    def _ask_to_refill(self, lane: Lane) -> None:
        """Claim for a lane that has spilled and has room again."""
        if not lane.spilled or self._is_draining:
            return
        now = self._now()
        if lane.is_worth_a_claim(now):
            self._refill.add(lane)
            self._look_now.set()
        elif lane not in self._throttled and self._throttled.add(lane, now):
            self._look_now.set()

    # --- attempting ---------------------------------------------------------------------------------------------

    def _pump(self, lane: Lane, now: float) -> None:
        # An attempt that fails before it is sent ends within `start` and comes back here: one loop is enough.
        if lane.pumping or not lane.waiting:
            return
        lane.pumping = True
        attempted = partial(self._attempted, lane)
        try:
            while lane.waiting and (claim := self._lanes.start(lane, now)) is not None:
                self._attempter.start(claim, lane.config, lane.destination, attempted)
        finally:
            lane.pumping = False

    def _attempted(self, lane: Lane, settlement: Settlement) -> None:
        now = self._now()
        outcome, host, config = settlement.outcome, lane.host, lane.config
        is_delivered = settlement.verdict is DELIVERED
        self._lanes.finish(lane, outcome, is_delivered, now if is_delivered else now + self._pause_s(settlement))
        if not is_delivered or config.failing_ms is not None:
            self.troubled(config, is_delivered)
        self._finished.append(settlement)
        self._something_finished.set()
        self._report(AttemptFinished(settlement, config))
        self._pump(lane, now)
        if host.blocked:
            self._pump_freed(host)
        if lane.spilled:
            self._ask_to_refill(lane)

    def _pause_s(self, settlement: Settlement) -> float:
        """For how long nothing more may start after an attempt that was no success."""
        if settlement.disables is not None:
            # The config is disabled once this is settled.
            return DISABLED_WITHIN_S
        outcome = settlement.outcome
        return (retry_after_ms(outcome, self._clock()) or 0) / 1000 if asks_to_pause(outcome) else 0.0

    def _pump_freed(self, host: Host) -> None:
        for blocked in self._lanes.freed(host):
            self._pump(blocked, self._now())

    # --- settling -----------------------------------------------------------------------------------------------

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        settled = await self._until_it_stands("settle", lambda: self._queue.settle(self.worker, batch))
        if settled.moved < len(batch):
            self._report(StaleSettlements(len(batch) - settled.moved))
        now = self._now()
        touched: dict[int, Lane] = {}
        for settlement in batch:
            claim = settlement.claim
            lane = touched[claim.config_id] = self._lanes.lanes[claim.config_id]
            self._lanes.leave(lane, len(claim.event.data))
            if settlement.verdict is not DELIVERED and settlement.verdict in (Verdict.RETRY, Verdict.INTERRUPTED):
                self._look_at(now + settlement.wait_ms / 1000)
        self._left(len(batch))
        for settlement in settled.failed:
            self.failed(settlement, touched[settlement.claim.config_id].config)
        for config_id, why in settled.disabled.items():
            self.disabled(touched[config_id].config, why)
        for lane in touched.values():
            await self._relieve(lane)
            self._ask_to_refill(lane)

    async def _relieve(self, lane: Lane) -> None:
        """Start what the lane may start, and give back what it will not start soon: paused, or its window has shrunk."""
        now = self._now()
        self._pump(lane, now)
        claims = self._lanes.excess(lane, now)
        if claims:
            lane.spilled = True
            await self._give_back(claims)

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        if not claims:
            return
        await self._until_it_stands("release", lambda: self._queue.release(claims))
        for claim in claims:
            self._lanes.leave(self._lanes.lanes[claim.config_id], len(claim.event.data))
        self._left(len(claims))

    def _count(self, lane: Lane, claim: Claim, *, reserved: bool) -> None:
        self._lanes.take(lane, claim, reserved=reserved)
        self._unsettled += 1
        self._is_empty.clear()

    def _left(self, places: int) -> None:
        """So many places are free again."""
        self._unsettled -= places
        if not self._unsettled:
            self._is_empty.set()
        if self._refill:
            # Other lanes may have waited for them.
            self._look_now.set()

    async def _until_it_stands(self, what: str, write: Callable[[], Awaitable[T]]) -> T:
        """A write that must not be lost: tried until the store takes it. The heartbeat keeps the claims meanwhile."""
        for failures in count():
            try:
                return await write()
            except Unavailable as error:
                self._report(StoreFailed(what, str(error)))
                await happens(asyncio.Event(), STORE_RETRY_S[min(failures, len(STORE_RETRY_S) - 1)])
        raise AssertionError("unreachable: the loop above only returns")

    # --- configs ------------------------------------------------------------------------------------------------

    def _lane(self, config: PostbackConfig) -> Lane:
        lane = self._lanes.lanes.get(config.id)
        return lane if lane is not None else self._lanes.open(config, destination_of(config))

    def _renew(self, snapshot: Snapshot) -> None:
        """The configs of an account changed: its lanes go by the new versions, and deleted ones take nothing more."""
        for lane in self._lanes.of(snapshot.account):
            config = snapshot.configs.get(lane.config.id) or replace(lane.config, state=ConfigState.DELETED)
            if config is not lane.config:
                host = lane.host
                self._lanes.refresh(lane, config, destination_of(config), self._now())
                self._to_relieve.add(config.id)
                if lane.host is not host:
                    self._pump_freed(host)
        if self._to_relieve:
            self.wake()


def _withdraw(lane: Lane) -> Sequence[Claim]:
    claims = list(lane.waiting)
    lane.waiting.clear()
    return claims
