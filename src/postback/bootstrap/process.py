"""What one process goes by: its loop, its garbage, how its work is brought to an end, and the end when nothing helps."""

import asyncio
import gc
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final

from postback.observability import Log

BROKEN_S: Final = 1.0
"""After a failed fsync nothing more can be made durable: the process ends within so many seconds."""

LOOK_EVERY_S: Final = 0.25


def run(main: Coroutine[Any, Any, int]) -> int:
    """On uvloop where it exists: the same work costs less than half there."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)


def settle_garbage() -> None:
    """What was made at the start stays: no collection needs to look at it again, and the rest is young or in use."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def ends_within(
    work: asyncio.Task[None], patience_s: float, vain_s: float, is_in_vain: Callable[[], bool]
) -> bool:
    """Whether the work ends by itself within `patience_s`; it is cancelled after that, and when for `vain_s` it was in vain."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_s
    hopeful_at = loop.time()
    while not work.done():
        now = loop.time()
        if not is_in_vain():
            hopeful_at = now
        if now >= min(end, hopeful_at + vain_s):
            work.cancel()
            await asyncio.wait([work])
            return False
        await asyncio.wait([work], timeout=min(LOOK_EVERY_S, end - now))
    await work
    return True


def end_now(log: Log, why: str) -> None:
    """Nothing that was acknowledged is lost by this; going on could lose what is acknowledged next."""
    log.error("the store is broken; the process ends, and may be started again", why=why)
    asyncio.get_running_loop().call_later(BROKEN_S, os._exit, 1)
