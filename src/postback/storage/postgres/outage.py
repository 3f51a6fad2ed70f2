"""Whether the database can be reached, told when that changes and from time to time while it cannot."""

from collections.abc import Callable
from typing import Final

from postback.domain.telemetry import StoreFound, StoreLost
from postback.ports import Report

TOLD_EVERY_S: Final = 30.0


class Outage:
    """Hears of each try to get a connection. `now` is any clock of seconds that never goes back."""

    def __init__(self, name: str, report: Report, now: Callable[[], float]) -> None:
        self._name = name
        self._report = report
        self._now = now
        self._since: float | None = None
        self._told = 0.0

    def failed(self, why: str) -> None:
        now = self._now()
        if self._since is None:
            self._since = now
        elif now - self._told < TOLD_EVERY_S:
            return
        self._told = now
        self._report(StoreLost(self._name, why, now - self._since))

    def succeeded(self) -> None:
        if self._since is not None:
            since, self._since = self._since, None
            self._report(StoreFound(self._name, self._now() - since))
