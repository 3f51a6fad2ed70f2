"""When deliveries are sent: retries, pauses, and what people and other accounts may expect meanwhile."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from postback.domain.accounts import Account
from postback.domain.configs import ConfigState, Snapshot
from postback.domain.deliveries import Claim, State, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.policy import RetryPolicy
from postback.domain.telemetry import Claimed, StaleSettlements
from postback.engine.dispatcher import CLAIM_AT_ONCE
from postback.engine.due import OPENED_AT_ONCE
from postback.ports import Worker
from postback.storage.accounts import SqlAccounts
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import ANSWERS_AFTER_S, Scene, asks_to_wait, refused, silent, slowly

pytestmark = pytest.mark.anyio

SOON_S = 1.0
"""What is due is sent within this, where there is room."""

MS = 0.001
"""The store counts in whole milliseconds."""


# --- retries ----------------------------------------------------------------------------------------------------------


async def test_a_failure_is_tried_again_after_the_configured_wait_and_the_counter_goes_up(scene: Scene) -> None:
    scene.receives("r0", 500, 500, 200)
    await scene.add_config(0, retry=RetryPolicy(3, (7,)))
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    assert [post.counter for post in scene.posts()] == [1, 2, 3]
    assert all(7 - MS <= wait < 7 + SOON_S for wait in scene.waits())
    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.RETRY, Verdict.DELIVERED]


async def test_a_receiver_that_always_fails_gets_what_the_policy_says_and_no_more(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy(4, (1,)))
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()
    await scene.pass_(600)

    assert [post.counter for post in scene.posts()] == [1, 2, 3, 4]
    view = await scene.delivery(event)
    assert (view.state, view.attempts_made, view.last_status, view.last_reason) == (State.FAILED, 4, 500, "bad_status")


async def test_by_default_there_is_one_attempt_and_its_failure_can_be_seen(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()
    await scene.pass_(600)

    assert len(scene.posts()) == 1
    assert (await scene.delivery(event)).state is State.FAILED


async def test_the_last_wait_of_a_schedule_repeats(scene: Scene) -> None:
    scene.receives("r0", 500, 500, 500, 500, 200)
    await scene.add_config(0, retry=RetryPolicy(9, (1, 5, 20)))
    await scene.start()

    await scene.publish()
    await scene.rest()

    for wait, configured in zip(scene.waits(), [1, 5, 20, 20], strict=True):
        assert configured - MS <= wait < configured + SOON_S


async def test_many_failures_at_once_are_never_tried_again_early(scene: Scene) -> None:
    for n, wait_s in enumerate((1, 2, 5)):
        scene.receives(f"r{n}", *[500] * 150, 200)
        await scene.add_config(n, retry=RetryPolicy(10, (wait_s,)))
    await scene.start()

    await scene.publish(50)
    await scene.rest()

    for n, wait_s in enumerate((1, 2, 5)):
        last: dict[int, float] = {}
        for post in scene.posts(f"r{n}"):
            assert post.at >= last.get(post.number, -10.0) + ANSWERS_AFTER_S + wait_s - MS
            last[post.number] = post.at


async def test_a_clock_that_jumps_makes_no_retry_wait_for_the_size_of_the_jump(scene: Scene) -> None:
    scene.receives("r0", 500, 200)
    await scene.add_config(0, retry=RetryPolicy(2, (60,)))
    await scene.start()
    await scene.publish()
    await scene.pass_(10)

    scene.jump(-86_400)
    await scene.rest()

    assert 60 - MS <= scene.waits()[0] < 60 * 1.1


@pytest.mark.parametrize("status", [500, 404, 429, 503])
async def test_99_retry_after_lengthens_the_wait(scene: Scene, status: int) -> None:
    scene.receives("r0", asks_to_wait(100, status), 200)
    await scene.add_config(0, retry=RetryPolicy(2, (10,)))
    await scene.start()

    await scene.publish()
    await scene.rest()

    assert 100 - MS <= scene.waits()[0] < 100 + SOON_S


@pytest.mark.parametrize("value", [3, "0", "-100", "1e20", "NaN", "soon", "", "Mon, 01 Jan 1990 00:00:00 GMT"])
async def test_99_retry_after_never_shortens_the_wait_and_a_bad_one_is_ignored(scene: Scene, value: int | str) -> None:
    scene.receives("r0", asks_to_wait(value), 200)
    await scene.add_config(0, retry=RetryPolicy(2, (10,)))
    await scene.start()

    await scene.publish()
    await scene.rest()

    assert 10 - MS <= scene.waits()[0] < 10 + SOON_S


async def test_100_a_receiver_that_fails_every_other_time_is_never_disabled(scene: Scene) -> None:
    scene.receives("r0", *[200, 500] * 200)
    await scene.add_config(0, retry=RetryPolicy(3, (1,)))
    await scene.start()

    for _ in range(20):
        await scene.publish(10)
        await scene.pass_(5)
    await scene.rest()

    config = await scene.configs.find(ACCOUNT, CONFIG_ID)
    assert config.state is ConfigState.ACTIVE
    assert len(scene.posts()) > 300


# --- gone, and asked to wait ------------------------------------------------------------------------------------------


async def test_98_gone_fails_the_delivery_disables_the_config_and_holds_the_rest(scene: Scene) -> None:
    """Between the answer and the commit that disabled the config the next delivery was sent."""
    scene.receives("r0", slowly(2.0, 410), 200)
    await scene.add_config(0, max_in_flight=1)
    await scene.start()
    first, *others = await scene.publish(12)
    await scene.pass_(30)

    assert (await scene.delivery(first)).state is State.FAILED
    config = await scene.configs.find(ACCOUNT, CONFIG_ID)
    assert config.state is ConfigState.DISABLED
    assert config.state_reason is not None
    assert "410" in config.state_reason
    assert await scene.states(others) == [State.HELD] * 11
    assert len(scene.posts()) == 1


async def test_98_resumed_the_rest_goes_in_the_order_of_acceptance(scene: Scene) -> None:
    scene.receives("r0", slowly(2.0, 410), 200)
    await scene.add_config(0, max_in_flight=1)
    await scene.start()
    await scene.publish(12)
    await scene.pass_(30)
    during = await scene.publish(3)
    assert await scene.states(during) == [State.HELD] * 3
    await scene.pass_(0.3)
    resumed_at = scene.loop.time()

    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
    await scene.rest()

    assert [post.number for post in scene.posts()] == list(range(15))
    assert scene.posts()[1].at - resumed_at < 0.05


@pytest.mark.parametrize("status", [429, 503])
async def test_99_with_429_and_503_retry_after_pauses_all_of_the_lane(scene: Scene, status: int) -> None:
    scene.receives("r0", asks_to_wait(50, status), 200)
    await scene.add_config(0, retry=RetryPolicy(3, (1,)))
    await scene.start()
    await scene.publish()
    await scene.pass_(1)
    paused_at = scene.posts()[0].at

    for _ in range(30):
        await scene.publish()
        await scene.pass_(1)
    assert len(scene.posts()) == 1
    await scene.rest()

    assert len(scene.posts()) == 32
    assert 50 <= scene.posts()[1].at - paused_at < 50 + 2 * SOON_S


async def test_99_with_other_failures_retry_after_is_for_one_delivery(scene: Scene) -> None:
    scene.receives("r0", asks_to_wait(50, 404), 200)
    await scene.add_config(0, retry=RetryPolicy(3, (1,)))
    await scene.start()
    await scene.publish()
    await scene.pass_(1)

    await scene.publish(5)
    await scene.pass_(1)

    assert len(scene.posts()) == 6


async def test_99_other_lanes_to_the_same_host_go_on(scene: Scene) -> None:
    scene.receives("shared", asks_to_wait(50), 200)
    await scene.add_config(0, url="http://shared.example/asks", retry=RetryPolicy(3, (1,)))
    await scene.start()
    await scene.publish()
    await scene.pass_(1)
    await scene.add_config(1, url="http://shared.example/goes-on")

    [event] = await scene.publish()
    await scene.pass_(1)

    assert await scene.states([event], 1) == [State.DELIVERED]


async def test_an_event_whose_commit_ends_just_after_the_lane_was_paused_goes_when_the_pause_is_over(
    scene: Scene,
) -> None:
    """It was born claimed into a lane that had nothing else to do, and nobody looked at that lane again."""
    scene.receives("r0", asks_to_wait(30), 200)
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()
    await scene.publish()
    scene.queue.slow_s["accept"] = 2.0
    await scene.publish()

    await scene.rest(within_s=60)

    assert len(scene.posts()) == 2


async def test_a_pause_shorter_than_a_commit_leaves_nothing_behind(scene: Scene) -> None:
    """When the outcome that asked for the pause was settled, the pause was over, and the lane was not started again."""
    scene.receives("r0", *[asks_to_wait(1)] * 4, 200)
    await scene.add_config(0, retry=RetryPolicy())
    await scene.start()
    scene.queue.slow_s["settle"] = 3.0

    await scene.publish(8)

    await scene.rest(within_s=60)
    assert len(scene.posts()) == 8


# --- paused, resumed, moved -------------------------------------------------------------------------------------------


async def test_deliveries_of_a_paused_config_are_kept_and_held(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")

    events = await scene.publish(3)
    await scene.pass_(60)

    assert await scene.states(events) == [State.HELD] * 3
    assert scene.posts() == []


async def test_pausing_takes_back_what_was_not_started_and_lets_what_was_end(scene: Scene) -> None:
    scene.receives("r0", slowly(5.0))
    await scene.add_config(0)
    await scene.start()
    events = await scene.publish(8)
    await scene.pass_(1)

    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
    await scene.pass_(60)

    assert await scene.states(events) == [State.DELIVERED] * 4 + [State.HELD] * 4
    assert await scene.attempts(events[-1]) == []


async def test_a_pause_that_is_over_at_once_leaves_nothing_behind(scene: Scene) -> None:
    scene.receives("r0", slowly(1.0))
    await scene.add_config(0)
    await scene.start()
    await scene.publish(8)
    scene.queue.slow_s["settle"] = scene.queue.slow_s["release"] = 3.0

    for _ in range(3):
        await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, "by a person")
        await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.ACTIVE, None)
        await scene.pass_(1)

    await scene.rest(within_s=60)


async def test_a_lane_that_moves_to_another_host_does_not_leave_those_behind_it_waiting(scene: Scene) -> None:
    """The host's window had shrunk to one, which the lane that moved had; whoever waited for it waited for ever."""
    await scene.add_account("other", "loc_other")
    scene.receives("shared", *[refused()] * 8, slowly(3_000.0), 200)
    first = await scene.add_config(0, url="http://shared.example/first", retry=RetryPolicy(20, (1,)))
    await scene.add_config(1, account="other", location_id="loc_other", url="http://shared.example/second")
    await scene.start()
    await scene.publish()
    await scene.until(lambda: len(scene.posts("shared")) == 9)
    [waiting] = await scene.publish(account="other", location_id="loc_other")
    await scene.pass_(60)
    assert len(scene.posts("shared")) == 9

    await scene.configs.change(replace(first, url="http://elsewhere.example/first"))
    await scene.pass_(1)

    assert (await scene.delivery(waiting, 1, "other")).state is State.DELIVERED


