"""Server-sent events: a page gets the section that it follows anew, whenever that has changed.

A stream ends when the server does (`Services.stopping`), so that no browser keeps it waiting, and when its session is over.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse

from postback.domain.errors import NotFound, Unavailable
from postback.web.visit import Visit
from postback.web.watched import SECTIONS, Section

EVERY_S: Final = 2.0
SELDOM_S: Final = 60.0
"""How long (s) it is from one look to the next, at least and at most."""

AGAIN_MS: Final = 3000
"""When a browser asks again after a stream has ended."""

STREAMS_MAX: Final = 500
"""Of this process, at once."""

OF_ONE_MAX: Final = 20
"""Of one person, who would keep all others from theirs otherwise."""

SHARE: Final = 0.2
"""Of the time of this process, for all streams together: the more there are and the longer a look takes, the more seldom
each of them looks."""

_CHECKED_EVERY: Final = 15
"""Looks after which it is asked whether the session is still good, also where nothing has happened."""

_TIME: Final = re.compile(r"(<time [^>]*>)[^<]*")
"""How long ago something was is kept by the page itself."""

_NO_NEWS: Final = ": still here\n\n"

_open: Final[Counter[str]] = Counter()
"""Streams, by who follows them."""


async def stream(visit: Visit) -> Response:
    if _open.total() >= STREAMS_MAX or _open[visit.actor.key_id] >= OF_ONE_MAX:
        raise Unavailable("too many pages are live at this moment", retry_after_s=30)
    watched = visit.asked("watch")
    if watched not in SECTIONS:
        raise NotFound("watch", watched)
    section = SECTIONS[watched]
    # What is not there is no stream, but a 404.
    await section.html(visit)
    return StreamingResponse(
        events(visit, section),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def events(visit: Visit, section: Section) -> AsyncIterator[str]:
    """The HTML of the section, as a JSON string, each time that it is another.

    Nothing is sent but to whoever is still signed in, and may still see as much. While the store cannot be read, nothing
    is new.
    """
    loop, who = asyncio.get_running_loop(), visit.actor.key_id
    _open[who] += 1
    try:
        yield f"retry: {AGAIN_MS}\n\n"
        before, count = "", 0
        while not visit.services.stopping.is_set():
            count += 1
            begun_s = loop.time()
            try:
                html, mark = await _look(visit, section, before)
                if (html is not None or count % _CHECKED_EVERY == 0) and not await visit.is_as_it_was():
                    return
                news = _NO_NEWS if html is None else f"event: section\ndata: {json.dumps(html)}\n\n"
                before = mark
            except NotFound:
                return
            except Unavailable:
                news = _NO_NEWS
            took_s = loop.time() - begun_s
            yield news
            await _pause(visit.services.stopping, pause_s(took_s, _open.total()))
    finally:
        _open[who] -= 1
        if not _open[who]:
            del _open[who]


def pause_s(took_s: float, streams: int) -> float:
    """Until the next look of one of so many streams, whose last one took so long."""
    return min(max(EVERY_S, took_s * streams / SHARE), SELDOM_S)


async def _look(visit: Visit, section: Section, before: str) -> tuple[str | None, str]:
    """The section, None where it is the one that had the mark `before`; and its mark."""
    if section.mark is not None:
        mark = await section.mark(visit)
        return (None if mark == before else await section.html(visit)), mark
    html = await section.html(visit)
    mark = _TIME.sub(r"\1", html)
    return (None if mark == before else html), mark


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
