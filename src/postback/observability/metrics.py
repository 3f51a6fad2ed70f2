"""What is counted, in Prometheus's words. Labels are few and never name an account, a config or a person."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from postback.domain.deliveries import Verdict
from postback.domain.telemetry import STORE_WRITES, Committed, Standing

METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

PREFIX: Final = "postback_"

NAMES: Final = {verdict: verdict.name.lower() for verdict in Verdict}

_ATTEMPT_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
_LATENCY_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600, 86400)
_COMMIT_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_COMMIT_ROWS: Final = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


class _Gauge(NamedTuple):
    """A figure of the moment; None where it is not known. One of the database is the same for all its processes."""

    name: str
    sentence: str
    read: Callable[[Standing], float | None]
    of_database: bool = False


_GAUGES: Final = (
    _Gauge("ready", "1 while events can be accepted and are delivered, else 0.", lambda now: now.ready),
    _Gauge(
        "deliveries_owed",
        "Deliveries that have not ended, counted up to 100,000.",
        lambda now: now.backlog and now.backlog.owed,
        of_database=True,
    ),
    _Gauge(
        "deliveries_due",
        "Deliveries that are due and wait in the store, counted up to 100,000.",
        lambda now: now.backlog and now.backlog.due,
        of_database=True,
    ),
    _Gauge(
        "oldest_due_seconds",
        "For how long the oldest of these has been due.",
        lambda now: now.backlog and now.backlog.oldest_due_ms / 1000,
        of_database=True,
    ),
    _Gauge("events_waiting", "Events that wait for a commit.", lambda now: now.in_hand.events_waiting),
    _Gauge("deliveries_in_hand", "Deliveries that this process holds.", lambda now: now.in_hand.deliveries),
    _Gauge("deliveries_in_hand_max", "Deliveries that it may hold.", lambda now: now.in_hand.deliveries_max),
    _Gauge("body_bytes_in_hand", "Bytes of the data of these.", lambda now: now.in_hand.body_bytes),
    _Gauge("body_bytes_in_hand_max", "Bytes that it may hold.", lambda now: now.in_hand.body_bytes_max),
    _Gauge("attempts_in_flight", "POSTs under way.", lambda now: now.in_hand.attempts),
    _Gauge("lanes", "Configs that this process delivers to.", lambda now: now.in_hand.lanes),
    _Gauge("lanes_held", "Lanes whose config or receiver wants nothing now.", lambda now: now.in_hand.lanes_held),
    _Gauge("lanes_throttled", "Lanes whose rate limit keeps what waits.", lambda now: now.in_hand.lanes_throttled),
    _Gauge("lanes_shrunk", "Lanes that send less at once, after failures.", lambda now: now.in_hand.lanes_shrunk),
    _Gauge("lanes_elsewhere", "Lanes that other workers have all of.", lambda now: now.in_hand.lanes_elsewhere),
    _Gauge("workers", "Workers that share the lanes, this one among them.", lambda now: now.in_hand.workers),
    _Gauge("store_bytes", "Size of the database.", lambda now: now.database_bytes, of_database=True),
    _Gauge(
        "store_log_bytes",
        "Size of its write-ahead log, where that is a file of its own.",
        lambda now: now.log_bytes,
        of_database=True,
    ),
)

OF_THE_DATABASE: Final = frozenset(PREFIX + gauge.name for gauge in _GAUGES if gauge.of_database)


def render_metrics(registry: CollectorRegistry) -> bytes:
    """What GET /metrics answers, in Prometheus's text format (METRICS_CONTENT_TYPE)."""
    return generate_latest(registry)


