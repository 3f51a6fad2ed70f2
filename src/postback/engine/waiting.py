"""The one way in which the engine waits."""

import asyncio


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for the event, at most so many seconds; whether it happened."""
    if within_s > 0 and not event.is_set():
        try:
            async with asyncio.timeout(within_s):
                await event.wait()
        except TimeoutError:
            return False
    return event.is_set()
