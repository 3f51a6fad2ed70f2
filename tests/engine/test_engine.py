"""A worker from its start to its end: good ends, quick ones, and being taken for dead."""

import asyncio
from collections import Counter

import pytest

from postback.domain.deliveries import State, Verdict
from postback.domain.policy import RetryPolicy
from postback.domain.telemetry import StaleSettlements, StoreFailed, WorkerDied, WorkerEnlisted
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import Scene, slowly
from tests.storage import given

pytestmark = pytest.mark.anyio


# --- a good end -------------------------------------------------------------------------------------------------------


async def test_at_the_end_attempts_under_way_end_and_what_was_not_started_is_given_back_untouched(scene: Scene) -> None:
    scene.receives("r0", slowly(3.0))
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()
    events = await scene.publish(100)
    await scene.pass_(1)

    await scene.stop()

    assert await scene.states(events) == [State.DELIVERED] * 4 + [State.PENDING] * 96
    assert scene.loop.time() == pytest.approx(3.0, abs=0.1)
    for row in await given.owed_rows(scene.store):
        assert (row.claim, row.worker, row.attempts, row.interruptions, row.logged) == (None, None, 0, 0, 0)


async def test_from_the_signal_on_nothing_more_is_claimed_or_started(scene: Scene) -> None:
    scene.receives("r0", slowly(3.0))
    await scene.add_config(0)
    await scene.start()
    await scene.publish(100)
    await scene.pass_(1)

    ending = scene.ask_to_stop()
    await scene.pass_(0.1)
    scene.queue.calls.clear()
    sent = len(scene.posts())
    await ending

    assert "claim" not in scene.queue.calls
    assert len(scene.posts()) == sent


async def test_what_was_given_back_is_sent_once_by_the_next_worker(scene: Scene) -> None:
    scene.receives("r0", slowly(0.3))
    await scene.add_config(0, retry=RetryPolicy())
    for _ in range(5):
        await scene.start()
        await scene.publish(40)
        await scene.pass_(0.5)
        await scene.stop()
    await scene.start()

    await scene.rest()

    assert sorted(post.number for post in scene.posts()) == list(range(200))
    assert {post.counter for post in scene.posts()} == {1}


async def test_an_attempt_longer_than_the_grace_is_interrupted_owed_again_and_costs_nothing(scene: Scene) -> None:
    scene.receives("r0", 500, slowly(60.0), 200)
    await scene.add_config(0, retry=RetryPolicy(2, (1,)))
    await scene.start(grace_s=5.0)
    [event] = await scene.publish()
    await scene.pass_(3)

    await scene.stop()
    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.INTERRUPTED]
    assert (await scene.delivery(event)).attempts_made == 1
    await scene.start()
    await scene.rest()

    assert [post.counter for post in scene.posts()] == [1, 2, 2]
    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.INTERRUPTED, Verdict.DELIVERED]


async def test_the_end_takes_no_longer_than_the_grace(scene: Scene) -> None:
    for n in range(20):
        scene.receives(f"r{n}", slowly(500.0))
        await scene.add_config(n)
    await scene.start(grace_s=5.0)
    await scene.publish(4)
    asked_at = scene.loop.time()

    await scene.stop()

    assert scene.loop.time() - asked_at == pytest.approx(5.0, abs=0.1)


async def test_a_second_signal_ends_at_once(scene: Scene) -> None:
    scene.receives("r0", slowly(60.0), 200)
    await scene.add_config(0)
    await scene.start(grace_s=20.0)
    [event] = await scene.publish()
    ending = scene.ask_to_stop()
    await scene.pass_(2)
    hurried_at = scene.loop.time()

    await scene.engine.hurry()
    await ending

    assert scene.loop.time() - hurried_at < 0.1
    assert await scene.verdicts(event) == [Verdict.INTERRUPTED]
    assert (await scene.delivery(event)).state is State.PENDING


async def test_a_worker_without_work_ends_at_once(scene: Scene) -> None:
    await scene.start()
    await scene.pass_(60)
    asked_at = scene.loop.time()

    await scene.stop()

    assert scene.loop.time() == asked_at
    assert await scene.workers() == []


