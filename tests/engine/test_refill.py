"""Which lanes are claimed for: accounts in turn, a little at once, and at the cost of what is claimed only."""

from collections.abc import Sequence

import pytest

from postback.domain.wire import Reason, Timings, Unreachable
from postback.engine.lanes import Lane, Lanes
from postback.engine.refill import Refill
from postback.engine.windows import LANE_START
from tests.build import a_claim, a_config, a_destination

ALL = 1_000_000


def a_crowd(lanes: Lanes, count: int, account: str, first: int = 1) -> Sequence[Lane]:
    """Lanes of configs in a row, each with a host of its own."""
    return [
        lanes.open(a_config(id=n, account=account), a_destination(f"http://h{n}.example/"))
        for n in range(first, first + count)
    ]


def refill_with(lanes: Lanes, due: Sequence[Lane]) -> Refill:
    refill = Refill(lanes)
    for lane in due:
        refill.add(lane)
    return refill


def test_accounts_take_turns_so_one_backlog_does_not_delay_another() -> None:
    lanes = Lanes(places=2 * LANE_START, memory=1 << 30)
    crowd, [lonely] = a_crowd(lanes, 19, "crowd"), a_crowd(lanes, 1, "lonely", first=99)
    refill = Refill(lanes)
    turns = []

    for _ in range(4):
        for lane in (*crowd, lonely):
            refill.add(lane)
        turns.append(refill.share(0.0, ALL).room)

    assert [lonely.config.id in turn for turn in turns] == [False, True, False, True]


def test_within_a_turn_every_account_gets_a_lane_before_one_gets_a_second() -> None:
    lanes = Lanes(places=5 * LANE_START, memory=1 << 30)
    refill = refill_with(lanes, [*a_crowd(lanes, 19, "crowd"), *a_crowd(lanes, 1, "lonely", first=99)])

    assert refill.share(0.0, ALL).room == {1: 8, 99: 8, 2: 4}


def test_of_many_lanes_a_little_is_claimed_at_once_and_the_others_come_next() -> None:
    lanes = Lanes(places=5_000, memory=1 << 30)
    refill = refill_with(lanes, a_crowd(lanes, 10, "crowd"))

    shares = [refill.share(0.0, 16).room for _ in range(6)]

    assert shares == [{n: 8, n + 1: 8} for n in range(1, 11, 2)] + [{}]
    assert not refill


def test_a_wide_lane_gets_more_once_all_others_had_their_turn_and_then_waits_no_more() -> None:
    lanes = Lanes(places=5_000, memory=1 << 30)
    wide, narrow = a_crowd(lanes, 2, "crowd")
    for _ in range(20):
        wide.window.grow()
    refill = refill_with(lanes, [wide, narrow])

    assert refill.share(0.0, 30).room == {wide.config.id: 22, narrow.config.id: 8}
    assert not refill


def test_lanes_that_can_take_nothing_are_told_and_wait_no_more() -> None:
    lanes = Lanes(places=5_000, memory=1 << 30)
    full, free = a_crowd(lanes, 2, "crowd")
    while lanes.reserve(full, 10, now=0.0):
        lanes.take(full, a_claim(config_id=full.config.id), reserved=True)
    refill = refill_with(lanes, [full, free])

    assert refill.share(0.0, ALL) == ({free.config.id: 8}, [full])
    assert not refill


def test_shrunk_lanes_wait_on_for_the_places_that_they_share() -> None:
    lanes = Lanes(places=8, memory=1 << 30)
    many = a_crowd(lanes, 5, "crowd")
    for lane in many:
        for _ in range(5):
            lanes.take(lane, a_claim(config_id=lane.config.id), reserved=False)
            claim = lanes.start(lane, 0.0)
            assert claim is not None
            lanes.finish(lane, Unreachable(Reason.RESPONSE_TIMEOUT, "silent", Timings()), False, 0.0)
            lanes.leave(lane, len(claim.event.data))
    refill = refill_with(lanes, many)

    assert [refill.share(0.0, ALL).room for _ in range(4)] == [{1: 1, 2: 1}, {3: 1, 4: 1}, {5: 1}, {}]


def test_a_lane_that_waits_already_does_not_wait_twice() -> None:
    lanes = Lanes(places=5_000, memory=1 << 30)
    [lane] = a_crowd(lanes, 1, "crowd")

    refill = refill_with(lanes, [lane, lane])

    assert refill.share(0.0, ALL).room == {lane.config.id: 8}
    assert not refill


def test_where_no_place_is_left_all_go_on_waiting() -> None:
    lanes = Lanes(places=0, memory=1 << 30)
    refill = refill_with(lanes, a_crowd(lanes, 3, "crowd"))

    assert refill.share(0.0, ALL) == ({}, [])
    lanes.places = 100
    assert len(refill.share(0.0, ALL).room) == 3


def test_a_share_looks_at_no_more_lanes_than_it_gives_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 10,000 lanes waiting each look went through all of them, for the few places that had become free."""
    lanes = Lanes(places=5_000, memory=1 << 30)
    refill = refill_with(lanes, [lane for n in range(100) for lane in a_crowd(lanes, 10, f"acc_{n}", first=10 * n)])
    asked = []
    room = Lane.room
    monkeypatch.setattr(Lane, "room", lambda lane, now: asked.append(lane) or room(lane, now))

    shared = refill.share(0.0, 32).room

    assert len(shared) == len(asked) == 4
