"""Gathering events of many threads or tasks into few requests."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from itertools import chain
from typing import Any

import pytest

from postback.client import AsyncClient, Client, Event, Forbidden, InvalidValue, NotReachable, Published
from postback.client.publisher import Publisher
from tests.client.scripted import Act, Asked, Scripted, says
from tests.client.speaking import QUICKLY, Speaker
from tests.patience import PATIENCE_S

Make = Callable[..., Speaker]
Script = Callable[..., Scripted]


def texts_of(asked: Asked) -> list[dict[str, Any]]:
    return [json.loads(line) for line in asked.body.split(b"\n")]


def numbers_in(server: Scripted) -> list[list[int]]:
    return [[text["data"]["n"] for text in texts_of(asked)] for asked in server.asked]


def accepts(connection: socket.socket, asked: Asked) -> bool:
    answers = [{"id": f"evt_{text['data']['n']}", "deliveries": 0} for text in texts_of(asked)]
    return says(202, json.dumps({"events": answers}).encode())(connection, asked)


class Gate:
    """Accepts, but not before it is opened."""

    def __init__(self) -> None:
        self.opened, self.reached = threading.Event(), threading.Event()

    def __call__(self, connection: socket.socket, asked: Asked) -> bool:
        self.reached.set()
        assert self.opened.wait(PATIENCE_S)
        return accepts(connection, asked)


def sold(number: int) -> Event:
    return Event("shop.sold", {"n": number})


def test_what_comes_together_goes_together(scripted: Script, speaker: Make) -> None:
    server = scripted(accepts)

    results = speaker(server.url).publish_through_publisher([sold(number) for number in range(50)])

    assert [one.id for one in results if isinstance(one, Published)] == [f"evt_{number}" for number in range(50)]
    assert len(server.asked) <= 3
    assert list(chain(*numbers_in(server))) == list(range(50))


def test_more_than_a_request_takes_goes_in_several(scripted: Script, speaker: Make) -> None:
    server = scripted(accepts)

    results = speaker(server.url).publish_through_publisher([sold(number) for number in range(2_100)])

    assert [one.id for one in results if isinstance(one, Published)] == [f"evt_{number}" for number in range(2_100)]
    assert max(map(len, numbers_in(server))) <= 1_000
    assert len(server.asked) <= 6


def test_while_one_request_is_under_way_the_next_gathers(scripted: Script) -> None:
    gate = Gate()
    server = scripted(gate, accepts)

    with Client(server.url) as client, client.publisher(gather_s=0) as publisher:
        first = publisher.publish(sold(0))
        assert gate.reached.wait(PATIENCE_S)
        others = [publisher.publish(sold(number)) for number in range(1, 30)]
        gate.opened.set()
        assert first.result(10).id == "evt_0"
        assert [one.result(10).id for one in others] == [f"evt_{number}" for number in range(1, 30)]

    assert numbers_in(server) == [[0], list(range(1, 30))]


def test_flushing_waits_for_what_was_given(scripted: Script) -> None:
    server = scripted(accepts)

    with Client(server.url) as client, client.publisher(gather_s=0.02) as publisher:
        futures = [publisher.publish(sold(number)) for number in range(5)]
        publisher.flush()
        assert all(future.done() for future in futures)


def test_at_the_end_everything_was_answered(scripted: Script) -> None:
    server = scripted(accepts)

    with Client(server.url) as client:
        with client.publisher(gather_s=60) as publisher:
            futures = [publisher.publish(sold(number)) for number in range(5)]

        assert [future.result(0).id for future in futures] == [f"evt_{number}" for number in range(5)]
        with pytest.raises(RuntimeError, match="not open"):
            publisher.publish(sold(6))


def test_when_too_many_wait_the_publishing_threads_wait_too(scripted: Script) -> None:
    gate = Gate()
    server = scripted(gate, accepts)
    given: list[Future[Published]] = []

    with Client(server.url) as client:
        whole = client.publisher()
        with Publisher(whole._publish, gather_s=0, waiting_max=10) as publisher:

            def sell() -> None:
                given.extend(publisher.publish(sold(number)) for number in range(40))

            seller = threading.Thread(target=sell)
            seller.start()
            assert gate.reached.wait(PATIENCE_S)
            seller.join(0.2)
            assert len(publisher._waiting) == 10
            assert seller.is_alive()

            gate.opened.set()
            seller.join(10)
            assert not seller.is_alive()

    assert [one.result(0).id for one in given] == [f"evt_{number}" for number in range(40)]


def test_what_is_cancelled_while_it_waits_is_not_sent(scripted: Script) -> None:
    gate = Gate()
    server = scripted(gate, accepts)

    with Client(server.url) as client, client.publisher(gather_s=0) as publisher:
        first = publisher.publish(sold(0))
        assert gate.reached.wait(PATIENCE_S)
        second, third = publisher.publish(sold(1)), publisher.publish(sold(2))
        assert second.cancel()
        assert not first.cancel()
        gate.opened.set()
        assert third.result(10).id == "evt_2"

    assert numbers_in(server) == [[0], [2]]
    with pytest.raises(CancelledError):
        second.result(0)


def test_an_error_that_nobody_asks_for_is_in_the_log(scripted: Script, caplog: pytest.LogCaptureFixture) -> None:
    server = scripted(says(403))
    event = sold(1)

    with Client(server.url) as client, client.publisher() as publisher:
        publisher.publish(event)
        publisher.publish(Event("shop.sold", {"n": float("nan")}))

    not_json = "event cannot be said in JSON: Out of range float values are not JSON compliant"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert sorted(record.getMessage() for record in caplog.records) == [
        f"an event was not accepted ({event.idempotency_key}): the server answered 403",
        f"an event was not accepted (it was not sent): {not_json}",
    ]


def test_whoever_waits_hears_of_a_client_that_was_closed(scripted: Script) -> None:
    server = scripted(accepts)
    client = Client(server.url)

    with client.publisher() as publisher:
        client.close()
        future = publisher.publish(sold(1))

    with pytest.raises(RuntimeError, match="closed"):
        future.result(0)


def test_what_was_given_cannot_be_changed_while_it_waits(scripted: Script) -> None:
    server = scripted(accepts)
    data = {"n": 1}

    with Client(server.url) as client, client.publisher(gather_s=0.05) as publisher:
        publisher.publish(Event("shop.sold", data))
        data["n"] = 2

    assert numbers_in(server) == [[1]]


# --- tasks -----------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.anyio


async def test_tasks_share_requests_and_each_hears_of_its_own_error(scripted: Script) -> None:
    def first_is_bad(connection: socket.socket, asked: Asked) -> bool:
        answers: list[object] = [{"id": "evt", "deliveries": 0} for _ in texts_of(asked)]
        answers[0] = {"errors": {"type": ["type is bad"]}}
        return says(202, json.dumps({"events": answers}).encode())(connection, asked)

    server = scripted(first_is_bad)

    async with AsyncClient(server.url) as client, client.publisher() as publisher:
        results = await asyncio.gather(*(publisher.publish(sold(n)) for n in range(9)), return_exceptions=True)

    assert [type(one) for one in results] == [InvalidValue] + [Published] * 8
    assert len(server.asked) == 1


async def test_a_task_that_is_cancelled_takes_nobody_with_it(scripted: Script) -> None:
    gate = Gate()
    server = scripted(gate, accepts)

    async with AsyncClient(server.url) as client, client.publisher(gather_s=0) as publisher:
        under_way, *waiting = [asyncio.create_task(publisher.publish(sold(n))) for n in range(1)]
        await asyncio.to_thread(gate.reached.wait, 10)
        waiting = [asyncio.create_task(publisher.publish(sold(n))) for n in range(1, 4)]
        await asyncio.wait(waiting, timeout=0.02)
        under_way.cancel()
        waiting[1].cancel()
        gate.opened.set()
        results = await asyncio.gather(under_way, *waiting, return_exceptions=True)

    assert [type(one) for one in results] == [asyncio.CancelledError, Published, asyncio.CancelledError, Published]
    assert numbers_in(server) == [[0], [1, 3]]


async def test_the_end_of_everything_leaves_nobody_waiting(scripted: Script) -> None:
    """When the task that owns the publisher is cancelled while the server hangs."""
    server = scripted(says(200))
    server.acts[:] = [server.hangs]
    client = AsyncClient(server.url)
    entered = asyncio.Event()
    publishers: list[Any] = []

    async def own() -> None:
        async with client.publisher(gather_s=0) as publisher:
            publishers.append(publisher)
            entered.set()

            await asyncio.Event().wait()

    owner = asyncio.create_task(own())
    await entered.wait()
    first = asyncio.create_task(publishers[0].publish(sold(1)))
    while not server.asked:
        await asyncio.wait([first], timeout=0.01)
    second = asyncio.create_task(publishers[0].publish(sold(2)))
    await asyncio.wait([second], timeout=0.01)
    owner.cancel()
    await asyncio.wait([owner], timeout=0.05)
    owner.cancel()

    async with asyncio.timeout(5):
        ended = await asyncio.gather(owner, first, second, return_exceptions=True)

    assert [type(one) for one in ended] == [asyncio.CancelledError] * 3
    await client.close()


async def test_a_request_that_was_cancelled_leaves_no_answer_behind(scripted: Script) -> None:
    """The answer that it did not wait for must not be taken for that of the next request."""
    gate = Gate()
    server = scripted(says(200, b"1"), says(200, b"2"))
    numbers: list[Act] = [server.acts[0], server.acts[1]]

    def late(connection: socket.socket, asked: Asked) -> bool:
        gate.reached.set()
        assert gate.opened.wait(PATIENCE_S)
        return numbers[0](connection, asked)

    server.acts[:] = [late, numbers[1]]
    async with AsyncClient(server.url) as client:
        first = asyncio.create_task(client.get("/first"))
        await asyncio.to_thread(gate.reached.wait, 10)
        first.cancel()
        await asyncio.wait([first])
        gate.opened.set()

        assert await client.get("/second") == 2


def test_a_client_may_be_used_in_one_event_loop_after_the_other(scripted: Script) -> None:
    server = scripted(says(200, b"{}"))
    client = AsyncClient(server.url)

    async def ask() -> Any:
        try:
            return await asyncio.gather(*(client.get("/v2/locations") for _ in range(20)))
        finally:
            await client._pool.close()

    assert [asyncio.run(ask()) for _ in range(2)] == [[{}] * 20] * 2


async def test_no_more_connections_are_open_than_there_is_room_for(scripted: Script) -> None:
    server = scripted(says(200, b"{}"))

    async with AsyncClient(server.url) as client:
        await asyncio.gather(*(client.get("/v2/locations") for _ in range(100)))

    assert len(server.asked) == 100
    assert server.connections <= 16


async def test_a_closed_client_says_so() -> None:
    client = AsyncClient("http://127.0.0.1:9")
    await client.close()

    with pytest.raises(RuntimeError, match="closed"):
        await client.get("/v2/locations")


@pytest.mark.parametrize("status", [403])
async def test_whole_requests_that_fail_fail_for_each_task(scripted: Script, status: int) -> None:
    server = scripted(says(status))

    async with AsyncClient(server.url, retrying=QUICKLY) as client, client.publisher() as publisher:
        results = await asyncio.gather(*(publisher.publish(sold(n)) for n in range(3)), return_exceptions=True)

    assert [type(one) for one in results] == [Forbidden] * 3
    assert NotReachable not in map(type, results)
