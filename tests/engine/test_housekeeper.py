"""What time makes necessary: expiry, retention, and the end of deleted configs, while the heart goes on beating."""

import pytest

from postback.domain.configs import ConfigState
from postback.domain.deliveries import State, Verdict
from postback.domain.policy import RetryPolicy
from postback.engine.housekeeper import DAY_MS, EXPIRE_EVERY_S, ROWS_AT_ONCE
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import Scene
from tests.storage import given

pytestmark = pytest.mark.anyio

DAY_S = DAY_MS // 1000


async def test_what_is_still_owed_when_its_time_is_over_fails_as_expired(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
    await scene.start(retention_days=2)
    events = await scene.publish(ROWS_AT_ONCE)
    scene.queue.slow_s["expire"] = 5.0

    scene.jump(2 * DAY_S + 1)
    await scene.rest(within_s=2 * EXPIRE_EVERY_S)
    views = [await scene.delivery(event) for event in events[:3]]

    assert [(view.state, view.last_reason) for view in views] == [(State.FAILED, "expired")] * 3
    assert scene.posts() == []


async def test_what_is_owed_within_its_time_is_never_removed(scene: Scene) -> None:
    scene.receives("r0", 500, 200)
    await scene.add_config(0, retry=RetryPolicy(5, (6 * DAY_S,)))
    await scene.start(retention_days=7)
    [event] = await scene.publish()
    await scene.pass_(1)

    for _ in range(6):
        scene.jump(DAY_S)
        await scene.pass_(2 * EXPIRE_EVERY_S)
    await scene.rest()

    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.DELIVERED]


async def test_what_is_finished_and_old_is_removed_with_its_log_and_what_is_young_stays(scene: Scene) -> None:
    scene.forgets = True
    await scene.add_config(0)
    await scene.start(retention_days=2)
    await scene.publish(ROWS_AT_ONCE + 100)
    await scene.rest()
    scene.jump(DAY_S * 3 // 2)
    [young] = await scene.publish()
    await scene.rest()

    scene.jump(2 * DAY_S)
    await scene.pass_(2 * EXPIRE_EVERY_S)

    assert await given.event_ids(scene.store) == [young.event_id]
    assert [row.event_id for row in await given.log(scene.store)] == [young.event_id]


async def test_a_deleted_config_with_much_to_do_is_cleared_in_small_commits(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
    await scene.start()
    events = await scene.publish(3 * ROWS_AT_ONCE)
    await scene.configs.delete(ACCOUNT, CONFIG_ID)
    scene.queue.calls.clear()

    await scene.rest(within_s=10)

    assert scene.queue.calls.count("bury") >= 4
    assert await scene.states(events[:: ROWS_AT_ONCE // 2]) == [State.CANCELLED] * 6


async def test_the_heart_beats_while_there_is_much_to_clear(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
    await scene.start(lease_s=30.0)
    other = await scene.store.enlist("elsewhere")
    await scene.publish(8 * ROWS_AT_ONCE)
    await scene.configs.delete(ACCOUNT, CONFIG_ID)
    scene.queue.slow_s["bury"] = 10.0

    dead = []
    for _ in range(100):
        await scene.pass_(1)
        await scene.store.beat(other)
        dead += await scene.store.free_dead(other)

    assert dead == []
    assert await scene.owed() == 0


async def test_the_heart_beats_while_much_of_the_dead_is_freed(scene: Scene) -> None:
    await scene.start(lease_s=30.0)
    scene.queue.slow_s["free_dead"] = 40.0
    await scene.pass_(6)
    scene.queue.calls.clear()

    await scene.pass_(60)

    assert scene.queue.calls.count("beat") >= 60 // 6


async def test_a_worker_beats_often_enough_to_miss_some(scene: Scene) -> None:
    await scene.start(lease_s=30.0)
    scene.queue.calls.clear()

    await scene.pass_(60)

    assert scene.queue.calls.count("beat") >= 60 // 6
    assert scene.queue.calls.count("expire") <= 2


async def test_a_store_that_is_away_does_not_end_the_housekeeping(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start(lease_s=30.0)
    scene.queue.refuses |= {"beat", "bury", "expire"}
    await scene.pass_(20)
    scene.queue.refuses.clear()
    scene.queue.calls.clear()

    await scene.pass_(10)

    assert {"beat", "bury"} <= set(scene.queue.calls)