class Metrics(Collector):
    """What one process has counted since it started.

    Plain numbers, made into metrics when somebody asks: prometheus-client's own counters cost ten times as much
    on the way of every delivery. What the log of deliveries has as well is counted by what was committed to it.
    """

    def __init__(self, registry: CollectorRegistry, build: Mapping[str, str] | None = None) -> None:
        self.stale = 0
        self.dead = 0
        self.bugs = 0
        self.lines_lost = 0
        self.store_failures = Counter(dict.fromkeys(STORE_WRITES, 0))
        self._events = 0
        self._deliveries = 0
        self._replayed = 0
        # What is there from the beginning has a rate from the beginning.
        self._attempts: Counter[tuple[int, str | None]] = Counter({(Verdict.DELIVERED, None): 0})
        self._took = Distribution(_ATTEMPT_SECONDS, per_unit=1000)
        self._latency = Distribution(_LATENCY_SECONDS, per_unit=1000)
        self._commit_took = Distribution(_COMMIT_SECONDS)
        self._commit_rows = Distribution(_COMMIT_ROWS)
        self._claim_took = Distribution(_COMMIT_SECONDS)
        self.standing: Standing | None = None
        """How things are, as whoever asks for the figures has just found out."""
        self._build = build or {}
        registry.register(self)

    def committed(self, fact: Committed) -> None:
        self._commit_took.add(fact.took_s)
        self._commit_rows.add(fact.rows)
        self._events += fact.events
        self._deliveries += fact.deliveries
        self._replayed += fact.replayed
        if fact.attempts:
            self._attempts.update(fact.attempts)
            self._took.add(*fact.took_ms)
            self._latency.add(*fact.latencies_ms)

    def claimed(self, took_s: float) -> None:
        self._claim_took.add(took_s)

    def line_lost(self) -> None:
        self.lines_lost += 1

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily(PREFIX + "build", "What is running.", value=dict(self._build))
        yield _counter("events_accepted", "Events accepted.", self._events)
        yield _counter("deliveries_accepted", "Deliveries accepted with them.", self._deliveries)
        yield _counter("deliveries_replayed", "Finished deliveries that were owed again.", self._replayed)
        attempts = _labelled(
            "attempts", "Rows of the log of attempts, by what was decided and why.", "verdict", "reason"
        )
        for (verdict, reason), count in self._attempts.items():
            attempts.add_metric([NAMES[Verdict(verdict)], reason or ""], count)
        yield attempts
        yield self._took.metric("attempt_seconds", "How long POSTs took.")
        yield self._latency.metric(
            "delivery_latency_seconds", "From the acceptance of an event to its acknowledgement."
        )
        yield _counter("stale_settlements", "Outcomes whose claim no longer held; they decided nothing.", self.stale)
        yield _counter(
            "workers_found_dead", "Other workers found dead, counted by the one that freed what they held.", self.dead
        )
        yield _counter("internal_errors", "Bugs met on the way of an event or a delivery.", self.bugs)
        yield _counter("log_lines_lost", "Log lines that stderr did not take.", self.lines_lost)
        failures = _labelled(
            "store_failures", "Writes that did not go through at first, by what they were for.", "what"
        )
        for what, count in self.store_failures.items():
            failures.add_metric([what], count)
        yield failures
        yield self._commit_took.metric("store_commit_seconds", "How long commits took, with all that they wrote.")
        yield self._commit_rows.metric("store_commit_rows", "Rows that a commit wrote.")
        yield self._claim_took.metric(
            "claim_seconds", "How long the store took to give out what is due, from asking to having it."
        )
        standing = self.standing
        if standing is None:
            return
        for name, sentence, read, _ in _GAUGES:
            value = read(standing)
            if value is not None:
                yield GaugeMetricFamily(PREFIX + name, sentence, value=value)


class Distribution:
    """A histogram: how many values were at most so large. `per_unit` says how many of what is added make one of what
    is told, such as milliseconds a second."""

    def __init__(self, bounds: Sequence[float], per_unit: int = 1) -> None:
        self._upper = [*(str(float(bound)) for bound in bounds), "+Inf"]
        self._bounds = [bound * per_unit for bound in bounds]
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._per_unit = per_unit

    def add(self, *values: float) -> None:
        bounds, counts = self._bounds, self._counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self._sum += sum(values)

    def metric(self, name: str, sentence: str) -> Metric:
        buckets = list(zip(self._upper, accumulate(self._counts), strict=True))
        return HistogramMetricFamily(PREFIX + name, sentence, buckets=buckets, sum_value=self._sum / self._per_unit)


def _counter(name: str, sentence: str, count: int) -> Metric:
    return CounterMetricFamily(PREFIX + name, sentence, value=count)


def _labelled(name: str, sentence: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, sentence, labels=labels)
