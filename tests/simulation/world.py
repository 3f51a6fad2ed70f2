"""A world in which everything goes wrong that can: one store, several workers, receivers of all kinds, all from one seed.

Time is virtual (`tests/doubles.py`), the store is a real one (`tests/simulation/stores.py`), and the engine is the one
that ships.
Faults: receivers that fail, hang, refuse and pause; workers that die between any two steps; workers that
freeze, are taken for dead and come back; workers that are replaced; stores that refuse a write; config edits; jumps of the wall clock.
"""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from postback.domain.accounts import Account
from postback.domain.configs import ConfigState
from postback.domain.crews import NOTHING, Keys, Peer
from postback.domain.deliveries import Accepted, Claim, NewDeliveries, Refused, Settled, Settlement, Verdict
from postback.domain.errors import Unavailable
from postback.domain.jobs import JobKind
from postback.domain.policy import Deadlines, RetryPolicy
from postback.domain.records import Insert
from postback.domain.telemetry import Fact, InternalError
from postback.domain.wire import Answered, Outcome, Reason, Request, Timings, Unreachable
from postback.engine.engine import Engine, Limits
from postback.ports import NewEvent, Waiting, Worker
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.records import SqlRecords
from postback.storage.troubles import SqlTroubles
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON, a_config, a_location
from tests.doubles import VirtualLoop
from tests.simulation.limits import CAPS, RATE, Call, LimitsSeen
from tests.simulation.stores import Opener, Stores
from tests.storage import given

T = TypeVar("T")
Key = tuple[int, int]
"""(event id, config id) of a delivery."""

LEASE_S: Final = 30.0
CONFIGS: Final = 11
EVENTS: Final = 50
TROUBLE_S: Final = 400.0
WORKERS: Final = 2
SHARE_OF_LOST_WORD: Final = 0.1


@dataclass(eq=False)
class Process:
    """A worker process: alive, frozen (it comes back late), or dead (nothing it began has any effect any more)."""

    name: str
    store: given.Store
    is_dead: bool = False
    thawed: asyncio.Event = field(default_factory=asyncio.Event)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    engine: Engine | None = None
    last_beat: float = 0.0
    lapsed_at: float = -1.0
    lives: int = 0
    """Times that it has enlisted: once more each time that others took it for dead."""

    def __post_init__(self) -> None:
        self.thawed.set()

    async def step(self) -> None:
        """Between any two steps a process may have died or been frozen."""
        await self.thawed.wait()
        if self.is_dead:
            await asyncio.Event().wait()


