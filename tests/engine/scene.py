"""One store, one worker, and receivers that answer as they are told, in virtual time.

scene.receives("r0", 500, 200)     # the receiver of config number 0 fails once
await scene.add_config(0)
await scene.start()
[event] = await scene.publish()
await scene.rest()                 # until nothing is owed
assert [post.counter for post in scene.posts("r0")] == [1, 2]
"""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, count, pairwise, repeat
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import parse_qs, parse_qsl

from postback.domain.accounts import Account
from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import Accepted, Refused, State, Verdict
from postback.domain.errors import Unavailable
from postback.domain.policy import Deadlines, RetryPolicy
from postback.domain.records import Insert
from postback.domain.telemetry import Fact
from postback.domain.wire import Outcome, Reason, Request, Timings, Unreachable
from postback.engine.engine import Engine, Limits
from postback.ports import AttemptView, DeliveryView, NewEvent, Queue, Sender
from postback.storage import tables
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.records import SqlRecords
from postback.storage.sqlite import SqliteStore
from postback.storage.troubles import SqlTroubles
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON, a_config, a_location, answered
from tests.storage import given

F = TypeVar("F")

ANSWERS_AFTER_S: Final = 0.01
LONG_S: Final = 3600.0

_NUMBER: Final = re.compile(r'"number":(\d+)')


class Post(NamedTuple):
    """A request as a receiver saw it. `at` is the loop's time."""

    at: float
    host: str
    target: str
    counter: int
    type: str
    number: int
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(parse_qs(self.body.decode())["data"][0])
        return found


Reply = tuple[float, Outcome]
"""After so many seconds, this outcome."""


def silent(after_s: float) -> Reply:
    """No answer, until the deadline."""
    return after_s, Unreachable(Reason.RESPONSE_TIMEOUT, "silent", Timings(int(after_s * 1000), sent_after_ms=0))


def refused() -> Reply:
    return 0.001, Unreachable(Reason.CONNECTION_REFUSED, "refused", Timings(total_ms=1))


def asks_to_wait(seconds: int | str, status: int = 503) -> Reply:
    return ANSWERS_AFTER_S, answered(status, headers=[(b"retry-after", str(seconds).encode("latin-1"))])


def slowly(after_s: float, status: int = 200) -> Reply:
    return after_s, answered(status)


