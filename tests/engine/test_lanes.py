"""What a lane takes, what it may start, and what it gives back."""

from collections.abc import Mapping, Sequence

import pytest

from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.crews import CONNECTIONS, Peer, mark_of
from postback.domain.wire import Answered, Outcome, Reason, Timings, Unreachable
from postback.engine.lanes import Lane, Lanes
from postback.engine.refill import Refill
from postback.engine.sharing import Sharing
from postback.engine.windows import LANE_START
from tests.build import a_claim, a_config, a_destination, answered

TIMEOUT = Unreachable(Reason.RESPONSE_TIMEOUT, "silent", Timings())
REFUSED = Unreachable(Reason.CONNECTION_REFUSED, "refused", Timings())


def lanes_with(count: int = 1, places: int = 5_000, **changes: object) -> tuple[Lanes, Sequence[Lane]]:
    """Lanes of configs 1, 2, 3 …, each with a host of its own."""
    lanes = Lanes(places, 1 << 30)
    return lanes, [open_lane(lanes, a_config(id=n, **changes), f"http://host{n}.example/") for n in range(1, count + 1)]


def open_lane(lanes: Lanes, config: PostbackConfig, url: str = "http://host.example/") -> Lane:
    return lanes.open(config, a_destination(url))


def offer(lanes: Lanes, lane: Lane, count: int) -> int:
    """Give the lane as many claims as it takes, at most `count`; how many it took."""
    taken = 0
    while taken < count and lanes.reserve(lane, 10, now=0.0):
        lanes.take(lane, a_claim(config_id=lane.config.id), reserved=True)
        taken += 1
    return taken


def share(lanes: Lanes, due: Sequence[Lane]) -> Mapping[int, int]:
    """How much is claimed when these have work and had no turn yet."""
    refill = Refill(lanes)
    for lane in due:
        refill.add(lane)
    return refill.share(0.0, 1_000_000).room


def run(lanes: Lanes, lane: Lane, outcome: Outcome, count: int = 1, paused_until: float = 0.0) -> None:
    """Attempts that start, end like this and are settled."""
    for _ in range(count):
        claim = lanes.start(lane, now=paused_until)
        if claim is None:
            offer(lanes, lane, 1)
            claim = lanes.start(lane, now=0.0)
        assert claim is not None
        success = isinstance(outcome, Answered) and outcome.status == 200
        lanes.finish(lane, outcome, success, paused_until)
        lanes.leave(lane, 10)


def test_a_new_lane_starts_with_four_under_way_and_as_many_waiting() -> None:
    lanes, [lane] = lanes_with()

    assert offer(lanes, lane, 100) == 2 * LANE_START
    started = [lanes.start(lane, now=0.0) for _ in range(100)]
    assert sum(claim is not None for claim in started) == LANE_START


def test_each_success_widens_the_window_up_to_the_configs_limit() -> None:
    lanes, [lane] = lanes_with(max_in_flight=10)

    run(lanes, lane, answered(200), count=3)
    assert lane.window.size == LANE_START + 3

    run(lanes, lane, answered(200), count=30)
    assert lane.window.size == 10


def test_what_overwhelms_the_receiver_halves_its_window_but_never_below_one() -> None:
    for outcome in (TIMEOUT, REFUSED, answered(429), answered(500), answered(503)):
        lanes, [lane] = lanes_with()
        run(lanes, lane, answered(200), count=12)

        run(lanes, lane, outcome)
        assert lane.window.size == 8

        run(lanes, lane, outcome, count=10)
        assert lane.window.size == 1


def test_an_answer_that_only_refuses_the_one_delivery_leaves_the_window() -> None:
    lanes, [lane] = lanes_with()

    for status in (301, 400, 404, 422):
        run(lanes, lane, answered(status))

    assert lane.window.size == LANE_START


