"""What the store said a moment ago, believed for a moment: keeps a query off the way of every request."""

import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

KNOWN_FOR_S: Final = 1.0
"""How long an answer is believed: what another process removes is gone here within this time."""

_KEPT: Final = 10_000

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._held: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        found = self._held.get(key)
        if found is None or found[0] <= self._monotonic():
            return None
        return found[1]

    def put(self, key: K, value: V) -> None:
        if len(self._held) >= _KEPT:
            self._held.clear()
        self._held[key] = (self._monotonic() + KNOWN_FOR_S, value)

    def forget(self, key: K) -> None:
        self._held.pop(key, None)

    def clear(self) -> None:
        self._held.clear()
