"""What the tests of the inbox put into one, and how it is processed."""

from typing import Any

from postback.receiver import Entry, Inbox
from tests.build import NOON
from tests.receiver.bodies import Posted, posted


class Clock:
    """Unix seconds, as the test says."""

    def __init__(self) -> None:
        self.now = NOON / 1000

    def __call__(self) -> float:
        return self.now


def put(inbox: Inbox, one: Posted, **more: Any) -> bool:
    return inbox.put(one.body, one.content_type, headers=one.headers, **more)


def a_contact(number: int = 1, **changes: Any) -> Posted:
    return posted("api-default", "contact.updated", {"id": f"con_{number}"}, **changes)


def fails(_: Entry) -> None:
    raise RuntimeError("the mail server is away")


def interrupted(_: Entry) -> None:
    """As a process that ends in the middle."""
    raise KeyboardInterrupt
