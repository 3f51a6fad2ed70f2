"""W3C Trace Context: what is a traceparent, and which span an attempt is."""

import pytest

from postback.domain.traces import Trace, attempt_span, read_traceparent

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"
GOOD = f"00-{TRACE_ID}-{SPAN_ID}-01"


def test_a_traceparent_is_read_and_written_as_it_was() -> None:
    trace = read_traceparent(GOOD)

    assert trace == Trace(TRACE_ID, SPAN_ID, 1)
    assert str(trace) == GOOD
    assert trace.is_sampled


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        GOOD[:-1],
        GOOD + " ",
        GOOD + "\n",
        GOOD + "-later",  # of version 00 nothing follows
        GOOD.upper(),
        GOOD.replace("-", "_"),
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-0g",
        f"00-{TRACE_ID[:-1]}é-{SPAN_ID}-01",
    ],
)
def test_what_is_no_traceparent_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert read_traceparent(f"cc-{TRACE_ID}-{SPAN_ID}-01-what-comes-later") == Trace(TRACE_ID, SPAN_ID, 1)
    assert read_traceparent(f"cc-{TRACE_ID}-{SPAN_ID}-01") == Trace(TRACE_ID, SPAN_ID, 1)


def test_flags_without_a_meaning_are_not_passed_on() -> None:
    trace = read_traceparent(f"00-{TRACE_ID}-{SPAN_ID}-fe")

    assert trace is not None
    assert str(trace).endswith("-02")
    assert not trace.is_sampled


def test_each_attempt_is_a_span_of_its_own_in_the_same_trace() -> None:
    trace = Trace(TRACE_ID, SPAN_ID, 1)
    attempts = [(1, 2, 1, 5), (1, 2, 2, 5), (1, 3, 1, 5), (2, 2, 1, 5), (1, 2, 1, 6)]

    spans = [attempt_span(trace, *attempt) for attempt in attempts]

    assert len({span.span_id for span in spans} | {SPAN_ID}) == 6
    assert {(span.trace_id, span.flags) for span in spans} == {(TRACE_ID, 1)}
    assert spans == [attempt_span(trace, *attempt) for attempt in attempts]
    assert all(read_traceparent(str(span)) == span for span in spans)
