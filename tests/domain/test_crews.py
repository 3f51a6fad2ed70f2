"""Whose a lane is: every worker comes to the same answer, and hardly any lane moves when workers come and go."""

from collections import Counter

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from postback.domain.crews import (
    NOBODY,
    Crew,
    Peer,
    crew_of,
    host_key,
    in_touch_ms,
    is_owned,
    keys_of,
    keys_text,
    mark_of,
    owner_of,
    part_of,
    share,
)
from tests.build import CONFIG_ID, NOON, a_config

WORKERS = [(NOON << 21) + n * 1_000_003 for n in range(20)]
LANES = range(CONFIG_ID, CONFIG_ID + 4_000)

CREWS = st.lists(st.integers(1, (1 << 63) - 1), min_size=1, max_size=80, unique=True).map(
    lambda ids: tuple(sorted(ids))
)


def owners(crew: Crew) -> dict[int, int]:
    return {config_id: owner_of(config_id, crew) for config_id in LANES}


def test_the_owner_is_the_same_on_every_machine_and_in_every_process() -> None:
    assert [owner_of(config_id, (11, 22, 33)) for config_id in range(8)] == [33, 22, 11, 11, 22, 33, 22, 22]
    assert mark_of((11, 22, 33)) == 9005843131053084877


def test_lanes_are_spread_evenly_over_the_workers() -> None:
    owned = Counter(owners(tuple(WORKERS[:5])).values())

    assert set(owned) == set(WORKERS[:5])
    assert all(650 <= lanes <= 950 for lanes in owned.values())


@pytest.mark.parametrize("n", [1, 2, 5, 19])
def test_a_worker_that_joins_takes_its_share_and_no_other_lane_moves(n: int) -> None:
    joined = WORKERS[n]
    before, after = owners(tuple(WORKERS[:n])), owners(tuple(WORKERS[: n + 1]))

    moved = [config_id for config_id in LANES if before[config_id] != after[config_id]]

    assert all(after[config_id] == joined for config_id in moved)
    assert len(moved) == pytest.approx(len(LANES) / (n + 1), rel=0.25)


def test_a_worker_that_leaves_gives_its_own_lanes_away_and_no_other_moves() -> None:
    left = WORKERS[3]
    before, after = owners(tuple(WORKERS[:8])), owners(tuple(one for one in WORKERS[:8] if one != left))

    assert {before[config_id] for config_id in LANES if before[config_id] != after[config_id]} == {left}
    assert left not in after.values()


def test_shares_are_whole_and_never_nothing() -> None:
    assert [share(256, n) for n in (1, 2, 3, 256, 300)] == [256, 128, 85, 1, 1]


def test_a_rate_has_one_owner_and_so_has_a_cap_that_would_leave_too_little_for_each() -> None:
    assert is_owned(a_config(rate_limit=1000.0, max_in_flight=1000), 2)
    assert not is_owned(a_config(max_in_flight=4), 2)
    assert is_owned(a_config(max_in_flight=4), 3)


@for_all(crew=CREWS, cap=st.integers(1, 1000), has_rate=st.booleans())
def test_the_parts_of_all_workers_are_no_more_than_there_is_and_somebody_has_one(
    crew: Crew, cap: int, has_rate: bool
) -> None:
    config = a_config(max_in_flight=cap, rate_limit=5.0 if has_rate else None)

    parts = [part_of(worker, crew, config) for worker in crew]

    assert 1 <= sum(parts) <= cap
    if is_owned(config, len(crew)) or len(crew) == 1:
        assert max(parts) == sum(parts) == cap
    else:
        assert min(parts) >= 2


def test_whoever_is_not_in_the_crew_has_no_part() -> None:
    assert part_of(7, (8, 9), a_config()) == part_of(7, NOBODY, a_config()) == 0


@for_all(one=CREWS, other=CREWS)
def test_another_crew_has_another_mark_and_it_fits_into_a_row(one: Crew, other: Crew) -> None:
    assert (mark_of(one) == mark_of(other)) == (one == other)
    assert 0 < mark_of(one) < 1 << 63


def test_nobody_has_a_mark_that_is_no_crew() -> None:
    assert mark_of(NOBODY) == 0


def test_a_crew_is_the_same_in_whatever_order_its_workers_were_heard_of() -> None:
    assert crew_of([Peer(9, 0), Peer(7, 3)]) == (7, 9)


def test_two_missed_beats_of_the_six_of_a_lease_are_too_long_a_silence() -> None:
    assert in_touch_ms(30_000) == 10_000


@for_all(keys=st.frozensets(st.integers(-(1 << 48), (1 << 63) - 1)))
def test_what_is_kept_comes_out_of_a_row_as_it_went_in(keys: frozenset[int]) -> None:
    assert keys_of(keys_text(keys)) == keys


def test_a_host_has_a_key_of_its_own_that_is_no_config_s() -> None:
    keys = {host_key(host, port) for host in ("a.example", "b.example", "ü.example") for port in (80, 443)}

    assert len(keys) == 6
    assert max(keys) < 0
    assert host_key("a.example", 443) == -97096554218766