def test_a_lane_that_has_shrunk_takes_only_what_it_can_start() -> None:
    lanes, [lane] = lanes_with()

    run(lanes, lane, TIMEOUT, count=5)

    assert lane.room(now=0.0) == 1
    assert offer(lanes, lane, 10) == 1


def test_shrunk_lanes_share_a_quarter_of_the_places_and_a_success_gives_the_rest_back() -> None:
    lanes, many = lanes_with(10, places=16)
    for lane in many:
        run(lanes, lane, TIMEOUT, count=5)

    assert sum(offer(lanes, lane, 1) for lane in many) == 4
    assert sum(share(lanes, many).values()) == 0

    run(lanes, many[0], answered(200))
    assert offer(lanes, many[0], 1) == 1


def test_a_config_that_is_paused_or_disabled_takes_nothing() -> None:
    for state in (ConfigState.PAUSED, ConfigState.DISABLED, ConfigState.DELETED):
        lanes, [lane] = lanes_with(state=state)

        assert lane.room(now=0.0) == 0
        assert offer(lanes, lane, 1) == 0


def test_retry_after_pauses_the_whole_lane_until_its_time_has_come() -> None:
    lanes, [lane] = lanes_with()
    offer(lanes, lane, 8)

    run(lanes, lane, answered(429), paused_until=30.0)

    assert lanes.start(lane, now=29.9) is None
    assert lane.room(now=29.9) == 0
    assert len(lanes.excess(lane, now=29.9)) == 7
    assert lane.room(now=30.0) > 0


def test_a_window_that_shrinks_gives_back_what_it_will_not_start_soon() -> None:
    lanes, [lane] = lanes_with()
    offer(lanes, lane, 8)
    first = lanes.start(lane, now=0.0)
    assert first is not None

    lanes.finish(lane, TIMEOUT, False, 0.0)

    assert len(lanes.excess(lane, now=0.0)) == 5
    assert len(lane.waiting) == lane.window.size == 2


def test_the_window_of_a_host_bounds_all_lanes_to_it() -> None:
    lanes = Lanes(5_000, 1 << 30)
    many = [open_lane(lanes, a_config(id=n)) for n in range(100)]
    for lane in many:
        offer(lanes, lane, 4)

    started = sum(lanes.start(lane, now=0.0) is not None for lane in many for _ in range(4))

    assert started == CONNECTIONS
    assert many[0].host.in_flight == CONNECTIONS


def test_a_lane_that_only_its_host_stopped_is_called_when_the_host_has_room() -> None:
    lanes = Lanes(5_000, 1 << 30)
    many = [open_lane(lanes, a_config(id=n)) for n in range(65)]
    for lane in many:
        offer(lanes, lane, 4)
        for _ in range(4):
            lanes.start(lane, now=0.0)
    assert list(lanes.freed(many[0].host)) == []

    lanes.finish(many[0], answered(200), True, 0.0)

    assert list(lanes.freed(many[0].host)) == [many[64]]


def test_failures_of_the_connection_count_for_the_host_and_failures_of_the_receiver_do_not() -> None:
    lanes = Lanes(5_000, 1 << 30)
    lane, neighbour = (open_lane(lanes, a_config(id=n)) for n in (1, 2))

    run(lanes, lane, answered(500), count=3)
    assert neighbour.host.window.size == CONNECTIONS

    run(lanes, lane, REFUSED)
    assert neighbour.host.window.size == CONNECTIONS // 2


def test_no_more_places_are_taken_than_the_worker_has() -> None:
    lanes, many = lanes_with(10, places=20)

    assert sum(offer(lanes, lane, 100) for lane in many) == 20
    assert share(lanes, many) == {}


def test_bodies_take_memory_and_beyond_it_nothing_more_is_taken() -> None:
    lanes = Lanes(5_000, memory=1_000)
    lane = open_lane(lanes, a_config())

    assert lanes.reserve(lane, 900, now=0.0)
    assert not lanes.reserve(lane, 101, now=0.0)
    assert lanes.reserve(lane, 100, now=0.0)
    assert share(lanes, [lane]) == {}

    lanes.unreserve(lane, 900)
    assert lanes.reserve(lane, 900, now=0.0)


