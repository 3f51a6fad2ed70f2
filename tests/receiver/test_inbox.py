"""The inbox: stored before it is answered, once for all repeats, processed until it is marked."""

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from postback.receiver import End, Entry, Inbox, NotAPostback, ReceivedEvent, repeat_key
from postback.receiver.inbox import INTERRUPTIONS_MAX
from tests.build import NOON
from tests.receiver.bodies import FORM, Posted, posted


class Clock:
    """Unix seconds, as the test says."""

    def __init__(self) -> None:
        self.now = NOON / 1000

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@pytest.fixture
def inbox(path: Path, clock: Clock) -> Inbox:
    return Inbox.in_file(path, clock=clock, lease_s=60, retry_waits_s=(5, 30))


def put(inbox: Inbox, one: Posted, **more: Any) -> bool:
    return inbox.put(one.body, one.content_type, headers=one.headers, **more)


def a_contact(number: int = 1, **changes: Any) -> Posted:
    return posted("api-default", "contact.updated", {"id": f"con_{number}"}, **changes)


def fails(_: Entry) -> None:
    raise RuntimeError("the mail server is away")


# --- storing ---------------------------------------------------------------------------------------------------------


def test_what_was_put_is_processed_as_it_came(inbox: Inbox, clock: Clock) -> None:
    one = posted("json", "contact.created", {"id": "con_1"})
    assert put(inbox, one)
    seen: list[Entry] = []

    assert inbox.process(seen.append) == {End.PROCESSED: 1}

    [entry] = seen
    assert (entry.body, entry.content_type, entry.received_at, entry.attempts) == (
        one.body,
        one.content_type,
        clock.now,
        1,
    )
    assert entry.id == entry.event().id == one.headers["webhook-id"]
    assert entry.event().data == {"id": "con_1"}
    assert "webhook-signature" not in entry.headers


def test_a_local_date_means_the_same_when_it_is_processed(inbox: Inbox) -> None:
    reply = posted("sms-callback", "sms.received", time_zone="Europe/Paris")
    seen: list[ReceivedEvent] = []
    put(inbox, reply, time_zone="Europe/Paris")

    inbox.process(lambda entry: seen.append(entry.event()))

    assert seen[0].data["received"] == "2026-03-02T14:44:57+01:00"


@pytest.mark.parametrize(
    "again",
    [
        (a_contact(counter=1), a_contact(counter=2)),
        (posted("xml"), posted("xml")),
        (posted("sms-callback", "sms.received"), posted("sms-callback", "sms.received")),
        (posted("json", now_ms=NOON), posted("json", now_ms=NOON + 5000)),
        (posted("cloudevents"), posted("cloudevents")),
    ],
    ids=["api-default", "xml", "sms-callback", "json", "cloudevents"],
)
def test_a_repeat_is_told_in_every_format(inbox: Inbox, again: tuple[Posted, Posted]) -> None:
    assert [put(inbox, one) for one in again] == [True, False]

    assert inbox.process(lambda _: None) == {End.PROCESSED: 1}
    assert not put(inbox, again[1])
    assert inbox.process(lambda _: None) == {}


@pytest.mark.parametrize("name", ["json", "cloudevents"])
def test_an_id_tells_events_apart_that_say_the_same(inbox: Inbox, name: str) -> None:
    assert put(inbox, posted(name, number=1))
    assert put(inbox, posted(name, number=2))


def test_the_order_of_members_makes_no_other_event(inbox: Inbox) -> None:
    assert put(inbox, posted("api-default", "contact.updated", {"id": "con_1", "city": "Bern"}))
    assert not put(inbox, posted("api-default", "contact.updated", {"city": "Bern", "id": "con_1"}))
    assert put(inbox, posted("api-default", "contact.created", {"city": "Bern", "id": "con_1"}))


def test_ten_that_come_at_once_are_one(inbox: Inbox) -> None:
    one = posted("json")
    together = threading.Barrier(10)

    def put_with_the_others(_: int) -> bool:
        together.wait(10)
        return put(inbox, one)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(put_with_the_others, range(10)))

    assert sorted(answers) == [False] * 9 + [True]
    assert inbox.counts() == {"waiting": 1, "processed": 0, "parked": 0}


