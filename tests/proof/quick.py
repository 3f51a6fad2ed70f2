"""A receiver that is quicker than the server it is to test: tens of thousands of POSTs, answered by path and attempt."""

import asyncio
import threading
from collections.abc import Callable

from tests.patience import PATIENCE_S

_LENGTH = b"content-length: "

Answer = Callable[[str, bytes], tuple[int, float]]
"""(path, body) → status, and the seconds after which it is answered."""


def attempt_of(body: bytes) -> int:
    """Which attempt the body, a form, says that it is."""
    return int(body.partition(b"number_of_attempts=")[2].partition(b"&")[0])


class QuickReceivers:
    """Each path a receiver, on a thread of its own until closed."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.Transport] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0
        self._thread.start()
        assert self._started.wait(PATIENCE_S), "the receivers did not start"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(
            self._loop.create_server(lambda: _Connection(self._answer, self._open), "127.0.0.1", 0, backlog=4096)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for connection in list(self._open):
            connection.abort()
        self._loop.run_until_complete(self._all_closed())
        self._loop.close()

    async def _all_closed(self) -> None:
        while self._open:
            await asyncio.sleep(0)


class _Connection(asyncio.Protocol):
    """One request after another, as our own client sends them: a head, and a body of the length that it says."""

    def __init__(self, answer: Answer, open_ones: set[asyncio.Transport]) -> None:
        self._answer = answer
        self._open = open_ones
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        assert self._transport is not None
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head, at = self._data[:end], end + 4
            length = int(head.lower().partition(_LENGTH)[2].split(b"\r\n", 1)[0])
            if len(self._data) < at + length:
                return
            body, self._data = self._data[at : at + length], self._data[at + length :]
            status, seconds = self._answer(head.split(b" ", 2)[1].decode(), body)
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._reply, status)
            else:
                self._reply(status)

    def _reply(self, status: int) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % status)
