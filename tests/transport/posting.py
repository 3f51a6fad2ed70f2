"""How the tests of the transport send: one POST, awaited."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from postback.domain.destinations import destination
from postback.domain.policy import Deadlines
from postback.domain.urls import parse_url
from postback.domain.wire import Answered, Destination, Outcome, Reason, Request, Unreachable
from postback.transport.sender import HttpSender

OpenSender = Callable[..., HttpSender]

SOON = Deadlines(connect_s=1.0, response_s=0.4, total_s=1.5)
"""Short, so that waiting for a deadline is quick."""


def a_request(url: str, body: bytes = b"a=1", *, deadlines: Deadlines | None = None, **changes: Any) -> Request:
    where = changes.pop("destination", None) or to(url, deadlines=deadlines)
    return Request(where, "application/x-www-form-urlencoded", body)._replace(**changes)


def to(url: str, *, deadlines: Deadlines | None = None, **more: Any) -> Destination:
    return destination(parse_url(url, allow_http=True), deadlines=deadlines or Deadlines(2.0, 2.0, 4.0), **more)


async def post(sender: HttpSender, url: str, body: bytes = b"a=1", **changes: Any) -> Outcome:
    return await send(sender, a_request(url, body, **changes))


async def send(sender: HttpSender, request: Request) -> Outcome:
    """The outcome of one request; a second one would break the future, loudly."""
    done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    sender.send(request, done.set_result)
    return await done


async def post_all(sender: HttpSender, requests: Sequence[Request]) -> list[Outcome]:
    return await asyncio.gather(*(send(sender, request) for request in requests))


def status_of(outcome: Outcome) -> int:
    assert isinstance(outcome, Answered), outcome
    return outcome.status


def reason_in(outcome: Outcome) -> Reason:
    assert isinstance(outcome, Unreachable), outcome
    return outcome.reason


class Names:
    """A resolver that knows what it is told: for each name one set of addresses after another, the last for ever."""

    def __init__(self, **sets: Sequence[Sequence[str]]) -> None:
        self._sets = {name.replace("_", "."): list(each) for name, each in sets.items()}
        self.asked: list[str] = []

    async def resolve(self, name: str, asker: str) -> Sequence[str]:
        self.asked.append(name)
        sets = self._sets[name]
        return sets.pop(0) if len(sets) > 1 else sets[0]

    async def close(self) -> None:
        self._sets.clear()
