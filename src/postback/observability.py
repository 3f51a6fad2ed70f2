"""Logs and metrics: takes the facts that the engine reports, writes one wide line for each attempt and counts."""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, Protocol, TextIO, assert_never
from urllib.parse import urlsplit

import msgspec
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text, event_text
from postback.domain.telemetry import (
    AttemptFinished,
    EventsAccepted,
    Fact,
    InternalError,
    StaleSettlements,
    StoreFailed,
    TestFinished,
    WorkerDied,
)
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered

EXCERPT: Final = 1024
TRACEBACK: Final = 16 * 1024

_ATTEMPT_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_LATENCY_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600, 86400)
_NAMES: Final = {verdict: verdict.name.lower() for verdict in Verdict}

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Log(Protocol):
    """What structlog's loggers are used for here."""

    def is_enabled_for(self, level: int) -> bool: ...

    def info(self, event: str, /, **facts: object) -> object: ...

    def warning(self, event: str, /, **facts: object) -> object: ...

    def error(self, event: str, /, **facts: object) -> object: ...


def render_metrics(registry: CollectorRegistry) -> bytes:
    """What GET /metrics answers, in Prometheus's text format (METRICS_CONTENT_TYPE)."""
    return generate_latest(registry)


class Metrics(Collector):
    """What one process has counted. Labels are few and never name an account, a config or a person.

    Plain numbers, made into metrics when somebody asks: prometheus-client's own counters cost ten times as much
    on the way of every delivery.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = 0
        self.deliveries = 0
        self.stale = 0
        self.dead = 0
        self.bugs = 0
        self.lines_lost = 0
        self.store_failures: Counter[str] = Counter()
        self.attempts: Counter[tuple[Verdict, str]] = Counter()
        self.took = Distribution(_ATTEMPT_SECONDS)
        self.latency = Distribution(_LATENCY_SECONDS)
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        registry.register(self)

    def watch(self, name: str, sentence: str, read: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks for it, such as the deliveries in flight."""
        self._gauges.append((name, sentence, read))

    def line_lost(self) -> None:
        self.lines_lost += 1

    def collect(self) -> Iterator[Metric]:
        yield _counter("events_accepted", "Events accepted.", self.events)
        yield _counter("deliveries_accepted", "Deliveries accepted with them.", self.deliveries)
        yield _counter("stale_settlements", "Outcomes whose claim no longer held; they decided nothing.", self.stale)
        yield _counter("workers_found_dead", "Other workers found dead.", self.dead)
        yield _counter("internal_errors", "Bugs met inside an attempt.", self.bugs)
        yield _counter("log_lines_lost", "Log lines that stderr did not take.", self.lines_lost)
        failures = CounterMetricFamily(
            "postback_store_failures", "Writes that did not go through at first.", labels=["what"]
        )
        for what, count in self.store_failures.items():
            failures.add_metric([what], count)
        yield failures
        attempts = CounterMetricFamily(
            "postback_attempts", "Attempts, by what was decided and why.", labels=["verdict", "reason"]
        )
        for (verdict, reason), count in self.attempts.items():
            attempts.add_metric([_NAMES[verdict], reason], count)
        yield attempts
        yield self.took.metric("attempt_seconds", "How long attempts took.")
        yield self.latency.metric("delivery_latency_seconds", "From the acceptance of an event to its acknowledgement.")
        for name, sentence, read in self._gauges:
            yield GaugeMetricFamily("postback_" + name, sentence, value=read())


