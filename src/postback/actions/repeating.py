"""Reading, changing and writing anew when somebody else was faster."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from postback.domain.errors import RevisionPassed, Unavailable

T = TypeVar("T")

_TRIES: Final = 20


async def until_unpassed(change: Callable[[], Awaitable[T]]) -> T:
    """Run a change that reads what it is made from, again for as long as others come between."""
    for _ in range(_TRIES):
        try:
            return await change()
        except RevisionPassed:
            continue
    raise Unavailable("others are changing the same thing all the time; ask again in a second")
