"""What is put into an inbox: stored before it is answered, once for all repeats."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from postback.receiver import End, Entry, Inbox, NotAPostback, ReceivedEvent, repeat_key
from tests.build import NOON
from tests.patience import PATIENCE_S
from tests.receiver.bodies import FORM, Posted, posted
from tests.receiver.boxes import Clock, a_contact, put


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
        together.wait(PATIENCE_S)
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
            together.wait(PATIENCE_S)
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
