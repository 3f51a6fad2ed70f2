"""What an inbox hands over: claimed, processed, and only then marked; repeated where it fails."""

import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from postback.receiver import End, Entry, Inbox
from postback.receiver.inbox import INTERRUPTIONS_MAX
from tests.patience import PATIENCE_S
from tests.receiver.boxes import Clock, a_contact, fails, interrupted, put


def test_the_oldest_goes_first_and_no_more_than_the_limit(inbox: Inbox, clock: Clock) -> None:
    for number in (1, 2, 3):
        put(inbox, a_contact(number))
        clock.now += 1
    seen: list[str] = []

    inbox.process(lambda entry: seen.append(entry.event().data["id"]), 2)

    assert seen == ["con_1", "con_2"]
    assert inbox.counts() == {"waiting": 1, "processed": 2, "parked": 0}


def test_it_is_not_marked_before_the_handler_returned(inbox: Inbox) -> None:
    put(inbox, a_contact())
    during: list[Any] = []

    inbox.process(lambda _: during.append(inbox.counts()["processed"]))

    assert during == [0]
    assert inbox.counts()["processed"] == 1


def test_what_fails_waits_longer_each_time_and_is_parked_with_its_error(
    inbox: Inbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(inbox, a_contact())
    start = clock.now
    ended = []
    for _ in range(100):
        ended += [(clock.now - start, end) for end in inbox.process(fails)]
        clock.now += 1

    assert ended == [(0, End.RETRIED), (5, End.RETRIED), (35, End.PARKED)]
    [parked] = inbox.parked()
    assert (parked.attempts, parked.error) == (3, "RuntimeError: the mail server is away")
    assert "is parked after 3 attempts: RuntimeError: the mail server is away" in caplog.text


def test_one_that_fails_does_not_hold_up_the_others(
    inbox: Inbox, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    put(inbox, a_contact(1))
    clock.now += 1
    put(inbox, a_contact(2))
    seen = []

    def handler(entry: Entry) -> None:
        seen.append(entry.event().data["id"])
        if seen[-1] == "con_1":
            raise ValueError("\ud800\0 hopeless")

    assert inbox.process(handler) == {End.RETRIED: 1, End.PROCESSED: 1}
    assert seen == ["con_1", "con_2"]
    # A log is written as UTF-8, which has no halves of characters.
    assert b"ValueError: \\ud800" in caplog.text.encode()


def test_a_parked_one_is_released_with_all_its_attempts(inbox: Inbox, clock: Clock) -> None:
    put(inbox, a_contact())
    for _ in range(3):
        inbox.process(fails)
        clock.now += 60
    [parked] = inbox.parked()
    assert inbox.process(lambda _: None) == {}

    assert inbox.release(parked.id)

    assert inbox.process(fails) == {End.RETRIED: 1}
    assert not inbox.release(parked.id)
    assert not inbox.release("unknown")


def test_a_claim_of_a_dead_process_is_free_after_its_lease(inbox: Inbox, clock: Clock) -> None:
    put(inbox, a_contact())
    with pytest.raises(KeyboardInterrupt):
        inbox.process(interrupted)

    assert inbox.process(lambda _: None) == {}
    clock.now += 59
    assert inbox.process(lambda _: None) == {}
    clock.now += 1
    assert inbox.process(lambda _: None) == {End.PROCESSED: 1}


def test_one_that_always_takes_its_process_down_is_parked_in_the_end(inbox: Inbox, clock: Clock) -> None:
    put(inbox, a_contact())
    for _ in range(INTERRUPTIONS_MAX):
        with pytest.raises(KeyboardInterrupt):
            inbox.process(interrupted)
        clock.now += 60

    assert inbox.process(interrupted) == {End.PARKED: 1}
    assert inbox.parked()[0].error == (
        f"{INTERRUPTIONS_MAX} processings in a row ended with their process, or took longer than the lease"
    )
    assert inbox.release(inbox.parked()[0].id)
    assert inbox.process(lambda _: None) == {End.PROCESSED: 1}


@pytest.mark.parametrize("waits", [(), (5,), (5, 30)])
def test_twenty_ends_during_the_same_entry_cost_it_no_attempt(
    path: Path, clock: Clock, waits: tuple[float, ...]
) -> None:
    """It was parked after as many restarts as it had attempts, with no retries after the first, and never processed."""
    inbox = Inbox.in_file(path, clock=clock, retry_waits_s=waits)
    put(inbox, a_contact())
    for _ in range(20):
        with pytest.raises(KeyboardInterrupt):
            inbox.process(interrupted)
        clock.now += 60
    seen: list[Entry] = []

    assert inbox.process(seen.append) == {End.PROCESSED: 1}

    assert (seen[0].attempts, seen[0].interruptions) == (1, 20)


def test_interruptions_count_in_a_row_only(inbox: Inbox, clock: Clock) -> None:
    put(inbox, a_contact())
    seen: list[tuple[int, int]] = []
    for handler in (interrupted, fails, interrupted, fails):
        with suppress(KeyboardInterrupt):
            inbox.process(handler)
        clock.now += 60

    inbox.process(lambda entry: seen.append((entry.attempts, entry.interruptions)))

    assert seen == [(3, 0)]


def test_who_took_longer_than_the_lease_marks_nothing(inbox: Inbox, clock: Clock) -> None:
    put(inbox, a_contact())
    inner: list[Any] = []

    def slow(_: Entry) -> None:
        clock.now += 61
        # Meanwhile another worker takes over, and fails.
        inner.append(inbox.process(fails))

    assert inbox.process(slow) == {End.LOST: 1}
    assert inner == [{End.RETRIED: 1}]
    assert inbox.counts()["processed"] == 0


def test_a_claim_costs_the_same_however_many_are_waiting(path: Path) -> None:
    """With 200,000 waiting each claim took 26 ms: it looked at all of them."""
    statements: list[str] = []

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.set_trace_callback(statements.append)
        return connection

    inbox = Inbox(connect)
    put(inbox, a_contact())
    statements.clear()
    inbox.process(lambda _: None)
    connection = sqlite3.connect(path)
    asked = [one for one in statements if one.lstrip().startswith(("SELECT", "UPDATE"))]
    steps = [row[3] for one in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {one}")]
    connection.close()

    assert len(asked) >= 4
    assert [step for step in steps if "postback_inbox" in step and not re.search(r"\(id=\?|due_ms[=<]", step)] == []


def test_two_workers_never_have_the_same_entry(inbox: Inbox) -> None:
    for number in range(40):
        put(inbox, a_contact(number))
    seen: list[str] = []

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda _: inbox.process(lambda entry: seen.append(entry.id)), range(4)))

    assert sum(end[End.PROCESSED] for end in ends) == 40
    assert len(set(seen)) == len(seen) == 40


def test_what_was_processed_long_ago_is_forgotten_and_then_news(inbox: Inbox, clock: Clock) -> None:
    put(inbox, a_contact(1))
    inbox.process(lambda _: None)
    put(inbox, a_contact(2))
    clock.now += 3600

    assert inbox.forget(3601) == 0
    assert inbox.forget(3599) == 1
    assert inbox.counts() == {"waiting": 1, "processed": 0, "parked": 0}
    assert put(inbox, a_contact(1))


def test_the_loop_processes_what_comes_until_it_is_stopped(inbox: Inbox) -> None:
    stop, second = threading.Event(), threading.Event()
    seen: list[str] = []

    def handler(entry: Entry) -> None:
        seen.append(entry.event().data["id"])
        if len(seen) == 2:
            second.set()

    put(inbox, a_contact(1))
    worker = threading.Thread(target=inbox.run, args=(handler, stop), kwargs={"poll_s": 0.01})
    worker.start()
    put(inbox, a_contact(2))

    assert second.wait(PATIENCE_S)
    stop.set()
    worker.join(10)
    assert not worker.is_alive()
    assert sorted(seen) == ["con_1", "con_2"]


def test_the_loop_goes_on_when_the_database_was_away(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stop, is_away = threading.Event(), threading.Event()

    def connect() -> sqlite3.Connection:
        if is_away.is_set():
            is_away.clear()
            raise sqlite3.OperationalError("the disk is away")
        return sqlite3.connect(path)

    inbox = Inbox(connect)
    put(inbox, a_contact())
    is_away.set()

    inbox.run(lambda _: stop.set(), stop, poll_s=0.01)

    assert "the disk is away" in caplog.text
    assert inbox.counts()["processed"] == 1


def test_the_loop_forgets_by_itself(path: Path, clock: Clock) -> None:
    inbox = Inbox.in_file(path, clock=clock, keep_s=3600)
    put(inbox, a_contact(1))
    inbox.process(lambda _: None)
    clock.now += 3601
    put(inbox, a_contact(2))
    stop = threading.Event()

    inbox.run(lambda _: stop.set(), stop)

    assert inbox.counts() == {"waiting": 0, "processed": 1, "parked": 0}
