"""That the database is away is told once, then from time to time, and that it is back."""

from postback.domain.telemetry import Fact, StoreFound, StoreLost
from postback.storage.postgres.outage import TOLD_EVERY_S, Outage

NAME = "the database pb on db.example"


def test_it_is_told_at_first_from_time_to_time_and_when_it_is_over() -> None:
    now = [100.0]
    told: list[Fact] = []
    outage = Outage(NAME, told.append, lambda: now[0])

    outage.succeeded()
    for seconds in (0.0, 0.2, 10.0, TOLD_EVERY_S, TOLD_EVERY_S + 1):
        now[0] = 100.0 + seconds
        outage.failed("Connection refused")
    now[0] = 141.0
    outage.succeeded()
    outage.succeeded()
    outage.failed("no answer in time")

    assert told == [
        StoreLost(NAME, "Connection refused", 0.0),
        StoreLost(NAME, "Connection refused", TOLD_EVERY_S),
        StoreFound(NAME, 41.0),
        StoreLost(NAME, "no answer in time", 0.0),
    ]
