"""The page of telemetry and the code say the same: every figure, every log line with its fields, every attribute."""

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Final, get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from postback.domain import telemetry
from postback.domain.deliveries import Settlement, Verdict
from postback.domain.telemetry import (
    STORE_WRITES,
    AttemptFinished,
    Backlog,
    Claimed,
    Committed,
    EventTraced,
    InHand,
    InternalError,
    KeysMissing,
    StaleSettlements,
    Standing,
    StoreFailed,
    StoreFound,
    StoreLost,
    TestFinished,
    WorkerDied,
    WorkerEnlisted,
)
from postback.domain.wire import Note, Reason, Timings, Unreachable
from postback.observability import Metrics, Observer, merge, render_metrics, start_logging
from postback.settings import described
from tests import manual
from tests.build import NOON, a_claim, a_config, a_settlement, an_event
from tests.spans import TRACEPARENT, Bench

PAGE: Final = manual.page("telemetry")
SOURCE: Final = manual.ROOT / "src" / "postback"
OF_PROGRAMS: Final = ("cli", "client", "receiver")
"""What runs in other processes than the server's; it is described elsewhere."""

OF_AN_ATTEMPT: Final = manual.section(PAGE, "The line of an attempt")
UNREACHABLE: Final = Unreachable(Reason.DNS_ERROR, "no such name", Timings(), notes=[Note.SENT_AGAIN])
INTERRUPTED: Final = Unreachable(Reason.INTERRUPTED, "stopped", Timings())


def attempts() -> Iterator[AttemptFinished | TestFinished]:
    """Attempts of every kind, each with what only some have."""
    config, plain = a_config(), a_claim()
    traced = a_claim(event=an_event(trace=TRACEPARENT), manual=True, interruptions=2, attempts=1)
    told: list[Settlement] = [
        a_settlement(plain),
        a_settlement(traced, warns="an answer with a body"),
        a_settlement(plain, Verdict.RETRY, outcome=UNREACHABLE, wait_ms=1_000),
        a_settlement(plain, Verdict.FAILED, disables="the receiver answered 410 Gone"),
        a_settlement(plain, Verdict.INTERRUPTED, outcome=INTERRUPTED),
    ]
    yield from (AttemptFinished(settlement, config) for settlement in told)
    yield TestFinished(a_settlement(traced), config)
    yield TestFinished(a_settlement(traced, Verdict.FAILED), config)


# --- figures ----------------------------------------------------------------------------------------------------------


def exposed() -> str:
    """Everything that can be asked for, each label once."""
    metrics = Metrics(registry := CollectorRegistry(), {"version": "1", "python": "3", "sqlite": "3"})
    metrics.committed(Committed(0.1, 1, attempts=[(Verdict.RETRY, "dns_error")], took_ms=[5], latencies_ms=[1]))
    metrics.standing = Standing(
        ready=True, in_hand=InHand(*range(12)), backlog=Backlog(1, 2, 3), database_bytes=1, log_bytes=1
    )
    return render_metrics(registry).decode()


def test_every_figure_is_on_the_page_with_its_type_its_labels_and_its_sentence() -> None:
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposed()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels[name] = {label for sample in family.samples for label in sample.labels} - {"le"}
    helped = re.findall(r"^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$", exposed(), re.MULTILINE)

    assert manual.table(PAGE, "figure") == [
        [name, kind, ", ".join(sorted(labels[name])), sentence] for name, sentence, kind in helped
    ]


def test_the_values_of_the_labels_are_on_the_page() -> None:
    values = {label: re.findall(r"[a-z_]+", said) for label, said in manual.table(PAGE, "label")}

    assert values["verdict"] == [verdict.name.lower() for verdict in Verdict]
    assert tuple(values["what"]) == STORE_WRITES


def test_every_write_that_may_fail_is_counted_from_the_beginning() -> None:
    """A rate begins with the second value."""
    found = {
        node.args[0].value
        for tree in trees()
        for node in calls(tree)
        if name_of(node) in ("StoreFailed", "_until_it_stands") and isinstance(node.args[0], ast.Constant)
    }

    assert found == set(STORE_WRITES)


# --- log lines --------------------------------------------------------------------------------------------------------


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def lines_of(*facts: Any) -> list[dict[str, Any]]:
    written = io.StringIO()
    metrics = Metrics(CollectorRegistry())
    report = Observer(metrics, start_logging("info", written, metrics.line_lost))
    for fact in facts:
        report(fact)
    return [json.loads(line) for line in written.getvalue().splitlines()]


@pytest.mark.usefixtures("logging_as_it_was")
def test_every_line_of_an_attempt_is_on_the_page_with_its_level_and_its_fields() -> None:
    lines = lines_of(*attempts())
    found = {line["event"]: line["level"] for line in lines}
    fields = [set(line) - {"timestamp", "level", "event"} for line in lines]

    said = {line: level for line, level, fields, _ in manual.table(PAGE, "line") if fields == "as below"}
    assert said == found
    rows = [(names.split(", "), when) for names, when, _ in manual.table(OF_AN_ATTEMPT, "field")]
    assert {name for names, _ in rows for name in names} == set.union(*fields)
    assert {name for names, when in rows if when == "always" for name in names} == set.intersection(*fields)


