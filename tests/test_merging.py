"""The figures of several processes in one text."""

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from postback.domain.deliveries import Verdict
from postback.domain.telemetry import Backlog, Committed, InHand, Standing
from postback.observability import Metrics, merge, merging, render_metrics
from postback.observability.metrics import OF_THE_DATABASE
from tests import manual


def figures(events: int, backlog: Backlog | None = None, size: int | None = None) -> bytes:
    """Of one process, with those of the database where it was asked for them."""
    metrics = Metrics(registry := CollectorRegistry(), {"version": "1"})
    metrics.committed(
        Committed(
            0.1, 1, events=events, attempts=[(Verdict.RETRY, 'a "quoted"\nreason')], took_ms=[5], latencies_ms=[1]
        )
    )
    metrics.standing = Standing(
        ready=True, in_hand=InHand(*range(12)), backlog=backlog, database_bytes=size, log_bytes=None
    )
    return render_metrics(registry)


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_each_figure_says_whose_it_is_and_keeps_its_value() -> None:
    told = {1: figures(3), 2: figures(4)}

    found = samples(merge(told))

    expected = {
        (name, *sorted([*labels, f"process={number}"])): value
        for number, text in told.items()
        for (name, *labels), value in samples(text).items()
    }
    up = {("postback_process_up", "process=1"): 1.0, ("postback_process_up", "process=2"): 1.0}
    assert found == expected | up
    assert found["postback_events_accepted_total", "process=1"] == 3
    assert found["postback_events_accepted_total", "process=2"] == 4


def test_what_is_of_the_database_stands_there_once_and_is_nobodys() -> None:
    found = samples(merge({1: figures(3), 2: figures(4, Backlog(7, 6, 5_000), 99)}))

    of_database = {key: value for key, value in found.items() if key[0] in OF_THE_DATABASE}
    assert of_database == {
        ("postback_deliveries_owed",): 7,
        ("postback_deliveries_due",): 6,
        ("postback_oldest_due_seconds",): 5,
        ("postback_store_bytes",): 99,
    }


def test_whoever_does_not_answer_is_left_out_and_said_to_be_down() -> None:
    found = samples(merge({1: figures(3), 2: None}))

    assert found["postback_process_up", "process=2"] == 0
    assert not any("process=2" in key for key in found if key[0] != "postback_process_up")


def test_types_and_sentences_are_those_of_one_process() -> None:
    def told(text: bytes) -> set[str]:
        return {line for line in text.decode().splitlines() if line.startswith("#")}

    merged = merge({1: figures(1), 2: figures(2)})

    assert told(merged) - told(figures(1)) == {line for line in told(merged) if " postback_process_up " in line}
    assert told(figures(1)) <= told(merged)
    assert merged.decode().count("# TYPE postback_events_accepted_total counter") == 1


def test_the_page_of_telemetry_has_what_only_several_processes_tell() -> None:
    page = manual.page("telemetry")
    own = {line for line in merge({1: figures(1)}).decode().splitlines() if " postback_process_up " in line}

    rows = manual.table(page, "figure of several")
    assert {f"# HELP {name} {sentence}" for name, _, _, sentence in rows} | {
        f"# TYPE {name} {kind}" for name, kind, _, _ in rows
    } == own
    said = manual.words_in_code(manual.section(page, "Several processes"))
    assert set(said) >= OF_THE_DATABASE
    assert merging.PROCESS in said
