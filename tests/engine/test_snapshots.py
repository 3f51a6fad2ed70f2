"""Changed configs: the next attempt goes by the new version, and deleted ones get nothing more."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from postback.domain.accounts import Account
from postback.domain.configs import ConfigState, Snapshot
from postback.domain.deliveries import State, Verdict
from postback.domain.errors import Unavailable
from postback.domain.policy import RetryPolicy, SuccessRule
from postback.engine.snapshots import Snapshots
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from tests.build import ACCOUNT, CONFIG_ID
from tests.engine.scene import Scene, slowly

pytestmark = pytest.mark.anyio


class Watched:
    """The configs, read slowly or not at all; how often they were read is counted, and how many at once."""

    def __init__(self, configs: SqlConfigs) -> None:
        self.reads = 0
        self.at_once = 0
        self.fails = 0
        self.slow_s = 0.0
        self.watch = configs.watch
        self.all_changed: Callable[[], None] = lambda: None
        self._configs = configs
        self._reading = 0

    def watch_all(self, changed: Callable[[], None]) -> None:
        self.all_changed = changed

    async def snapshot(self, account: str) -> Snapshot:
        self.reads += 1
        self._reading += 1
        self.at_once = max(self.at_once, self._reading)
        try:
            found = await self._configs.snapshot(account)
            await asyncio.sleep(self.slow_s)
        finally:
            self._reading -= 1
        if self.fails:
            self.fails -= 1
            raise Unavailable("reading took too long")
        return found


async def test_an_edited_url_is_where_the_next_attempt_goes(scene: Scene) -> None:
    scene.receives("r0", 500)
    config = await scene.add_config(0)
    await scene.start()
    await scene.publish()
    await scene.pass_(1)

    await scene.configs.change(replace(config, url="http://moved.example/elsewhere"))
    await scene.rest()

    assert len(scene.posts("r0")) == 1
    [post] = scene.posts("moved")
    assert (post.target, post.counter) == ("/elsewhere", 2)


async def test_an_edited_policy_decides_after_the_next_attempt(scene: Scene) -> None:
    scene.receives("r0", 500)
    config = await scene.add_config(0, retry=RetryPolicy(10, (60,)))
    await scene.start()
    [event] = await scene.publish()
    await scene.pass_(1)

    await scene.configs.change(replace(config, retry=RetryPolicy(3, (5,))))
    await scene.rest()

    assert [round(wait) for wait in scene.waits()] == [60, 5]
    assert (await scene.delivery(event)).state is State.FAILED


async def test_an_attempt_under_way_is_judged_by_the_version_that_it_was_made_with(scene: Scene) -> None:
    scene.receives("r0", slowly(5.0, 204), slowly(5.0, 204))
    config = await scene.add_config(0, retry=RetryPolicy(2, (1,)))
    await scene.start()
    [event] = await scene.publish()

    await scene.configs.change(replace(config, success=SuccessRule.EXACTLY_200))
    [later] = await scene.publish()
    await scene.rest()

    assert await scene.verdicts(event) == [Verdict.DELIVERED]
    assert await scene.verdicts(later) == [Verdict.RETRY, Verdict.FAILED]


async def test_what_waits_in_memory_goes_by_the_new_version_too(scene: Scene) -> None:
    scene.receives("r0", slowly(2.0))
    config = await scene.add_config(0)
    await scene.start()
    await scene.publish(8)
    await scene.pass_(0.1)

    await scene.configs.change(replace(config, url="http://moved.example/elsewhere"))
    await scene.rest()

    assert (len(scene.posts("r0")), len(scene.posts("moved"))) == (4, 4)


async def test_an_unknown_format_fails_and_a_known_one_is_used_again_after_the_edit(scene: Scene) -> None:
    config = await scene.add_config(0, format="soap")
    await scene.start()
    [failed] = await scene.publish()
    await scene.rest()

    await scene.configs.change(replace(config, format="api-default"))
    [sent] = await scene.publish()
    await scene.rest()

    assert await scene.states([failed, sent]) == [State.FAILED, State.DELIVERED]


async def test_a_deleted_configs_deliveries_are_cancelled_and_nothing_is_sent_any_more(scene: Scene) -> None:
    scene.receives("r0", 500)
    await scene.add_config(0)
    await scene.start()
    events = await scene.publish(20)
    await scene.pass_(1)
    sent = len(scene.posts())

    await scene.configs.delete(ACCOUNT, CONFIG_ID)
    [after] = await scene.publish()
    await scene.rest(within_s=10)
    await scene.pass_(120)

    assert after.deliveries == 0
    assert await scene.states(events) == [State.CANCELLED] * 20
    assert (await scene.verdicts(events[0])) == [Verdict.RETRY, Verdict.CANCELLED]
    assert len(scene.posts()) == sent


async def test_what_waits_in_memory_when_its_config_is_deleted_is_not_sent(scene: Scene) -> None:
    scene.receives("r0", slowly(2.0))
    await scene.add_config(0)
    await scene.start()
    events = await scene.publish(8)
    await scene.pass_(0.5)

    await scene.configs.delete(ACCOUNT, CONFIG_ID)
    await scene.pass_(20)

    assert len(scene.posts()) == 4
    assert (await scene.delivery(events[-1])).state is State.CANCELLED


async def test_an_attempt_under_way_when_its_config_is_deleted_ends_on_record(scene: Scene) -> None:
    scene.receives("r0", slowly(8.0))
    await scene.add_config(0)
    await scene.start()
    [event] = await scene.publish()

    await scene.configs.delete(ACCOUNT, CONFIG_ID)
    await scene.pass_(20)

    assert await scene.verdicts(event) == [Verdict.CANCELLED, Verdict.LATE]


async def test_many_who_ask_at_once_read_once(scene: Scene) -> None:
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    configs.slow_s = 1.0

    found = await asyncio.gather(*(snapshots.of(ACCOUNT) for _ in range(20)))

    assert configs.reads == 1
    assert all(one is snapshots.held(ACCOUNT) for one in found)


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(scene: Scene) -> None:
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    configs.slow_s = 1.0
    impatient, patient = (asyncio.ensure_future(snapshots.of(ACCOUNT)) for _ in range(2))
    await scene.pass_(0.5)

    impatient.cancel()

    assert (await patient).account == ACCOUNT


async def test_a_change_during_the_reading_is_read_as_well(scene: Scene) -> None:
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    configs.slow_s = 1.0
    asking = asyncio.ensure_future(snapshots.of(ACCOUNT))
    await scene.pass_(0.5)

    await scene.add_config(0)

    assert CONFIG_ID in (await asking).configs


async def test_a_change_whose_reading_failed_is_read_again_until_it_is_known(scene: Scene) -> None:
    """An edited URL was not used until the next edit: whoever had a lane heard of a change only by its own reading."""
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    renewed: list[Snapshot] = []
    snapshots.renewed = renewed.append
    configs.fails = 3

    await scene.add_config(0)
    await scene.pass_(10)

    assert [list(snapshot.configs) for snapshot in renewed] == [[CONFIG_ID]]


async def accounts(scene: Scene, count: int) -> list[str]:
    """So many, with a config each."""
    names = [f"acc_{n}" for n in range(count)]
    for n, name in enumerate(names):
        await SqlAccounts(scene.store).save(Account(id=name))
        await scene.add_config(n, account=name, location_id=None)
    return names


async def test_when_all_may_have_changed_only_what_is_in_use_is_read_again_a_few_at_a_time(scene: Scene) -> None:
    """Every account of the database was read, all at once: a process with 10,000 accounts took no event for a minute."""
    names = await accounts(scene, 20)
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    for name in names:
        await snapshots.of(name)
    snapshots.in_use = lambda: names[:5]
    renewed: list[str] = []
    snapshots.renewed = lambda snapshot: renewed.append(snapshot.account)
    configs.reads, configs.at_once, configs.slow_s = 0, 0, 0.5

    configs.all_changed()
    await scene.pass_(10)

    assert sorted(renewed) == names[:5]
    assert (configs.reads, configs.at_once) == (5, 2)
    assert [snapshots.held(name) is None for name in names] == [False] * 5 + [True] * 15
    assert (await snapshots.of(names[-1])).configs


async def test_when_all_may_have_changed_what_cannot_be_read_is_read_again_until_it_is_known(scene: Scene) -> None:
    names = await accounts(scene, 3)
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    snapshots.in_use = lambda: names
    renewed: list[str] = []
    snapshots.renewed = lambda snapshot: renewed.append(snapshot.account)
    configs.fails = 10

    configs.all_changed()
    await scene.pass_(20)

    assert sorted(renewed) == names


async def test_what_was_being_read_when_all_may_have_changed_is_read_again(scene: Scene) -> None:
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    configs.slow_s = 1.0
    asking = asyncio.ensure_future(snapshots.of(ACCOUNT))
    await scene.pass_(0.5)
    scene.store._watchers.clear()
    await scene.add_config(0)

    configs.all_changed()

    assert CONFIG_ID in (await asking).configs


async def test_a_change_does_not_wait_for_all_that_may_have_changed(scene: Scene) -> None:
    names = await accounts(scene, 20)
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    snapshots.in_use = lambda: names
    renewed: list[str] = []
    snapshots.renewed = lambda snapshot: renewed.append(snapshot.account)
    configs.slow_s = 1.0
    configs.all_changed()
    await scene.pass_(0.5)

    await scene.configs.set_state(names[-1], CONFIG_ID + 19, ConfigState.PAUSED, None)
    await scene.pass_(1.75)

    assert names[-1] in renewed
    assert len(renewed) == 4
    await scene.pass_(20)


@pytest.mark.parametrize("hears_of_which", [True, False])
async def test_what_is_edited_while_its_lane_waits_for_the_configs_of_others_is_sent_by_the_edit(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, hears_of_which: bool
) -> None:
    """A hundred lanes were opened once the configs of all of them were read: those of an account that changed in between
    were opened with the old ones, and nobody told them until the next edit."""
    await scene.add_account("acc_slow", "loc_slow")
    config = await scene.add_config(0)
    await scene.add_config(1, account="acc_slow", location_id=None)
    scene.receives("r0", 500)
    scene.receives("r1", 500)
    await scene.start()
    await scene.publish()
    await scene.publish(account="acc_slow", location_id=None)
    await scene.pass_(1)
    await scene.stop()
    configs = Watched(scene.configs)
    real = configs.snapshot

    async def snapshot(account: str) -> Snapshot:
        found = await real(account)
        await asyncio.sleep(5.0 if account == "acc_slow" else 0.0)
        return found

    monkeypatch.setattr(configs, "snapshot", snapshot)
    monkeypatch.setattr(scene, "configs", configs)
    await scene.start()
    await scene.until(lambda: configs.reads == 2)
    await scene.pass_(1)
    if not hears_of_which:
        scene.store._watchers.clear()

    await configs._configs.change(replace(config, url="http://moved.example/elsewhere"))
    if not hears_of_which:
        configs.all_changed()
    await scene.pass_(10)

    assert (len(scene.posts("r0")), len(scene.posts("moved"))) == (1, 1)


async def test_what_is_due_of_an_account_that_may_have_changed_waits_until_it_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process with lanes of 6,600 accounts needs half a minute to read them all again, and sends meanwhile."""
    names = await accounts(scene, 20)
    config = await scene.add_config(99)
    scene.receives("r99", 500)
    configs = Watched(scene.configs)
    monkeypatch.setattr(scene, "configs", configs)
    await scene.start()
    for name in names:
        await scene.publish(account=name, location_id=None)
    await scene.publish()
    await scene.pass_(58)
    scene.store._watchers.clear()
    await configs._configs.change(replace(config, url="http://moved.example/elsewhere"))
    configs.slow_s = 3.0

    configs.all_changed()
    await scene.pass_(10)

    assert (len(scene.posts("r99")), len(scene.posts("moved"))) == (1, 1)
    await scene.pass_(40)


