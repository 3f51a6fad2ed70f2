"""What watches over one process: its log, its counters, and its spans where there are any."""

import platform
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from prometheus_client import CollectorRegistry, ProcessCollector

from postback import __version__
from postback.domain.telemetry import Fact, InternalError, Standing
from postback.observability.log import Log, SharedStream, start_logging
from postback.observability.metrics import Metrics, render_metrics
from postback.observability.observer import Observer
from postback.observability.tracing import Spans, open_spans
from postback.ports import Report

SPANS_END_S: Final = 1
"""How long the last spans may take to be exported at the end."""


@dataclass(frozen=True, slots=True)
class Observing:
    """`report` is ports.Report."""

    log: Log
    metrics: Metrics
    registry: CollectorRegistry
    observer: Observer
    spans: Spans | None

    @classmethod
    def start(
        cls,
        level: str,
        stream: TextIO,
        otel_endpoint: str | None,
        environment: Mapping[str, str],
        shared: SharedStream | None = None,
    ) -> "Observing":
        """CannotTrace where spans are asked for and cannot be exported."""
        metrics = Metrics(registry := CollectorRegistry(), _build())
        ProcessCollector(registry=registry)
        log = start_logging(level, stream, metrics.line_lost, shared)
        spans = open_spans(otel_endpoint, environment, log)
        return cls(log, metrics, registry, Observer(metrics, log), spans)

    @property
    def report(self) -> Report:
        """Every attempt is reported: where no spans are wanted, nothing stands before the log."""
        return self.observer if self.spans is None else self._report

    def _report(self, fact: Fact) -> None:
        self.observer(fact)
        if self.spans is not None:
            try:
                self.spans(fact)
            except Exception as error:  # noqa: BLE001 - a library that fails here must not end a delivery
                self.observer(InternalError(error))

    def figures(self, standing: Standing) -> bytes:
        """What GET /metrics answers."""
        self.metrics.standing = standing
        return render_metrics(self.registry)

    async def close(self) -> None:
        if self.spans is not None:
            await self.spans.close(SPANS_END_S)


def _build() -> dict[str, str]:
    return {"version": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
