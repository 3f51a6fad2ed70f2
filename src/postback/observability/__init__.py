"""Logs, metrics and traces: takes the facts that are reported, writes one wide line for each attempt, and counts."""

from postback.observability.log import Log, SharedStream, start_logging
from postback.observability.merging import merge
from postback.observability.metrics import METRICS_CONTENT_TYPE, Metrics, render_metrics
from postback.observability.observer import Observer
from postback.observability.observing import Observing
from postback.observability.tracing import CannotTrace

__all__ = [
    "METRICS_CONTENT_TYPE",
    "CannotTrace",
    "Log",
    "Metrics",
    "Observer",
    "Observing",
    "SharedStream",
    "merge",
    "render_metrics",
    "start_logging",
]