async def test_an_account_that_is_gone_is_not_asked_for_again(scene: Scene) -> None:
    configs = Watched(scene.configs)
    snapshots = Snapshots(configs)
    accounts = SqlAccounts(scene.store)
    await accounts.save(Account(id="short-lived"))
    await accounts.delete("short-lived")
    reads = configs.reads

    snapshots.forget("short-lived")
    scene.store._announce("short-lived")
    await scene.pass_(10)

    assert configs.reads == reads + 1
    assert snapshots.held("short-lived") is None


async def test_what_is_held_is_bounded_by_configs_and_the_longest_held_are_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account may have one config or hundreds: their number says what memory they take."""
    monkeypatch.setattr("postback.engine.snapshots.CONFIGS_KEPT", 4)
    for n, account in enumerate(("acc_a", "acc_b", "acc_c")):
        await SqlAccounts(scene.store).save(Account(id=account))
        for place in range(2):
            await scene.add_config(10 * n + place, account=account, location_id=None)
    watched = Watched(scene.configs)
    snapshots = Snapshots(watched)

    for account in ("acc_a", "acc_b", "acc_c"):
        await snapshots.of(account)

    assert [snapshots.held(account) is None for account in ("acc_a", "acc_b", "acc_c")] == [True, False, False]
    assert len((await snapshots.of("acc_a")).configs) == 2
    assert watched.reads == 4


async def test_an_account_with_more_configs_than_are_held_is_held_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.engine.snapshots.CONFIGS_KEPT", 1)
    for n in range(3):
        await scene.add_config(n)
    snapshots = Snapshots(Watched(scene.configs))

    await snapshots.of(ACCOUNT)

    held = snapshots.held(ACCOUNT)
    assert held is not None
    assert len(held.configs) == 3


async def test_of_what_was_sent_only_the_name_is_held(scene: Scene) -> None:
    await scene.add_config(0, as_sent={"name": "ours", "url": "http://r0.example/"})
    await scene.add_config(1, as_sent={"url": "http://r1.example/"})
    snapshots = Snapshots(Watched(scene.configs))

    found = await snapshots.of(ACCOUNT)

    assert [dict(config.as_sent) for config in found.configs.values()] == [{"name": "ours"}, {}]
