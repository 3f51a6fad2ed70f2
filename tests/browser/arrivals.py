"""A receiver on a port of its own, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Arrivals(ThreadingHTTPServer):
    """A receiver that answers as receivers should: 200, and nothing else. `bodies` are those that arrived, `paths` where."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.bodies: list[str] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/receiver"


class _Taking(BaseHTTPRequestHandler):
    server: Arrivals

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])).decode())
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said of a request."""


@contextmanager
def taking() -> Iterator[Arrivals]:
    with Arrivals() as arrivals:
        thread = Thread(target=arrivals.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield arrivals
        finally:
            arrivals.shutdown()
            thread.join()
