"""Several workers on one store: what a config and a host take at most, they take of all workers together."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import pairwise

import pytest

from postback.domain.crews import CONNECTIONS, owner_of
from postback.domain.policy import RetryPolicy
from postback.engine.engine import Engine, Limits
from postback.engine.lanes import Lane
from tests.build import CONFIG_ID
from tests.engine.scene import Moody, Scene, Town, slowly

pytestmark = pytest.mark.anyio

LEASE_S = 30.0
SILENT_S = 10.0


class Member:
    """One worker of the scene. Its receivers are those of the scene, its way out is its own."""

    def __init__(self, scene: Scene) -> None:
        self.queue = Moody(scene.store)
        self.town = Town()
        self.town._replies = scene.town._replies
        self.town.posts = scene.town.posts
        self.engine: Engine = scene.make_engine(self.queue, self.town, Limits(lease_s=LEASE_S, grace_s=20.0))
        self._scene = scene
        self._stopping = asyncio.Event()
        self._started = asyncio.Event()
        self._running = asyncio.ensure_future(self.engine.run(self._stopping, self._started.set))

    async def started(self) -> "Member":
        await self._started.wait()
        return self

    @property
    def id(self) -> int:
        return self.engine._dispatcher.worker.id

    def lane(self, n: int = 0) -> Lane:
        return self.engine.lanes.lanes[CONFIG_ID + n]

    async def publish(self, events: int = 1) -> None:
        await self.engine.intake.publish([self._scene.new_event() for _ in range(events)])

    async def stop(self) -> None:
        self._stopping.set()
        await self._running

    def freeze(self) -> None:
        """It hears nothing any more, neither of the store nor of receivers."""
        self.queue.answers.clear()

    def thaw(self) -> None:
        self.queue.answers.set()

    async def die(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        for _, _, timer in self.town._under_way.values():
            timer.cancel()


Join = Callable[[], Awaitable[Member]]


@pytest.fixture
async def join(scene: Scene) -> AsyncIterator[Join]:
    """Another worker each time."""
    members = []

    async def one() -> Member:
        members.append(Member(scene))
        return await members[-1].started()

    yield one
    for member in members:
        await member.die()


async def agreed(scene: Scene, *members: Member) -> None:
    """Until all of them go by the crew that they are."""
    crew = tuple(sorted(member.id for member in members))
    await scene.until(
        lambda: all(one.engine._sharing.is_agreed and one.engine._sharing.crew == crew for one in members), 60
    )


def owner(members: Sequence[Member], n: int = 0) -> Member:
    crew = tuple(sorted(member.id for member in members))
    return next(member for member in members if member.id == owner_of(CONFIG_ID + n, crew))


async def test_a_rate_holds_over_all_workers_that_accept_events_for_it(scene: Scene, join: Join) -> None:
    await scene.add_config(0, rate_limit=2.0)
    members = [await join() for _ in range(3)]
    await agreed(scene, *members)

    for _ in range(7):
        for member in members:
            await member.publish()
    await scene.rest()

    at = [post.at for post in scene.posts()]
    assert len(at) == 21
    assert all(later - earlier >= 0.5 - 1e-6 for earlier, later in pairwise(at))
    assert at[-1] - at[0] < 13


async def test_a_receiver_that_takes_one_at_a_time_gets_one_at_a_time(scene: Scene, join: Join) -> None:
    scene.receives("r0", slowly(0.3))
    await scene.add_config(0, max_in_flight=1, retry=RetryPolicy())
    members = [await join() for _ in range(2)]
    await agreed(scene, *members)

    for member in members:
        await member.publish(5)
    await scene.rest()

    at = [post.at for post in scene.posts()]
    assert len(at) == 10
    assert all(later - earlier >= 0.3 - 1e-6 for earlier, later in pairwise(at))


async def test_a_wide_cap_and_the_connections_of_a_host_are_divided_and_each_delivers_what_it_accepts(
    scene: Scene, join: Join
) -> None:
    await scene.add_config(0, max_in_flight=65)
    first, second = await join(), await join()
    await agreed(scene, first, second)

    await first.publish(3)
    await second.publish(3)
    await scene.rest()

    for member in (first, second):
        assert member.lane().window.most == 32
        assert member.lane().host.window.most == CONNECTIONS // 2
        assert member.queue.calls.count("claim") == 0
    await second.stop()
    await agreed(scene, first)
    assert first.lane().window.most == 65
    assert first.lane().host.window.most == CONNECTIONS


async def test_who_joins_takes_nothing_before_the_others_know_of_it(scene: Scene, join: Join) -> None:
    await scene.add_config(0, max_in_flight=64)
    first = await join()
    first.queue.slow_s["beat"] = 4.0
    second = await join()

    await second.publish(4)
    await scene.pass_(0.9)
    assert second.engine.lanes.taken == 0
    await scene.rest(within_s=20)

    assert second.lane().window.most == 64
    await agreed(scene, first, second)
    assert second.lane().window.most == 32


async def test_who_joins_waits_until_the_others_are_within_their_share(scene: Scene, join: Join) -> None:
    scene.receives("r0", slowly(4.0), *[slowly(8.0)] * 30)
    await scene.add_config(0, max_in_flight=6, retry=RetryPolicy())
    first = await join()
    await first.publish(1)
    await scene.rest()
    await first.publish(5)
    await scene.pass_(5.5)
    await first.publish(5)
    assert first.town.at_once("r0") == 5

    second = await join()
    await scene.pass_(2)
    assert first.engine._sharing.crew == (first.id, second.id)
    assert first.town.at_once("r0") == 5
    assert second.engine._sharing.part(first.lane().config) == 0

    await agreed(scene, first, second)
    assert first.town.at_once("r0") <= 3


async def test_a_receiver_that_hangs_keeps_only_its_own_lane_while_another_worker_joins(
    scene: Scene, join: Join
) -> None:
    for n in range(8):
        await scene.add_config(n, rate_limit=50.0, max_in_flight=1, retry=RetryPolicy())
    first = await join()
    hanging, healthy = range(4), range(4, 8)
    for n in hanging:
        scene.receives(f"r{n}", slowly(60.0))
    await first.publish(1)
    await scene.pass_(1)

    second = await join()
    await scene.pass_(6)
    moved = {n for n in range(8) if owner([first, second], n) is second}
    assert moved & set(hanging)
    assert moved & set(healthy)
    await first.publish(1)
    await scene.until(lambda: all(len(scene.posts(f"r{n}")) == 2 for n in healthy), 3)

    assert all(len(scene.posts(f"r{n}")) == 1 for n in hanging)
    assert not second.engine._sharing.is_agreed
    await scene.rest(within_s=130)
    for n in hanging:
        earlier, later = (post.at for post in scene.posts(f"r{n}"))
        assert 60 <= later - earlier < 63
    assert {n for n in range(8) if second.town.most_at_once[f"r{n}"]} == moved
    assert second.engine._sharing.is_agreed


async def test_a_lane_that_moves_gives_back_what_waits_and_its_new_owner_begins_with_no_tokens(
    scene: Scene, join: Join
) -> None:
    for n in range(12):
        await scene.add_config(n, rate_limit=0.1, max_in_flight=8)
    first = await join()
    await first.publish(3)
    await scene.pass_(1)
    second = await join()
    await agreed(scene, first, second)

    moved = [n for n in range(12) if owner([first, second], n) is second]
    assert 0 < len(moved) < 12
    assert all(first.lane(n).is_elsewhere and not first.lane(n).waiting for n in moved)
    await scene.rest()

    assert {CONFIG_ID + n for n in moved} == {
        key for key, lane in first.engine.lanes.lanes.items() if lane.is_elsewhere
    }
    for n in range(12):
        at = [post.at for post in scene.posts(f"r{n}")]
        assert len(at) == 3
        assert all(later - earlier >= 10 - 1e-6 for earlier, later in pairwise(at))


async def test_when_the_owner_dies_what_others_stored_for_it_is_sent_within_a_lease(scene: Scene, join: Join) -> None:
    await scene.add_config(0, rate_limit=5.0, retry=RetryPolicy())
    members = [await join() for _ in range(3)]
    await agreed(scene, *members)
    dead = owner(members)
    living = [member for member in members if member is not dead]

    await dead.die()
    for member in living:
        await member.publish(4)
    assert scene.posts() == []

    await scene.rest(within_s=LEASE_S)
    assert len(scene.posts()) == 8


async def test_when_the_owner_ends_well_another_goes_on_at_its_next_heartbeat(scene: Scene, join: Join) -> None:
    await scene.add_config(0, rate_limit=5.0, retry=RetryPolicy())
    members = [await join() for _ in range(2)]
    await agreed(scene, *members)
    leaving = owner(members)
    [staying] = [member for member in members if member is not leaving]

    await leaving.stop()
    await staying.publish(4)

    await scene.rest(within_s=LEASE_S / 6 + 3)


async def test_what_a_worker_owned_that_is_told_to_end_goes_on_elsewhere_while_its_last_attempts_are_under_way(
    scene: Scene, join: Join
) -> None:
    for n in range(8):
        await scene.add_config(n, rate_limit=50.0, max_in_flight=1, retry=RetryPolicy())
    members = [await join() for _ in range(2)]
    await agreed(scene, *members)
    leaving = owner(members, 0)
    [staying] = [member for member in members if member is not leaving]
    owned = [n for n in range(1, 8) if owner(members, n) is leaving]
    assert owned
    scene.receives("r0", slowly(18.0))
    await leaving.publish()
    await scene.pass_(2.0)

    stopped = asyncio.ensure_future(leaving.stop())
    await scene.pass_(0.1)
    await staying.publish()
    await scene.until(lambda: all(len(scene.posts(f"r{n}")) == 2 for n in range(1, 8)), LEASE_S / 6 + 1)

    assert len(scene.posts("r0")) == 1
    assert not stopped.done()
    await stopped
    await scene.rest(within_s=LEASE_S / 6 + 20)
    earlier, later = (post.at for post in scene.posts("r0"))
    assert later - earlier >= 18.0
    assert staying.engine._sharing.is_agreed


async def test_who_is_alone_and_told_to_end_finishes_what_is_under_way(scene: Scene) -> None:
    scene.receives("r0", slowly(4.0))
    await scene.add_config(0, max_in_flight=1, retry=RetryPolicy())
    await scene.start()
    await scene.publish(3)
    await scene.pass_(1.0)

    await scene.stop()

    assert [post.at for post in scene.posts()] == [pytest.approx(0.0, abs=0.5)]
    assert await scene.owed() == 2


async def test_who_was_cut_off_starts_nothing_once_others_may_have_its_lanes(scene: Scene, join: Join) -> None:
    """It had a delivery in memory, and the one before it ended just when it came back."""
    scene.receives("r0", slowly(14.0))
    await scene.add_config(0, max_in_flight=1, retry=RetryPolicy())
    members = [await join() for _ in range(2)]
    await agreed(scene, *members)
    cut_off = owner(members)
    [other] = [member for member in members if member is not cut_off]
    await cut_off.publish(2)
    assert len(cut_off.lane().waiting) == 1

    cut_off.freeze()
    await other.publish(2)
    await scene.pass_(14.5)

    assert len(cut_off.town._under_way) == 0
    assert [post.host for post in scene.posts()] == ["r0", "r0"]
    assert other.town.at_once("r0") == 1
    cut_off.thaw()
    await scene.rest()
    at = [post.at for post in scene.posts()]
    assert len(at) == 4
    assert all(later - earlier >= 14 - 1e-6 for earlier, later in pairwise(at[1:]))


async def test_a_worker_that_is_alone_is_kept_by_nothing_when_the_store_comes_back(scene: Scene) -> None:
    scene.receives("r0", slowly(0.5))
    await scene.add_config(0, rate_limit=20.0, retry=RetryPolicy())
    await scene.start()
    scene.queue.refuses.add("beat")
    await scene.pass_(SILENT_S + 6)
    await scene.publish(5)
    await scene.pass_(0.5)
    assert scene.posts() == []

    scene.queue.refuses.clear()
    await scene.rest(within_s=3)

    assert len(scene.posts()) == 5


async def test_after_a_kill_the_next_worker_waits_no_longer_than_the_silence_that_others_grant(
    scene: Scene, join: Join
) -> None:
    await scene.add_config(0)
    first = await join()
    await first.publish()
    await scene.rest()
    await first.die()

    second = await join()
    await second.publish(3)
    await scene.rest(within_s=SILENT_S + 2)

    assert len(scene.posts()) == 4


async def test_the_figures_say_how_many_workers_there_are_and_whose_the_lanes_are(scene: Scene, join: Join) -> None:
    for n in range(8):
        await scene.add_config(n, rate_limit=100.0)
    members = [await join() for _ in range(2)]
    await agreed(scene, *members)
    for member in members:
        await member.publish()
    await scene.rest()

    figures = [member.engine.figures() for member in members]

    assert [one.workers for one in figures] == [2, 2]
    assert [one.lanes_held for one in figures] == [0, 0]
    assert sum(one.lanes_elsewhere for one in figures) == 8