# --- asked by people --------------------------------------------------------------------------------------------------


async def test_a_finished_delivery_is_sent_again_when_asked_and_its_counter_goes_on(scene: Scene) -> None:
    scene.receives("r0", 500, 500, 500, 200)
    await scene.add_config(0, retry=RetryPolicy(2, (1,)))
    await scene.start()
    [event] = await scene.publish()
    await scene.rest()

    await scene.store.replay(ACCOUNT, event.event_id, CONFIG_ID)
    scene.engine.stored()
    await scene.rest()

    assert [post.counter for post in scene.posts()] == [1, 2, 3, 4]
    assert [attempt.manual for attempt in await scene.attempts(event)] == [False, False, True, True]
    assert (await scene.delivery(event)).state is State.DELIVERED


async def test_a_replay_is_sent_at_once(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    [event] = await scene.publish()
    await scene.rest()
    asked_at = scene.loop.time()

    await scene.store.replay(ACCOUNT, event.event_id, CONFIG_ID)
    scene.engine.stored()
    await scene.rest()

    assert scene.posts()[1].at - asked_at < 0.01


async def test_what_is_owed_cannot_be_replayed_whether_it_waits_or_is_under_way(scene: Scene) -> None:
    scene.receives("r0", slowly(5.0, 500))
    await scene.add_config(0)
    await scene.start()
    [event] = await scene.publish()

    for _ in range(2):
        with pytest.raises(Conflict):
            await scene.store.replay(ACCOUNT, event.event_id, CONFIG_ID)
        await scene.pass_(10)


async def test_a_delivery_cancelled_while_it_waits_is_never_sent(scene: Scene) -> None:
    scene.receives("r0", 500, 200)
    await scene.add_config(0)
    await scene.start()
    [event] = await scene.publish()
    await scene.pass_(1)

    await scene.store.cancel(ACCOUNT, event.event_id, CONFIG_ID)
    await scene.pass_(120)

    assert len(scene.posts()) == 1
    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.CANCELLED]


