"""Takes the facts that are reported: a line for those that a person asks about, a count for those that are many."""

import logging
from functools import lru_cache
from typing import assert_never
from urllib.parse import urlsplit

from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text, event_text
from postback.domain.telemetry import (
    AttemptFinished,
    Committed,
    EventTraced,
    Fact,
    InternalError,
    StaleSettlements,
    StoreFailed,
    TestFinished,
    WorkerDied,
)
from postback.domain.traces import attempt_span, read_traceparent
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered
from postback.observability.log import Log, excerpt
from postback.observability.metrics import NAMES, Metrics


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
                self._attempt("attempt", fact)
            case Committed():
                metrics.committed(fact)
            case TestFinished():
                self._attempt("test", fact)
            case EventTraced():
                # For whoever exports spans.
                pass
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

    def _attempt(self, what: str, fact: AttemptFinished | TestFinished) -> None:
        """One wide line."""
        settlement, config = fact.settlement, fact.config
        claim, outcome, verdict = settlement.claim, settlement.outcome, settlement.verdict
        level = logging.WARNING if verdict is Verdict.FAILED else logging.INFO
        if not self._log.is_enabled_for(level):
            return
        event, timings = claim.event, outcome.timings
        started_ms = settlement.rendered_ms or claim.claimed_ms
        event_id, config_id = event_text(event.id), _config_id(claim.config_id)
        facts: dict[str, object] = {
            "delivery": f"dlv_{event_id[4:]}{config_id[4:]}",
            "event_id": event_id,
            "event_type": event.type,
            "config": config_id,
            "config_version": settlement.config_version,
            "account": event.account,
            "location": event.location_id,
            "to": origin(config.url),
            "attempt": claim.attempts + 1,
            "bytes": len(event.data),
            "waited_ms": started_ms - claim.claimed_ms,
            "dns_ms": timings.dns_ms,
            "connect_ms": timings.connect_ms,
            "tls_ms": timings.tls_ms,
            "first_byte_ms": timings.first_byte_ms,
            "total_ms": timings.total_ms,
            # From acceptance to the end of the attempt.
            "latency_ms": max(0, started_ms + timings.total_ms - event.accepted_ms),
        }
        if event.trace is not None and (trace := read_traceparent(event.trace)) is not None:
            facts["trace_id"] = trace.trace_id
            facts["span_id"] = attempt_span(
                trace, event.id, claim.config_id, claim.attempts + 1, settlement.rendered_ms
            ).span_id
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
        if verdict is not Verdict.DELIVERED:
            facts["reason"] = reason_of(outcome).value
        if verdict is Verdict.RETRY:
            facts["again_in_ms"] = settlement.wait_ms
        if settlement.disables:
            facts["disables"] = excerpt(settlement.disables)
        if settlement.warns:
            facts["warns"] = excerpt(settlement.warns)
        write = self._log.warning if level == logging.WARNING else self._log.info
        write(f"{what} {NAMES[verdict]}", **facts)


_config_id = lru_cache(4096)(config_text)


@lru_cache(4096)
def origin(url: str) -> str:
    """Scheme, host and port: a path or a query may be a receiver's secret, a login always is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # A row that was damaged: the delivery fails visibly, and its line is written all the same.
        return "?"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