class Ledger:
    """What is known from outside of the engine, and the rules that hold after every step."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.accepted: dict[int, frozenset[int]] = {}
        self.allowed_from: dict[Key, float] = {}
        self.counted: dict[Key, int] = defaultdict(int)
        self.limits = LimitsSeen(LEASE_S)
        self.hits = 0
        self.stale = 0
        self.interrupted = 0

    def accept(self, unit: NewDeliveries, answer: Accepted) -> None:
        assert answer.deliveries == len(unit.targets)
        self.accepted[answer.event_id] = frozenset(target.config_id for target in unit.targets)

    def send(self, key: Key) -> None:
        """Nothing early: the wait that the last settlement asked for has passed."""
        assert self._world.elapsed() >= self.allowed_from.get(key, 0.0) - 0.001, f"{key} was sent early"
        self.hits += 1

    def settle(self, settlements: Sequence[Settlement], held: set[Key], moved: int) -> None:
        """A token that no longer holds settles nothing, and what holds is counted against the policy it was made by."""
        assert moved == len(held), "a settlement without its claim moved a delivery, or one with it did not"
        self.stale += len(settlements) - moved
        for settlement in settlements:
            key = settlement.claim.event.id, settlement.claim.config_id
            if key not in held:
                continue
            if settlement.verdict is not Verdict.INTERRUPTED:
                self.counted[key] += 1
            policy = self._world.policies[key[1], settlement.config_version]
            if settlement.verdict is Verdict.FAILED and not _is_gone(settlement.outcome):
                # What a kill or an interruption had used up would be missing here.
                assert self.counted[key] >= policy, f"{key} failed after {self.counted[key]} attempts of {policy}"
            if settlement.verdict is Verdict.RETRY:
                asked_ms = _asked_to_wait_s(settlement.outcome) * 1000
                assert settlement.wait_ms >= asked_ms, f"{key} waits {settlement.wait_ms} ms; {asked_ms} were asked for"
                assert self.counted[key] < policy, f"{key} is to be tried again after {self.counted[key]} of {policy}"
                self.allowed_from[key] = self._world.elapsed() + settlement.wait_ms / 1000


class ProcessQueue:
    """The store as one process sees it: each call is a step at which the process may die, before or after it took effect."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process
        self._queue = process.store
        self._has_started = False

    async def enlist(self, host: str, *, is_held: bool = False) -> Worker:
        self._process.lives += 1
        if not self._has_started:
            # Without a store there is no start at all: the process ends and is started again, which is no story.
            self._has_started = True
            return await self._queue.enlist(host, is_held=is_held)
        return await self._step(lambda: self._queue.enlist(host, is_held=is_held))

    async def retire(self, worker: Worker) -> None:
        await self._step(lambda: self._queue.retire(worker))

    async def accept(self, worker: Worker, units: Sequence[NewDeliveries]) -> Sequence[Accepted | Refused]:
        async def accept() -> Sequence[Accepted | Refused]:
            # Known before: another process may claim and send in the very turn of the loop in which this one hears of it.
            for unit in units:
                self._world.numbers[json.loads(unit.event.data)["number"]] = unit.event.id
            answers = await self._queue.accept(worker, units)
            for unit, answer in zip(units, answers, strict=True):
                if isinstance(answer, Accepted):
                    self._world.ledger.accept(unit, answer)
            return answers

        return await self._step(accept)

    async def waiting(self, worker: Worker, within_ms: int, limit: int) -> Sequence[Waiting]:
        return await self._step(lambda: self._queue.waiting(worker, within_ms, limit))

    async def claim(self, worker: Worker, room: Mapping[int, int], max_bytes: int) -> Sequence[Claim]:
        return await self._step(lambda: self._queue.claim(worker, room, max_bytes))

    async def release(self, claims: Sequence[Claim]) -> None:
        await self._step(lambda: self._queue.release(claims))

    async def settle(self, worker: Worker, settlements: Sequence[Settlement]) -> Settled:
        async def settle() -> Settled:
            async with self._world.freeing_or_settling:
                held = await self._world.held(settlements)
                settled = await self._queue.settle(worker, settlements)
            self._world.ledger.settle(settlements, held, settled.moved)
            return settled

        return await self._step(settle)

    async def beat(
        self, worker: Worker, goes_by: int = 0, *, keeps: Keys = NOTHING, leaves: bool = False
    ) -> Sequence[Peer]:
        async def beat() -> Sequence[Peer]:
            heard = await self._queue.beat(worker, goes_by, keeps=keeps, leaves=leaves)
            self._world.ledger.limits.beats(self._process, self._world.loop.time())
            return heard

        return await self._step(beat)

    async def free_dead(self, worker: Worker) -> Sequence[int]:
        async def free_dead() -> Sequence[int]:
            async with self._world.freeing_or_settling:
                return await self._queue.free_dead(worker)

        return await self._step(free_dead)

    def on_workers(self, changed: Callable[[], None]) -> None:
        """Nobody tells: what there is to know comes with the heartbeat."""

    async def bury(self, limit: int) -> int:
        return await self._step(lambda: self._queue.bury(limit))

    async def expire(self, before_ms: int, limit: int) -> int:
        return await self._step(lambda: self._queue.expire(before_ms, limit))

    async def replay(self, account: str, event_id: int, config_id: int) -> None:
        raise NotImplementedError("people replay, workers do not")

    async def cancel(self, account: str, event_id: int, config_id: int) -> None:
        raise NotImplementedError("people cancel, workers do not")

    async def jobs_in_turn(self, kind: JobKind | None = None) -> Sequence[str]:
        return await self._step(lambda: self._queue.jobs_in_turn(kind))

    async def run_job(self, job_id: str, limit: int) -> int:
        return await self._step(lambda: self._queue.run_job(job_id, limit))

    async def count_for_job(self, *_: Any) -> int:
        raise NotImplementedError("people count, workers do not")

    async def start_job(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("people make jobs, workers do not")

    async def find_job(self, *_: Any) -> Any:
        raise NotImplementedError("people look at jobs, workers do not")

    async def list_jobs(self, *_: Any) -> Any:
        raise NotImplementedError("people look at jobs, workers do not")

    async def _step(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._process.step()
        await self._world.delay(0.002)
        await self._process.step()
        if self._world.is_troubled and self._world.dice.random() < 0.01:
            raise Unavailable("the disk is full")
        try:
            result = await call()
        except Unavailable:
            await self._process.step()
            raise
        await self._world.delay(0.002)
        await self._process.step()
        return result


class ProcessConfigs:
    """The configs as one process sees them. It hears of changes late, and of some only that there may have been any."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process
        self._configs = SqlConfigs(process.store)
        self._all_changed: Callable[[], None] = lambda: None

    async def snapshot(self, account: str) -> Any:
        await self._process.step()
        await self._world.delay(0.01)
        return await self._configs.snapshot(account)

    def watch(self, changed: Callable[[str], None]) -> None:
        def hear(account: str) -> None:
            if self._process.is_dead:
                return
            late_s = self._world.dice.random()
            if late_s < SHARE_OF_LOST_WORD:
                self._world.loop.call_later(late_s, self._all_changed)
            else:
                self._world.loop.call_later(late_s, changed, account)

        self._configs.watch(hear)

    def watch_all(self, changed: Callable[[], None]) -> None:
        self._all_changed = changed


class Network:
    """The way out of one process. What a receiver does follows from its config and the seed."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process
        self._under_way: dict[int, tuple[asyncio.TimerHandle, Callable[[Outcome], None], float]] = {}
        self._thawing: set[asyncio.Future[None]] = set()
        self._calls = 0
        self._answers_to: dict[int, tuple[int, Key]] = {}
        self._paused_until: dict[int, float] = {}
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    def send(self, request: Request, answered: Callable[[Outcome], None]) -> None:
        fields = parse_qs(request.body.decode())
        number = json.loads(fields["data"][0])["number"]
        config_id = request.destination.port - 20_000 + CONFIG_ID
        event_id = self._world.numbers[number]
        key = event_id, config_id
        self._world.ledger.send(key)
        self._check(key)
        after, outcome = self._world.receive(config_id, request.destination.deadlines)
        now = self._world.loop.time()
        self._world.ledger.limits.call(self._world.kinds[config_id], config_id, Call(self._process, now, now + after))
        self._calls += 1
        call = self._calls
        timer = self._world.loop.call_later(after, self._end, call, outcome)
        self._under_way[call] = timer, answered, now
        self._answers_to[call] = self._process.lives, key
        self._is_idle.clear()

    def _check(self, key: Key) -> None:
        """One worker posts no delivery twice at once, and goes by a receiver's wish to be left alone."""
        now = self._world.loop.time()
        assert (self._process.lives, key) not in self._answers_to.values(), (
            f"{key} was posted while the same worker was posting it"
        )
        assert now >= self._paused_until.get(key[1], 0.0) - 0.001, f"config {key[1]} was called while it is paused"

    async def close(self, grace_s: float) -> None:
        try:
            async with asyncio.timeout(grace_s):
                await self._is_idle.wait()
        except TimeoutError:
            self._world.ledger.limits.hangs_up(self._process, self._world.loop.time())
            for call, (timer, _, started) in list(self._under_way.items()):
                timer.cancel()
                self._end(call, Unreachable(Reason.INTERRUPTED, "stopped", _timings(self._world.loop.time() - started)))

    async def _end_when_thawed(self, call: int, outcome: Outcome) -> None:
        """A frozen process finds the answer when it is thawed, maybe before anything else."""
        await self._process.thawed.wait()
        self._end(call, outcome)

    def _end(self, call: int, outcome: Outcome) -> None:
        if self._process.is_dead:
            return
        if not self._process.thawed.is_set():
            self._thawing.add(asyncio.ensure_future(self._end_when_thawed(call, outcome)))
            return
        _, answered, _ = self._under_way.pop(call)
        _, (_, config_id) = self._answers_to.pop(call)
        paused_until = self._world.loop.time() + _asked_to_wait_s(outcome)
        self._paused_until[config_id] = max(paused_until, self._paused_until.get(config_id, 0.0))
        if not self._under_way:
            self._is_idle.set()
        answered(outcome)


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, loop: asyncio.AbstractEventLoop, stores: Stores) -> None:
        self.dice = random.Random(seed)
        self.loop = loop
        self.stores = stores
        self.store = stores.of_people
        self.configs = SqlConfigs(self.store)
        # What a settlement found held must not be freed by another process before it is settled.
        self.freeing_or_settling = asyncio.Lock()
        self.ledger = Ledger(self)
        self.policies: dict[tuple[int, int], int] = {}
        self.numbers: dict[int, int] = {}
        self.kinds: dict[int, str] = {}
        self.processes: list[Process] = []
        self.is_troubled = True
        self.jumped = 0.0
        self._jumped_forward = 0.0
        self._bugs: list[BaseException] = []
        loop.set_exception_handler(
            lambda _, context: self._bugs.append(context.get("exception") or AssertionError(str(context)))
        )

    def clock(self) -> int:
        """The wall clock, which may jump."""
        return NOON + int((self.loop.time() + self.jumped) * 1000)

    def elapsed(self) -> float:
        """Seconds that have passed for anyone who goes by the wall clock and never lets it take time back."""
        return self.loop.time() + self._jumped_forward

    def jump(self, seconds: float) -> None:
        self.jumped += seconds
        if seconds > 0:
            self.ledger.limits.put_forward(self.loop.time())
        self._jumped_forward += max(seconds, 0.0)

    async def delay(self, most_s: float) -> None:
        if self.dice.random() < 0.5:
            await asyncio.sleep(self.dice.random() * most_s)

    # --- receivers ----------------------------------------------------------------------------------------------

    def receive(self, config_id: int, deadlines: Deadlines) -> tuple[float, Outcome]:
        """What a receiver does with a request: after so many seconds, this outcome."""
        kind, chance = self.kinds[config_id], self.dice.random()
        if kind == "hangs" or (kind == "flaky" and chance < 0.1):
            return deadlines.response_s, Unreachable(Reason.RESPONSE_TIMEOUT, "silent", _timings(deadlines.response_s))
        if kind == "refuses" and chance < 0.7:
            return 0.001, Unreachable(Reason.CONNECTION_REFUSED, "refused", _timings(0.001, sent=False))
        if kind == "busy" and chance < 0.5:
            return 0.01, _answered(503, 0.01, [(b"retry-after", b"%d" % self.dice.randint(1, 90))])
        if kind == "gone" and chance < 0.02:
            return 0.01, _answered(410, 0.01)
        if kind == "down" or (kind == "flaky" and chance < 0.5):
            return 0.05, _answered(500, 0.05)
        after = self.dice.random() * {"slow": 8.0, "few": 8.0, "narrow": 2.0}.get(kind, 0.2)
        return after, _answered(200, after)

    # --- people -------------------------------------------------------------------------------------------------

    async def set_up(self) -> None:
        await SqlAccounts(self.store).save(Account(id=ACCOUNT))
        await SqlRecords(self.store, {}).apply([Insert(a_location())])
        for n in range(CONFIGS):
            kind = ("fine", "flaky", "down", "hangs", "refuses", "busy", "slow", "gone", "limited", *CAPS)[n]
            config = a_config(
                id=CONFIG_ID + n,
                url=f"http://127.0.0.1:{20_000 + n}/receiver",
                retry=RetryPolicy(self.dice.randint(1, 5), (self.dice.choice((1, 5, 30)),)),
                deadlines=Deadlines(1.0, self.dice.choice((1.0, 5.0, 20.0)), 25.0),
                rate_limit=RATE if kind == "limited" else None,
                max_in_flight=CAPS.get(kind, 64),
            )
            self.kinds[config.id] = kind
            self.policies[config.id, config.version] = config.retry.attempts
            await self.configs.add(config)

    async def publish(self) -> None:
        """Events at random moments, each to some living process; nobody publishes a second time."""
        for number in range(EVENTS):
            # Often several at once, so that limits are what keeps them.
            if self.dice.random() < 0.3:
                await asyncio.sleep(self.dice.random() * 6 * TROUBLE_S / EVENTS)
            process = self.dice.choice(self.processes)
            if process.is_dead or process.engine is None:
                continue
            kind = self.dice.choice(("contact.created", "contact.updated", "contact.deleted"))
            event = NewEvent(account=ACCOUNT, type=kind, location_id=LOCATION_ID, data=b'{"number":%d}' % number)
            self._asked.append(asyncio.ensure_future(self._ask(process.engine, event)))

    async def _ask(self, engine: Engine, event: NewEvent) -> Sequence[Accepted | Refused]:
        with suppress(Unavailable):
            return await engine.intake.publish([event])
        # It is about to end.
        return []

    async def edit(self) -> None:
        """A change of some config, as its owner might make it."""
        config_id = CONFIG_ID + self.dice.randrange(CONFIGS)
        config = await self.configs.find(ACCOUNT, config_id)
        what = self.dice.random()
        if what < 0.6:
            changed = replace(config, retry=RetryPolicy(self.dice.randint(1, 5), (self.dice.choice((1, 5, 30)),)))
            self.policies[config_id, config.version + 1] = changed.retry.attempts
            await self.configs.change(changed)
        elif what < 0.8:
            await self.configs.set_state(ACCOUNT, config_id, ConfigState.PAUSED, "by a person")
        else:
            await self.configs.set_state(ACCOUNT, config_id, ConfigState.ACTIVE, None)

    # --- trouble ------------------------------------------------------------------------------------------------

    async def start_process(self) -> None:
        process = Process(f"worker {len(self.processes) + 1}", await self.stores.join())
        engine = process.engine = Engine(
            ProcessQueue(self, process),
            ProcessConfigs(self, process),
            Network(self, process),
            troubles=SqlTroubles(self.store),
            host=process.name,
            clock=self.clock,
            dice=self.dice.random,
            now=self.loop.time,
            report=self._report,
            limits=Limits(places=24, lease_s=LEASE_S, grace_s=5.0),
        )
        process.task = asyncio.ensure_future(engine.run(process.stopping))
        self.processes.append(process)

    async def end_process(self, process: Process) -> None:
        """In good order, which takes as long as the grace, or longer where the store refuses."""
        process.stopping.set()
        assert process.task is not None
        await process.task
        process.is_dead = True
        await self.stores.leave(process.store)

    async def trouble(self) -> None:
        """Kill, freeze, replace, edit, jump: one of them every few seconds."""
        while self.loop.time() < TROUBLE_S:
            await asyncio.sleep(self.dice.random() * 20)
            living = [process for process in self.processes if not process.is_dead]
            process = self.dice.choice(living)
            what = self.dice.random()
            if what < 0.3:
                process.is_dead = True
                await self.stores.leave(process.store)
                await asyncio.sleep(self.dice.random() * 10)
                await self.start_process()
            elif what < 0.5:
                process.thawed.clear()
                await asyncio.sleep(self.dice.random() * 3 * LEASE_S)
                process.thawed.set()
            elif what < 0.6:
                # One that was started before it takes its place.
                await self.start_process()
                await self.end_process(process)
            elif what < 0.75:
                self.jump(self.dice.choice((-86_400.0, -60.0, -3.0, 3.0, 60.0, 3_600.0)))
            else:
                await self.edit()
        self.is_troubled = False

    async def live(self) -> None:
        """The whole story: trouble, quiet, the end in good order, and what must be true then."""
        self._asked: list[asyncio.Future[Sequence[Accepted | Refused]]] = []
        await self.set_up()
        for _ in range(WORKERS):
            await self.start_process()
        await asyncio.sleep(0.1)
        await asyncio.gather(self.publish(), self.trouble())

        for n in range(CONFIGS):
            await self.configs.set_state(ACCOUNT, CONFIG_ID + n, ConfigState.ACTIVE, None)
        await self._until_nothing_is_owed()
        for process in self.processes:
            process.stopping.set()
        await self._until(lambda: all(process.task.done() for process in self.processes if not process.is_dead))  # type: ignore[union-attr]

        await self._check_the_end()

    async def _until_nothing_is_owed(self) -> None:
        for _ in range(1_000):
            await asyncio.sleep(4)
            self._check_for_bugs()
            [[owed]] = await self._rows("SELECT count(*) FROM owed")
            if not owed:
                return
            # A receiver that is gone disables its config; its owner resumes it.
            for config_id, state in await self._rows("SELECT id, state FROM configs"):
                if state != ConfigState.ACTIVE:
                    await self.configs.set_state(ACCOUNT, config_id, ConfigState.ACTIVE, None)
        raise AssertionError(f"{owed} deliveries are still owed after everything has been quiet for an hour")

    async def _rows(self, query: str) -> Sequence[Any]:
        return await self.store.read(lambda connection: connection.exec_driver_sql(query).all())

    async def _until(self, holds: Callable[[], bool]) -> None:
        for _ in range(1_000):
            self._check_for_bugs()
            if holds():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("a worker that was asked to stop did not")

    def _check_for_bugs(self) -> None:
        for process in self.processes:
            if process.task is not None and process.task.done() and not process.task.cancelled():
                error = process.task.exception()
                if error is not None:
                    raise error
        if self._bugs:
            raise self._bugs[0]

    async def held(self, settlements: Sequence[Settlement]) -> set[Key]:
        """Those of the settlements whose claim holds in the store at this moment."""
        rows = await self._rows("SELECT event_id, config_id, claim FROM owed WHERE claim IS NOT NULL")
        tokens = {(event_id, config_id): claim for event_id, config_id, claim in rows}
        return {
            key
            for settlement in settlements
            if tokens.get(key := (settlement.claim.event.id, settlement.claim.config_id)) == settlement.claim.token
        }

    async def _check_the_end(self) -> None:
        """Every accepted event that someone wanted is delivered or visibly failed, and the log says how."""
        self._check_for_bugs()
        rows = await self._rows("SELECT * FROM attempts ORDER BY event_id, config_id, n")
        log: dict[Key, list[Any]] = defaultdict(list)
        for row in rows:
            log[row.event_id, row.config_id].append(row)
        expected = {(event_id, config_id) for event_id, wanted in self.ledger.accepted.items() for config_id in wanted}
        assert expected, "the world was so bad that nothing was ever accepted"
        assert set(log) == expected, "a delivery without a log, or a log without a delivery"
        for key, entries in log.items():
            assert [entry.n for entry in entries] == list(range(1, len(entries) + 1)), f"{key}: the log has gaps"
            ends = [entry for entry in entries if entry.verdict in (Verdict.DELIVERED, Verdict.FAILED)]
            assert len(ends) == 1, f"{key} ended {len(ends)} times"
        self.ledger.interrupted = sum(row.verdict == Verdict.INTERRUPTED for row in rows)
        for asked in self._asked:
            # Whoever got an answer can rely on it.
            if asked.done() and not asked.cancelled():
                for answer in asked.result():
                    assert isinstance(answer, Refused) or answer.event_id in self.ledger.accepted

    def _report(self, fact: object) -> None:
        if isinstance(fact, InternalError):
            self._bugs.append(fact.error)


def live_through(seed: int, opened: Opener) -> Ledger:
    """Run the world of a seed to its end; an AssertionError names what was broken."""
    loop = opened.loop(random.Random(seed + 1))
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_live(seed, opened, loop))
    finally:
        loop.run_until_complete(_ended())
        asyncio.set_event_loop(None)
        loop.close()


