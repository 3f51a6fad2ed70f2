"""Jobs over many deliveries, while everything else goes on: done once, in turn, and by the next worker where one has ended."""

import asyncio
from collections import Counter

import pytest

from postback.domain.deliveries import Accepted, State
from postback.domain.ids import encode
from postback.domain.jobs import JobKind
from postback.domain.policy import RetryPolicy
from postback.domain.telemetry import InternalError, StoreFailed
from postback.engine.replayer import DELIVERIES_A_STEP, Replayer
from postback.ports import Job, LogFilter
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID
from tests.engine.scene import Scene

pytestmark = pytest.mark.anyio

FAILED = LogFilter(state=State.FAILED)


async def given_failed(
    scene: Scene, n: int, number: int = 0, account: str = ACCOUNT, location_id: str = LOCATION_ID
) -> list[Accepted]:
    """Deliveries to a receiver that has refused them all, and is well again since."""
    scene.receives(f"r{number}", 400)
    await scene.add_config(number, retry=RetryPolicy(), account=account, location_id=location_id)
    events = await scene.publish(n, account=account, location_id=location_id)
    await scene.rest()
    await scene.pass_(1)
    scene.receives(f"r{number}", 200)
    return events


async def a_job(
    scene: Scene, kind: JobKind = JobKind.REPLAY, narrowed: LogFilter = FAILED, *, n: int = 1, account: str = ACCOUNT
) -> Job:
    """As the API makes one."""
    job = await scene.store.start_job(account, f"rpl_{encode(n)}", kind, narrowed)
    scene.engine.stored()
    return job


async def until_done(scene: Scene, job: Job) -> Job:
    async def is_done() -> bool:
        return (await scene.store.find_job(job.account, job.id)).ended_ms is not None

    await scene.until_async(is_done)
    return await scene.store.find_job(job.account, job.id)


async def test_what_failed_is_sent_once_more_and_soon(scene: Scene) -> None:
    await scene.start()
    events = await given_failed(scene, 2 * DELIVERIES_A_STEP + 50)
    begun_at = scene.loop.time()

    job = await until_done(scene, await a_job(scene))
    await scene.rest()

    assert (job.done, job.skipped) == (len(events), 0)
    assert scene.loop.time() - begun_at < 5
    assert Counter(post.counter for post in scene.posts()) == {1: len(events), 2: len(events)}
    assert await scene.states(events[:5]) == [State.DELIVERED] * 5
    assert [attempt.manual for attempt in await scene.attempts(events[0])] == [False, True]


async def test_a_worker_that_ends_leaves_the_rest_to_the_next_one(scene: Scene) -> None:
    await scene.start()
    events = await given_failed(scene, 1_000)
    scene.queue.slow_s["run_job"] = 0.1
    job = await a_job(scene)
    for _ in range(2):
        await scene.pass_(0.15)
        await scene.stop()
        before = await scene.store.find_job(ACCOUNT, job.id)
        assert 0 < before.done < len(events)
        await scene.start()

    job = await until_done(scene, job)
    await scene.rest()

    assert (job.done, job.skipped) == (len(events), 0)
    assert Counter(post.number for post in scene.posts() if post.counter == 2) == dict.fromkeys(range(1_000), 1)


async def test_accounts_have_their_turns_and_jobs_of_one_account_wait_for_each_other(scene: Scene) -> None:
    await scene.start()
    await given_failed(scene, 3 * DELIVERIES_A_STEP)
    await scene.add_account("acme", "loc_acme")
    await given_failed(scene, 3 * DELIVERIES_A_STEP, 1, "acme", "loc_acme")
    took: list[str] = []
    step = scene.store.run_job

    async def run_job(job_id: str, limit: int) -> int:
        took.append(job_id)
        return await step(job_id, limit)

    scene.store.run_job = run_job  # type: ignore[method-assign]
    first, second, other = [
        await scene.store.start_job(account, f"rpl_{encode(n)}", JobKind.REPLAY, FAILED)
        for n, account in enumerate((ACCOUNT, ACCOUNT, "acme"))
    ]
    scene.engine.stored()
    for job in (first, second, other):
        await until_done(scene, job)

    assert took[:6] == [first.id, other.id] * 3
    assert took.index(second.id) > max(n for n, job_id in enumerate(took) if job_id == first.id)
    assert (await scene.store.find_job("acme", other.id)).done == 3 * DELIVERIES_A_STEP


async def test_events_are_accepted_while_a_long_job_runs(scene: Scene) -> None:
    await scene.start()
    await given_failed(scene, 1_000)
    scene.queue.slow_s["run_job"] = 0.5
    job = await a_job(scene)
    begun_at = scene.loop.time()

    await scene.publish(3)

    assert scene.loop.time() - begun_at < 0.1
    assert (await scene.store.find_job(ACCOUNT, job.id)).ended_ms is None


async def test_what_is_cancelled_is_not_sent(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy(2, (600,)))
    await scene.start()
    events = await scene.publish(300)
    await scene.until(lambda: len(scene.posts()) == 300)
    await scene.pass_(1)

    job = await until_done(scene, await a_job(scene, JobKind.CANCEL, LogFilter(config_id=CONFIG_ID)))

    assert (job.selected, job.done) == (300, 300)
    assert await scene.owed() == 0
    await scene.pass_(1200)
    assert len(scene.posts()) == 300
    assert await scene.states(events[:3]) == [State.CANCELLED] * 3


async def test_a_store_that_cannot_write_now_is_asked_again(scene: Scene) -> None:
    await scene.start()
    events = await given_failed(scene, 10)
    scene.queue.refuses.add("run_job")
    job = await a_job(scene)
    await scene.pass_(3)
    assert {fact.what for fact in scene.reported(StoreFailed)} == {"replay"}

    scene.queue.refuses.clear()

    assert (await until_done(scene, job)).done == len(events)


async def test_a_job_that_cannot_be_done_ends_neither_the_engine_nor_other_jobs(scene: Scene) -> None:
    await scene.start()
    await given_failed(scene, 10)
    await scene.add_account("acme", "loc_acme")
    await scene.store.start_job("acme", f"rpl_{encode(1)}", JobKind.REPLAY, FAILED)
    await scene.store.write(lambda c: c.exec_driver_sql('UPDATE replays SET filter = \'{"upto":9,"of":"mars"}\''))

    job = await until_done(scene, await a_job(scene, n=2))

    assert job.done == 10
    [fact] = scene.reported(InternalError)
    assert "mars" in str(fact.error) or "of" in str(fact.error)


async def test_without_jobs_the_store_is_left_alone(scene: Scene) -> None:
    await scene.start()
    await scene.pass_(600)

    assert scene.queue.calls.count("jobs_in_turn") == 1
    assert scene.queue.calls.count("run_job") == 0


async def test_a_replayer_that_is_to_stop_does_so_between_two_steps(scene: Scene) -> None:
    await scene.start()
    await given_failed(scene, 1_000)
    await scene.stop()
    scene.queue.slow_s["run_job"] = 0.2
    job = await scene.store.start_job(ACCOUNT, "rpl_1", JobKind.REPLAY, FAILED)
    replayer, stopping = Replayer(scene.queue, lambda: None, scene.facts.append), asyncio.Event()
    running = asyncio.ensure_future(replayer.run(stopping))
    await scene.pass_(0.3)

    stopping.set()
    replayer.wake()
    await running

    assert (await scene.store.find_job(ACCOUNT, job.id)).done == 2 * DELIVERIES_A_STEP