class Town:
    """A Sender whose receivers do what the test says, by the first part of their host name; 200 where it says nothing."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.most_at_once: dict[str, int] = defaultdict(int)
        self._loop = asyncio.get_running_loop()
        self._replies: dict[str, Iterator[Reply]] = {}
        self._under_way: dict[int, tuple[Post, Callable[[Outcome], None], asyncio.TimerHandle]] = {}
        self._calls = count()
        self._is_closing = False
        self._changed = asyncio.Event()

    def receives(self, host: str, *replies: int | Reply) -> None:
        """These in turn, the last for ever."""
        found = [reply if isinstance(reply, tuple) else slowly(ANSWERS_AFTER_S, reply) for reply in replies]
        self._replies[host] = chain(found, repeat(found[-1]))

    def at_once(self, host: str) -> int:
        return sum(post.host == host for post, _, _ in self._under_way.values())

    def send(self, request: Request, answered_with: Callable[[Outcome], None]) -> None:
        host = request.destination.host.partition(".")[0]
        after_s, outcome = next(self._replies.get(host, iter([slowly(ANSWERS_AFTER_S)])))
        fields = dict(parse_qsl(request.body.decode()))
        post = Post(
            at=self._loop.time(),
            host=host,
            target=request.destination.head.split(b" ", 2)[1].decode(),
            counter=int(fields["number_of_attempts"]),
            type=fields["type"],
            number=_number(fields["data"]),
            body=request.body,
        )
        if self._is_closing:
            self._loop.call_soon(answered_with, _interrupted())
            return
        self.posts.append(post)
        call = next(self._calls)
        timer = self._loop.call_later(after_s, self._end, call, outcome)
        self._under_way[call] = post, answered_with, timer
        self.most_at_once[host] = max(self.most_at_once[host], self.at_once(host))

    async def close(self, grace_s: float) -> None:
        self._is_closing = True
        try:
            async with asyncio.timeout(grace_s):
                while self._under_way:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            for call, (_, _, timer) in list(self._under_way.items()):
                timer.cancel()
                self._end(call, _interrupted())

    def _end(self, call: int, outcome: Outcome) -> None:
        _, answered_with, _ = self._under_way.pop(call)
        self._changed.set()
        answered_with(outcome)


class Moody:
    """The store, which takes `slow_s` for each of these verbs, and then refuses those that are in `refuses`; while `answers`
    is not set nothing comes of what is asked."""

    def __init__(self, store: SqliteStore) -> None:
        self.refuses: set[str] = set()
        self.slow_s: dict[str, float] = {}
        self.calls: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self._store = store

    def on_workers(self, changed: Callable[[], None]) -> None:
        """Nobody tells: what there is to know comes with the heartbeat."""

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(verb)
            if verb in self.slow_s:
                await asyncio.sleep(self.slow_s[verb])
            await self.answers.wait()
            if verb in self.refuses:
                raise Unavailable("the disk is full")
            result = await getattr(self._store, verb)(*arguments, **named)
            await self.answers.wait()
            return result

        return call


class Deaf:
    """The configs, for one whom nobody tells when they change."""

    def __init__(self, configs: SqlConfigs) -> None:
        self.snapshot = configs.snapshot

    def watch(self, changed: Callable[[str], None]) -> None:
        """Never calls it."""

    def watch_all(self, changed: Callable[[], None]) -> None:
        """Nor this."""


class Scene:
    """Where a test of the engine plays."""

    def __init__(self, store: SqliteStore, facts: list[Fact]) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = store
        self.queue = Moody(store)
        self.configs = SqlConfigs(store)
        self.town = Town()
        self.sender: Sender = self.town
        self.receives = self.town.receives
        self.facts = facts
        self.forgets = False
        """Set where retention removes what was counted: the log is shorter then than what was reported of it."""
        self._numbers = count()
        self.log = SqlLog(store)
        self._engine: Engine | None = None
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._jumped_s = 0.0

    @classmethod
    async def set(cls, database: Path) -> "Scene":
        clock: list[Callable[[], int]] = []
        facts: list[Fact] = []
        store = await SqliteStore.open(
            database, lambda: clock[0]() if clock else NOON, inline=True, alone=False, report=facts.append
        )
        scene = cls(store, facts)
        clock.append(scene.clock)
        await scene.add_account(ACCOUNT, LOCATION_ID)
        return scene

    async def strike(self) -> None:
        """Whatever has happened, the worker ends and the store is closed."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.store.close()

    async def check(self) -> None:
        """What holds after every story: the worker is well, every accepted delivery is owed or has ended, and all is counted."""
        if self._running is not None and self._running.done():
            self._running.result()
        await given.conserved(self.store)
        if not self.forgets:
            await given.counted(self.store, self.facts)

    # --- time -------------------------------------------------------------------------------------------------------

    def clock(self) -> int:
        return NOON + int((self.loop.time() + self._jumped_s) * 1000)

    def jump(self, seconds: float) -> None:
        """The wall clock jumps; the loop's time does not."""
        self._jumped_s += seconds

    async def pass_(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def rest(self, within_s: float = LONG_S) -> None:
        """Until nothing is owed."""
        await self.until_async(self._owes_nothing, within_s)

    async def until(self, holds: Callable[[], bool], within_s: float = LONG_S) -> None:
        async def look() -> bool:
            return holds()

        await self.until_async(look, within_s)

    async def until_async(self, holds: Callable[[], Awaitable[bool]], within_s: float = LONG_S) -> None:
        begins = self.loop.time()
        while not await holds():
            waited_s = self.loop.time() - begins
            assert waited_s < within_s, f"it did not come to that within {within_s:g} s"
            if self._running is not None and self._running.done():
                self._running.result()
            # Each look costs real time: what takes long is looked at less often.
            await asyncio.sleep(0.05 if waited_s < 5 else 0.5)

    async def _owes_nothing(self) -> bool:
        return await self.owed() == 0

    # --- the worker -------------------------------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        assert self._engine is not None, "start the worker first"
        return self._engine

    async def start(self, *, hears: bool = True, is_held: bool = False, **limits: Any) -> None:
        """A worker, with these Limits; one that does not hear of changed configs is like one on another machine."""
        self._stopping = asyncio.Event()
        started = asyncio.Event()
        if self._running is not None:
            # A new process on the same store: the receivers have seen the old one go.
            assert self._running.done(), "stop the worker first"
            self.town._is_closing = False
        self._engine = self.make_engine(self.queue, self.sender, Limits(**limits), hears=hears, is_held=is_held)
        self._running = asyncio.ensure_future(self._engine.run(self._stopping, started.set))
        await started.wait()

    def make_engine(
        self, queue: Queue, sender: Sender, limits: Limits, *, hears: bool = True, is_held: bool = False
    ) -> Engine:
        return Engine(
            queue,
            self.configs if hears else Deaf(self.configs),
            sender,
            troubles=SqlTroubles(self.store),
            host="here",
            clock=self.clock,
            dice=lambda: 0.5,
            now=self.loop.time,
            report=self.facts.append,
            limits=limits,
            is_held=is_held,
        )

    def ask_to_stop(self) -> "asyncio.Task[None]":
        """As the first SIGTERM does; what comes back ends when the worker has."""
        assert self._running is not None
        self._stopping.set()
        return self._running

    async def stop(self) -> None:
        await self.ask_to_stop()

    # --- people -----------------------------------------------------------------------------------------------------

    async def add_account(self, account: str, location_id: str) -> None:
        await SqlAccounts(self.store).save(Account(id=account))
        location = a_location(account=account, id=location_id, body={"id": location_id, "name": account})
        await SqlRecords(self.store, {}).apply([Insert(location)])

    async def add_config(self, n: int = 0, **changes: Any) -> PostbackConfig:
        """Config number n, whose receiver is `r<n>`; ten attempts with a minute between them."""
        config = a_config(
            **{
                "id": CONFIG_ID + n,
                "url": f"http://r{n}.example/receiver",
                "retry": RetryPolicy(10, (60,)),
                "deadlines": Deadlines(5.0, 5.0, 10.0),
                **changes,
            }
        )
        await self.configs.add(config)
        return config

    async def deactivate(self, config: PostbackConfig) -> None:
        """`is_active` 0: from now on it wants nothing."""
        await self.configs.change(replace(config, is_active=False))

    async def change_config(self, config: PostbackConfig, **changes: Any) -> PostbackConfig:
        """A new version of it, made from the newest."""
        newest = await self.configs.find(config.account, config.id)
        await self.configs.change(replace(newest, **changes))
        return await self.configs.find(config.account, config.id)

    @staticmethod
    def status(status: int) -> Outcome:
        return answered(status)

    @staticmethod
    def ok() -> Outcome:
        return answered(200)

    async def publish(self, number_of_events: int = 1, **changes: Any) -> list[Accepted]:
        """Events with a number each, published together; all of them accepted."""
        answers = await self.try_to_publish(number_of_events, **changes)
        assert all(isinstance(answer, Accepted) for answer in answers), answers
        return [answer for answer in answers if isinstance(answer, Accepted)]

    async def try_to_publish(self, number_of_events: int = 1, **changes: Any) -> Sequence[Accepted | Refused]:
        return await self.engine.intake.publish([self.new_event(**changes) for _ in range(number_of_events)])

    def new_event(self, **changes: Any) -> NewEvent:
        number = next(self._numbers)
        event = {
            "account": ACCOUNT,
            "type": "contact.created",
            "location_id": LOCATION_ID,
            "subject": "con_1",
            "data": b'{"number":%d}' % number,
        }
        return NewEvent(**{**event, **changes})

    # --- what came of it --------------------------------------------------------------------------------------------

    def posts(self, host: str = "r0") -> list[Post]:
        return [post for post in self.town.posts if post.host == host]

    def waits(self, host: str = "r0") -> list[float]:
        """Seconds from the end of each attempt to the start of the next, for a receiver of one delivery."""
        at = [post.at for post in self.posts(host)]
        return [round(later - earlier - ANSWERS_AFTER_S, 3) for earlier, later in pairwise(at)]

    def reported(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def workers(self) -> list[int]:
        return [row.id for row in await given.rows(self.store, tables.workers)]

    async def owed(self) -> int:
        return len(await given.owed_rows(self.store))

    async def delivery(self, event: Accepted, n: int = 0, account: str = ACCOUNT) -> DeliveryView:
        view, _ = await self.log.delivery(account, event.event_id, CONFIG_ID + n)
        return view

    async def attempts(self, event: Accepted, n: int = 0, account: str = ACCOUNT) -> Sequence[AttemptView]:
        _, attempts = await self.log.delivery(account, event.event_id, CONFIG_ID + n)
        return attempts

    async def verdicts(self, event: Accepted, n: int = 0) -> list[Verdict]:
        return [Verdict(attempt.verdict) for attempt in await self.attempts(event, n)]

    async def states(self, events: Sequence[Accepted], n: int = 0) -> list[State]:
        return [(await self.delivery(event, n)).state for event in events]


def _number(data: str) -> int:
    found = _NUMBER.search(data)
    return int(found[1]) if found else -1


def _interrupted() -> Outcome:
    return Unreachable(Reason.INTERRUPTED, "stopped", Timings(sent_after_ms=0))
