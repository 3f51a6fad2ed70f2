"""SIGKILL between claim and mark, twenty times: everything is processed at least once, and marked only after."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import postback
from postback.receiver import Inbox
from tests.patience import PATIENCE_S
from tests.receiver.bodies import posted

KILLS = 20
EVENTS = 30
SOURCES = Path(postback.__file__).parents[1]
WORKER = Path(__file__).with_name("worker_to_kill.py")


def started(inbox: Path, journal: Path, where: str) -> "subprocess.Popen[str]":
    """Without site packages, so it starts fast; it needs none."""
    return subprocess.Popen(
        [sys.executable, "-S", WORKER, inbox, journal, where],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        stdout=subprocess.PIPE,
        text=True,
    )


def killed_at(inbox: Path, journal: Path, where: str) -> str:
    """The id of the entry that the process had claimed when it was killed."""
    with started(inbox, journal, where) as process:
        assert process.stdout is not None
        id = process.stdout.readline().strip()
        assert id, f"it ended by itself: {process.wait()}"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    return id


def process_the_rest(inbox: Path, journal: Path) -> None:
    with started(inbox, journal, "end") as process:
        try:
            assert process.wait(PATIENCE_S) == 0
        finally:
            # One that waits for an entry which never comes back would be waited for without end.
            process.kill()


def given_inbox(path: Path) -> set[str]:
    inbox = Inbox.in_file(path)
    for number in range(EVENTS):
        one = posted("json", number=number)
        assert inbox.put(one.body, one.content_type, headers=one.headers)
    return {str(id) for (id,) in read(path, "SELECT id FROM postback_inbox")}


def read(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def test_twenty_kills_between_claim_and_mark_lose_nothing_and_mark_nothing_too_early(tmp_path: Path) -> None:
    path, journal = tmp_path / "inbox.db", tmp_path / "journal"
    journal.touch()
    ids = given_inbox(path)
    handled_and_killed = []

    for kill in range(KILLS):
        where = ("claimed", "handled")[kill % 2]
        id = killed_at(path, journal, where)
        if where == "handled":
            handled_and_killed.append(id)
        marked = {row[0] for row in read(path, "SELECT id FROM postback_inbox WHERE state = 'processed'")}
        assert id not in marked
        assert marked <= set(journal.read_text().split())
    process_the_rest(path, journal)

    processed = Counter(journal.read_text().split())
    assert set(processed) == ids
    assert Inbox.in_file(path).counts() == {"waiting": 0, "processed": EVENTS, "parked": 0}
    # The work of those was done twice: nobody could know that it was done.
    assert processed - Counter(ids) == Counter(handled_and_killed)


def test_what_is_written_with_the_mark_is_there_exactly_once(tmp_path: Path) -> None:
    path, journal = tmp_path / "inbox.db", tmp_path / "journal in the inbox"
    ids = given_inbox(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE journal (id TEXT)")
    connection.close()

    for _ in range(5):
        id = killed_at(path, journal, "transaction")
        marked = read(path, "SELECT id FROM postback_inbox WHERE state = 'processed'")
        assert sorted(read(path, "SELECT id FROM journal")) == sorted(marked)
        assert (id,) not in marked
    process_the_rest(path, journal)

    assert Counter(row[0] for row in read(path, "SELECT id FROM journal")) == Counter(ids)