@pytest.mark.usefixtures("logging_as_it_was")
def test_every_other_fact_that_is_logged_is_on_the_page() -> None:
    facts = [
        *(StaleSettlements(1), WorkerEnlisted(1), WorkerDied(1)),
        *(StoreFailed("settle", "full"), InternalError(KeyError("a bug"))),
        *(StoreLost("the database", "gone", 0), StoreFound("the database", 1.5)),
        *(KeysMissing(["1ffd"]), KeysMissing([])),
    ]
    silent = [Committed(0.1, 1), Claimed(0.1), EventTraced(an_event(), None, NOON, NOON, 1)]
    lines = lines_of(*facts, *silent)

    said = {line: (level, fields) for line, level, fields, _ in manual.table(PAGE, "line")}
    for line in lines:
        fields = sorted(set(line) - {"timestamp", "level", "event"})
        assert said[line["event"]] == (line["level"], ", ".join(fields))
    assert len(lines) == len(facts)
    told = {type(fact) for fact in [*facts, *silent, *attempts()]}
    assert told == set(get_args(telemetry.Fact)), "a fact that is not in this test"


def test_every_line_that_the_server_writes_is_on_the_page_and_no_other() -> None:
    written = {line for tree in trees() for line in lines_in(tree)}

    said = {re.sub(r"<\w+>", "%s", line) for line, _, fields, _ in manual.table(PAGE, "line") if fields != "as below"}
    assert said == {line for line, _ in written}
    fields = {
        re.sub(r"<\w+>", "%s", line): set(filter(None, fields.split(", ")))
        for line, _, fields, _ in manual.table(PAGE, "line")
    }
    for line, named in written:
        assert fields[line] == set(named), line


def trees() -> Iterator[ast.Module]:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] not in OF_PROGRAMS:
            yield ast.parse(path.read_text("utf-8"))


def calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def lines_in(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(what it says, its fields) of each call of a log, and of what goes to the log by the loop."""
    for call in calls(tree):
        name = name_of(call)
        if name == "call_exception_handler" and isinstance(call.args[0], ast.Dict):
            said = {
                ast.literal_eval(key): value
                for key, value in zip(call.args[0].keys, call.args[0].values, strict=True)
                if key
            }
            yield ast.literal_eval(said["message"]), ("exception",)
        elif name in ("debug", "info", "warning", "error", "exception", "critical") and is_a_log(call):
            first = call.args[0]
            assert isinstance(first, ast.Constant), f"line {call.lineno}: what a line says is the same each time"
            fields = ["exception" if one.arg == "exc_info" else str(one.arg) for one in call.keywords]
            yield first.value, (*fields, "exception") if name == "exception" else tuple(fields)


def is_a_log(call: ast.Call) -> bool:
    whose = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = whose.attr if isinstance(whose, ast.Attribute) else getattr(whose, "id", "")
    return name.strip("_") == "log"


# --- spans ------------------------------------------------------------------------------------------------------------


def test_every_span_and_every_attribute_is_on_the_page() -> None:
    bench = Bench()
    event = an_event(trace=TRACEPARENT)
    bench.spans(EventTraced(event, TRACEPARENT, NOON, NOON, 1))
    for verdict, outcome in ((Verdict.DELIVERED, None), (Verdict.RETRY, UNREACHABLE)):
        settlement = a_settlement(a_claim(event=event, attempts=1), verdict)
        settlement = settlement if outcome is None else settlement._replace(outcome=outcome)
        bench.spans(AttemptFinished(settlement, a_config()))
        bench.spans(TestFinished(settlement, a_config()))

    found: dict[str, set[str]] = {}
    for span in bench.exported:
        found.setdefault(span.name, set()).update(span.attributes or {})
    said: dict[str, set[str]] = {"accept": set(), "attempt": set()}
    for names, span_name, _ in manual.table(PAGE, "attribute"):
        for one in said if span_name == "both" else [span_name]:
            said[one] |= set(names.split(", "))
    assert said == found
    kinds = {name: kind for name, kind, _, _ in manual.table(PAGE, "span")}
    assert kinds == {span.name: span.kind.name.lower() for span in bench.exported}


# --- alerts -----------------------------------------------------------------------------------------------------------


def test_the_rules_ask_for_figures_and_labels_that_exist() -> None:
    [rules] = [block.text for block in manual.blocks(PAGE) if block.language == "yaml"]
    families = list(text_string_to_metric_families(merge({1: exposed().encode()}).decode()))
    samples = {sample.name for family in families for sample in family.samples}
    settings = {one.name for one in described()}

    assert set(re.findall(r"\bpostback_\w+", rules)) <= samples
    assert set(re.findall(r"POSTBACK_\w+", rules)) <= settings
    assert len(set(re.findall(r"\bpostback_\w+", rules))) >= 8
    verdicts = {verdict.name.lower() for verdict in Verdict}
    for said in re.findall(r'verdict=~?"([^"]+)"', rules):
        assert set(said.split("|")) <= verdicts
    names = re.findall(r"- alert: (\w+)", rules)
    assert len(names) == len(set(names)) == rules.count("expr:") == rules.count("summary:")
    for opening, closing in ("()", "[]", "{}"):
        assert rules.count(opening) == rules.count(closing)