class Distribution:
    """A histogram: how many values were at most so large."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def metric(self, name: str, sentence: str) -> Metric:
        upper = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        buckets = list(zip(upper, accumulate(self._counts), strict=True))
        return HistogramMetricFamily("postback_" + name, sentence, buckets=buckets, sum_value=self._sum)


def _counter(name: str, sentence: str, count: int) -> Metric:
    return CounterMetricFamily("postback_" + name, sentence, value=count)


class Observer:
    """ports.Report: logs a fact and counts it. Never raises."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log

    def __call__(self, fact: Fact) -> None:
        metrics, log = self._metrics, self._log
        match fact:
            # Taken apart inside: patterns that do it cost more, and every delivery comes this way.
            case AttemptFinished():
                self._attempt("attempt", fact, counts=True)
            case TestFinished():
                self._attempt("test", fact, counts=False)
            case EventsAccepted(events, deliveries):
                metrics.events += events
                metrics.deliveries += deliveries
            case StaleSettlements(count):
                metrics.stale += count
                log.warning("outcomes came too late and decided nothing", count=count)
            case WorkerDied(worker):
                metrics.dead += 1
                log.warning("a worker was found dead; what it held is owed again", worker=worker)
            case StoreFailed(what, error):
                metrics.store_failures[what] += 1
                log.error("the store did not take a write; it is tried again", what=what, error=excerpt(error))
            case InternalError(error):
                metrics.bugs += 1
                log.error("a bug; its delivery goes on by the policy, or its event was refused", exc_info=error)
            case _:
                assert_never(fact)

    def _attempt(self, what: str, fact: AttemptFinished | TestFinished, *, counts: bool) -> None:
        """One wide line."""
        settlement, config = fact.settlement, fact.config
        claim, outcome, verdict = settlement.claim, settlement.outcome, settlement.verdict
        event, timings = claim.event, outcome.timings
        started_ms = settlement.rendered_ms or claim.claimed_ms
        # From acceptance to the end of the attempt.
        latency_ms = max(0, started_ms + timings.total_ms - event.accepted_ms)
        reason = "" if verdict is Verdict.DELIVERED else reason_of(outcome).value
        if counts:
            self._count(verdict, reason, timings.total_ms, latency_ms)
        level = logging.WARNING if verdict is Verdict.FAILED else logging.INFO
        if not self._log.is_enabled_for(level):
            return
        event_id, config_id = event_text(event.id), _config_id(claim.config_id)
        facts: dict[str, object] = {
            "delivery": f"dlv_{event_id[4:]}{config_id[4:]}",
            "event_id": event_id,
            "event_type": event.type,
            "config": config_id,
            "config_version": settlement.config_version,
            "account": event.account,
            "location": event.location_id,
            "to": _origin(config.url),
            "attempt": claim.attempts + 1,
            "bytes": len(event.data),
            "waited_ms": started_ms - claim.claimed_ms,
            "dns_ms": timings.dns_ms,
            "connect_ms": timings.connect_ms,
            "tls_ms": timings.tls_ms,
            "first_byte_ms": timings.first_byte_ms,
            "total_ms": timings.total_ms,
            "latency_ms": latency_ms,
        }
        if claim.manual:
            facts["manual"] = True
        if claim.interruptions:
            facts["interruptions"] = claim.interruptions
        if outcome.notes:
            facts["notes"] = list(outcome.notes)
        if isinstance(outcome, Answered):
            facts["status"] = outcome.status
        else:
            facts["detail"] = excerpt(outcome.detail)
        if reason:
            facts["reason"] = reason
        if verdict is Verdict.RETRY:
            facts["again_in_ms"] = settlement.wait_ms
        if settlement.disables:
            facts["disables"] = excerpt(settlement.disables)
        if settlement.warns:
            facts["warns"] = excerpt(settlement.warns)
        write = self._log.warning if level == logging.WARNING else self._log.info
        write(f"{what} {_NAMES[verdict]}", **facts)

    def _count(self, verdict: Verdict, reason: str, took_ms: int, latency_ms: int) -> None:
        self._metrics.attempts[verdict, reason] += 1
        self._metrics.took.add(took_ms / 1000)
        if verdict is Verdict.DELIVERED:
            self._metrics.latency.add(latency_ms / 1000)


_config_id = lru_cache(4096)(config_text)


@lru_cache(4096)
def _origin(url: str) -> str:
    """Scheme, host and port: a path or a query may be a receiver's secret, a login always is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # A row that was damaged: the delivery fails visibly, and its line is written all the same.
        return "?"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """Text from elsewhere, fit for a log: at most so many characters, and nothing that cannot be written as UTF-8."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode()


class LogStream:
    """Where log lines go. A reader that went away must not take the server with it: what it misses is counted."""

    def __init__(self, stream: TextIO, lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._lost()

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._lost()


def start_logging(level: str, stream: TextIO, lost: Callable[[], None]) -> Log:
    """One JSON object a line; coloured columns where a person looks. Also for libraries that log by `logging`."""
    lines = LogStream(stream, lost)
    pretty = stream.isatty()
    threshold = getattr(logging, level.upper())
    steps: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _printable if pretty else _bounded,
    ]
    render: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(serializer=_json)
    structlog.configure(
        processors=[*steps, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(lines),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=steps, processors=[_plain, render]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING) if level != "debug" else threshold)
    log: Log = structlog.get_logger().bind()
    return log


_Facts = MutableMapping[str, Any]

_FIRST: Final[dict[str, Any]] = {"timestamp": None, "level": None, "event": None}
"""What each line has, and a reader looks for first: a dict keeps the order of what it was made with."""


def _plain(_logger: object, _method: str, facts: _Facts) -> _Facts:
    return structlog.stdlib.ProcessorFormatter.remove_processors_meta(_logger, _method, facts)


def _bounded(_logger: object, _method: str, facts: _Facts) -> _Facts:
    if "exception" in facts:
        facts["exception"] = excerpt(facts["exception"], TRACEBACK)
    return facts


def _printable(_logger: object, _method: str, facts: _Facts) -> _Facts:
    """Escape what would move a terminal's cursor or begin a line that was never logged."""
    for name, value in facts.items():
        if isinstance(value, str) and name != "exception" and not value.isprintable():
            facts[name] = value.encode("unicode_escape").decode("ascii")
    return facts


def _json(facts: _Facts, **_: object) -> str:
    return msgspec.json.encode({**_FIRST, **facts}, enc_hook=str).decode()
