"""What a transaction adds to the log: told to whoever counts once it is durable, so that no count can differ from it."""

from typing import Final

from postback.domain.telemetry import Committed


class Uncommitted:
    """Of the transaction under way. The fields are those of domain.telemetry.Committed."""

    __slots__ = ("attempts", "deliveries", "events", "latencies_ms", "replayed", "took_ms")

    def __init__(self) -> None:
        self.events = 0
        self.deliveries = 0
        self.replayed = 0
        self.attempts: list[tuple[int, str | None]] = []
        self.took_ms: list[int] = []
        self.latencies_ms: list[int] = []

    def mark(self) -> "Mark":
        lists = len(self.attempts), len(self.took_ms), len(self.latencies_ms)
        return self.events, self.deliveries, self.replayed, *lists

    def back_to(self, mark: "Mark") -> None:
        self.events, self.deliveries, self.replayed, attempts, took, latencies = mark
        del self.attempts[attempts:]
        del self.took_ms[took:]
        del self.latencies_ms[latencies:]

    def committed(self, took_s: float, rows: int) -> Committed:
        """It is durable now: so long it took, and so many rows it wrote."""
        return Committed(
            took_s,
            rows,
            self.events,
            self.deliveries,
            self.replayed,
            tuple(self.attempts),
            tuple(self.took_ms),
            tuple(self.latencies_ms),
        )


Mark = tuple[int, int, int, int, int, int]
"""How much there was of each: what a savepoint that is rolled back goes back to."""

NOTHING: Final[Mark] = (0, 0, 0, 0, 0, 0)