def test_processes_that_start_at_once_on_a_fresh_file_all_get_their_inbox(tmp_path: Path) -> None:
    """A web process and a worker, started together: one of them was told that the database is locked."""
    for attempt in range(20):
        together = threading.Barrier(8)

        def open_with_the_others(_: int, attempt: int = attempt, together: threading.Barrier = together) -> int:
            together.wait(10)
            return Inbox.in_file(tmp_path / f"{attempt}.db").counts()["waiting"]

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(open_with_the_others, range(8))) == [0] * 8


def test_the_owner_may_say_what_a_repeat_is(path: Path) -> None:
    inbox = Inbox.in_file(path, key=lambda event: f"{event.type} {event.data['id']}")

    assert put(inbox, posted("api-default", "contact.updated", {"id": "con_1", "city": "Bern"}))
    assert not put(inbox, posted("api-default", "contact.updated", {"id": "con_1", "city": "Basel"}))
    assert put(inbox, a_contact(), id="this one")
    assert not put(inbox, a_contact(2), id="this one")


@pytest.mark.parametrize("id", ["", "a\0b", "x" * 257, "\ud800", 7])
def test_a_key_that_no_database_would_take_is_refused(inbox: Inbox, id: Any) -> None:
    with pytest.raises(ValueError, match="the id of an entry is"):
        put(inbox, a_contact(), id=id)


def test_what_is_no_postback_is_not_kept(inbox: Inbox) -> None:
    with pytest.raises(NotAPostback):
        inbox.put(b"hello=world", FORM)

    assert sum(inbox.counts().values()) == 0


def test_a_key_of_facts_does_not_depend_on_the_attempt() -> None:
    event = ReceivedEvent(type="contact.updated", data={"id": "con_1"}, format="api-default", number_of_attempts=1)
    again = ReceivedEvent(type="contact.updated", data={"id": "con_1"}, format="api-default", number_of_attempts=2)
    other = ReceivedEvent(type="contact.updated", data={"id": "con_2"}, format="api-default", number_of_attempts=1)

    assert repeat_key(event) == repeat_key(again) != repeat_key(other)
    assert repeat_key(event).startswith("sha256:")


# --- processing ------------------------------------------------------------------------------------------------------


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


# --- the worker's loop -----------------------------------------------------------------------------------------------


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

    assert second.wait(10)
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


# --- one transaction -------------------------------------------------------------------------------------------------


