"""Word between processes: whose configs changed, that something is due, that workers came or went. Whoever misses it finds out by looking."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final

import asyncpg

from postback.domain.errors import Unavailable
from postback.storage.postgres.clock import ServerClock
from postback.storage.postgres.connections import Doors
from postback.storage.postgres.door import SETTINGS, Door, connect
from postback.storage.postgres.failures import Lost

CHANNEL: Final = "postback"

LOOK_EVERY_S: Final = 5.0
"""So often the connection is tried: one that is dead may not say so. The clock is set by the answer."""

AGAIN_AFTER_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Waits between tries to connect; the last one stays."""

PAYLOAD_BYTES: Final = 7900
"""A notification carries less than 8,000."""

_CHANGED: Final = "c"
_DUE: Final = "d"
_WORKERS: Final = "w"

Changed = Callable[[str], None]
Due = Callable[[Collection[int]], None]


class Notices:
    """Listens on a connection of its own, from `start` to `close`, and makes it anew when it is lost.

    `changed` is called on the loop with each account whose configs another process changed, and `all_changed` after the
    connection was lost, since nobody knows what was missed. `due` is called with configs that have something due:
    with none of them after the connection was lost, for any may. `workers` is called when those of another process
    came, went, or go by another crew, and after the connection was lost.
    """

    def __init__(
        self,
        dsn: str,
        doors: Doors,
        clock: ServerClock,
        changed: Changed,
        all_changed: Callable[[], None],
        due: Due,
        workers: Callable[[], None],
    ) -> None:
        self._dsn = dsn
        self._doors = doors
        self._clock = clock
        self._changed = changed
        self._all_changed = all_changed
        self._due = due
        self._workers = workers
        self._origin = secrets.token_hex(8)
        self._closing = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._is_listening = False
        self._to_send: set[int] = set()
        self._workers_to_send = False
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Lost where it cannot listen even once."""
        door, lost = await self._listen()
        self._listening = asyncio.create_task(self._keep_listening(door, lost))

    @property
    def is_listening(self) -> bool:
        """Whether its connection stands, as far as is known."""
        return self._is_listening

    async def close(self) -> None:
        self._closing.set()
        for task in (self._sending, self._listening):
            if task is not None:
                await task

    async def send_changed(self, door: Door, accounts: Iterable[str]) -> None:
        """Inside the transaction that changes their configs: heard by all others once it is durable, and by nobody where
        it is not."""
        await door.raw.execute(_NOTIFY_ALL, CHANNEL, [f"{_CHANGED} {self._origin} {account}" for account in accounts])

    def send_due(self, config_ids: Iterable[int]) -> None:
        """Soon, with all that come meanwhile: something of these configs is due, or will be, that nobody has claimed.

        Called once it is durable. Where it cannot be sent nobody is told so: everyone looks from time to time.
        """
        self._to_send.update(config_ids)
        if self._to_send:
            self._begin_to_send()

    def send_workers(self) -> None:
        """Soon: workers of this process came, went, or go by another crew. Sent as `send_due` sends."""
        self._workers_to_send = True
        self._begin_to_send()

    def _begin_to_send(self) -> None:
        if self._sending is None and not self._closing.is_set():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._to_send or self._workers_to_send:
                payloads = [f"{_WORKERS} {self._origin}"] if self._workers_to_send else []
                payloads += _payloads(self._to_send)
                self._to_send, self._workers_to_send = set(), False
                with suppress(Unavailable):
                    async with self._doors.one() as door:
                        await door.raw.execute(_NOTIFY_ALL, CHANNEL, payloads)
        finally:
            self._sending = None

    async def _listen(self) -> tuple[Door, asyncio.Event]:
        door = await connect(self._dsn, SETTINGS)
        lost = asyncio.Event()
        try:
            door.raw.add_termination_listener(lambda _: lost.set())
            await door.raw.add_listener(CHANNEL, self._hear)
            await self._clock.ask(door)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            door.discard()
            raise Lost(f"the database does not let us listen: {error}") from error
        except BaseException:
            door.discard()
            raise
        return door, lost

    async def _keep_listening(self, door: Door, lost: asyncio.Event) -> None:
        while True:
            self._is_listening = True
            await self._until_lost(door, lost)
            self._is_listening = False
            door.discard()
            if self._closing.is_set():
                return
            again = await self._listen_again()
            if again is None:
                return
            door, lost = again
            self._tell_all()

    async def _until_lost(self, door: Door, lost: asyncio.Event) -> None:
        while not lost.is_set() and not self._closing.is_set():
            if await _either(lost, self._closing, LOOK_EVERY_S):
                return
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._clock.ask(door)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return

    async def _listen_again(self) -> tuple[Door, asyncio.Event] | None:
        """None when it is closed before that."""
        tries = 0
        while not self._closing.is_set():
            try:
                return await self._listen()
            except Lost:
                wait_s = AGAIN_AFTER_S[min(tries, len(AGAIN_AFTER_S) - 1)]
                tries += 1
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._closing.wait()
        return None

    def _tell_all(self) -> None:
        """Whatever was missed: every account may have changed, and anything may be due. Nothing is asked of the
        database for it: what may fail here would be missed as well."""
        self._all_changed()
        self._due(())
        self._workers()

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: Any) -> None:
        kind, _, rest = str(payload).partition(" ")
        if kind == _CHANGED:
            origin, _, account = rest.partition(" ")
            if account and origin != self._origin:
                self._changed(account)
        elif kind == _DUE:
            self._due([int(number) for number in rest.split() if number.isdecimal()])
        elif kind == _WORKERS and rest != self._origin:
            self._workers()


_NOTIFY_ALL: Final = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"


def _payloads(config_ids: Iterable[int]) -> Iterator[str]:
    text = _DUE
    for config_id in sorted(config_ids):
        if len(text) + 21 > PAYLOAD_BYTES:
            yield text
            text = _DUE
        text += f" {config_id}"
    if text != _DUE:
        yield text


async def _either(one: asyncio.Event, other: asyncio.Event, within_s: float) -> bool:
    """Whether one of them was set in time."""
    waits = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        done, _ = await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)
