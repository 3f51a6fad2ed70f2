"""Passwords: how they are kept, proved and judged. Hashing takes a tenth of a second and 64 MiB, so it has two threads at
most."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from postback.domain.errors import InvalidValue, Unavailable

PASSWORD_MIN: Final = 12
PASSWORD_MAX: Final = 256

AT_ONCE: Final = 2
"""However many want to sign in, deliveries keep the rest of the machine."""

WAITING_MAX: Final = 40
"""Who comes while so many wait already is asked to come back, rather than to wait for long without knowing."""

_AGAIN_S: Final = 5

_GOOD: Final = 3
"""zxcvbn's score of what takes more than 10^8 guesses, of 0 to 4."""

_JUDGED: Final = 72
"""Characters that zxcvbn looks at; with more it takes seconds."""


class Passwords:
    """argon2id, where nothing else is given by RFC 9106's second choice of parameters, but in one lane: in four each would
    take four threads, and two of them most of a small machine, for the same work."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(parallelism=1)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        async with self._place():
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def is_right(self, password: str, hashed: str | None) -> bool:
        """As much work for None, somebody whom we do not know, as for anybody else."""
        async with self._place():
            return await asyncio.to_thread(self._verify, password, hashed)

    async def judge(self, password: str, *known: str, field: str = "password") -> None:
        """InvalidValue that tells the reason where it would be guessed; `known` are words that others know of its owner."""
        length = len(_normal(password))
        if not PASSWORD_MIN <= length <= PASSWORD_MAX:
            expected = f"at least {PASSWORD_MIN}" if length < PASSWORD_MIN else f"at most {PASSWORD_MAX}"
            raise InvalidValue.of(field, f"has {length} characters; expected {expected}")
        async with self._place():
            reasons = await asyncio.to_thread(_reasons, _normal(password), known)
        if reasons:
            raise InvalidValue({field: reasons})

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of those at once; Unavailable where too many wait for one."""
        if self._waiting >= WAITING_MAX:
            raise Unavailable("too many people sign in at this moment; try again in a few seconds", _AGAIN_S)
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody has this password")

    def _verify(self, password: str, hashed: str | None) -> bool:
        try:
            self._hasher.verify(self._nobodys if hashed is None else hashed, _normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return hashed is not None


def _normal(password: str) -> str:
    """The same letters are the same, whichever keyboard they came from."""
    return unicodedata.normalize("NFKC", password)


def _reasons(password: str, known: Sequence[str]) -> list[str]:
    # Its lists of words take a moment and some memory, which only whoever sets a password needs.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    words = [part for text in known for part in (text, *text.replace("@", " ").replace(".", " ").split())]
    judged: dict[str, Any] = zxcvbn(password[:_JUDGED], user_inputs=[*words, "postback"])
    if judged["score"] >= _GOOD:
        return []
    said = [judged["feedback"]["warning"], *judged["feedback"]["suggestions"]]
    return ["would be guessed soon", *(one.rstrip(".") for one in said if one)]