def orders(path: Path) -> list[tuple[str]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT id FROM orders ORDER BY id").fetchall()
    connection.close()
    return found


@pytest.fixture
def shop(path: Path, inbox: Inbox) -> Callable[..., None]:
    """A handler that writes into a table of the same database."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE orders (id TEXT)")
    connection.close()

    def handler(entry: Entry, connection: Any) -> None:
        connection.execute("INSERT INTO orders VALUES (?)", (entry.event().data["id"],))

    return handler


def test_what_the_handler_writes_is_committed_with_the_mark(
    inbox: Inbox, path: Path, shop: Callable[..., None]
) -> None:
    put(inbox, a_contact())

    assert inbox.process(shop, in_transaction=True) == {End.PROCESSED: 1}

    assert orders(path) == [("con_1",)]


def test_what_a_failed_handler_wrote_is_not_there(inbox: Inbox, path: Path, shop: Callable[..., None]) -> None:
    put(inbox, a_contact())

    def writes_and_fails(entry: Entry, connection: Any) -> None:
        shop(entry, connection)
        raise RuntimeError

    assert inbox.process(writes_and_fails, in_transaction=True) == {End.RETRIED: 1}

    assert orders(path) == []


@pytest.mark.parametrize(
    "ends",
    [
        lambda connection: connection.commit(),
        lambda connection: connection.rollback(),
        lambda connection: connection.__exit__(None, None, None),
        lambda connection: connection.executescript("SELECT 1"),
    ],
    ids=["commit", "rollback", "with connection", "executescript"],
)
def test_a_handler_that_ends_the_transaction_is_told_so(
    inbox: Inbox, shop: Callable[..., None], ends: Callable[[Any], object], clock: Clock
) -> None:
    """It was marked all the same, and then called lost, or its work was gone without a word."""
    put(inbox, a_contact())

    def writes_and_ends(entry: Entry, connection: Any) -> None:
        shop(entry, connection)
        ends(connection)

    assert inbox.process(writes_and_ends, in_transaction=True) == {End.RETRIED: 1}
    clock.now += 5
    seen: list[Entry] = []
    inbox.process(lambda entry, _: seen.append(entry), in_transaction=True)

    assert (seen[0].error or "").startswith("RuntimeError: the handler ended the transaction that it was given")


def test_a_pool_gets_its_connection_back_without_an_open_transaction(path: Path) -> None:
    """Where the driver is in autocommit by itself, its rollback() does nothing."""

    class Pooled(sqlite3.Connection):
        def rollback(self) -> None:
            pass

        def close(self) -> None:
            pass

    kept = sqlite3.connect(path, isolation_level=None, factory=Pooled)
    inbox = Inbox(lambda: kept)
    put(inbox, a_contact())

    assert inbox.process(lambda *_: fails(_[0]), in_transaction=True) == {End.RETRIED: 1}

    assert not kept.in_transaction
    sqlite3.Connection.close(kept)


def test_what_was_written_under_a_lost_lease_is_not_there(
    inbox: Inbox, path: Path, clock: Clock, shop: Callable[..., None]
) -> None:
    put(inbox, a_contact())

    def slow(entry: Entry, connection: Any) -> None:
        clock.now += 61
        # SQLite has one writer, so here the other one writes on the same connection.
        connection.execute("UPDATE postback_inbox SET claim = 'another'")
        shop(entry, connection)

    assert inbox.process(slow, 1, in_transaction=True) == {End.LOST: 1}

    assert orders(path) == []


# --- databases -------------------------------------------------------------------------------------------------------


class Driver:
    """A DB-API connection that knows one paramstyle only, over SQLite; says in `ended` what became of it."""

    def __init__(self, path: Path, paramstyle: str, *, autocommit: bool = False) -> None:
        self._connection = sqlite3.connect(path)
        self._paramstyle = paramstyle
        self.autocommit = autocommit

    def cursor(self) -> "Driver":
        self._cursor = self._connection.cursor()
        return self

    def execute(self, statement: str, values: Any = None) -> None:
        assert "{" not in statement
        if values is None:
            self._cursor.execute(statement)
        elif self._paramstyle == "format":
            assert "?" not in statement
            assert statement.count("%s") == len(values)
            self._cursor.execute(statement.replace("%s", "?"), values)
        elif self._paramstyle == "numeric":
            for number in range(len(values), 0, -1):
                assert f":{number}" in statement
                statement = statement.replace(f":{number}", "?")
            self._cursor.execute(statement, values)
        else:
            for name in values:
                statement = statement.replace(f"%({name})s", f":{name}")
            assert "%" not in statement
            self._cursor.execute(statement, values)

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def fetchall(self) -> Sequence[Any]:
        return [tuple(memoryview(cell) if isinstance(cell, bytes) else cell for cell in row) for row in self._cursor]

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()


CONNECTS: dict[str, Callable[[Path], Any]] = {
    "qmark": sqlite3.connect,
    "named": lambda path: sqlite3.connect(path, isolation_level="IMMEDIATE"),
    "numeric": lambda path: Driver(path, "numeric"),
    "format": lambda path: Driver(path, "format"),
    "pyformat": lambda path: Driver(path, "pyformat"),
}


@pytest.mark.parametrize("paramstyle", CONNECTS)
def test_it_works_with_every_way_to_write_parameters(paramstyle: str, path: Path, clock: Clock) -> None:
    inbox = Inbox(
        lambda: CONNECTS[paramstyle](path), paramstyle=paramstyle, table="Mail", clock=clock, retry_waits_s=(5,)
    )
    one = posted("json")
    assert [put(inbox, one), put(inbox, one)] == [True, False]

    assert inbox.process(fails) == {End.RETRIED: 1}
    clock.now += 5
    assert inbox.process(fails) == {End.PARKED: 1}
    [parked] = inbox.parked()
    assert parked.body == one.body
    assert inbox.release(parked.id)
    seen: list[bytes] = []
    assert inbox.process(lambda entry, _: seen.append(entry.body), in_transaction=True) == {End.PROCESSED: 1}
    assert seen == [one.body]
    clock.now += 5
    assert inbox.forget(1) == 1


def test_a_driver_that_commits_each_statement_cannot_share_a_transaction(path: Path) -> None:
    inbox = Inbox(lambda: Driver(path, "format", autocommit=True), paramstyle="format")
    put(inbox, a_contact())

    assert inbox.process(lambda *_: None, in_transaction=True) == {End.RETRIED: 1}


def test_connections_are_closed_whatever_happens(path: Path) -> None:
    opened: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(path))
        return opened[-1]

    inbox = Inbox(connect)
    put(inbox, a_contact())
    inbox.process(fails)
    inbox.process(lambda *_: None)

    assert len(opened) > 3
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"paramstyle": "dollar"}, "paramstyle is 'dollar'; expected one of qmark"),
        ({"table": "a; b"}, "table is 'a; b'"),
        ({"lease_s": 0}, "expected lease_s above 0"),
        ({"lease_s": float("nan")}, "expected lease_s above 0"),
        ({"keep_s": -1}, "keep_s and retry_waits_s of 0 or more seconds"),
        ({"retry_waits_s": (5, -1)}, "keep_s and retry_waits_s of 0 or more seconds"),
    ],
)
def test_what_cannot_work_is_told_at_once(options: dict[str, Any], why: str, path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        Inbox.in_file(path, **options)


@pytest.mark.parametrize("name", [":memory:", ""])
def test_an_inbox_that_every_connection_would_have_anew_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a file, since each connection would have another memory"):
        Inbox.in_file(name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as caught:
        Inbox.in_file(tmp_path / "nowhere" / "inbox.db")

    assert "nowhere" in caught.value.__notes__[0]


def test_the_file_is_the_same_after_the_process_went_to_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    inbox = Inbox.in_file("inbox.db")
    monkeypatch.chdir("elsewhere")

    assert put(inbox, a_contact())
    assert not Path("inbox.db").exists()


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_bytes_of_every_kind_are_kept_as_they_are(inbox: Inbox, wrap: Callable[[bytes], Any]) -> None:
    one = posted("json")
    inbox.put(wrap(one.body), None, headers=one.headers)
    seen: list[Entry] = []

    inbox.process(seen.append)

    assert (seen[0].body, seen[0].content_type, seen[0].event().type) == (one.body, "", "sms.delivered")


def test_a_text_is_refused_before_it_is_kept(inbox: Inbox) -> None:
    text: Any = posted("json").body.decode()
    with pytest.raises(TypeError, match="of type str; expected the bytes as they arrived"):
        inbox.put(text, "application/json")

    assert inbox.counts()["waiting"] == 0


def test_a_wrong_time_zone_is_a_value_error_and_nothing_is_kept(inbox: Inbox) -> None:
    with pytest.raises(ValueError, match="time_zone: 'Mars/Phobos' is not a time zone"):
        put(inbox, posted("sms-callback"), time_zone="Mars/Phobos")

    assert inbox.counts()["waiting"] == 0


def test_two_inboxes_in_one_file_do_not_mix(path: Path) -> None:
    one, other = Inbox.in_file(path, table="one"), Inbox.in_file(path, table="other")

    assert put(one, a_contact())
    assert put(other, a_contact())
    assert one.counts() == other.counts()


def test_what_stands_in_the_table_can_be_read_by_people(inbox: Inbox, path: Path) -> None:
    put(inbox, posted("json"))

    connection = sqlite3.connect(path)
    [(headers, mode)] = connection.execute("SELECT headers, (SELECT * FROM pragma_journal_mode) FROM postback_inbox")
    connection.close()

    assert set(json.loads(headers)) == {"webhook-id", "webhook-timestamp"}
    assert mode == "wal"


def interrupted(_: Entry) -> None:
    """As a process that ends in the middle."""
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "postback.receiver")
