"""Where spans go in tests: into memory, or to a collector, as OpenTelemetry has them sent (OTLP over HTTP)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from postback.observability.otel import OtelSpans

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


class Bench:
    """Spans, and what was exported of them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.spans = OtelSpans(SimpleSpanProcessor(self._exporter))

    @property
    def exported(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


class Collector(ThreadingHTTPServer):
    """`requests` are (path, body) of all that came."""

    def __init__(self) -> None:
        requests: list[tuple[str, bytes]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                requests.append((self.path, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = requests

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        with cls() as collector:
            thread = threading.Thread(target=collector.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield collector
            finally:
                collector.shutdown()
                thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[Any]:
        found = []
        for path, body in self.requests:
            assert path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                found += [span for scope in resource.scope_spans for span in scope.spans]
        return found
