"""A config with a rate gets no more deliveries in any second than it asked for, and nearly as many where it can."""

import random
from itertools import pairwise

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from postback.domain.policy import Deadlines, RetryPolicy
from postback.domain.rates import BURST_S, Bucket
from tests.engine.scene import Scene

pytestmark = pytest.mark.anyio


@for_all(
    rate=st.floats(0.1, 10_000),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_no_stretch_of_time_gives_more_tokens_than_its_rate_and_the_burst(rate: float, gaps: list[float]) -> None:
    bucket, now, taken = Bucket(rate, 0.0), 0.0, []

    for gap in gaps:
        now += gap
        while bucket.tokens(now) and len(taken) < 5_000:
            bucket.take(now)
            taken.append(now)

    for first, start in enumerate(taken):
        since = [at for at in taken[first:] if at <= start + 1.0]
        assert len(since) <= rate + max(1.0, rate * BURST_S) + 1e-6
        if first > 50:
            break


@for_all(rate=st.floats(0.1, 10_000))
def test_whoever_waits_as_long_as_it_says_finds_a_token(rate: float) -> None:
    bucket = Bucket(rate, 0.0)
    while bucket.tokens(7.0):
        bucket.take(7.0)

    assert bucket.tokens(7.0 + bucket.wait_s(7.0)) >= 1


def test_who_waits_behind_others_waits_for_their_tokens_too() -> None:
    bucket = Bucket(0.5, 0.0)

    assert bucket.tokens(7.0) == 1
    assert bucket.wait_s(7.0, spoken_for=1) == 2.0


def test_another_rate_does_not_give_back_what_was_used() -> None:
    bucket = Bucket(1.0, 0.0)
    bucket.take(0.0)

    bucket.change(1000.0, 0.0)

    assert bucket.tokens(0.0) == 0
    assert bucket.tokens(0.01) == 10


async def test_deliveries_of_a_config_with_a_rate_are_spread_over_time(scene: Scene) -> None:
    await scene.add_config(0, rate_limit=5.0, max_in_flight=100)
    await scene.start()

    await scene.publish(40)
    await scene.rest()

    at = [post.at for post in scene.posts()]
    assert len(at) == 40
    assert 7.5 <= at[-1] - at[0] <= 9.0
    assert max(sum(start <= other <= start + 1.0 for other in at) for start in at) <= 6


async def test_a_fast_rate_is_reached(scene: Scene) -> None:
    await scene.add_config(0, rate_limit=500.0, max_in_flight=1000)
    await scene.start()
    # A window wide enough grows by success alone.
    await scene.publish(100)
    await scene.rest()
    before = len(scene.posts())

    begins = scene.loop.time()
    await scene.publish(1_000)
    await scene.rest()

    assert len(scene.posts()) - before == 1_000
    assert 1.85 <= scene.posts()[-1].at - begins <= 2.6


async def test_retries_and_replays_count_against_the_rate(scene: Scene) -> None:
    scene.receives("r0", *[500] * 10, 200)
    await scene.add_config(0, rate_limit=2.0, retry=RetryPolicy(10, (1,)))
    await scene.start()

    await scene.publish(10)
    await scene.rest()

    at = [post.at for post in scene.posts()]
    assert len(at) == 20
    assert max(sum(start <= other <= start + 1.0 for other in at) for start in at) <= 3


async def test_the_rate_of_one_config_slows_no_other(scene: Scene) -> None:
    await scene.add_config(0, rate_limit=0.5)
    await scene.add_config(1)
    await scene.start()

    await scene.publish(50)
    await scene.until(lambda: len(scene.posts("r1")) == 50, 1.0)

    assert len(scene.posts("r0")) <= 2


async def test_a_rate_that_is_taken_away_lets_the_rest_go_at_once(scene: Scene) -> None:
    config = await scene.add_config(0, rate_limit=0.1)
    await scene.start()
    await scene.publish(20)
    await scene.pass_(2)
    assert len(scene.posts()) == 1

    await scene.change_config(config, rate_limit=None)
    await scene.rest(3.0)

    assert len(scene.posts()) == 20


async def test_a_rate_that_is_lowered_gives_back_what_waits_in_memory(scene: Scene) -> None:
    scene.receives("r0", (5.0, scene.ok()))
    config = await scene.add_config(0, max_in_flight=4)
    await scene.start()
    await scene.publish(8)
    await scene.pass_(1)

    await scene.change_config(config, rate_limit=1.0)
    await scene.rest()

    later = [post.at for post in scene.posts()][4:]
    assert all(second - first >= 1 - 1e-6 for first, second in pairwise(later))


async def test_a_slow_receiver_of_a_limited_config_is_not_asked_for_fifty_times_a_second(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token was there, but spoken for by a delivery that waited for a place in the window: the lane was looked at
    every 20 ms until the receiver answered, and each such lane made the worker busier."""
    looks = 0
    tokens = Bucket.tokens

    def counted(bucket: Bucket, now: float) -> int:
        nonlocal looks
        looks += 1
        return tokens(bucket, now)

    monkeypatch.setattr(Bucket, "tokens", counted)
    scene.receives("r0", (60.0, scene.ok()))
    await scene.add_config(0, rate_limit=1.0, deadlines=Deadlines(5.0, 70.0, 70.0))
    await scene.start()
    await scene.publish(20)
    await scene.pass_(10)
    assert len(scene.posts()) == 4

    before = looks
    await scene.pass_(20)

    assert looks - before < 300


async def test_a_limited_config_starts_again_after_a_restart(scene: Scene) -> None:
    await scene.add_config(0, rate_limit=1.0)
    await scene.start()
    await scene.publish(5)
    await scene.pass_(1.5)
    await scene.stop()

    await scene.start()
    await scene.rest()

    assert len(scene.posts()) == 5


def test_the_burst_is_small_at_any_rate() -> None:
    dice = random.Random(7)
    for _ in range(100):
        rate = dice.uniform(0.1, 10_000)
        assert Bucket(rate, 0.0).tokens(100.0) <= max(1, rate / 10)