def test_while_older_deliveries_wait_in_the_store_new_ones_are_stored_behind_them() -> None:
    lanes, [lane] = lanes_with()
    lane.spilled = True

    assert not lanes.reserve(lane, 10, now=0.0)


def test_an_edit_moves_the_lane_to_the_new_host_and_caps_its_window() -> None:
    lanes, [lane] = lanes_with()
    run(lanes, lane, answered(200), count=20)
    offer(lanes, lane, 1)
    assert lanes.start(lane, now=0.0) is not None
    old = lane.host

    lanes.refresh(lane, a_config(id=1, max_in_flight=2), a_destination("http://elsewhere.example/"), now=0.0)

    assert (old.in_flight, lane.host.in_flight) == (0, 1)
    assert lane.window.size == 2


def test_beyond_so_many_lanes_those_are_forgotten_that_would_be_made_anew_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that has used up its rate would have its tokens again, and one that is to wait would not wait."""
    monkeypatch.setattr("postback.engine.lanes.LANES_KEPT", 0)
    lanes, [idle, slow, paused] = lanes_with(3, rate_limit=0.1)
    idle.bucket = None
    assert slow.bucket is not None
    slow.bucket.take(100.0)
    paused.paused_until = 104.0

    lanes.forget_idle(now=103.9)
    assert set(lanes.lanes) == {2, 3}
    assert list(lanes.of(slow.account)) == [slow, paused]

    lanes.forget_idle(now=109.9)
    assert set(lanes.lanes) == {2}

    lanes.forget_idle(now=110.0)
    assert set(lanes.lanes) == set()


def test_a_host_of_which_another_worker_has_more_than_its_share_holds_its_lanes_alone_until_it_has_no_more() -> None:
    sharing = Sharing(10.0)
    sharing.begin(7)
    lanes = Lanes(5_000, 1 << 30, sharing)
    lane, neighbour = open_lane(lanes, a_config(id=1)), open_lane(lanes, a_config(id=2), "http://other.example/")

    def hear(*keeps: int) -> None:
        crew = mark_of((7, 8))
        sharing.has_news(lanes.over)
        sharing.hear([Peer(7, sharing.goes_by), Peer(8, crew, frozenset(keeps))], 0.0, 0.0)

    hear()
    hear(lane.host.key)
    lanes.reallot()
    assert (lane.room(now=0.0), neighbour.room(now=0.0)) == (0, 2 * LANE_START)
    assert not lane.is_elsewhere

    hear()
    assert lanes.reallot(sharing.let_go) == [lane]
    assert lane.room(now=0.0) == 2 * LANE_START
    assert (lane.host.window.size, neighbour.host.window.size) == (CONNECTIONS // 2, CONNECTIONS // 2)


def test_lanes_and_hosts_that_are_over_what_a_new_crew_gives_are_named() -> None:
    sharing = Sharing()
    lanes = Lanes(5_000, 1 << 30, sharing)
    many = [open_lane(lanes, a_config(id=n)) for n in range(1, 41)]
    wide = open_lane(lanes, a_config(id=41), "http://other.example/")
    for lane in (*many, wide):
        run(lanes, lane, answered(200), count=2)
        for _ in range(offer(lanes, lane, 6)):
            lanes.start(lane, now=0.0)
    assert lanes.over() == frozenset()

    for crew in ((0, 8), range(12)):
        sharing.hear([Peer(worker, 0) for worker in crew], 0.0, 0.0)
        within = wide.in_flight <= 64 // len(crew)
        assert lanes.over() == {many[0].host.key} | (set() if within else {lane.config.id for lane in (*many, wide)})
