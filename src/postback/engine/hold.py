"""Keeps a worker from its deliveries until somebody has said that they may go."""


class Hold:
    """While it holds, the worker accepts and its heart beats; it claims, replays, buries and expires nothing.

    Once released it holds nothing any more.
    """

    def __init__(self, *, holds: bool = False) -> None:
        self._holds = holds

    @property
    def holds(self) -> bool:
        return self._holds

    def release(self) -> None:
        self._holds = False
