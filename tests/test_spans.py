"""Spans by OpenTelemetry: what is exported, under which ids, and that nothing is where nobody asks for it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from postback import bootstrap
from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text, delivery_text, event_text
from postback.domain.telemetry import AttemptFinished, EventTraced, TestFinished
from postback.domain.traces import read_traceparent
from postback.domain.wire import Reason, Timings, Unreachable
from postback.formats import render
from postback.observability.tracing import CannotTrace, open_spans
from postback.receiver.server import Received, TestReceiver
from postback.settings import load_settings
from tests.build import CONFIG_ID, NOON, a_claim, a_config, a_settlement, an_event, answered
from tests.live import Live
from tests.spans import TRACE_ID, TRACEPARENT, Bench, Collector

UNSAMPLED = TRACEPARENT[:-1] + "0"


class Words:
    """A log that keeps the lines it is given."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, _: str) -> Any:
        return lambda event, **facts: self.said.append(f"{event} {facts}")


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """(trace, span, parent) as headers have them."""
    assert span.context is not None
    parent = None if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


# --- acceptance -------------------------------------------------------------------------------------------------------


def test_an_acceptance_is_a_span_below_that_of_the_publisher() -> None:
    bench = Bench()
    event = an_event(trace=bench.spans.new_span(TRACEPARENT))

    bench.spans(EventTraced(event, TRACEPARENT, NOON, NOON + 7, deliveries=2))

    [span] = bench.exported
    own = read_traceparent(event.trace or "")
    assert own is not None
    assert ids(span) == (TRACE_ID, own.span_id, "00f067aa0ba902b7")
    assert (span.name, span.kind) == ("accept", SpanKind.PRODUCER)
    assert (span.start_time, span.end_time) == (NOON * 10**6, (NOON + 7) * 10**6)
    assert dict(span.attributes or {}) == {
        "messaging.system": "postback",
        "messaging.operation.name": "accept",
        "messaging.operation.type": "create",
        "messaging.destination.name": "contact.created",
        "messaging.message.id": event_text(event.id),
        "messaging.message.body.size": len(event.data),
        "postback.account": "default",
        "postback.location": "loc_main",
        "postback.deliveries": 2,
    }
    assert span.resource.attributes["service.name"] == "postback"


def test_an_event_without_a_trace_begins_one() -> None:
    bench = Bench()
    event = an_event(trace=bench.spans.new_span(None))

    bench.spans(EventTraced(event, None, NOON, NOON + 7, deliveries=0))

    [span] = bench.exported
    trace_id, span_id, parent = ids(span)
    assert f"00-{trace_id}-{span_id}-01" == event.trace
    assert parent is None
    assert bench.spans.new_span(None) != event.trace


def test_what_the_publisher_does_not_record_is_passed_on_and_not_exported() -> None:
    bench = Bench()
    event = an_event(trace=bench.spans.new_span(UNSAMPLED))

    bench.spans(EventTraced(event, UNSAMPLED, NOON, NOON + 7, deliveries=1))
    bench.spans(AttemptFinished(a_settlement(a_claim(event=event)), a_config()))

    assert bench.exported == []
    assert (event.trace or "").startswith(f"00-{TRACE_ID}-")
    assert (event.trace or "").endswith("-00")


def test_how_many_traces_begin_here_is_up_to_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "our-postbacks")
    bench = Bench()

    assert bench.spans.new_span(None).endswith("-00")
    assert bench.spans.new_span(TRACEPARENT).endswith("-01")
    bench.spans(AttemptFinished(a_settlement(a_claim(event=an_event(trace=TRACEPARENT))), a_config()))
    assert bench.exported[0].resource.attributes["service.name"] == "our-postbacks"


# --- attempts ---------------------------------------------------------------------------------------------------------


def test_an_attempt_is_the_span_that_its_receiver_was_told() -> None:
    bench = Bench()
    event = an_event(trace=TRACEPARENT)
    config = a_config(url="https://user:hush@shop.example:8443/hush?key=hush")
    sent = dict(render(event, config, 3, NOON + 5).headers)["traceparent"]
    settlement = a_settlement(a_claim(event=event, attempts=2), rendered_ms=NOON + 5)

    bench.spans(AttemptFinished(settlement, config))

    [span] = bench.exported
    trace_id, span_id, parent = ids(span)
    assert f"00-{trace_id}-{span_id}-01" == sent
    assert parent == "00f067aa0ba902b7"
    assert (span.name, span.kind) == ("attempt", SpanKind.CLIENT)
    assert (span.start_time, span.end_time) == ((NOON + 5) * 10**6, (NOON + 10) * 10**6)
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "messaging.system": "postback",
        "messaging.operation.name": "attempt",
        "messaging.operation.type": "send",
        "messaging.destination.name": config_text(CONFIG_ID),
        "messaging.message.id": event_text(event.id),
        "messaging.message.body.size": len(event.data),
        "http.request.method": "POST",
        "http.request.resend_count": 2,
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "url.scheme": "https",
        "url.full": "https://shop.example:8443/REDACTED",
        "server.address": "shop.example",
        "server.port": 8443,
        "postback.account": "default",
        "postback.location": "loc_main",
        "postback.event.type": "contact.created",
        "postback.delivery.id": delivery_text(event.id, CONFIG_ID),
        "postback.attempt": 3,
        "postback.verdict": "delivered",
    }