async def test_a_delivery_cancelled_under_way_stays_cancelled_and_what_came_of_it_is_on_record(scene: Scene) -> None:
    scene.receives("r0", slowly(2.0))
    await scene.add_config(0)
    await scene.start()
    [event] = await scene.publish()

    await scene.store.cancel(ACCOUNT, event.event_id, CONFIG_ID)
    await scene.pass_(120)

    assert await scene.verdicts(event) == [Verdict.CANCELLED, Verdict.LATE]
    assert (await scene.delivery(event)).state is State.CANCELLED
    assert scene.reported(StaleSettlements) == [StaleSettlements(1)]


async def test_a_finished_delivery_cannot_be_cancelled(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    [event] = await scene.publish()
    await scene.rest()

    with pytest.raises(Conflict):
        await scene.store.cancel(ACCOUNT, event.event_id, CONFIG_ID)


# --- how much at once -------------------------------------------------------------------------------------------------


async def test_thousands_go_through_a_window_of_4_that_widens_to_64(scene: Scene) -> None:
    scene.receives("r0", slowly(0.2))
    await scene.add_config(0)
    await scene.start()
    await scene.publish(4)
    assert scene.town.at_once("r0") == 4

    for _ in range(10):
        await scene.publish(200)
    await scene.rest()

    assert len(scene.posts()) == 2_004
    assert scene.town.most_at_once["r0"] == 64
    assert sorted(post.number for post in scene.posts()) == list(range(2_004))


async def test_a_lane_holds_twice_its_window_and_the_store_holds_the_rest(scene: Scene) -> None:
    scene.receives("r0", slowly(0.2))
    await scene.add_config(0)
    await scene.start()

    await scene.publish(1_000)
    held = []
    while await scene.owed():
        held.append(scene.engine.lanes.taken)
        await scene.pass_(0.1)

    assert held[0] == 8
    assert max(held) <= 2 * 64 + 64


async def test_what_found_no_place_goes_as_soon_as_there_is_one(scene: Scene) -> None:
    scene.receives("r0", slowly(0.5))
    await scene.add_config(0)
    await scene.add_config(1, resource="transaction")
    await scene.start(places=4)
    await scene.publish(4)
    await scene.pass_(0.1)

    await scene.publish(type="transaction.created")
    await scene.rest()

    assert scene.posts("r1")[0].at == pytest.approx(0.5, abs=0.01)


async def test_bodies_in_memory_stay_within_their_budget(scene: Scene) -> None:
    scene.receives("r0", slowly(0.2))
    await scene.add_config(0)
    await scene.start(memory=100_000)

    await scene.publish(100, data=b'{"number":1,"text":"%b"}' % (b"x" * 20_000))
    asked_at, most = scene.loop.time(), 0
    while await scene.owed():
        most = max(most, scene.engine.lanes.bytes_held)
        await scene.pass_(0.1)

    assert len(scene.posts()) == 100
    assert 0 < most <= 100_000 + 20_030
    assert scene.posts()[-1].at - asked_at < 100 / 4 * 0.2 + 0.5, "memory that was free was not used at once"


async def test_thirty_silent_receivers_of_a_hundred_do_not_take_the_places_of_the_others(scene: Scene) -> None:
    """A place that became free was not offered to lanes that had found none, so they waited for the next look."""
    for n in range(30):
        scene.receives(f"r{n}", silent(5.0))
    for n in range(100):
        await scene.add_config(n, retry=RetryPolicy(2, (1,)))
    await scene.start(places=200)
    await scene.publish(5)
    await scene.pass_(30)
    begins_at, silent_at_once = scene.loop.time(), 0

    for _ in range(20):
        await scene.publish(5)
        await scene.pass_(0.5)
        silent_at_once = max(silent_at_once, sum(scene.town.at_once(f"r{n}") for n in range(30)))

    healthy = [post for n in range(30, 100) for post in scene.posts(f"r{n}") if post.at >= begins_at]
    assert len(healthy) == 70 * 100
    assert max(post.at - begins_at - (post.number - 5) // 5 * 0.5 for post in healthy) < 0.05
    assert 0 < silent_at_once <= 200 / 4


async def test_lanes_with_wide_windows_do_not_take_all_places_for_a_few_deliveries(scene: Scene) -> None:
    """The first two in turn were given all places, claimed five deliveries each, and the others waited."""
    for n in range(50):
        await scene.add_config(n)
    await scene.start(places=100)
    for _ in range(20):
        await scene.publish(4)
        await scene.pass_(0.5)
    scene.queue.slow_s["claim"] = 0.01
    asked_at = scene.loop.time()

    await scene.publish(5)
    await scene.rest()

    assert max(post.at for post in scene.town.posts) - asked_at < 0.12


async def test_the_backlog_of_an_account_does_not_delay_the_fresh_event_of_another(scene: Scene) -> None:
    await scene.add_account("other", "loc_other")
    for n in range(5):
        scene.receives(f"r{n}", slowly(1.0))
        await scene.add_config(n)
    await scene.add_config(9, account="other", location_id="loc_other")
    await scene.start(places=20)
    await scene.publish(200)

    for _ in range(20):
        asked_at = scene.loop.time()
        await scene.publish(account="other", location_id="loc_other")
        await scene.until(lambda asked_at=asked_at: any(post.at >= asked_at for post in scene.posts("r9")), within_s=2)
        assert scene.posts("r9")[-1].at - asked_at <= 1.1

    assert await scene.owed() > 100


async def test_deliver_later_waits_in_the_store_until_its_time(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()

    await scene.publish(due_at_ms=scene.clock() + 90_000)
    await scene.publish()
    await scene.rest()

    assert [post.number for post in scene.posts()] == [1, 0]
    assert 90 <= scene.posts()[1].at < 90 + SOON_S


async def test_changing_max_in_flight_counts_from_the_next_attempt(scene: Scene) -> None:
    scene.receives("r0", slowly(1.0))
    config = await scene.add_config(0)
    await scene.start()
    await scene.publish(100)
    await scene.until(lambda: scene.town.at_once("r0") > 8)

    await scene.configs.change(replace(config, max_in_flight=2))
    await scene.pass_(2)

    assert scene.town.at_once("r0") <= 2
    await scene.rest()


async def test_of_much_that_becomes_due_at_once_the_store_gives_out_a_little_at_a_time_and_all_of_it_soon(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 lanes had work, one claim took 5,000 deliveries, and a fresh event waited for most of a second."""
    asked: list[int] = []
    claim = scene.queue.claim

    async def watched(worker: Worker, room: Mapping[int, int], max_bytes: int) -> Sequence[Claim]:
        asked.append(sum(room.values()))
        return await claim(worker, room, max_bytes)

    monkeypatch.setattr(scene.queue, "claim", watched)
    configs = CLAIM_AT_ONCE // 8 + 20
    for n in range(configs):
        await scene.add_config(n)
    await scene.start()
    await scene.publish(8, due_at_ms=scene.clock() + 10_000)

    await scene.pass_(10 + SOON_S / 2)

    assert len(scene.town.posts) == 8 * configs
    assert max(asked) == CLAIM_AT_ONCE
    assert len(scene.reported(Claimed)) == len(asked)
    await scene.rest()


async def test_after_a_start_the_first_are_sent_before_the_configs_of_all_have_been_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were read one after the other, and with many accounts that had work nothing was sent for a minute."""
    accounts = [f"acc_{n}" for n in range(2 * OPENED_AT_ONCE + 50)]
    await scene.start()
    for n, account in enumerate(accounts):
        await SqlAccounts(scene.store).save(Account(id=account))
        await scene.add_config(n, account=account, location_id=None)
        await scene.publish(account=account, location_id=None, due_at_ms=scene.clock() + 60_000)
    await scene.stop()
    await scene.pass_(120)
    snapshot = scene.configs.snapshot

    async def slow(account: str) -> Snapshot:
        await asyncio.sleep(0.2)
        return await snapshot(account)

    monkeypatch.setattr(scene.configs, "snapshot", slow)
    began = scene.loop.time()
    await scene.start()
    await scene.rest()

    sent = sorted(post.at - began for post in scene.town.posts)
    assert len(sent) == len(accounts)
    assert [round(at, 1) for at in (sent[0], sent[OPENED_AT_ONCE], sent[-1])] == [0.2, 0.4, 0.6]


async def test_what_is_due_of_an_account_that_is_gone_keeps_nobody_from_being_sent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.add_account("gone", "loc_gone")
    await scene.add_config(1, account="gone", location_id="loc_gone")
    await scene.add_config(0)
    await scene.start()
    [left] = await scene.publish(account="gone", location_id="loc_gone", due_at_ms=scene.clock() + 10_000)
    await scene.publish(due_at_ms=scene.clock() + 10_000)
    await scene.stop()
    snapshot = scene.configs.snapshot

    async def gone(account: str) -> Snapshot:
        if account == "gone":
            raise NotFound("account", account)
        return await snapshot(account)

    monkeypatch.setattr(scene.configs, "snapshot", gone)
    await scene.start()
    await scene.pass_(10 + SOON_S)

    assert (len(scene.posts("r0")), len(scene.posts("r1"))) == (1, 0)
    assert (await scene.delivery(left, 1, "gone")).state is State.PENDING
