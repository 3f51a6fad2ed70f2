"""Databases, drivers and files that an inbox may meet."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from postback.receiver import End, Entry, Inbox
from tests.receiver.bodies import posted
from tests.receiver.boxes import Clock, a_contact, fails, put


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
