"""Server-sent events: pages hear of figures that have changed, or get the section anew that they follow.

A stream ends when the server does (`Services.stopping`), so that no browser keeps it waiting, and when its session is over.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.responses import Response, StreamingResponse

from postback.domain.errors import NotFound, Unavailable
from postback.domain.stats import MINUTE_MS
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

Told = Callable[[Visit], Awaitable[str]]
"""Makes the event that is sent whenever something has happened."""

_open: Final[Counter[str]] = Counter()
"""Streams, by who follows them."""


async def stream(visit: Visit, told: Told | None = None) -> Response:
    if _open.total() >= STREAMS_MAX or _open[visit.actor.key_id] >= OF_ONE_MAX:
        raise Unavailable("too many pages are live at this moment", retry_after_s=30)
    watched = visit.asked("watch")
    if watched and watched not in SECTIONS:
        raise NotFound("watch", watched)
    section = SECTIONS.get(watched)
    if section is not None:
        # What is not there is no stream, but a 404.
        await section(visit)
    return StreamingResponse(
        events(visit, told, section),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def events(visit: Visit, told: Told | None = None, section: Section | None = None) -> AsyncIterator[str]:
    """`figures`: what the account has had in this hour, each time it is another than before; or what `told` makes, then and
    once a minute. Or `section`: the HTML of a section, as a JSON string, each time it is another.

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
                said, seen = await _look(visit, told, section)
                if (seen != before or count % _CHECKED_EVERY == 0) and not await visit.is_as_it_was():
                    return
                news = _NO_NEWS if seen == before else await _news(visit, said, told, section)
                before = seen
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


async def _look(visit: Visit, told: Told | None, section: Section | None) -> tuple[str, str]:
    """What would be said, and the part of it that is news where it is another than before."""
    if section is not None:
        said = await section(visit)
        return said, _TIME.sub(r"\1", said)
    said = await _figures(visit)
    return said, said if told is None else f"{visit.now_ms // MINUTE_MS} {said}"


async def _news(visit: Visit, said: str, told: Told | None, section: Section | None) -> str:
    if section is not None:
        return f"event: section\ndata: {json.dumps(said)}\n\n"
    return f"event: figures\ndata: {said}\n\n" if told is None else await told(visit)


async def _figures(visit: Visit) -> str:
    steps = await visit.services.stats.steps(visit.account, visit.now_ms - 3_600_000, None, 60, None)
    names = ("accepted", "delivered", "failed", "retried")
    return json.dumps({name: sum(getattr(step.tally, name) for step in steps) for name in names})


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
