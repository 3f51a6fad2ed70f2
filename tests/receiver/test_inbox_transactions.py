"""What a handler writes, and the mark: one transaction."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postback.receiver import End, Entry, Inbox
from tests.receiver.boxes import Clock, a_contact, fails, put


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