async def test_what_was_asked_just_before_the_end_is_accepted_and_what_comes_after_is_not(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    scene.queue.slow_s["accept"] = 1.0
    publishing = [asyncio.ensure_future(scene.publish(3)) for _ in range(3)]
    await scene.pass_(0.1)

    await scene.stop()
    accepted = [event for answer in await asyncio.gather(*publishing) for event in answer]

    assert {event.event_id for event in accepted} == set(await given.event_ids(scene.store))
    assert Counter(await scene.states(accepted)) == {State.DELIVERED: 4, State.PENDING: 5}
    assert {verdict for event in accepted for verdict in await scene.verdicts(event)} == {Verdict.DELIVERED}


async def test_the_end_waits_for_a_store_that_is_away_for_a_moment(scene: Scene) -> None:
    scene.receives("r0", slowly(1.0))
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()
    events = await scene.publish(6)
    ending = scene.ask_to_stop()
    scene.queue.refuses |= {"settle", "release"}
    await scene.pass_(3)
    assert not ending.done()

    scene.queue.refuses.clear()
    await ending

    assert await scene.states(events) == [State.DELIVERED] * 4 + [State.PENDING] * 2


# --- a store that refuses ---------------------------------------------------------------------------------------------


async def test_a_store_that_refuses_every_write_for_a_while_loses_nothing(scene: Scene) -> None:
    scene.receives("r0", slowly(0.5))
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()
    events = await scene.publish(200)
    await scene.pass_(1)

    scene.queue.refuses |= {"accept", "claim", "release", "settle", "beat", "bury", "expire"}
    await scene.pass_(20)
    scene.queue.refuses.clear()
    await scene.rest()

    assert await scene.states(events) == [State.DELIVERED] * 200
    assert len(scene.posts()) == 200
    assert {fact.what for fact in scene.reported(StoreFailed)} == {"claim", "settle", "beat", "keep"}


async def test_a_store_that_refuses_is_not_asked_all_the_time(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0)
    await scene.start()
    await scene.publish(20)
    scene.queue.refuses |= {"claim", "settle", "waiting"}
    scene.queue.calls.clear()

    await scene.pass_(60)

    assert len(scene.queue.calls) < 100


# --- being taken for dead ---------------------------------------------------------------------------------------------


async def test_a_worker_that_was_taken_for_dead_enlists_anew_and_goes_on(scene: Scene) -> None:
    scene.receives("r0", slowly(50.0), 200)
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start(lease_s=30.0)
    other = await scene.store.enlist("elsewhere")
    [event] = await scene.publish()
    [first] = [worker for worker in await scene.workers() if worker != other.id]
    scene.queue.refuses.add("beat")
    await scene.pass_(31)

    assert await scene.store.free_dead(other) == [first]
    scene.queue.refuses.clear()
    await scene.rest()
    await scene.pass_(40)

    [anew] = set(await scene.workers()) - {other.id}
    assert anew != first
    assert await scene.verdicts(event) == [Verdict.INTERRUPTED, Verdict.DELIVERED, Verdict.LATE]
    assert [post.counter for post in scene.posts()] == [1, 1]
    assert scene.reported(StaleSettlements) == [StaleSettlements(1)]
    assert scene.reported(WorkerEnlisted) == [WorkerEnlisted(first), WorkerEnlisted(anew)]


async def test_what_a_worker_that_was_taken_for_dead_accepts_meanwhile_is_kept_and_sent(scene: Scene) -> None:
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start(lease_s=30.0)
    other = await scene.store.enlist("elsewhere")
    scene.queue.refuses.add("beat")
    await scene.pass_(31)
    await scene.store.free_dead(other)

    events = await scene.publish(5)
    assert await scene.states(events) == [State.PENDING] * 5
    scene.queue.refuses.clear()
    await scene.rest(within_s=20)

    assert len(scene.posts()) == 5
    await scene.pass_(1)
    assert scene.engine.lanes.taken == 0


async def test_what_waited_in_the_memory_of_a_worker_that_was_taken_for_dead_is_sent_once(scene: Scene) -> None:
    scene.receives("r0", slowly(40.0))
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start(lease_s=30.0)
    other = await scene.store.enlist("elsewhere")
    events = await scene.publish(8)
    scene.queue.refuses.add("beat")
    await scene.pass_(31)
    await scene.store.free_dead(other)
    scene.queue.refuses.clear()

    await scene.rest()
    await scene.pass_(100)

    for event in events[4:]:
        assert len([post for post in scene.posts() if post.number == events.index(event)]) == 1
    assert await scene.states(events) == [State.DELIVERED] * 8
    assert scene.engine.lanes.taken == 0


async def test_a_worker_that_dies_is_found_and_what_it_held_is_sent_by_another(scene: Scene) -> None:
    await scene.add_config(0, retry=RetryPolicy())
    dead = await scene.store.enlist("elsewhere")
    await scene.start(lease_s=30.0)
    scene.queue.refuses.add("claim")
    [event] = await scene.publish(due_at_ms=scene.clock() + 1_000)
    await scene.pass_(1.5)
    assert len(await scene.store.claim(dead, {CONFIG_ID: 1}, 1 << 20)) == 1
    scene.queue.refuses.clear()

    await scene.rest(within_s=40)

    assert scene.reported(WorkerDied) == [WorkerDied(dead.id)]
    assert await scene.verdicts(event) == [Verdict.INTERRUPTED, Verdict.DELIVERED]
    assert [post.counter for post in scene.posts()] == [1]


async def test_nothing_is_left_in_memory_after_a_day_of_work(scene: Scene) -> None:
    for n, status in enumerate((200, 500, 410)):
        scene.receives(f"r{n}", status)
        await scene.add_config(n, retry=RetryPolicy(3, (1,)))
    await scene.start()
    for _ in range(20):
        await scene.publish(10)
        await scene.pass_(1)
    await scene.configs.delete(ACCOUNT, CONFIG_ID + 2)

    await scene.rest()
    await scene.pass_(1)

    lanes = scene.engine.lanes
    assert lanes.taken == lanes.bytes_held == lanes._shrunk_taken == 0
    assert all(lane.places == lane.taken == lane.host.in_flight == 0 for lane in lanes.lanes.values())
