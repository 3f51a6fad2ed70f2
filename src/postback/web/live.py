"""Server-sent events: pages hear of figures that have changed, or get the section anew that they follow.

A stream ends when the server does (`Services.stopping`), so that no browser keeps it waiting, and when its session is over.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from starlette.responses import Response, StreamingResponse

from postback.domain.errors import NotFound, Unavailable
from postback.domain.stats import MINUTE_MS
from postback.web.visit import Visit
from postback.web.watched import SECTIONS, Section

EVERY_S: Final = 2.0
AGAIN_MS: Final = 3000
"""When a browser asks again after a stream has ended."""

STREAMS_MAX: Final = 500
"""Of this process, at once."""

_CHECKED_EVERY: Final = 15
"""Events after which it is asked whether the session is still good."""

_TIME: Final = re.compile(r"(<time [^>]*>)[^<]*")
"""How long ago something was is kept by the page itself."""
Told = Callable[[Visit], Awaitable[str]]
"""Makes the event that is sent whenever something has happened."""

_open = 0


async def stream(visit: Visit, told: Told | None = None) -> Response:
    if _open >= STREAMS_MAX:
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
    once a minute. Or `section`: the HTML of a section, as a JSON string, each time it is another."""
    global _open  # noqa: PLW0603 - one count of the process
    _open += 1
    try:
        yield f"retry: {AGAIN_MS}\n\n"
        before, count = "", 0
        while not visit.services.stopping.is_set():
            count += 1
            if count % _CHECKED_EVERY == 0 and not await visit.is_still_signed_in():
                return
            try:
                said = await _figures(visit) if section is None else await section(visit)
            except NotFound:
                return
            seen = said if told is None else f"{visit.now_ms // MINUTE_MS} {said}"
            seen = seen if section is None else _TIME.sub(r"\1", said)
            if seen == before:
                yield ": still here\n\n"
            elif section is not None:
                yield f"event: section\ndata: {json.dumps(said)}\n\n"
            else:
                yield f"event: figures\ndata: {said}\n\n" if told is None else await told(visit)
            before = seen
            await _pause(visit.services.stopping)
    finally:
        _open -= 1


async def _figures(visit: Visit) -> str:
    steps = await visit.services.stats.steps(visit.account, visit.now_ms - 3_600_000, None, 60, None)
    names = ("accepted", "delivered", "failed", "retried")
    return json.dumps({name: sum(getattr(step.tally, name) for step in steps) for name in names})


async def _pause(stopping: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(EVERY_S):
            await stopping.wait()
    except TimeoutError:
        return
