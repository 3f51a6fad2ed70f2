"""The few doubles: a clock that is told the time, and an event loop whose time passes only when nothing else can."""

import asyncio
import random
import selectors

from tests.build import NOON


class ClockDouble:
    """Unix milliseconds, as the test says."""

    def __init__(self, now_ms: int = NOON) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_(self, *, seconds: float = 0, ms: int = 0) -> None:
        self.now_ms += int(seconds * 1000) + ms


class VirtualSelector(selectors.SelectSelector):
    """Never waits: a wait moves the loop's time on by its length."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("deadlock: nothing is ready and no timer is set")
        self.now += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without real time and, by its own selector, without real sockets; what is ready runs in an order that
    `dice` shuffles."""

    def __init__(self, dice: random.Random, selector: VirtualSelector | None = None) -> None:
        self._virtual = VirtualSelector() if selector is None else selector
        self._dice = dice
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if len(ready) > 1:
            shuffled = list(ready)
            self._dice.shuffle(shuffled)
            ready.clear()
            ready.extend(shuffled)
        super()._run_once()  # type: ignore[misc]