@pytest.mark.parametrize(
    ("outcome", "error_type", "reason"),
    [
        (answered(503), "503", "bad_status"),
        (answered(301), "301", "redirect_not_followed"),
        (Unreachable(Reason.TLS_ERROR, "expired", Timings(total_ms=3)), "tls_error", "tls_error"),
    ],
)
def test_an_attempt_that_failed_is_an_error_with_its_reason(outcome: Any, error_type: str, reason: str) -> None:
    bench = Bench()
    claim = a_claim(event=an_event(trace=TRACEPARENT))

    bench.spans(AttemptFinished(a_settlement(claim, Verdict.RETRY, outcome=outcome), a_config()))

    [span] = bench.exported
    attributes = span.attributes or {}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, reason)
    assert (attributes["error.type"], attributes["postback.reason"]) == (error_type, reason)
    assert attributes["postback.verdict"] == "retry"


def test_a_test_is_marked_and_what_has_no_trace_is_no_span() -> None:
    bench = Bench()

    bench.spans(AttemptFinished(a_settlement(a_claim()), a_config()))
    bench.spans(TestFinished(a_settlement(a_claim(event=an_event(trace=TRACEPARENT))), a_config()))

    [span] = bench.exported
    assert (span.attributes or {})["postback.test"] is True


def test_a_config_whose_url_was_damaged_has_a_span_all_the_same() -> None:
    bench = Bench()
    claim = a_claim(event=an_event(trace=TRACEPARENT))

    bench.spans(AttemptFinished(a_settlement(claim, Verdict.FAILED), a_config(url="http://[broken/")))

    assert "url.full" not in (bench.exported[0].attributes or {})


# --- on and off -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "environment"),
    [
        (None, {}),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}),
        ("http://127.0.0.1:4318", {"OTEL_SDK_DISABLED": "true"}),
    ],
)
def test_where_nobody_asks_for_spans_there_are_none(endpoint: str | None, environment: dict[str, str]) -> None:
    assert open_spans(endpoint, environment, Words()) is None


def test_where_nobody_asks_for_spans_the_library_is_not_even_loaded() -> None:
    asked = (
        "import sys, postback.bootstrap; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    loaded = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "[]"


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "postback.observability.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter.")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("without_the_extra")
def test_a_setting_that_needs_the_extra_says_so_and_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(otel_endpoint="http://127.0.0.1:4318", listen="127.0.0.1:0")

    with pytest.raises(
        bootstrap.CannotStart, match=r"POSTBACK_OTEL_ENDPOINT is set.*pip install '\./postback\[otel\]'"
    ):
        bootstrap.serve(settings, lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_the_extra")
def test_a_variable_that_was_meant_for_others_is_a_warning_only() -> None:
    words = Words()

    assert open_spans(None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, words) is None

    [line] = words.said
    assert line.startswith("traces are not exported")


def test_a_bug_in_our_own_part_is_not_taken_for_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "postback.observability.otel", None)

    with pytest.raises(ModuleNotFoundError):
        open_spans("http://127.0.0.1:4318", {}, Words())
    assert not issubclass(ModuleNotFoundError, CannotTrace)


# --- with a collector -------------------------------------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector.running() as collector:
        yield collector


@pytest.mark.parametrize("name", ["POSTBACK_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_a_delivery_is_seen_from_its_publisher_to_its_receiver(tmp_path: Path, collector: Collector, name: str) -> None:
    arrived: list[Received] = []
    with (
        TestReceiver(lambda request, _: arrived.append(request)) as receiver,
        Live(tmp_path, **{name: collector.url}) as live,
    ):
        live.config(f"{receiver.url}/hush", "order.paid")
        live.publish("order.paid", headers={"traceparent": TRACEPARENT})
        live.publish("order.paid")
        live.until_nothing_is_owed()

    spans = {span.span_id.hex(): span for span in collector.spans()}
    assert sorted(span.name for span in spans.values()) == ["accept", "accept", "attempt", "attempt"]
    for request in arrived:
        told = read_traceparent(request.header("traceparent") or "")
        assert told is not None
        attempt = spans[told.span_id]
        accept = spans[attempt.parent_span_id.hex()]
        assert attempt.trace_id.hex() == accept.trace_id.hex() == told.trace_id
        assert accept.parent_span_id.hex() == ("00f067aa0ba902b7" if told.trace_id == TRACE_ID else "")
    assert b"hush" not in b"".join(body for _, body in collector.requests)


def test_a_collector_that_is_gone_keeps_nobody_from_delivering_or_ending(tmp_path: Path, collector: Collector) -> None:
    collector.server_close()
    arrived: list[Received] = []
    with (
        TestReceiver(lambda request, _: arrived.append(request)) as receiver,
        Live(tmp_path, POSTBACK_OTEL_ENDPOINT=collector.url) as live,
    ):
        live.config(f"{receiver.url}/in", "order.paid")
        live.publish("order.paid")
        live.until_nothing_is_owed()

    assert len(arrived) == 1
    assert live.process.returncode == 0
