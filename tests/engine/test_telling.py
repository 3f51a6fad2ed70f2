"""What an account is told of its own postbacks, and what becomes of configs that fail for days."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from postback.domain.configs import ConfigState
from postback.domain.deliveries import Accepted, NewDeliveries, Refused
from postback.domain.errors import ConfigsPassed, Unavailable
from postback.domain.ids import config_text, event_text
from postback.domain.notices import FAILURES_LEAST, NOTICES
from postback.domain.policy import RetryPolicy
from postback.domain.telemetry import InternalError, StaleSettlements
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import Worker
from postback.storage import tables
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import Scene, asks_to_wait
from tests.storage import given

pytestmark = pytest.mark.anyio

HOUR_S = 3_600


async def listener(scene: Scene, n: int, *types: str, **changes: Any) -> None:
    """Config number n, which wants notices."""
    await scene.add_config(n, resource=None, location_id=None, event_types=types or tuple(NOTICES), **changes)


def heard(scene: Scene, host: str) -> list[dict[str, Any]]:
    """The data of what the receiver got, with its type as `type`."""
    return [{"type": post.type, **post.data} for post in scene.posts(host)]


async def test_a_delivery_that_failed_is_told_to_another_config(scene: Scene) -> None:
    scene.receives("r0", 503)
    await scene.add_config(0, retry=RetryPolicy(2, (5,)))
    await listener(scene, 1, "delivery.failed")
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    [notice] = heard(scene, "r1")
    assert notice["type"] == "FAILED"
    assert notice["event_id"] == event_text(event.event_id)
    assert notice["postbackconfig_id"] == config_text(CONFIG_ID)
    assert (notice["attempts_made"], notice["last_status"], notice["last_reason"]) == (2, 503, "bad_status")


async def test_a_config_hears_nothing_of_itself(scene: Scene) -> None:
    scene.receives("r0", 500)
    await listener(scene, 0, "*", retry=RetryPolicy())
    await scene.start()

    await scene.publish(3)
    await scene.rest()
    await scene.pass_(300)

    assert len(scene.posts("r0")) == 3


async def test_two_configs_that_both_fail_do_not_tell_each_other_for_ever(scene: Scene) -> None:
    scene.receives("r0", 500)
    scene.receives("r1", 500)
    await listener(scene, 0, "*", retry=RetryPolicy())
    await listener(scene, 1, "*", retry=RetryPolicy())
    await scene.start()

    await scene.publish()
    await scene.rest()
    await scene.pass_(600)

    # The event itself, and that the other one did not get it.
    assert len(scene.posts("r0")) == 2
    assert len(scene.posts("r1")) == 2


async def test_where_nobody_wants_notices_none_are_kept(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()

    await scene.publish(5)
    await scene.rest()
    await scene.pass_(5)

    assert len(await given.rows(scene.store, tables.events)) == 5


async def test_many_410s_at_once_disable_once_and_are_told_once(scene: Scene) -> None:
    scene.receives("r0", 410)
    await scene.add_config(0)
    await listener(scene, 1, "postbackconfig.*")
    await scene.start()

    await scene.publish(4)
    await scene.pass_(5)

    [notice] = heard(scene, "r1")
    assert notice["type"] == "DISABLED"
    assert "410" in notice["reason"]
    assert notice["receiver"] == "http://r0.example"
    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.DISABLED


async def test_one_answer_that_came_too_late_hides_none_of_the_others(scene: Scene) -> None:
    scene.receives("r0", 410)
    await scene.add_config(0)
    await listener(scene, 1)
    await scene.start()

    [late, *others] = await scene.publish(4)
    await scene.store.cancel(ACCOUNT, late.event_id, CONFIG_ID)
    await scene.pass_(5)

    assert [len(scene.reported(kind)) for kind in (StaleSettlements, InternalError)] == [1, 0]
    told = heard(scene, "r1")
    assert [notice["type"] for notice in told if "event_id" not in notice] == ["DISABLED"]
    assert sorted(notice["event_id"] for notice in told if "event_id" in notice) == sorted(
        event_text(event.event_id) for event in others
    )


async def test_a_config_that_is_resumed_and_gone_again_within_the_minute_is_told_of_again(scene: Scene) -> None:
    scene.receives("r0", 410)
    await scene.add_config(0)
    await listener(scene, 1, "postbackconfig.disabled")
    await scene.start()
    await scene.publish()
    await scene.pass_(5)

    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
    await scene.publish()
    await scene.pass_(5)

    assert len(heard(scene, "r1")) == 2


async def test_what_is_tried_again_is_not_told_twice(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy())
    await listener(scene, 1, "delivery.failed")
    calls = 0

    async def accept(worker: Worker, units: Sequence[NewDeliveries]) -> Sequence[Accepted | Refused]:
        """Of several notices the first is stored; the configs have changed for the others; then the store is away."""
        nonlocal calls
        if units[0].event.type not in NOTICES:
            return await scene.store.accept(worker, units)
        calls += 1
        if calls == 2:
            raise Unavailable("the disk is full")
        if calls == 1:
            return [
                *await scene.store.accept(worker, units[:1]),
                *[Refused(ConfigsPassed("changed"))] * (len(units) - 1),
            ]
        return await scene.store.accept(worker, units)

    scene.queue.accept = accept  # type: ignore[attr-defined]
    await scene.start()
    events = await scene.publish(4)
    await scene.rest()
    await scene.pass_(5)

    assert calls == 3
    told = [notice["event_id"] for notice in heard(scene, "r1")]
    assert sorted(told) == sorted(event_text(event.event_id) for event in events)


async def test_what_was_given_up_as_poison_is_told_with_the_attempts_that_had_an_outcome(scene: Scene) -> None:
    scene.receives("r0", *[(0.01, Unreachable(Reason.INTERRUPTED, "cut off", Timings(sent_after_ms=0)))] * 10)
    await scene.add_config(0)
    await listener(scene, 1, "delivery.failed")
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    [notice] = heard(scene, "r1")
    assert (notice["last_reason"], notice["attempts_made"]) == ("poison", 0)
    assert (await scene.delivery(event)).attempts_made == 0


async def test_a_config_that_fails_for_long_is_told_of_and_then_disabled(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy(50, (300,)), disable_after_s=3 * HOUR_S)
    await listener(scene, 1, "postbackconfig.*")
    await scene.start()

    await scene.publish(10)
    await scene.until(lambda: len(scene.posts("r1")) == 1, 2 * HOUR_S)
    told_after_s = scene.posts("r1")[0].at
    assert HOUR_S <= told_after_s < HOUR_S + 300 + 121
    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.ACTIVE
    await scene.pass_(2 * HOUR_S + 600)

    types = [notice["type"] for notice in heard(scene, "r1")]
    assert types == ["FAILING", "DISABLED"]
    disabled = heard(scene, "r1")[-1]
    assert disabled["failed_attempts"] >= FAILURES_LEAST
    assert disabled["last_success"] is None
    config = await scene.configs.find(ACCOUNT, CONFIG_ID)
    assert config.state is ConfigState.DISABLED
    assert config.state_reason is not None
    assert "no success since" in config.state_reason


async def test_a_few_failures_over_a_long_time_disable_nothing(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy(), disable_after_s=3600)
    await scene.start()

    for _ in range(FAILURES_LEAST - 1):
        await scene.publish()
        await scene.pass_(200)

    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.ACTIVE


async def test_one_success_begins_the_time_anew(scene: Scene) -> None:
    scene.receives("r0", *[500] * 30, 200, 500)
    await scene.add_config(0, retry=RetryPolicy(), disable_after_s=3600)
    await scene.start()

    for _ in range(50):
        await scene.publish()
        await scene.pass_(100)

    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.ACTIVE


async def test_a_config_that_is_never_to_be_disabled_is_not(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy(), disable_after_s=None)
    await scene.start()

    for _ in range(30):
        await scene.publish(2)
        await scene.pass_(200)

    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).state is ConfigState.ACTIVE


async def test_the_first_success_after_failing_is_told_once(scene: Scene) -> None:
    scene.receives("r0", *[500] * 60, 200)
    await scene.add_config(0, retry=RetryPolicy(), disable_after_s=24 * HOUR_S)
    await listener(scene, 1, "postbackconfig.*")
    await scene.start()

    for _ in range(90):
        await scene.publish()
        await scene.pass_(100)

    assert [notice["type"] for notice in heard(scene, "r1")] == ["FAILING", "RECOVERED"]
    assert (await scene.configs.find(ACCOUNT, CONFIG_ID)).failing_ms is None


async def test_a_single_success_right_after_the_warning_is_told_though_nothing_follows_it(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy(), disable_after_s=24 * HOUR_S)
    await listener(scene, 1, "postbackconfig.*")
    await scene.start()
    await scene.publish(30)
    await scene.pass_(HOUR_S - 60)
    while not heard(scene, "r1"):
        await scene.publish()
        await scene.pass_(10)

    scene.receives("r0", 200)
    await scene.publish()
    await scene.pass_(300)

    assert [notice["type"] for notice in heard(scene, "r1")] == ["FAILING", "RECOVERED"]


async def test_a_disabled_config_that_was_resumed_and_works_has_recovered(scene: Scene) -> None:
    scene.receives("r0", 410, 200)
    await scene.add_config(0)
    await listener(scene, 1, "postbackconfig.*")
    await scene.start()
    await scene.publish()
    await scene.pass_(61)

    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
    await scene.pass_(60)
    await scene.publish()
    await scene.pass_(130)

    assert [notice["type"] for notice in heard(scene, "r1")] == ["DISABLED", "RECOVERED"]


async def test_a_receiver_that_is_only_busy_is_retried_and_nobody_is_told(scene: Scene) -> None:
    scene.receives("r0", asks_to_wait(5), 200)
    await scene.add_config(0)
    await listener(scene, 1)
    await scene.start()

    await scene.publish()
    await scene.rest()

    assert heard(scene, "r1") == []


async def test_notices_of_another_account_are_not_told(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_account("other", "loc_other")
    await scene.add_config(0, retry=RetryPolicy())
    await listener(scene, 1, "*", account="other")
    await scene.start()

    await scene.publish()
    await scene.rest()
    await scene.pass_(5)

    assert scene.posts("r1") == []


async def test_what_failed_in_the_grace_of_the_end_is_told_after_the_restart(scene: Scene) -> None:
    scene.receives("r0", (1.0, scene.status(500)))
    await scene.add_config(0, retry=RetryPolicy())
    await listener(scene, 1, "delivery.failed")
    await scene.start()
    await scene.publish()
    await scene.pass_(0.2)

    await scene.stop()
    await scene.start()
    await scene.rest()

    assert len(heard(scene, "r1")) == 1
    data = (await given.rows(scene.store, tables.events))[-1].data
    assert json.loads(data)["last_status"] == 500
