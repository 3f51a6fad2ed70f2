"""Server-sent events: a page gets the section that it follows anew, whenever that has changed.

A stream ends when the server does (`Services.stopping`), so that no browser keeps it waiting, and when its session is over.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response, StreamingResponse

from postback.domain.errors import NotFound, Unavailable
from postback.web.visit import Visit
from postback.web.watched import SECTIONS, Section

EVERY_S: Final = 2.0
RESTS: Final = 5
"""How many times as long as it took to look a stream waits at least: what is dear to show is looked at less often."""

AGAIN_MS: Final = 3000
"""When a browser asks again after a stream has ended."""

STREAMS_MAX: Final = 500
"""Of this process, at once."""

_CHECKED_EVERY: Final = 15
"""Events after which it is asked whether the session is still good."""

_TIME: Final = re.compile(r"(<time [^>]*>)[^<]*")
"""How long ago something was is kept by the page itself."""

_open = 0


async def stream(visit: Visit) -> Response:
    if _open >= STREAMS_MAX:
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
    """The HTML of the section, as a JSON string, each time that it is another."""
    global _open  # noqa: PLW0603 - one count of the process
    _open += 1
    loop = asyncio.get_running_loop()
    try:
        yield f"retry: {AGAIN_MS}\n\n"
        before, count = "", 0
        while not visit.services.stopping.is_set():
            count += 1
            began = loop.time()
            try:
                if count % _CHECKED_EVERY == 0 and not await visit.is_still_signed_in():
                    return
                html, mark = await _now(visit, section, before)
            except NotFound:
                return
            except Unavailable:
                # A browser that is turned away asks no more; the store will answer again.
                html, mark = None, before
            took_s = loop.time() - began
            yield ": still here\n\n" if html is None else f"event: section\ndata: {json.dumps(html)}\n\n"
            before = mark
            await _pause(visit.services.stopping, pause_s(took_s))
    finally:
        _open -= 1


async def _now(visit: Visit, section: Section, before: str) -> tuple[str | None, str]:
    """The section, None where it is the one that had the mark `before`; and its mark."""
    if section.mark is not None:
        mark = await section.mark(visit)
        return (None if mark == before else await section.html(visit)), mark
    html = await section.html(visit)
    mark = _TIME.sub(r"\1", html)
    return (None if mark == before else html), mark


def pause_s(took_s: float) -> float:
    return max(EVERY_S, RESTS * took_s)


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
