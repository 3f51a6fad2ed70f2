"""A server that does what it is told with each request, well or badly, and remembers what it was asked."""

import socket
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple, Self
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """A request as it came. `connection` counts from 1."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    text: bytes


Act = Callable[[socket.socket, Asked], bool]
"""What to do with a request; False ends the connection."""


def says(status: int, body: bytes = b"", **headers: str) -> Act:
    """An answer as it should be."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return raw(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)


def raw(text: bytes, *, ends: bool = False) -> Act:
    def act(connection: socket.socket, _: Asked) -> bool:
        connection.sendall(text)
        return not ends

    return act


def resets(connection: socket.socket, _: Asked) -> bool:
    """As when a server is killed: what was sent was read, and there is no answer."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def through(url: str, then: Act | None = None) -> Act:
    """Let another server carry the request out; pass its answer on, or do something else with the caller."""

    def act(connection: socket.socket, asked: Asked) -> bool:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 80), 10) as server:
            server.sendall(asked.text.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1))
            answer = b""
            while piece := server.recv(65536):
                answer += piece
        if then is not None:
            return then(connection, asked)
        connection.sendall(answer)
        return False

    return act


class Scripted:
    """Does one act with each request, in order, and the last one with all that follow."""

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.asked: list[Asked] = []
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._listen)]
        self._connections = 0
        self._lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def connections(self) -> int:
        """How many requests were made on connections of their own."""
        return len({asked.connection for asked in self.asked})

    def hangs(self, _: socket.socket, __: Asked) -> bool:
        """No answer, as long as the server lives."""
        self._stopping.wait(30)
        return False

    def hang_up(self) -> None:
        """End every connection that is open now."""
        for connection in tuple(self._open):
            connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for connection in tuple(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections += 1
            thread = threading.Thread(target=self._serve, args=(connection, self._connections))
            self._threads.append(thread)
            self._open.add(connection)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection:
                while (asked := _read(connection, number)) is not None:
                    with self._lock:
                        self.asked.append(asked)
                        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                    if not act(connection, asked):
                        return
        except OSError:
            return
        finally:
            self._open.discard(connection)


def _read(connection: socket.socket, number: int) -> Asked | None:
    text = b""
    while b"\r\n\r\n" not in text:
        piece = connection.recv(65536)
        if not piece:
            return None
        text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    line, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    method, target, _ = line.split(" ")
    return Asked(number, method, target, headers, body, head + b"\r\n\r\n" + body)
