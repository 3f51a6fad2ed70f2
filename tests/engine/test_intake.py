"""The way in: what is answered is durable, what is not accepted is said so, and nothing is in between."""

import asyncio

import pytest

from postback.domain.configs import ConfigState, PostbackConfig
from postback.domain.deliveries import Accepted, Idempotency, Refused, State
from postback.domain.errors import Conflict, InvalidValue, NotFound, PostbackError, Unavailable
from postback.domain.events import Event
from postback.domain.records import Insert, Record
from postback.domain.telemetry import Committed, InternalError, StoreFailed
from postback.engine.intake import BYTES_WAITING_MAX, EVENTS_A_COMMIT, EVENTS_WAITING_MAX
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON
from tests.engine.scene import Scene
from tests.storage import given

pytestmark = pytest.mark.anyio

A_KEY = Idempotency(b"k" * 32, b"b" * 32)


def a_contact(last_name: str, *, key: str | None = None, id: str = "con_1") -> Record:
    return Record(
        account=ACCOUNT,
        resource="contact",
        id=id,
        location_id=LOCATION_ID,
        key=key,
        revision=1,
        created_ms=NOON,
        body={"id": id, "last_name": last_name},
    )


# --- who gets it ------------------------------------------------------------------------------------------------------


async def test_each_config_that_wants_an_event_gets_it_and_no_other(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.add_config(1, on_create=False)
    await scene.add_config(2, resource="transaction")
    await scene.add_config(3, location_id=None)
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    assert event.deliveries == 2
    assert {post.host for post in scene.town.posts} == {"r0", "r3"}


async def test_a_config_that_cannot_be_read_is_counted_as_one_that_cannot_be_told(scene: Scene) -> None:
    """Its delivery failed without a POST, as it has to, but nobody told the publisher of it."""
    await scene.add_config(0, format="unreadable")
    await scene.add_config(1)
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    assert (event.deliveries, event.unsayable) == (2, 1)
    assert await scene.states([event], 0) == [State.FAILED]
    assert await scene.states([event], 1) == [State.DELIVERED]


async def test_a_bug_in_the_format_of_one_subscriber_does_not_block_the_publisher(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a format can say the event is asked before the commit, and whatever that raised refused the event for all."""

    def breaks(_event: Event, config: PostbackConfig) -> bool:
        return bool(1 // (config.id - CONFIG_ID))

    monkeypatch.setattr("postback.engine.intake.is_sayable", breaks)
    await scene.add_config(0)
    await scene.add_config(1)
    await scene.start()

    [event] = await scene.publish()
    await scene.rest()

    assert (event.deliveries, event.unsayable) == (2, 0)
    assert await scene.states([event], 1) == [State.DELIVERED]
    assert [type(fact.error) for fact in scene.reported(InternalError)] == [ZeroDivisionError]


async def test_an_event_that_nobody_wants_is_kept_all_the_same(scene: Scene) -> None:
    await scene.start()

    [event] = await scene.publish()

    assert event.deliveries == 0
    assert await given.event_ids(scene.store) == [event.event_id]


async def test_an_inactive_config_makes_no_delivery_and_its_open_ones_go_on(scene: Scene) -> None:
    scene.receives("r0", 500, 200)
    config = await scene.add_config(0)
    await scene.start()
    [before] = await scene.publish()
    await scene.pass_(1)

    await scene.deactivate(config)
    [after] = await scene.publish()
    await scene.rest()

    assert (before.deliveries, after.deliveries) == (1, 0)
    assert await scene.states([before]) == [State.DELIVERED]
    assert [post.counter for post in scene.posts()] == [1, 2]


async def test_a_config_that_was_created_before_an_event_gets_it_also_when_this_worker_has_not_heard_of_it(
    scene: Scene,
) -> None:
    await scene.start(hears=False)
    await scene.publish()

    await scene.add_config(0)
    [event] = await scene.publish()
    await scene.rest()

    assert event.deliveries == 1
    assert len(scene.posts()) == 1


async def test_configs_made_while_events_are_published_get_each_event_that_came_after_them(scene: Scene) -> None:
    await scene.start()
    made: list[int] = []
    missed: list[int] = []

    async def publish() -> None:
        for _ in range(40):
            there = len(made)
            [event] = await scene.publish()
            missed.extend([event.event_id] * (event.deliveries < there))
            await scene.pass_(0.005)

    async def make() -> None:
        for n in range(20):
            await scene.add_config(n)
            made.append(n)
            await scene.pass_(0.01)

    scene.queue.slow_s["accept"] = 0.003
    await asyncio.gather(publish(), publish(), publish(), make())

    assert missed == []
    await scene.rest()


async def test_only_what_was_matched_with_old_configs_goes_round_again(scene: Scene) -> None:
    await scene.add_account("other", "loc_other")
    await scene.add_config(0, account="other", location_id="loc_other")
    await scene.start(hears=False)
    await scene.publish()
    await scene.publish(account="other", location_id="loc_other")
    await scene.add_config(1)

    answers = await scene.engine.intake.publish(
        [scene.new_event(), scene.new_event(account="other", location_id="loc_other")]
    )
    await scene.rest()

    assert [answer.deliveries for answer in answers if isinstance(answer, Accepted)] == [1, 1]
    assert len(scene.posts("r0")) == 2
    assert len(scene.posts("r1")) == 1


async def test_what_is_matched_again_has_given_its_places_back(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start(hears=False)
    for n in range(1, 20):
        await scene.publish()
        await scene.add_config(n)

    await scene.publish()
    await scene.rest()
    await scene.pass_(1)

    assert scene.engine.lanes.taken == scene.engine.lanes.bytes_held == 0
    assert all(lane.places == 0 for lane in scene.engine.lanes.lanes.values())


# --- one bad one ------------------------------------------------------------------------------------------------------


async def test_one_that_cannot_be_accepted_does_not_fail_its_neighbours(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()

    fine, homeless, unspeakable, also_fine = await scene.engine.intake.publish(
        [
            scene.new_event(),
            scene.new_event(account="nobody"),
            scene.new_event(subject="\ud800"),
            scene.new_event(),
        ]
    )
    await scene.rest()

    assert isinstance(fine, Accepted)
    assert isinstance(homeless, Refused)
    assert isinstance(homeless.error, NotFound)
    assert isinstance(unspeakable, Refused)
    assert isinstance(unspeakable.error, PostbackError)
    assert isinstance(also_fine, Accepted)
    assert [post.number for post in scene.posts()] == [0, 3]
    assert scene.engine.lanes.taken == 0


async def test_numbers_of_any_length_do_not_hinder_the_choice_of_configs(scene: Scene) -> None:
    """Choosing by product transaction read the data, stumbled over such a number, and the whole worker ended."""
    await scene.add_config(0, resource="transaction", product_transaction_id="pt_1")
    await scene.start()

    [event] = await scene.publish(
        type="transaction.created", data=b'{"product_transaction_id":"pt_1","number":1,"digits":%b}' % (b"1" * 5_000)
    )
    await scene.rest()

    assert event.deliveries == 1
    assert len(scene.posts()) == 1


async def test_a_bug_in_matching_refuses_that_event_and_is_reported(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    wants = PostbackConfig.wants

    def wants_badly(config: PostbackConfig, event: Event) -> bool:
        if event.type == "contact.deleted":
            raise ZeroDivisionError("of the choice")
        return wants(config, event)

    monkeypatch.setattr(PostbackConfig, "wants", wants_badly)
    await scene.add_config(0)
    await scene.start()

    first, bad, last = await scene.engine.intake.publish(
        [scene.new_event(), scene.new_event(type="contact.deleted"), scene.new_event()]
    )
    await scene.rest()

    assert isinstance(first, Accepted)
    assert isinstance(last, Accepted)
    assert isinstance(bad, Refused)
    assert [type(fact.error) for fact in scene.reported(InternalError)] == [ZeroDivisionError]
    assert [post.number for post in scene.posts()] == [0, 2]
    assert scene.engine.lanes.taken == 0


async def test_a_change_and_its_event_are_kept_together_or_not_at_all(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    [first] = await scene.try_to_publish(changes=[Insert(a_contact("Jones", key="mine"))])

    [second] = await scene.try_to_publish(changes=[Insert(a_contact("Smith", key="mine", id="con_2"))])
    await scene.rest()

    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert isinstance(second.error, InvalidValue)
    assert await given.event_ids(scene.store) == [first.event_id]
    assert len(scene.posts()) == 1


# --- the same again ---------------------------------------------------------------------------------------------------


async def test_a_key_sent_many_times_at_once_makes_one_event(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    scene.queue.slow_s["accept"] = 0.01

    answers = await asyncio.gather(*(scene.publish(idempotency=A_KEY) for _ in range(10)))
    answers += [await scene.publish(idempotency=A_KEY)]
    await scene.rest()

    assert len({answer.event_id for [answer] in answers}) == 1
    assert sum(not answer.known for [answer] in answers) == 1
    assert len(scene.posts()) == 1
    assert scene.engine.lanes.taken == 0


async def test_a_key_that_is_there_twice_in_one_batch_makes_one_event(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()

    first, again, other = await scene.engine.intake.publish(
        [scene.new_event(idempotency=A_KEY), scene.new_event(idempotency=A_KEY), scene.new_event()]
    )
    await scene.rest()

    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert isinstance(other, Accepted)
    assert again.event_id == first.event_id != other.event_id
    assert len(scene.posts()) == 2


async def test_a_key_with_another_body_is_a_conflict(scene: Scene) -> None:
    await scene.start()
    await scene.publish(idempotency=A_KEY)

    [answer] = await scene.try_to_publish(idempotency=A_KEY._replace(body_hash=b"other"))

    assert isinstance(answer, Refused)
    assert isinstance(answer.error, Conflict)


# --- too much, too early, too late ------------------------------------------------------------------------------------


async def test_nothing_to_publish_is_answered_with_nothing(scene: Scene) -> None:
    await scene.start()

    assert await scene.engine.intake.publish([]) == []


async def test_more_than_may_wait_is_refused_and_nothing_of_it_is_kept(scene: Scene) -> None:
    await scene.start()
    scene.queue.slow_s["accept"] = 0.1
    batches = EVENTS_WAITING_MAX // EVENTS_A_COMMIT + 5
    publishing = [asyncio.ensure_future(scene.publish(EVENTS_A_COMMIT)) for _ in range(batches)]

    answers = await asyncio.gather(*publishing, return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, Unavailable)]
    accepted = [answer for answer in answers if isinstance(answer, list)]
    assert len(refused) + len(accepted) == batches
    assert 4 <= len(refused) <= 5
    assert {one.event_id for answer in accepted for one in answer} == set(await given.event_ids(scene.store))
    assert await scene.publish()


async def test_more_bytes_than_may_wait_are_refused(scene: Scene) -> None:
    await scene.start()
    scene.queue.slow_s["accept"] = 0.1
    large = b'{"text":"%b"}' % (b"x" * (1 << 20))
    waiting = asyncio.ensure_future(scene.try_to_publish(BYTES_WAITING_MAX // len(large), data=large))
    await scene.pass_(0.05)

    with pytest.raises(Unavailable, match="too many"):
        await scene.try_to_publish(2, data=large)

    scene.queue.refuses.add("accept")
    scene.queue.slow_s.clear()
    await waiting
    scene.queue.refuses.clear()
    assert await scene.publish()
    assert scene.engine.intake._bytes_waiting == 0


async def test_a_publisher_that_gives_up_waiting_leaves_its_event_accepted(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.start()
    scene.queue.slow_s["accept"] = 1.0
    publishing = asyncio.ensure_future(scene.publish())
    await scene.pass_(0.5)

    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    await scene.pass_(2)

    assert len(await given.event_ids(scene.store)) == 1
    assert [post.number for post in scene.posts()] == [0]


async def test_while_the_store_refuses_publishers_are_told_so_and_what_they_send_later_is_accepted(
    scene: Scene,
) -> None:
    await scene.add_config(0)
    await scene.start()
    scene.queue.refuses.add("accept")

    answers = await scene.try_to_publish(3)
    assert all(isinstance(answer, Refused) and isinstance(answer.error, Unavailable) for answer in answers)
    assert StoreFailed("accept", "the disk is full") in scene.facts
    assert scene.engine.lanes.taken == 0
    scene.queue.refuses.clear()
    await scene.publish(3)
    await scene.rest()

    assert [post.number for post in scene.posts()] == [3, 4, 5]


async def test_after_the_end_nothing_is_accepted(scene: Scene) -> None:
    await scene.start()
    await scene.stop()

    with pytest.raises(Unavailable, match="stopping"):
        await scene.publish()


async def test_what_is_accepted_is_reported_with_its_deliveries(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.add_config(1)
    await scene.start()

    await scene.publish(3)

    assert sum(fact.events for fact in scene.reported(Committed)) == 3
    assert sum(fact.deliveries for fact in scene.reported(Committed)) == 6
    await scene.rest()


async def test_ids_go_up_also_when_the_clock_goes_back_and_after_a_new_start(scene: Scene) -> None:
    await scene.start()
    ids = [event.event_id for event in await scene.publish(3)]
    scene.jump(-3_600)
    ids += [event.event_id for event in await scene.publish(3)]
    await scene.stop()
    await scene.start()

    ids += [event.event_id for event in await scene.publish(3)]

    assert ids == sorted(set(ids))


async def test_what_is_held_is_not_born_claimed(scene: Scene) -> None:
    await scene.add_config(0)
    await scene.configs.set_state(ACCOUNT, CONFIG_ID, ConfigState.DISABLED, "gone")
    await scene.start()

    [event] = await scene.publish()

    assert not event.claims
    assert await scene.states([event]) == [State.HELD]
