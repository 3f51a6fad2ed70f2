"""Checking passwords: so many at once, so many that wait, and nobody waits without an end."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from postback.actions.passwords import AT_ONCE, WAITING_MAX, Passwords
from postback.domain.errors import Unavailable

pytestmark = pytest.mark.anyio

PASSWORD = "five quiet otters juggle"


class SlowHasher(PasswordHasher):
    """Checks nothing before it is let go on."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go_on = threading.Event()
        self.under_way = 0
        self.most = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - as it is called there
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.go_on.wait(10)
        self.under_way -= 1
        return super().verify(hash, password)


async def test_who_comes_while_too_many_wait_is_told_to_come_back() -> None:
    """A flood of tries to sign in would keep everybody else waiting, and each waits with the form that was sent."""
    hasher = SlowHasher()
    passwords, hashed = Passwords(hasher), hasher.hash(PASSWORD)
    waiting = [asyncio.create_task(passwords.is_right(PASSWORD, hashed)) for _ in range(AT_ONCE + WAITING_MAX)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable) as refused:
        await passwords.is_right(PASSWORD, hashed)
    hasher.go_on.set()
    answers = await asyncio.gather(*waiting)

    assert refused.value.retry_after_s > 1
    assert answers == [True] * len(waiting)
    assert hasher.most <= AT_ONCE
    assert await passwords.is_right(PASSWORD, hashed)


async def test_passwords_are_kept_as_argon2id_that_takes_64_mib_and_one_thread() -> None:
    passwords = Passwords()

    hashed = await passwords.hash(PASSWORD)

    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert await passwords.is_right(PASSWORD, hashed)
    assert not await passwords.is_right(PASSWORD + ".", hashed)


async def test_who_was_hashed_otherwise_is_still_let_in() -> None:
    hashed = PasswordHasher(memory_cost=64, parallelism=4).hash(PASSWORD)

    assert await Passwords().is_right(PASSWORD, hashed)
