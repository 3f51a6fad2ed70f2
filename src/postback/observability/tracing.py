"""Whether traces are exported, and what it takes: where nobody asks for it nothing of OpenTelemetry is loaded."""

from collections.abc import Mapping
from typing import Protocol

from postback.domain.telemetry import Fact
from postback.observability.log import Log

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_MISSING = "the extra otel is not installed: pip install './postback[otel]' (./postback is the folder that was cloned)"


class CannotTrace(Exception):
    """Traces were asked for and cannot be exported; the text says what would help."""


class Spans(Protocol):
    """What makes spans of facts and exports them."""

    def __call__(self, fact: Fact) -> None:
        """A fact that is a span becomes one."""

    def new_span(self, traceparent: str | None) -> str:
        """ports.NewSpan"""

    async def close(self, within_s: float) -> None:
        """Export what is left, for so long at most."""


def open_spans(endpoint: str | None, environment: Mapping[str, str], log: Log) -> Spans | None:
    """None where neither the setting nor the standard variables of OpenTelemetry name a collector, or these say no."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if endpoint is None and not _named_by(environment):
        return None
    try:
        from postback.observability.otel import OtelSpans  # noqa: PLC0415 - costs a second, and is not always installed
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        if endpoint is not None:
            raise CannotTrace(f"POSTBACK_OTEL_ENDPOINT is set, and {_MISSING}") from error
        # Whoever set it may have meant other programs: many clusters give it to everything.
        log.warning("traces are not exported", why=f"a collector is named by the environment, and {_MISSING}")
        return None
    return OtelSpans.to_collector(endpoint)


def _named_by(environment: Mapping[str, str]) -> bool:
    exporters = environment.get("OTEL_TRACES_EXPORTER", "")
    return exporters != "none" and any(environment.get(name) for name in _ENDPOINTS)
