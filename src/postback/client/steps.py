"""What is asked, and what is asked again, without any I/O: both clients, with threads and with asyncio, go by it."""

import logging
import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from postback.client.answers import judged, results_of
from postback.client.errors import (
    BadAnswer,
    ClientError,
    NotReachable,
    NotTrusted,
    RateLimited,
    Refused,
    ServerFailed,
    TooLarge,
    Unavailable,
)
from postback.client.events import AnEvent, Line, Published, Result, Took, batches_of, body_of, line_of
from postback.client.wire import NDJSON, Answer, Request

PAGE_SIZE: Final = 500
EVENTS: Final = "/v2/events"

_log: Final = logging.getLogger("postback.client")


class Pause(NamedTuple):
    """Go on after so many seconds."""

    seconds: float


T = TypeVar("T")
Told: TypeAlias = Answer | ClientError | None
Steps: TypeAlias = Generator[Request | Pause, Told, T]
"""Each request that is yielded is to be answered with what came of it, each pause with None."""


def by_secrets() -> float:
    """A number from 0 to 1."""
    return secrets.randbelow(1 << 20) / (1 << 20)


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often something is asked again, and when. The waits double, and lose up to half by chance.

    Where a part of a batch was taken the count begins anew: what an account's rate holds back gets in bit by bit.
    What the server says with Retry-After counts where it is longer. If it is longer than `longest_wait_s`, the error is
    raised at once: whoever asks may have something better to do for so long.
    """

    times: int = 6
    first_wait_s: float = 0.25
    longest_wait_s: float = 60.0
    dice: Callable[[], float] = by_secrets

    def wait_s(self, asked: int, error: ClientError) -> float | None:
        """How long to wait after the request was made so many times and ended like this; None: give up."""
        retry_after_s = (error.retry_after_s or 0.0) if isinstance(error, Refused) else 0.0
        if asked > self.times or retry_after_s > self.longest_wait_s:
            return None
        # Bounded before it is a number that no float can hold.
        wait_s = min(self.first_wait_s * 2.0 ** min(asked - 1, 100), self.longest_wait_s)
        return max(wait_s * (1 - self.dice() / 2), retry_after_s)


NEVER: Final = Retrying(times=0)


def asking(request: Request, retrying: Retrying) -> Steps[Answer]:
    """One request, made until it is answered well or there is no sense in making it again."""
    asked = 0
    while True:
        told = judged((yield request))
        if isinstance(told, Answer):
            return told
        asked += 1
        pause = _pause(request, told, asked, retrying)
        if pause is None:
            raise told
        yield pause


def publishing(lines: Iterable[Line], retrying: Retrying, took: Took) -> Steps[None]:
    """Publish in order; `took` is told of each event as soon as it is known what came of it.

    Where a whole request fails for good, what comes after it would fare no better: it gets that error, and is not sent.
    """
    batches = batches_of(lines)
    halves = deque[Sequence[Line]]()
    while batch := halves.popleft() if halves else next(batches, None):
        left, error = yield from _publishing_batch(batch, retrying, took)
        if isinstance(error, TooLarge) and len(left) > 1:
            # What stands before the server may take less at once than the server.
            middle = len(left) // 2
            halves.extendleft((left[middle:], left[:middle]))
            continue
        if error is None:
            continue
        is_lost = not isinstance(error, TooLarge)
        for line in chain(left, *halves, *batches) if is_lost else left:
            took(line.place, error)
        if is_lost:
            return


def publishing_one(event: AnEvent, retrying: Retrying) -> Steps[Published]:
    """The same for one event, whose error is raised."""
    results: list[Result] = []
    yield from publishing([line_of(event)], retrying, lambda _, result: results.append(result))
    [result] = results
    if isinstance(result, ClientError):
        raise result
    return result


class Listing:
    """The pages of a list, by number or by cursor as the list has them: ask with `query` until it is None."""

    def __init__(self, limit: int | None, filters: dict[str, object]) -> None:
        self._left = limit
        self._filters = filters
        self._number = 1
        self.query: dict[str, object] | None = self._asked() if limit is None or limit > 0 else None

    def take(self, page: Any) -> Sequence[Any]:
        """The items of a page that was asked for."""
        lists = [value for value in page.values() if isinstance(value, list)] if isinstance(page, dict) else []
        if len(lists) != 1:
            raise BadAnswer("the answer is not a list")
        items = lists[0] if self._left is None else lists[0][: self._left]
        if self._left is not None:
            self._left -= len(items)
        self.query = self._next(page) if self._left is None or self._left > 0 else None
        return items

    def _next(self, page: dict[str, Any]) -> dict[str, object] | None:
        match page:
            case {"next_cursor": str(cursor)}:
                # A place that was seen already leads round in a circle.
                has_moved = (self.query or {}).get("cursor") != cursor
                return self._asked(cursor=cursor) if has_moved else None
            case {"meta": {"pagination": {"pageCount": int(pages)}}} if self._number < pages:
                self._number += 1
                return self._asked(page=self._number)
            case _:
                return None

    def _asked(self, **place: object) -> dict[str, object]:
        size = PAGE_SIZE if self._left is None else min(self._left, PAGE_SIZE)
        return {"page_size": size, **place, **self._filters}


def _publishing_batch(
    batch: Sequence[Line], retrying: Retrying, took: Took
) -> Steps[tuple[Sequence[Line], ClientError | None]]:
    """What is left of it at the end, and why."""
    left, asked = batch, 0
    while True:
        asked += 1
        request = Request("POST", EVENTS, body_of(left), NDJSON, may_repeat=True)
        told = judged((yield request))
        error = told if isinstance(told, ClientError) else None
        if isinstance(told, Answer):
            try:
                results = results_of(left, told)
            except BadAnswer as bad:
                return left, bad
            again = []
            for line, result in zip(left, results, strict=True):
                if isinstance(result, RateLimited | Unavailable):
                    again.append(line)
                    error = result
                else:
                    took(line.place, result)
            # A rate lets through some each time; only what gets nowhere is given up.
            asked = asked if len(again) == len(left) else 1
            left = again
        if error is None:
            return (), None
        pause = _pause(request, error, asked, retrying)
        if pause is None:
            return left, error
        yield pause


def _pause(request: Request, error: ClientError, asked: int, retrying: Retrying) -> Pause | None:
    """None where it would do harm, or no good, to ask again."""
    wait_s = retrying.wait_s(asked, error) if _may_ask_again(request, error) else None
    if wait_s is None:
        return None
    _log.info("%s %s is asked again in %.2f s: %s", request.method, request.target, wait_s, error)
    return Pause(wait_s)


def _may_ask_again(request: Request, error: ClientError) -> bool:
    match error:
        case RateLimited() | Unavailable():
            return True
        case NotTrusted():
            return False
        case NotReachable(may_have_arrived=may_have_arrived):
            return request.may_repeat or not may_have_arrived
        case ServerFailed():
            # Nobody knows how far it came.
            return request.may_repeat
        case _:
            return False
