"""Logs and metrics: one wide line for each attempt, no secret in it, and never an error to whoever reports."""

import asyncio
import io
import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text, delivery_text
from postback.domain.telemetry import (
    AttemptFinished,
    Backlog,
    Claimed,
    Committed,
    InHand,
    InternalError,
    StaleSettlements,
    Standing,
    StoreFailed,
    StoreFound,
    StoreLost,
    WorkerDied,
)
from postback.domain.wire import Note, Reason, Timings, Unreachable
from postback.formats import render
from postback.observability import Metrics, Observer, render_metrics, start_logging
from postback.observability.line import AttemptLine
from postback.observability.log import stamp
from tests.build import NOON, a_claim, a_config, a_settlement, an_event, answered


class Bench:
    """An observer, and what it wrote and counted."""

    def __init__(self, level: str = "info", stream: io.StringIO | None = None) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.stream = stream or io.StringIO()
        self.now = 0.0
        log = start_logging(level, self.stream, self.metrics.line_lost)
        self.report = Observer(self.metrics, log, lambda: self.now)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().split("\n") if line]

    def samples(self) -> dict[tuple[str, ...], float]:
        text = render_metrics(self.registry).decode()
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_an_attempt_is_one_line_with_all_that_a_person_asks_about_it() -> None:
    bench = Bench()
    claim = a_claim(attempts=2, manual=True)
    settlement = a_settlement(
        claim, outcome=answered(200, timings=Timings(connect_ms=3, total_ms=40)), rendered_ms=NOON + 2
    )

    bench.report(AttemptFinished(settlement, a_config()))

    [line] = bench.lines()
    assert line["event"] == "attempt delivered"
    assert line["delivery"] == delivery_text(claim.event.id, claim.config_id)
    assert line["config"] == config_text(claim.config_id)
    assert (line["attempt"], line["status"], line["manual"]) == (3, 200, True)
    assert (line["waited_ms"], line["connect_ms"], line["total_ms"], line["latency_ms"]) == (2, 3, 40, 42)
    assert (line["account"], line["location"], line["event_type"]) == ("default", "loc_main", "contact.created")
    assert "reason" not in line


def test_a_failed_attempt_says_why_and_when_again() -> None:
    bench = Bench()
    outcome = Unreachable(Reason.DNS_ERROR, "no such name", Timings(total_ms=9), notes=[Note.SENT_AGAIN])

    bench.report(AttemptFinished(a_settlement(a_claim(), Verdict.RETRY, outcome=outcome, wait_ms=1000), a_config()))
    bench.report(AttemptFinished(a_settlement(a_claim(), Verdict.FAILED, disables="gone"), a_config()))

    again, failed = bench.lines()
    assert (again["event"], again["level"]) == ("attempt retry", "info")
    assert (again["reason"], again["detail"], again["again_in_ms"]) == ("dns_error", "no such name", 1000)
    assert again["notes"] == ["sent_again_on_a_fresh_connection"]
    assert (failed["event"], failed["level"]) == ("attempt failed", "warning")
    assert (failed["reason"], failed["status"], failed["disables"]) == ("bad_status", 500, "gone")


def test_no_secret_of_a_config_and_nothing_that_was_sent_or_answered_is_logged() -> None:
    bench = Bench()
    config = a_config(url="https://me:hush@host.example:90/hush?token=hush", headers={"X-Api-Key": "hush"})
    claim = a_claim(event=a_claim().event._replace(data=b'{"card":"hush"}'))
    outcome = answered(500, headers=[(b"set-cookie", b"hush")], body=b"hush")

    bench.report(AttemptFinished(a_settlement(claim, Verdict.FAILED, outcome=outcome), config))

    assert bench.lines()[0]["to"] == "https://host.example:90"
    assert "hush" not in bench.stream.getvalue()


def test_what_others_wrote_cannot_forge_a_line_nor_fill_the_log() -> None:
    """Bad input 104: control sequences and line breaks in what a receiver made us say."""
    bench = Bench()
    evil = '\n{"event":"ERROR"}\x1b[2J\u2028\ud800' + "x" * 10_000_000
    outcome = Unreachable(Reason.BAD_RESPONSE, evil, Timings())

    bench.report(AttemptFinished(a_settlement(a_claim(), Verdict.FAILED, outcome=outcome), a_config()))

    text = bench.stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert len(bench.lines()[0]["detail"]) <= 1024 + 10


