"""A small test receiver: shows what arrives, and answers as well or as badly as it is told."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

BODY_MAX: Final = 32 << 20
IDLE_S: Final = 60
LAST_ANSWERS_S: Final = 5.0
"""At the end, for the answers to what was heard."""


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived. `number` counts from 1, `monotonic_s` is when its body was complete."""

    number: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    monotonic_s: float

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How to answer: `status` to the first `count` requests (to all of them where it is None), 200 to the rest."""

    status: int = 200
    count: int | None = None
    delay_s: float = 0.0

    def status_of(self, number: int) -> int:
        return self.status if self.count is None or number <= self.count else 200


class TestReceiver:
    """Listens while it is entered; `heard` is called with each request and the status it got, one at a time.

    What was heard is answered, also at the end; then nothing more is heard.
    """

    # Not a test, whatever pytest thinks of the name.
    __test__ = False

    def __init__(
        self,
        heard: Callable[[Received, int], None],
        behaviour: Behaviour | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._heard = heard
        self._behaviour = behaviour or Behaviour()
        self._one_at_a_time = threading.Lock()
        self._count = 0
        self._unanswered = 0
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._server = _Server((host, port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self._server.server_address[0]!s}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: not self._unanswered, LAST_ANSWERS_S)
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """The end waits for what happens within."""
        with self._changed:
            self._unanswered += 1
        try:
            yield
        finally:
            with self._changed:
                self._unanswered -= 1
                self._changed.notify_all()

    def _answer(self, method: str, path: str, headers: tuple[tuple[str, str], ...], body: bytes) -> int | None:
        """The status to answer with, when it is time; None for what comes too late to be heard."""
        arrived = time.monotonic()
        with self._one_at_a_time:
            if self._ending.is_set():
                return None
            self._count += 1
            received = Received(self._count, method, path, headers, body, arrived)
            status = self._behaviour.status_of(received.number)
            self._heard(received, status)
        self._ending.wait(self._behaviour.delay_s)
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer
        answering: Callable[[], AbstractContextManager[None]] = self._answering

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = IDLE_S
            # Head and body of the answer leave in one packet.
            wbufsize = -1

            def version_string(self) -> str:
                return "postback-test-receiver"

            def handle_any(self) -> None:
                body = self._body()
                if body is None:
                    self.close_connection = True
                    self._reply(413)
                    return
                if len(body) < int(self.headers.get("content-length", "0")):
                    # Its sender went away in the middle: there is nothing to show, and nobody to answer.
                    self.close_connection = True
                    return
                headers = tuple((key, value) for key, value in self.headers.items())
                with answering():
                    status = answer(self.command, self.path, headers, body)
                    if status is None:
                        self.close_connection = True
                    else:
                        self._reply(status)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - named by the library

            def log_message(self, *_: object) -> None:
                """Whoever listens decides what is shown."""

            def _body(self) -> bytes | None:
                length = self.headers.get("content-length", "0")
                if not length.isdigit() or int(length) > BODY_MAX or "transfer-encoding" in self.headers:
                    return None
                return self.rfile.read(int(length))

            def _reply(self, status: int) -> None:
                # A caller that has gone away is its own affair.
                with suppress(ConnectionError, TimeoutError):
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()
                    self.wfile.flush()

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that callers keep: who is gone must not go on answering."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke or never made sense is no news for a receiver."""
