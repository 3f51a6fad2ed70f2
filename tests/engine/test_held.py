"""A worker that is held after a restore: it accepts and cancels, and everything else waits for the release."""

import pytest

from postback.domain.configs import ConfigState
from postback.domain.deliveries import State
from postback.domain.errors import Conflict
from postback.domain.jobs import JobKind
from postback.domain.policy import RetryPolicy
from postback.domain.telemetry import WorkerDied
from postback.engine.housekeeper import DAY_MS, EXPIRE_EVERY_S
from postback.ports import LogFilter
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import Scene
from tests.engine.test_replayer import a_job, given_failed, until_done
from tests.storage import given

pytestmark = pytest.mark.anyio

DAY_S = DAY_MS // 1000
LONG_ENOUGH_S = 3 * EXPIRE_EVERY_S


async def given_owed(scene: Scene, n: int) -> list[int]:
    """Deliveries that are due, as an earlier worker has left them; the ids of their events."""
    await scene.add_config(0)
    await scene.start(is_held=True)
    accepted = await scene.publish(n)
    await scene.stop()
    return [one.event_id for one in accepted]


async def test_a_held_worker_sends_nothing_of_what_is_owed_until_it_is_released(scene: Scene) -> None:
    await given_owed(scene, 3)
    await scene.start(is_held=True)

    await scene.pass_(LONG_ENOUGH_S)
    before = (scene.engine.is_held, len(scene.posts()), await scene.owed(), scene.queue.calls.count("claim"))
    scene.engine.release()
    await scene.rest(within_s=2)

    assert before == (True, 0, 3, 0)
    assert not scene.engine.is_held
    assert sorted(post.number for post in scene.posts()) == [0, 1, 2]


async def test_what_is_accepted_meanwhile_is_stored_unclaimed_and_goes_after_it(scene: Scene) -> None:
    await given_owed(scene, 1)
    await scene.start(is_held=True)
    await scene.publish(5)
    unclaimed = [row.claim for row in await given.owed_rows(scene.store)]

    await scene.pass_(5)
    assert scene.posts() == []
    scene.engine.release()
    await scene.publish(1)
    await scene.rest(within_s=2)

    assert unclaimed == [None] * 6
    assert len(scene.posts()) == 7


async def test_what_is_cancelled_meanwhile_is_never_sent(scene: Scene) -> None:
    first, second, *_ = await given_owed(scene, 4)
    await scene.start(is_held=True)

    await scene.store.cancel(ACCOUNT, first, CONFIG_ID)
    await scene.pass_(LONG_ENOUGH_S)
    scene.engine.release()
    await scene.rest(within_s=2)

    with pytest.raises(Conflict):
        await scene.store.cancel(ACCOUNT, second, CONFIG_ID)
    assert sorted(post.number for post in scene.posts()) == [1, 2, 3]


async def test_a_replay_meanwhile_makes_it_owed_and_it_waits_like_the_rest(scene: Scene) -> None:
    await scene.start()
    [failed] = await given_failed(scene, 1)
    await scene.stop()
    await scene.start(is_held=True)

    await scene.store.replay(ACCOUNT, failed.event_id, CONFIG_ID)
    scene.engine.stored()
    await scene.pass_(LONG_ENOUGH_S)
    before = (len(scene.posts()), await scene.owed())
    scene.engine.release()
    await scene.rest(within_s=2)

    assert before == (1, 1)
    assert len(scene.posts()) == 2


async def test_many_can_be_cancelled_meanwhile_though_a_job_that_replays_is_older(scene: Scene) -> None:
    await scene.start()
    await given_failed(scene, 3)
    await scene.stop()
    await scene.add_config(1)
    await scene.start(is_held=True)
    await scene.publish(4)

    replay = await a_job(scene)
    await scene.pass_(LONG_ENOUGH_S)
    waiting = await scene.store.find_job(ACCOUNT, replay.id)
    cancel = await until_done(scene, await a_job(scene, JobKind.CANCEL, LogFilter(config_id=CONFIG_ID + 1), n=2))
    scene.engine.release()
    replayed = await until_done(scene, replay)
    await scene.rest()

    assert (waiting.done, waiting.ended_ms) == (0, None)
    assert (cancel.done, replayed.done) == (4, 3)
    assert scene.posts("r1") == []
    # What was accepted meanwhile was wanted by both.
    assert len(scene.posts("r0")) == 3 + 4 + 3


async def test_what_a_deleted_config_is_owed_is_cancelled_after_the_release_only(scene: Scene) -> None:
    await given_owed(scene, 2)
    config = await scene.add_config(1, retry=RetryPolicy())
    await scene.start(is_held=True)
    [accepted] = await scene.publish()
    await scene.configs.delete(ACCOUNT, config.id)

    await scene.pass_(LONG_ENOUGH_S)
    kept = await scene.owed()
    scene.engine.release()
    await scene.rest(within_s=LONG_ENOUGH_S)

    assert kept == 4
    assert (await scene.delivery(accepted, 1)).state is State.CANCELLED
    assert scene.posts("r1") == []


async def test_what_dead_workers_held_is_freed_after_the_release_only(scene: Scene) -> None:
    """The first heartbeat freed it, and ended what had been interrupted nine times before."""
    await given_owed(scene, 2)
    dead = await scene.store.enlist("elsewhere")
    assert len(await given.claim(scene.store, dead)) == 2
    await scene.start(is_held=True)

    await scene.pass_(LONG_ENOUGH_S)
    before = await given.verdicts(scene.store)
    scene.engine.release()
    await scene.rest(within_s=2)

    assert before == []
    assert scene.reported(WorkerDied) == [WorkerDied(dead.id)]
    assert len(scene.posts()) == 2


async def test_nothing_expires_meanwhile(scene: Scene) -> None:
    scene.forgets = True
    await given_owed(scene, 2)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
    await scene.start(is_held=True, retention_days=2)

    scene.jump(3 * DAY_S)
    await scene.pass_(LONG_ENOUGH_S)
    kept = await scene.owed()
    scene.engine.release()
    await scene.rest(within_s=LONG_ENOUGH_S)

    assert kept == 2
    assert scene.posts() == []


async def test_a_held_worker_lives_and_ends_in_good_order(scene: Scene) -> None:
    await given_owed(scene, 2)
    await scene.start(is_held=True, lease_s=30.0)

    await scene.pass_(300)
    living = await scene.workers()
    await scene.stop()

    assert len(living) == 1
    assert await scene.workers() == []
    assert (scene.posts(), await scene.owed()) == ([], 2)


async def test_a_paused_config_holds_its_own_after_the_release(scene: Scene) -> None:
    await given_owed(scene, 2)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
    await scene.start(is_held=True)

    scene.engine.release()
    await scene.pass_(LONG_ENOUGH_S)

    assert (scene.posts(), await scene.owed()) == ([], 2)