def test_attempts_are_counted_by_verdict_and_reason_once_they_are_on_record() -> None:
    bench = Bench()
    bench.report(AttemptFinished(a_settlement(a_claim()), a_config()))
    assert bench.samples()["postback_attempts_total", "", "delivered"] == 0
    delivered = (Verdict.DELIVERED, None)

    bench.report(Committed(0.002, 8, attempts=[delivered, delivered], took_ms=[5, 5], latencies_ms=[8, 8]))
    bench.report(Committed(0.3, 1, attempts=[(Verdict.RETRY, "tls_error")], took_ms=[700]))
    bench.report(Committed(0.3, 1, attempts=[(Verdict.CANCELLED, "cancelled")]))

    samples = bench.samples()
    assert samples["postback_attempts_total", "", "delivered"] == 2
    assert samples["postback_attempts_total", "tls_error", "retry"] == 1
    assert samples["postback_attempts_total", "cancelled", "cancelled"] == 1
    assert samples["postback_attempt_seconds_bucket", "0.5"] == 2
    assert samples["postback_attempt_seconds_bucket", "1.0"] == 3
    assert samples["postback_attempt_seconds_count",] == 3
    assert samples["postback_attempt_seconds_sum",] == pytest.approx(0.71)
    assert samples["postback_delivery_latency_seconds_count",] == 2
    assert samples["postback_delivery_latency_seconds_sum",] == pytest.approx(0.016)
    assert samples["postback_store_commit_seconds_count",] == 3
    assert samples["postback_store_commit_seconds_bucket", "0.0025"] == 1
    assert samples["postback_store_commit_rows_sum",] == 10


def test_a_failure_of_the_store_is_counted_each_time_and_told_once_in_half_a_minute() -> None:
    bench = Bench()

    for what in ("beat", "claim", "settle"):
        bench.report(StoreFailed(what, "the connection is lost"))
    bench.report(StoreFailed("settle", "the disk is full"))
    bench.report(StoreLost("the database pb", "refused", 0))
    bench.report(StoreFailed("beat", "refused"))
    bench.report(StoreFound("the database pb", 21.04))
    bench.now = 31
    bench.report(StoreFailed("beat", "the disk is full"))

    failed = "the store did not take a write; it is tried again"
    assert [(line["event"], line.get("what")) for line in bench.lines()] == [
        (failed, "beat"),
        (failed, "settle"),
        ("the database cannot be reached; it is tried again", None),
        ("the database answers again", None),
        (failed, "beat"),
    ]
    assert [line.get("after_s") for line in bench.lines() if "database" in line] == [None, 21.0]
    assert bench.samples()["postback_store_failures_total", "beat"] == 3


def test_the_other_facts_are_counted_and_those_that_matter_logged() -> None:
    bench = Bench()

    bench.report(Committed(0.001, 8, events=3, deliveries=5))
    bench.report(Claimed(0.02))
    bench.report(StaleSettlements(2))
    bench.report(WorkerDied(7))
    bench.report(StoreFailed("settle", "disk I/O error"))
    try:
        raise KeyError("a bug")
    except KeyError as error:
        bench.report(InternalError(error))

    samples = bench.samples()
    assert samples["postback_events_accepted_total",] == 3
    assert samples["postback_deliveries_accepted_total",] == 5
    assert samples["postback_claim_seconds_bucket", "0.01"] == 0
    assert samples["postback_claim_seconds_bucket", "0.025"] == 1
    assert samples["postback_stale_settlements_total",] == 2
    assert samples["postback_workers_found_dead_total",] == 1
    assert samples["postback_store_failures_total", "settle"] == 1
    assert samples["postback_internal_errors_total",] == 1
    assert [line["level"] for line in bench.lines()] == ["warning", "warning", "error", "error"]
    assert "KeyError: 'a bug'" in bench.lines()[-1]["exception"]
    assert "in test_the_other_facts" in bench.lines()[-1]["exception"]


