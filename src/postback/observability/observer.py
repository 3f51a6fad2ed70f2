"""Takes the facts that are reported: a line for those that a person asks about, a count for those that are many."""

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final, assert_never
from urllib.parse import urlsplit

from postback.domain.deliveries import Settlement, Verdict
from postback.domain.ids import config_text, event_text
from postback.domain.telemetry import (
    AttemptFinished,
    Claimed,
    Committed,
    EventTraced,
    Fact,
    InternalError,
    KeysMissing,
    StaleSettlements,
    StoreFailed,
    StoreFound,
    StoreLost,
    TestFinished,
    WorkerDied,
    WorkerEnlisted,
)
from postback.domain.traces import attempt_span, read_traceparent
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered
from postback.observability.line import AttemptLine
from postback.observability.log import Log, excerpt
from postback.observability.metrics import NAMES, Metrics

AGAIN_AFTER_S: Final = 30.0
"""A failure of the store that is the same as the last one is not told again for so long; it is counted."""

# Looking a member up costs as much as a call; these are asked for with every attempt.
DELIVERED: Final = Verdict.DELIVERED
FAILED: Final = Verdict.FAILED

# By the number of the verdict: as the key of a dict it would be hashed by a call.
_SAID: Final = {
    what: [f"{what} {NAMES[Verdict(number)]}" for number in range(len(Verdict))] for what in ("attempt", "test")
}


class Observer:
    """ports.Report: logs a fact and counts it. Never raises."""

    def __init__(self, metrics: Metrics, log: Log, now: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._log = log
        self._now = now
        self._is_store_lost = False
        # What failed last, and when a line said so.
        self._last_failure = ("", 0.0)

    def __call__(self, fact: Fact) -> None:
        metrics, log = self._metrics, self._log
        match fact:
            # Taken apart inside: patterns that do it cost more, and every delivery comes this way.
            case AttemptFinished():
                self._attempt("attempt", fact)
            case Committed():
                metrics.committed(fact)
            case Claimed(took_s):
                metrics.claimed(took_s)
            case TestFinished():
                self._attempt("test", fact)
            case EventTraced():
                # For whoever exports spans.
                pass
            case StaleSettlements(count):
                metrics.stale += count
                log.warning("outcomes came too late and decided nothing", count=count)
            case WorkerEnlisted(worker):
                log.info("this process works as a worker", worker=worker)
            case WorkerDied(worker):
                metrics.dead += 1
                log.warning("a worker was found dead; what it held is owed again", worker=worker)
            case StoreFailed() | StoreLost() | StoreFound() | KeysMissing():
                self._of_store(fact)
            case InternalError(error):
                metrics.bugs += 1
                log.error("a bug; its delivery goes on by the policy, or its event was refused", exc_info=error)
            case _:
                assert_never(fact)

    def _of_store(self, fact: StoreFailed | StoreLost | StoreFound | KeysMissing) -> None:
        log = self._log
        match fact:
            case StoreFailed(what, error):
                self._metrics.store_failures[what] += 1
                if self._is_news(error):
                    log.error("the store did not take a write; it is tried again", what=what, error=excerpt(error))
            case StoreLost(name, why, for_s):
                self._is_store_lost = True
                log.error(
                    "the database cannot be reached; it is tried again",
                    database=name,
                    why=excerpt(why),
                    for_s=round(for_s),
                )
            case StoreFound(name, after_s):
                self._is_store_lost = False
                log.info("the database answers again", database=name, after_s=round(after_s, 1))
            case KeysMissing([]):
                log.info("all keys are there again that secrets are encrypted with")
            case KeysMissing(keys):
                log.error(
                    "secrets are encrypted with keys that this process was not given (POSTBACK_SECRET_KEY); "
                    "deliveries of configs that need them wait",
                    keys=", ".join(keys),
                )

    def _is_news(self, error: str) -> bool:
        """Not while the store is known to be away, and not the same again within half a minute: whatever is written then
        fails for the same reason, several times a second."""
        if self._is_store_lost:
            return False
        now = self._now()
        said, at = self._last_failure
        if said == error and now - at < AGAIN_AFTER_S:
            return False
        self._last_failure = error, now
        return True

    def _attempt(self, what: str, fact: AttemptFinished | TestFinished) -> None:
        """One wide line."""
        settlement, url = fact.settlement, fact.config.url
        claim, verdict, outcome, config_version, _, _, rendered_ms, _, warns = settlement
        level = logging.WARNING if verdict is FAILED else logging.INFO
        if not self._log.is_enabled_for(level):
            return
        event, config, _, attempts, _, interruptions, manual, claimed_ms = claim
        dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, _ = outcome.timings
        started_ms, attempt = rendered_ms or claimed_ms, attempts + 1
        latency_ms = started_ms + total_ms - event.accepted_ms
        event_id, config_id = event_text(event.id), _config_id(config)
        line = AttemptLine(
            "warning" if level == logging.WARNING else "info",
            _SAID[what][verdict],
            f"dlv_{event_id[4:]}{config_id[4:]}",
            event_id,
            event.type,
            config_id,
            config_version,
            event.account,
            event.location_id,
            origin(url),
            attempt,
            len(event.data),
            started_ms - claimed_ms,
            dns_ms,
            connect_ms,
            tls_ms,
            first_byte_ms,
            total_ms,
            max(0, latency_ms),
        )
        if event.trace is not None and (trace := read_traceparent(event.trace)) is not None:
            line.trace_id = trace.trace_id
            line.span_id = attempt_span(trace, event.id, config, attempt, rendered_ms).span_id
        if manual:
            line.manual = True
        if interruptions:
            line.interruptions = interruptions
        if outcome.notes:
            line.notes = list(outcome.notes)
        if isinstance(outcome, Answered):
            line.status = outcome.status
        else:
            line.detail = excerpt(outcome.detail)
        if verdict is not DELIVERED:
            self._add_failure(line, settlement)
        if warns:
            line.warns = excerpt(warns)
        self._log.line(line)

    def _add_failure(self, line: AttemptLine, settlement: Settlement) -> None:
        line.reason = reason_of(settlement.outcome).value
        if settlement.verdict is Verdict.RETRY:
            line.again_in_ms = settlement.wait_ms
        if settlement.disables:
            line.disables = excerpt(settlement.disables)


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
