"""A loop whose time stands still while a PostgreSQL server works.

Nothing of the store tells it so: it overhears what is said. Who has sent something to the server waits for its answer until
the server says that it is ready for more; the loop's time moves on only when nobody waits so. When all else is done, all
answers that are under way are waited for, a little, and gone on with together: in the order of the dice, and not of the
machine, as far as no transaction waits for another.
"""

import asyncio
import random
import select
import selectors
import struct
from collections.abc import Callable
from typing import Any, Final

from tests.doubles import VirtualLoop, VirtualSelector

SILENT_S: Final = 60.0
"""A server that says nothing for so long has a transaction that waits for us."""

TOGETHER_S: Final = 0.005
"""How long answers wait for other answers: one that waits for a lock will not come."""

_HEAD: Final = 5
"""Bytes before each message: its kind, and its length without the kind."""

_READY: Final = ord("Z")


class AnswerSelector(VirtualSelector):
    """`asked` are the sockets whose server owes an answer, `opening` counts the connections that are being made."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[int] = set()
        self.opening = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            # What is ready goes first.
            return []
        if self.opening:
            return self._answered(self._look(SILENT_S))
        if self.asked:
            return self._answers()
        # What comes without being asked: word of another process, the end of a connection.
        return self._look(0) or super().select(timeout)

    def _answers(self) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._answered(self._only_asked(SILENT_S))
        while missing := self.asked - {key.fd for key, _ in events}:
            if not select.select(missing, (), (), TOGETHER_S)[0]:
                break
            events = self._only_asked(0)
        return events

    def _only_asked(self, within_s: float) -> list[tuple[selectors.SelectorKey, int]]:
        select.select(self.asked, (), (), within_s)
        return [(key, events) for key, events in self._look(0) if key.fd in self.asked]

    def _answered(self, events: list[tuple[selectors.SelectorKey, int]]) -> list[tuple[selectors.SelectorKey, int]]:
        assert events, f"the database has not answered for {SILENT_S:g} s"
        return events

    def _look(self, within_s: float) -> list[tuple[selectors.SelectorKey, int]]:
        """For real, not in virtual time."""
        return selectors.SelectSelector.select(self, within_s)


class AnsweredLoop(VirtualLoop):
    """Its connections are all to PostgreSQL."""

    def __init__(self, dice: random.Random, selector: AnswerSelector) -> None:
        self._answers = selector
        super().__init__(dice, selector)

    async def create_unix_connection(self, protocol_factory: Callable[[], Any], *given: Any, **named: Any) -> Any:
        return await self._overheard(super().create_unix_connection, protocol_factory, *given, **named)

    async def create_connection(self, protocol_factory: Callable[[], Any], *given: Any, **named: Any) -> Any:
        return await self._overheard(super().create_connection, protocol_factory, *given, **named)

    async def _overheard(self, create: Any, protocol_factory: Callable[[], Any], *given: Any, **named: Any) -> Any:
        self._answers.opening += 1
        try:
            _, overheard = await create(lambda: _Overheard(protocol_factory(), self._answers), *given, **named)
        finally:
            self._answers.opening -= 1
        return overheard.written, overheard.protocol


class _Overheard(asyncio.Protocol):
    """Stands between a transport and the protocol that it is for, and notes who waits for whom."""

    def __init__(self, protocol: Any, answers: AnswerSelector) -> None:
        self.protocol = protocol
        self.written: _Written | None = None
        self._answers = answers
        self._socket = -1
        self._heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport.get_extra_info("socket").fileno()
        self.written = _Written(transport, self)
        self.protocol.connection_made(self.written)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        kind = None
        while len(self._heard) >= _HEAD:
            length = 1 + struct.unpack_from("!I", self._heard, 1)[0]
            if len(self._heard) < length:
                break
            kind = self._heard[0]
            del self._heard[:length]
        if kind == _READY and not self._heard:
            self._answers.asked.discard(self._socket)
        self.protocol.data_received(data)

    def asks(self) -> None:
        self._answers.asked.add(self._socket)

    def eof_received(self) -> Any:
        return self.protocol.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._answers.asked.discard(self._socket)
        self.protocol.connection_lost(error)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()


class _Written:
    """The transport, as the protocol sees it."""

    def __init__(self, transport: Any, overheard: _Overheard) -> None:
        self._transport = transport
        self._overheard = overheard

    def write(self, data: Any) -> None:
        self._overheard.asks()
        self._transport.write(data)

    def writelines(self, data: Any) -> None:
        self._overheard.asks()
        self._transport.writelines(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