def test_how_things_stand_is_told_as_it_was_found() -> None:
    bench = Bench()
    in_hand = InHand(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    standing = Standing(ready=True, in_hand=in_hand, backlog=Backlog(11, 12, 13_500), database_bytes=14, log_bytes=15)

    bench.metrics.standing = standing

    samples = bench.samples()
    assert samples["postback_ready",] == 1
    assert [samples[f"postback_{name}",] for name in ("deliveries_owed", "deliveries_due", "oldest_due_seconds")] == [
        11,
        12,
        13.5,
    ]
    assert samples["postback_lanes_throttled",] == 9
    assert (samples["postback_lanes_elsewhere",], samples["postback_workers",]) == (11, 12)
    assert (samples["postback_store_bytes",], samples["postback_store_log_bytes",]) == (14, 15)


def test_a_store_that_cannot_be_read_leaves_the_other_figures() -> None:
    bench = Bench()

    bench.metrics.standing = Standing(
        ready=False, in_hand=InHand(*[0] * 12), backlog=None, database_bytes=1, log_bytes=1
    )

    samples = bench.samples()
    assert samples["postback_ready",] == 0
    assert ("postback_deliveries_owed",) not in samples


def test_what_may_happen_first_has_a_count_before_it_does() -> None:
    """A rate begins with the second value: without a nought the first failure of the store would be none."""
    samples = Bench().samples()

    assert samples["postback_attempts_total", "", "delivered"] == 0
    assert samples["postback_store_failures_total", "settle"] == 0


def test_the_line_of_an_attempt_names_its_trace_and_span() -> None:
    bench = Bench()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    claim = a_claim(event=an_event(trace=trace))
    sent = dict(render(claim.event, a_config(), 1, NOON).headers)["traceparent"]

    bench.report(AttemptFinished(a_settlement(claim), a_config()))
    bench.report(AttemptFinished(a_settlement(a_claim()), a_config()))

    traced, untraced = bench.lines()
    assert f"00-{traced['trace_id']}-{traced['span_id']}-01" == sent
    assert traced["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert "trace_id" not in untraced


def test_successes_are_not_logged_where_only_warnings_are_wanted() -> None:
    bench = Bench("warning")

    bench.report(AttemptFinished(a_settlement(a_claim()), a_config()))
    bench.report(AttemptFinished(a_settlement(a_claim(), Verdict.FAILED), a_config()))

    assert [line["event"] for line in bench.lines()] == ["attempt failed"]


class BrokenPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_of_the_log_that_went_away_does_not_stop_the_engine() -> None:
    bench = Bench(stream=BrokenPipe())

    bench.report(AttemptFinished(a_settlement(a_claim()), a_config()))
    logging.getLogger("somewhere").error("lost as well")

    assert bench.samples()["postback_log_lines_lost_total",] == 2


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_at_a_terminal_gets_columns_and_no_control_sequences_of_others() -> None:
    terminal = Terminal()
    bench = Bench(stream=terminal)
    outcome = Unreachable(Reason.BAD_RESPONSE, "\x1b[2Jevil\rline\n", Timings())

    bench.report(AttemptFinished(a_settlement(a_claim(), Verdict.FAILED, outcome=outcome), a_config()))

    assert "attempt failed" in terminal.getvalue()
    assert "\\x1b[2Jevil\\rline\\n" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_what_libraries_log_becomes_a_line_of_the_same_form() -> None:
    bench = Bench()

    logging.getLogger("uvicorn.error").error("cannot %s\nthis", "do")

    [line] = bench.lines()
    assert (line["event"], line["level"]) == ("cannot do\nthis", "error")


def test_when_how_bad_and_what_stand_first_in_a_line() -> None:
    bench = Bench()

    bench.report(AttemptFinished(a_settlement(a_claim()), a_config()))
    logging.getLogger("somewhere").error("elsewhere")

    assert [list(line)[:3] for line in bench.lines()] == [["timestamp", "level", "event"]] * 2


def test_the_line_of_a_config_whose_url_was_damaged_is_written_all_the_same() -> None:
    """The url was taken apart for the log, and what could not be taken apart ended the server."""
    metrics = Metrics(CollectorRegistry())
    written = io.StringIO()
    report = Observer(metrics, start_logging("info", written, metrics.line_lost))

    report(AttemptFinished(a_settlement(a_claim(), Verdict.FAILED), a_config(url="http://[broken/")))

    assert json.loads(written.getvalue())["to"] == "?"


@pytest.mark.anyio
async def test_the_lines_of_one_turn_of_the_loop_are_one_write_in_their_order() -> None:
    written = Counted()
    log = start_logging("info", written, lambda: None)

    log.line(a_line("info", "first"))
    log.info("second", b=2)
    log.line(a_line("warning", "third"))
    await asyncio.sleep(0)

    assert written.writes == 1
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == ["first", "second", "third"]


@pytest.mark.anyio
async def test_a_line_says_the_same_as_the_method_of_its_level() -> None:
    stream = io.StringIO()
    log = start_logging("info", stream, lambda: None)

    line = a_line("warning", "it happened")
    line.reason = "dns_error"
    log.warning(**line.facts())
    log.line(line)
    await asyncio.sleep(0)

    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert list(first) == list(second)
    assert {**first, "timestamp": ""} == {**second, "timestamp": ""}
    assert len(first["timestamp"]) == len(second["timestamp"])


@pytest.mark.parametrize(
    "unix_ns", [0, 1_790_000_000_000_000_000, 1_790_000_000_000_001_000, 1_790_000_000_120_000_999]
)
def test_a_line_is_stamped_as_all_others(unix_ns: int) -> None:
    at = datetime.fromtimestamp(unix_ns // 1_000_000_000, UTC).replace(microsecond=unix_ns // 1000 % 1_000_000)

    assert stamp(unix_ns) == at.isoformat().removesuffix("+00:00") + "Z"


def a_line(level: str, event: str) -> AttemptLine:
    ids = ("dlv_1", "evt_1", "contact.created", "pbc_1", 1, "default", None)
    return AttemptLine(level, event, *ids, "https://shop.example", 1, 2, 0, None, None, None, 3, 4, 5)


class Counted(io.StringIO):
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)
