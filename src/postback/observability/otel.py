"""Spans by OpenTelemetry's SDK: made of facts once they are over, with the ids that the log and the receivers know.

Attributes are named by the semantic conventions for messaging and for HTTP clients, those of our own by `postback.`.
"""

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from postback import __version__
from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text, delivery_text, event_text
from postback.domain.telemetry import AttemptFinished, EventTraced, Fact, TestFinished
from postback.domain.traces import Trace, attempt_span, read_traceparent
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered

SERVICE: Final = "postback"
ACCEPT: Final = "accept"
ATTEMPT: Final = "attempt"

_PATH: Final = "/v1/traces"
_NS_A_MS: Final = 1_000_000

Attributes = Mapping[str, AttributeValue | None]


class OtelSpans:
    """Keeps observability.tracing.Spans. Used on one thread; the processor exports on its own."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._ids = _GivenIds()
        self._random = RandomIdGenerator()
        # What the environment says of the service holds over our own words.
        resource = Resource.create(
            {"service.name": SERVICE, "service.version": __version__, **OTELResourceDetector().detect().attributes}
        )
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SERVICE, __version__)

    @classmethod
    def to_collector(cls, endpoint: str | None) -> "OtelSpans":
        """None: the exporter itself reads where to, in the standard variables."""
        return cls(BatchSpanProcessor(OTLPSpanExporter(None if endpoint is None else endpoint + _PATH)))

    def __call__(self, fact: Fact) -> None:
        match fact:
            case EventTraced():
                self._accept(fact)
            case AttemptFinished():
                self._attempt(fact)
            case TestFinished():
                self._attempt(fact)

    def new_span(self, traceparent: str | None) -> str:
        parent = None if traceparent is None else read_traceparent(traceparent)
        trace_id = f"{self._random.generate_trace_id():032x}" if parent is None else parent.trace_id
        decided = self._provider.sampler.should_sample(_within(parent), int(trace_id, 16), ACCEPT, SpanKind.PRODUCER)
        others = 0 if parent is None else parent.flags & ~TraceFlags.SAMPLED
        flags = others | (TraceFlags.SAMPLED if decided.decision is Decision.RECORD_AND_SAMPLE else 0)
        return str(Trace(trace_id, f"{self._random.generate_span_id():016x}", flags))

    async def close(self, within_s: float) -> None:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # After the time has run out there may be no loop any more, and nobody to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(closed.set)

        # A collector that does not answer must not keep the process: nobody waits for this thread at the end.
        threading.Thread(target=shut_down, name="postback-last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(within_s):
                await closed.wait()
        except TimeoutError:
            return

    def _accept(self, fact: EventTraced) -> None:
        event = fact.event
        span = read_traceparent(event.trace or "")
        if span is None:
            return
        attributes: Attributes = {
            "messaging.system": SERVICE,
            "messaging.operation.name": ACCEPT,
            "messaging.operation.type": "create",
            "messaging.destination.name": event.type,
            "messaging.message.id": event_text(event.id),
            "messaging.message.body.size": len(event.data),
            "postback.account": event.account,
            "postback.location": event.location_id,
            "postback.deliveries": fact.deliveries,
        }
        parent = None if fact.parent is None else read_traceparent(fact.parent)
        self._emit(ACCEPT, SpanKind.PRODUCER, span, parent, (fact.began_ms, fact.ended_ms), attributes)

    def _attempt(self, fact: AttemptFinished | TestFinished) -> None:
        settlement, config = fact.settlement, fact.config
        claim, outcome, verdict = settlement.claim, settlement.outcome, settlement.verdict
        event, counter = claim.event, claim.attempts + 1
        parent = read_traceparent(event.trace or "")
        if parent is None:
            return
        status = outcome.status if isinstance(outcome, Answered) else None
        reason = None if verdict is Verdict.DELIVERED else reason_of(outcome).value
        attributes: Attributes = {
            "messaging.system": SERVICE,
            "messaging.operation.name": ATTEMPT,
            "messaging.operation.type": "send",
            "messaging.destination.name": config_text(claim.config_id),
            "messaging.message.id": event_text(event.id),
            "messaging.message.body.size": len(event.data),
            "http.request.method": "POST",
            "http.request.resend_count": claim.attempts or None,
            "http.response.status_code": status,
            "network.protocol.version": "1.1",
            "error.type": reason if status is None or reason is None else str(status),
            **_of_url(config.url),
            "postback.account": event.account,
            "postback.location": event.location_id,
            "postback.event.type": event.type,
            "postback.delivery.id": delivery_text(event.id, claim.config_id),
            "postback.attempt": counter,
            "postback.verdict": verdict.name.lower(),
            "postback.reason": reason,
            "postback.test": True if isinstance(fact, TestFinished) else None,
        }
        began_ms = settlement.rendered_ms or claim.claimed_ms
        span = attempt_span(parent, event.id, claim.config_id, counter, settlement.rendered_ms)
        times = (began_ms, began_ms + outcome.timings.total_ms)
        self._emit(ATTEMPT, SpanKind.CLIENT, span, parent, times, attributes, failed=reason)

    def _emit(
        self,
        name: str,
        kind: SpanKind,
        span: Trace,
        parent: Trace | None,
        times_ms: tuple[int, int],
        attributes: Attributes,
        failed: str | None = None,
    ) -> None:
        if not span.is_sampled:
            return
        self._ids.next = span
        began_ms, ended_ms = times_ms
        known = {key: value for key, value in attributes.items() if value is not None}
        made = self._tracer.start_span(name, _within(parent), kind, known, start_time=began_ms * _NS_A_MS)
        if failed is not None:
            made.set_status(Status(StatusCode.ERROR, failed))
        made.end(ended_ms * _NS_A_MS)


class _GivenIds(IdGenerator):
    """The ids are known before the span is made: receivers were told them."""

    def __init__(self) -> None:
        self.next = Trace("0" * 32, "0" * 16, 0)

    def generate_span_id(self) -> int:
        return int(self.next.span_id, 16)

    def generate_trace_id(self) -> int:
        return int(self.next.trace_id, 16)


def _within(parent: Trace | None) -> Context:
    if parent is None:
        return Context()
    context = SpanContext(
        int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=TraceFlags(parent.flags)
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


@lru_cache(4096)
def _of_url(url: str) -> Attributes:
    """A path or a query may be a receiver's secret."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return {}
    host = parts.hostname or ""
    authority = parts.netloc.rpartition("@")[2]
    return {
        "url.scheme": parts.scheme,
        "url.full": f"{parts.scheme}://{authority}/REDACTED",
        "server.address": host,
        "server.port": port,
    }
