"""What processes behind one port tell each other: their figures, over sockets in a folder that nobody else can enter."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from postback.bootstrap.seat import Seat
from postback.observability import merge

ANSWER_S: Final = 1.0
"""A sibling that takes longer is left out: it hangs, or is just being started again."""


class Siblings:
    """`own` gives the figures of this process alone."""

    def __init__(self, seat: Seat, own: Callable[[], bytes]) -> None:
        self._seat = seat
        self._own = own

    @asynccontextmanager
    async def answered(self) -> AsyncIterator[None]:
        """While it is entered, siblings that ask get this process's figures."""
        path = self._seat.folder / str(self._seat.number)
        # Left there by the one that was here before, and was killed.
        path.unlink(missing_ok=True)
        try:
            server = await asyncio.start_unix_server(self._answer, path)
        except FileNotFoundError:
            if not self._seat.is_orphaned:
                raise
            # The folder went with the parent and the others, and whoever is left ends in a moment.
            yield
            return
        try:
            yield
        finally:
            server.close()
            path.unlink(missing_ok=True)
            self._seat.leave()

    async def merged(self, figures: bytes) -> bytes:
        """The figures of all, of which these are this process's and the database's."""
        others = [number for number in range(1, self._seat.count + 1) if number != self._seat.number]
        answers = await asyncio.gather(*map(self._ask, others))
        return merge({self._seat.number: figures, **dict(zip(others, answers, strict=True))})

    async def _ask(self, number: int) -> bytes | None:
        """None where it does not answer, or not to the end."""
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._seat.folder / str(number))
                try:
                    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
                    return await reader.readexactly(length)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return None

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            figures = self._own()
            writer.write(len(figures).to_bytes(_LENGTH, "big") + figures)
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await writer.drain()
        finally:
            writer.close()


_LENGTH: Final = 4
"""Bytes that say how many follow."""
