"""Tokens of claims: no two of any process are the same, so that a claim which no longer holds proves nothing."""

import secrets


class Tokens:
    """Counted up from a number that nobody else has begun with, so that many at once are a range."""

    def __init__(self) -> None:
        self._next = secrets.randbits(62)

    def __call__(self) -> int:
        return self.take(1)

    def take(self, number: int) -> int:
        """The first of so many in a row."""
        first = self._next
        self._next += number
        return first
