"""A test of a config: one real POST, on record, and nothing else changes."""

import asyncio

import pytest

from postback.domain.configs import ConfigState
from postback.domain.deliveries import State
from postback.domain.errors import NotFound, Unavailable
from postback.domain.telemetry import AttemptFinished, TestFinished
from postback.engine.courier import TESTS_AT_ONCE
from postback.storage import tables
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import Scene, refused, slowly
from tests.storage import given

pytestmark = pytest.mark.anyio


async def test_a_test_is_one_post_and_on_record_when_it_is_answered(scene: Scene) -> None:
    config = await scene.add_config(0)
    await scene.start()

    event_id = await scene.engine.courier.test(config, scene.new_event())

    assert [post.counter for post in scene.posts()] == [1]
    view, [attempt] = await scene.log.delivery(ACCOUNT, event_id, CONFIG_ID)
    assert (view.state, view.attempts_made, view.last_status) == (State.DELIVERED, 1, 200)
    assert (attempt.test, attempt.manual, attempt.status, attempt.number) == (True, False, 200, 1)
    assert attempt.config is not None
    assert attempt.body_hash is not None


async def test_a_test_that_fails_is_not_tried_again(scene: Scene) -> None:
    scene.receives("r0", 500)
    config = await scene.add_config(0)
    await scene.start()

    event_id = await scene.engine.courier.test(config, scene.new_event())
    await scene.pass_(600)

    assert len(scene.posts()) == 1
    view, [attempt] = await scene.log.delivery(ACCOUNT, event_id, CONFIG_ID)
    assert (view.state, view.last_reason, attempt.wait_ms) == (State.FAILED, "bad_status", 0)
    assert await scene.owed() == 0


@pytest.mark.parametrize("state", [ConfigState.PAUSED, ConfigState.DISABLED])
async def test_a_config_that_is_held_can_be_tested_and_stays_held(scene: Scene, state: ConfigState) -> None:
    await scene.add_config(0)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, state, None)
    await scene.start()
    config = await scene.configs.find(ACCOUNT, CONFIG_ID)

    await scene.engine.courier.test(config, scene.new_event())
    await scene.publish()
    await scene.pass_(5)

    assert len(scene.posts()) == 1
    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is state


async def test_a_410_to_a_test_does_not_disable_the_config(scene: Scene) -> None:
    scene.receives("r0", 410)
    config = await scene.add_config(0)
    await scene.start()

    await scene.engine.courier.test(config, scene.new_event())

    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.ACTIVE


async def test_other_configs_hear_nothing_of_a_test_and_nothing_counts_it(scene: Scene) -> None:
    config = await scene.add_config(0)
    await scene.add_config(1)
    await scene.start()

    await scene.engine.courier.test(config, scene.new_event())
    await scene.pass_(5)

    assert scene.posts("r1") == []
    assert await given.rows(scene.store, tables.counters) == []
    assert scene.reported(AttemptFinished) == []
    assert len(scene.reported(TestFinished)) == 1


async def test_what_cannot_be_reached_is_a_failed_test_with_its_reason(scene: Scene) -> None:
    scene.receives("r0", refused())
    config = await scene.add_config(0)
    await scene.start()

    event_id = await scene.engine.courier.test(config, scene.new_event())

    _, [attempt] = await scene.log.delivery(ACCOUNT, event_id, CONFIG_ID)
    assert (attempt.reason, attempt.status) == ("connection_refused", None)


async def test_too_many_tests_at_once_are_refused_and_the_others_end(scene: Scene) -> None:
    scene.receives("r0", slowly(1.0))
    config = await scene.add_config(0)
    await scene.start()

    tests = [scene.engine.courier.test(config, scene.new_event()) for _ in range(TESTS_AT_ONCE + 1)]
    answers = await asyncio.gather(*tests, return_exceptions=True)

    assert sum(isinstance(answer, Unavailable) for answer in answers) == 1
    assert sum(isinstance(answer, int) for answer in answers) == TESTS_AT_ONCE
    await scene.engine.courier.test(config, scene.new_event())


async def test_after_the_end_a_test_is_refused(scene: Scene) -> None:
    config = await scene.add_config(0)
    await scene.start()
    await scene.stop()

    with pytest.raises(Unavailable):
        await scene.engine.courier.test(config, scene.new_event())


async def test_a_test_that_the_end_of_the_server_cuts_short_is_on_record_as_interrupted(scene: Scene) -> None:
    scene.receives("r0", slowly(60.0))
    config = await scene.add_config(0)
    await scene.start(grace_s=0.5)
    testing = asyncio.ensure_future(scene.engine.courier.test(config, scene.new_event()))
    await scene.pass_(0.1)

    await scene.stop()

    event_id = await testing
    view, [attempt] = await scene.log.delivery(ACCOUNT, event_id, CONFIG_ID)
    assert (view.state, attempt.reason) == (State.FAILED, "interrupted")


async def test_who_waits_for_a_test_when_the_server_stops_is_told_so(scene: Scene) -> None:
    """Its connection was cut: a 500 without a word of why, and a traceback in the log for each."""
    scene.receives("r0", slowly(60.0))
    config = await scene.add_config(0)
    await scene.start(grace_s=0.5)
    testing = asyncio.ensure_future(scene.engine.courier.test(config, scene.new_event()))
    await scene.pass_(0.1)

    scene.engine.courier.stop()

    with pytest.raises(Unavailable, match="the server is stopping"):
        await testing
    with pytest.raises(Unavailable, match="the server is stopping"):
        await scene.engine.courier.test(config, scene.new_event())
    await scene.stop()
    assert await given.event_ids(scene.store) == []


async def test_tests_of_other_accounts_cannot_be_found(scene: Scene) -> None:
    config = await scene.add_config(0)
    await scene.start()

    event_id = await scene.engine.courier.test(config, scene.new_event())

    with pytest.raises(NotFound):
        await scene.log.delivery("other", event_id, CONFIG_ID)
