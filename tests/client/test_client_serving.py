"""Both clients with a real server: events, batches, lists, records, errors."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest

from postback.actions.publish import EVENTS_MAX as SERVER_TAKES
from postback.api.errors import STATUSES
from postback.api.services import Services
from postback.cli.client import Client as Known
from postback.client import (
    AsyncClient,
    Client,
    ClientError,
    Conflict,
    Event,
    InvalidValue,
    NotFound,
    Published,
    TooLarge,
    Unauthorized,
    all_published,
    segment,
)
from postback.client.answers import KINDS
from postback.client.events import BATCH_MAX, EVENTS_MAX
from postback.domain.errors import InvalidValue as ServersInvalidValue
from tests.client.speaking import QUICKLY, Speaker

Make = Callable[..., Speaker]


@pytest.fixture
def client(served: Known, speaker: Make) -> Speaker:
    return speaker(served.url, served.key)


def a_subject() -> str:
    """By which a test finds its own events."""
    return f"sub_{token_hex(8)}"


def test_an_event_is_durable_when_publishing_it_returns(client: Speaker) -> None:
    event = Event("shop.opened", {"name": "Café", "at": 9}, subject=a_subject(), occurred_at="2026-03-02T09:00:00Z")

    published = client.publish(event)

    [kept] = client.items("/v2/events", subject=event.subject)
    assert published == Published(kept["id"], "shop.opened", 0, 0, event.idempotency_key)
    assert client.get(f"/v2/events/{published.id}")["event"]["data"] == {"name": "Café", "at": 9}


def test_the_same_object_is_the_same_event_however_often_it_is_published(client: Speaker) -> None:
    event = Event("shop.opened", subject=a_subject())

    first, again = client.publish(event), client.publish(event)
    with_others = client.publish_many([event, Event("shop.opened", subject=event.subject), event])

    assert again == first
    assert [with_others[0], with_others[2]] == [first, first]
    assert len(client.items("/v2/events", subject=event.subject)) == 2


def test_a_mapping_is_published_as_it_is(client: Speaker) -> None:
    subject, key = a_subject(), token_hex(8)

    first = client.publish({"type": "shop.opened", "data": {}, "subject": subject, "idempotency_key": key})
    again = client.publish({"type": "shop.opened", "data": {}, "subject": subject, "idempotency_key": key})
    other = client.publish({"type": "shop.opened", "data": {}, "subject": subject})

    assert (first.idempotency_key, again.id) == (key, first.id)
    assert other.id != first.id


def test_times_may_be_datetimes_but_not_without_a_zone(client: Speaker) -> None:
    event = Event("shop.opened", subject=a_subject(), occurred_at=datetime(2026, 3, 2, 9, tzinfo=UTC))

    published = client.publish(event)

    assert client.get(f"/v2/events/{published.id}")["event"]["occurred_at"].startswith("2026-03-02T09:00:00")
    with pytest.raises(InvalidValue, match="expected a time with its zone") as refused:
        client.publish(Event("shop.opened", deliver_at=datetime(2026, 3, 2, 9)))  # noqa: DTZ001 - that is the point
    assert list(refused.value.errors) == ["deliver_at"]


def test_what_is_wrong_with_an_event_is_told_by_field(client: Speaker) -> None:
    with pytest.raises(InvalidValue) as refused:
        client.publish(Event("Not a type", location_id="loc_unknown"))

    assert list(refused.value.errors) == ["type", "location_id"]
    assert str(refused.value) == "; ".join(refused.value.messages)


def test_of_many_events_each_gets_its_own_result_in_order(client: Speaker) -> None:
    subject = a_subject()
    good = [Event("shop.sold", {"n": number}, subject=subject) for number in range(2_345)]
    bad: list[Any] = [
        Event("Not a type"),
        Event("shop.sold", {"n": float("nan")}),
        {"type": "shop.sold", "data": {"n": {1, 2}}},
        Event("shop.sold", {"half a character": "\ud800"}),
        Event("shop.sold", {"much": "x" * (1 << 20)}),
        Event("shop.sold", {"n": -1}, idempotency_key=good[7].idempotency_key),
        {},
    ]
    given = [*good[:100], *bad, *good[100:]]

    results = client.publish_many(given)

    assert [type(result) for result in results[100 : 100 + len(bad)]] == [
        InvalidValue, InvalidValue, InvalidValue, InvalidValue, TooLarge, Conflict, InvalidValue
    ]  # fmt: skip
    published = all_published(results[:100] + results[100 + len(bad) :])
    assert [one.idempotency_key for one in published] == [one.idempotency_key for one in good]
    kept = client.items("/v2/events", subject=subject)
    assert [one["id"] for one in reversed(kept)] == [one.id for one in published]
    assert client.get(f"/v2/events/{published[1234].id}")["event"]["data"] == {"n": 1234}


def test_large_events_are_parted_by_their_size(client: Speaker) -> None:
    subject = a_subject()
    events = [Event("shop.sold", {"n": number, "much": "é" * 500_000}, subject=subject) for number in range(20)]

    published = all_published(client.publish_many(events))

    assert len({one.id for one in published}) == 20


def test_events_can_be_scheduled_and_looked_up_before_they_are_sent(client: Speaker) -> None:
    location = client.post("/v2/locations", {"location": {"name": "Main Street"}})["location"]["id"]
    config = client.post(
        "/v2/postbackconfigs",
        {"postbackconfig": {"location_id": location, "event_types": ["shop.*"], "url": "http://127.0.0.1:9/"}},
    )["postbackconfig"]["id"]

    later = datetime.now(UTC) + timedelta(days=1)
    published = client.publish(Event("shop.opened", location_id=location, deliver_at=later))

    assert published.deliveries == 1
    [delivery] = client.items("/v2/deliveries", postbackconfig_id=config, state=["pending"])
    assert delivery["event_id"] == published.id
    assert client.post(f"/v2/deliveries/{segment(delivery['id'])}/cancel")["delivery"]["state"] == "cancelled"
    assert client.delete(f"/v2/postbackconfigs/{config}") is None


def test_records_are_made_changed_and_deleted(client: Speaker) -> None:
    made = client.post("/v2/locations", {"location": {"name": "Main Street"}})["location"]
    changed = client.put(f"/v2/locations/{made['id']}", {"location": {"name": "Side Street"}})["location"]
    gone = client.send("DELETE", f"/v2/locations/{made['id']}")

    assert (made["name"], changed["name"], gone.status, gone.body) == ("Main Street", "Side Street", 204, None)
    with pytest.raises(NotFound):
        client.get(f"/v2/locations/{made['id']}")


def test_a_list_by_pages_is_read_to_its_end_or_as_far_as_asked(client: Speaker) -> None:
    street = f"Street {token_hex(4)}"
    made = [client.post("/v2/locations", {"location": {"name": street}})["location"]["id"] for _ in range(5)]

    listed = client.items("/v2/locations", name=street, page_size=2, sort="created_ts")

    assert {one["id"] for one in listed} == set(made)
    assert len(listed) == 5
    assert len(client.items("/v2/locations", 3, name=street)) == 3
    assert client.items("/v2/locations", 0) == []


def test_a_log_is_read_by_its_cursors(client: Speaker) -> None:
    subject = a_subject()
    published = all_published(client.publish_many(Event("shop.sold", subject=subject) for _ in range(7)))
    newest_first = [one.id for one in reversed(published)]

    assert [one["id"] for one in client.items("/v2/events", subject=subject, page_size=3)] == newest_first
    assert [one["id"] for one in client.items("/v2/events", 4, subject=subject, page_size=3)] == newest_first[:4]


def test_a_key_that_is_not_known_is_told_apart(served: Known, speaker: Make) -> None:
    stranger = speaker(served.url, "a-key-that-nobody-knows-of")

    with pytest.raises(Unauthorized) as refused:
        stranger.publish(Event("shop.opened"))
    results = stranger.publish_many([Event("shop.opened"), Event("Not a type")])

    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    assert [type(result) for result in results] == [Unauthorized, Unauthorized]


def test_an_operator_acts_for_the_account_that_is_named(served: Known, speaker: Make) -> None:
    name = f"acme-{token_hex(4)}"
    speaker(served.url, served.key).put(f"/v2/accounts/{name}", {"account": {}})
    subject = a_subject()

    speaker(served.url, served.key, name).publish(Event("shop.opened", subject=subject))

    assert len(speaker(served.url, served.key, name).items("/v2/events", subject=subject)) == 1
    assert speaker(served.url, served.key).items("/v2/events", subject=subject) == []


def test_what_many_threads_publish_goes_in_few_requests(served: Known) -> None:
    events = [Event("shop.sold", {"n": number}, subject=a_subject()) for number in range(500)]
    found: dict[int, Published] = {}

    with Client(served.url, served.key, retrying=QUICKLY) as client, client.publisher() as publisher:

        def sell(start: int) -> None:
            futures = {number: publisher.publish(events[number]) for number in range(start, 500, 10)}
            found.update({number: future.result() for number, future in futures.items()})

        threads = [threading.Thread(target=sell, args=(start,)) for start in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = {client.get(f"/v2/events/{one.id}")["event"]["data"]["n"]: one for one in list(found.values())[:20]}

    assert [found[number].idempotency_key for number in range(500)] == [one.idempotency_key for one in events]
    assert all(found[number] == one for number, one in kept.items())


def test_a_publisher_gives_each_event_its_own_result(client: Speaker) -> None:
    given = [Event("shop.sold"), Event("Not a type"), Event("shop.sold", {"n": float("inf")}), Event("shop.sold")]

    results = client.publish_through_publisher(given)

    assert [type(result) for result in results] == [Published, InvalidValue, InvalidValue, Published]


async def _many_at_once(url: str, key: str | None) -> int:
    async with AsyncClient(url, key) as client:
        subject = a_subject()
        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(client.publish(Event("shop.sold", {"n": number}, subject=subject)))
        return len([one async for one in client.list("/v2/events", subject=subject)])


def test_many_tasks_share_a_few_connections(served: Known) -> None:
    assert asyncio.run(_many_at_once(served.url, served.key)) == 200


# --- what both sides have to agree on --------------------------------------------------------------------------------


def test_client_and_server_agree_on_how_much_a_request_may_hold() -> None:
    assert EVENTS_MAX == SERVER_TAKES
    assert Services.__dataclass_fields__["max_batch"].default == BATCH_MAX


def test_every_kind_of_error_of_the_server_has_its_kind_here() -> None:
    without_own_kind = {"body_stalled", "url_too_long", "unsupported_media_type"}

    for kind, status in STATUSES.items():
        if kind is not ServersInvalidValue and kind.code not in without_own_kind:
            assert KINDS[status].code == kind.code
            assert issubclass(KINDS[status], ClientError)