async def _ended() -> None:
    """Nothing is under way any more, and the connections that this has cost are closed."""
    under_way = asyncio.all_tasks() - {asyncio.current_task()}
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await asyncio.sleep(0)


async def _live(seed: int, opened: Opener, loop: VirtualLoop) -> Ledger:
    clock: list[Callable[[], int]] = []
    facts: list[Fact] = []
    stores = await opened.open(lambda: clock[0]() if clock else NOON, facts.append)
    world = World(seed, loop, stores)
    clock.append(world.clock)
    try:
        await world.live()
        await given.counted(world.store, facts)
        await given.conserved(world.store)
        return world.ledger
    finally:
        await stores.close()


def _is_gone(outcome: Outcome) -> bool:
    return isinstance(outcome, Answered) and outcome.status == 410


def _timings(seconds: float, *, sent: bool = True) -> Timings:
    return Timings(total_ms=int(seconds * 1000), sent_after_ms=0 if sent else None)


def _answered(status: int, seconds: float, headers: Sequence[tuple[bytes, bytes]] = ()) -> Answered:
    return Answered(status, headers, b"", _timings(seconds))


def _asked_to_wait_s(outcome: Outcome) -> int:
    """What a busy receiver asked for, 0 where it asked nothing."""
    values = outcome.header(b"retry-after") if isinstance(outcome, Answered) else []
    return int(values[0]) if values else 0
