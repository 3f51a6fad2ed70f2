"""What is decided without any I/O: when to ask again, how batches are cut, how answers are read."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postback.client import BadAnswer, Event, InvalidValue, NotFound, Retrying, Unavailable, all_published
from postback.client.events import Line, Published, batches_of, body_of, line_of
from postback.client.wire import Reading

BUSY = Unavailable("busy")


def test_waits_double_and_lose_up_to_half_by_chance() -> None:
    longest = Retrying(times=9, dice=lambda: 0.0)
    shortest = Retrying(times=9, dice=lambda: 1.0)

    waits = [longest.wait_s(asked, BUSY) for asked in range(1, 11)]

    assert waits == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, None]
    assert [shortest.wait_s(asked, BUSY) for asked in (1, 2, 3)] == [0.125, 0.25, 0.5]


def test_chance_makes_a_difference_and_stays_within_its_bounds() -> None:
    waits = {Retrying().wait_s(1, BUSY) for _ in range(50)}

    assert len(waits) > 1
    assert all(wait is not None and 0.125 <= wait <= 0.25 for wait in waits)


def test_a_number_of_tries_beyond_all_numbers_is_no_trouble() -> None:
    assert Retrying(times=1 << 40, dice=lambda: 0.0).wait_s(1 << 39, BUSY) == 60


def test_retry_after_counts_where_it_is_longer_and_ends_it_where_it_is_too_long() -> None:
    retrying = Retrying(dice=lambda: 0.0)

    assert retrying.wait_s(1, Unavailable("busy", retry_after_s=7)) == 7
    assert retrying.wait_s(6, Unavailable("busy", retry_after_s=7)) == 8
    assert retrying.wait_s(1, Unavailable("busy", retry_after_s=61)) is None


@given(st.lists(st.integers(1, 100), max_size=60), st.integers(1, 10))
def test_batches_keep_the_order_and_both_limits(sizes: list[int], events_max: int) -> None:
    lines = [Line("a.b", "key", bytes(size), place) for place, size in enumerate(sizes)]

    batches = list(batches_of(lines, events_max, bytes_max=100))

    assert [line for batch in batches for line in batch] == lines
    for batch in batches:
        assert 1 <= len(batch) <= events_max
        assert len(body_of(batch)) <= 100
    for one, following in pairwise(batches):
        # No smaller number of requests would do: the next event did not fit.
        assert len(one) == events_max or len(body_of([*one, following[0]])) > 100


def test_each_event_has_a_key_of_its_own_from_its_making_on() -> None:
    one, other = Event("shop.opened"), Event("shop.opened")

    assert one.idempotency_key != other.idempotency_key
    assert json.loads(line_of(one).text)["idempotency_key"] == one.idempotency_key == line_of(one).key
    assert line_of({"type": "shop.opened"}).key != line_of({"type": "shop.opened"}).key


def test_fields_that_were_not_given_are_not_sent() -> None:
    assert json.loads(line_of(Event("shop.opened", idempotency_key="k")).text) == {
        "type": "shop.opened", "data": {}, "idempotency_key": "k"
    }  # fmt: skip


def test_an_endless_event_is_refused_like_any_other() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless

    with pytest.raises(InvalidValue, match="cannot be said in JSON"):
        line_of(Event("shop.opened", endless))


def test_all_published_raises_what_was_wrong_with_the_others() -> None:
    good = Published("evt_1", "shop.opened", 1, 0, "key")

    assert all_published([good, good]) == [good, good]
    with pytest.raises(ExceptionGroup, match="2 of 3 events were not accepted") as group:
        all_published([good, BUSY, NotFound("gone")])
    assert [type(error) for error in group.value.exceptions] == [Unavailable, NotFound]


ANSWERS = {
    "by length": b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[1,2,3]",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n4\r\n2,3]\r\n0\r\n\r\n",
    "announced": b"HTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[1,2,3]",
    "to the end": b"HTTP/1.1 200 OK\r\n\r\n[1,2,3]",
}


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(text: bytes) -> None:
    for size in range(1, len(text) + 1):
        reading = Reading("GET", 100)
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        answers = [reading.feed(piece) for piece in pieces]
        answer = answers[-1] or reading.feed(b"")

        assert answer is not None
        assert (answer.status, answer.body) == (200, [1, 2, 3])
        assert not any(answers[:-1])


@pytest.mark.parametrize("text", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_breaks_off_is_never_a_shorter_answer(text: bytes) -> None:
    if b"Content-Length" not in text and b"chunked" not in text:
        # Its end is where the connection ends; nothing says that more should have come.
        text = text[: text.index(b"\r\n\r\n") + 3]
    for length in range(len(text) - 1):
        reading = Reading("GET", 100)
        if length:
            assert reading.feed(text[:length]) is None
        with pytest.raises(ConnectionResetError):
            reading.feed(b"")


@given(st.binary(min_size=1, max_size=400), st.binary(max_size=200))
def test_whatever_comes_is_an_answer_or_an_error_and_never_more(head: bytes, rest: bytes) -> None:
    for text in (head + rest, b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + rest):
        reading = Reading("GET", 100)
        try:
            answer = reading.feed(text) or reading.feed(b"")
        except (BadAnswer, ConnectionResetError):
            continue
        assert answer is not None
        assert 200 <= answer.status < 600


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_some_answers_have_no_body_whatever_they_say(method: str, status: int) -> None:
    reading = Reading(method, 100)

    answer = reading.feed(f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n".encode())

    assert answer is not None
    assert answer.body is None
    assert reading.keeps
