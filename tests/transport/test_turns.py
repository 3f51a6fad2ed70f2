"""Handshakes take turns: those that have begun end before more begin, and none that hangs keeps the others waiting."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from functools import partial

import pytest

from postback.domain.policy import Deadlines
from postback.domain.wire import Outcome, Reason
from postback.transport import turns as module
from postback.transport.sender import HttpSender
from postback.transport.tls import client_context
from postback.transport.turns import BEGUN_MAX, HELD_S, STEPS_A_TURN, Turns
from tests.receivers import answers, receiving
from tests.transport.certificates import Authority
from tests.transport.posting import OpenSender, a_request, post, reason_in, status_of

pytestmark = pytest.mark.anyio

HOST = ("https", "receiver.example", 443)


@pytest.fixture
async def turns() -> Turns:
    return Turns(asyncio.get_running_loop())


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a receiver that lets everybody connect and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listening:
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return client_context(str(authority.file))


async def test_a_turn_of_the_loop_takes_only_so_many_handshake_steps_in_their_order(turns: Turns) -> None:
    taken: list[int] = []
    after: list[int] = []

    for n in range(20):
        turns.take(partial(taken.append, n))
    after.append(len(taken))
    while len(taken) < 20:
        await a_turn_of_the_loop(0)
        after.append(len(taken))

    assert sorted(set(after)) == [STEPS_A_TURN, 2 * STEPS_A_TURN, 20]
    assert taken == list(range(20))


async def test_what_has_begun_goes_on_before_anything_begins(turns: Turns) -> None:
    order: list[str] = []
    for n in range(3 * STEPS_A_TURN):
        turns.take(partial(order.append, f"goes on {n}"))

    await noting(turns, order, "begins")

    assert order.index("begins") == 3 * STEPS_A_TURN


async def test_accounts_begin_in_turn_and_so_do_the_hosts_of_each(turns: Turns) -> None:
    order: list[str] = []
    places = [await turns.begin("full", HOST) for _ in range(BEGUN_MAX)]
    waiting = [
        asyncio.create_task(noting(turns, order, f"{account} {host}", account, host))
        for account, host in [("a", "x"), ("a", "x"), ("a", "x"), ("a", "y"), ("b", "z"), ("b", "z")]
    ]
    await a_turn_of_the_loop()

    for place in places:
        turns.end(place)
    await asyncio.gather(*waiting)

    assert order == ["a x", "b z", "a y", "b z", "a x", "a x"]


async def test_no_more_begin_than_there_are_places_until_one_ends(turns: Turns) -> None:
    began = asyncio.get_running_loop().time()
    places = [await turns.begin("acc", HOST) for _ in range(BEGUN_MAX)]
    next_one = asyncio.create_task(turns.begin("acc", HOST))
    while asyncio.get_running_loop().time() < began + HELD_S / 2:
        await a_turn_of_the_loop()
    waits = not next_one.done()

    turns.end(places[100])
    await next_one

    assert waits
    assert asyncio.get_running_loop().time() < began + HELD_S


async def test_one_that_takes_long_keeps_its_place_for_a_while_only(turns: Turns) -> None:
    began = asyncio.get_running_loop().time()
    for _ in range(BEGUN_MAX):
        await turns.begin("acc", HOST)

    await asyncio.wait_for(turns.begin("acc", HOST), 5)

    assert asyncio.get_running_loop().time() >= began + HELD_S


async def test_whoever_stops_waiting_takes_no_place_with_him(turns: Turns) -> None:
    places = [await turns.begin("acc", HOST) for _ in range(BEGUN_MAX)]
    gone = [asyncio.create_task(turns.begin("acc", HOST)) for _ in range(3)]
    stays = asyncio.create_task(turns.begin("acc", HOST))
    await a_turn_of_the_loop()

    gone[0].cancel()
    turns.end(places[0])
    turns.end(places[1])
    # The second has its place by then, and does not know of it yet.
    asyncio.get_running_loop().call_soon(gone[1].cancel)
    gone[2].cancel()
    await asyncio.wait_for(stays, HELD_S / 2)

    assert [task.cancelled() for task in await all_ended(gone)] == [True, True, True]


async def test_no_deadline_passes_while_a_handshake_waits_for_its_turn(
    open_sender: OpenSender,
    authority: Authority,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    silent: int,
) -> None:
    """5,000 at once to receivers that were well ended for want of time: each held up the others, and all began again."""
    monkeypatch.setattr(module, "HELD_S", 1.0)
    sender = open_sender(context=trusting)
    async with receiving(answers(), tls=authority.server()) as receiver:
        await hanging(sender, silent, BEGUN_MAX)
        outcome = await post(sender, receiver.url, deadlines=Deadlines(connect_s=0.5, response_s=0.5, total_s=0.5))

    assert status_of(outcome) == 200
    assert outcome.timings.total_ms > 600
    assert outcome.timings.sent_after_ms is not None
    assert outcome.timings.sent_after_ms > 600


async def test_the_time_to_connect_goes_on_when_its_turn_has_come(
    open_sender: OpenSender, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, silent: int
) -> None:
    monkeypatch.setattr(module, "HELD_S", 1.0)
    sender = open_sender(context=trusting)
    await hanging(sender, silent, BEGUN_MAX)
    late = await post(sender, to_silent(silent), deadlines=Deadlines(connect_s=0.4, response_s=5, total_s=5))

    assert reason_in(late) is Reason.TLS_ERROR
    assert "did not end within 0.4 s" in str(late)
    assert 600 <= late.timings.total_ms <= 2_000


async def test_receivers_that_hang_in_their_handshake_keep_nobody_else_waiting(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, silent: int
) -> None:
    sender = open_sender(context=trusting)
    async with receiving(answers(), tls=authority.server()) as receiver:
        ended = await hanging(sender, silent, 3 * BEGUN_MAX)
        outcome = await post(sender, receiver.url)

    assert status_of(outcome) == 200
    # Three times as many as there are places hang for three seconds: in line behind them it would have taken nine.
    assert ended == []


async def test_a_sender_that_ends_leaves_none_that_waits_for_its_turn(
    open_sender: OpenSender, trusting: ssl.SSLContext, silent: int
) -> None:
    sender = open_sender(context=trusting)
    ended = await hanging(sender, silent, 2 * BEGUN_MAX)
    await sender.close(0)

    assert [reason_in(outcome) for outcome in ended] == [Reason.INTERRUPTED] * 2 * BEGUN_MAX


async def hanging(sender: HttpSender, port: int, count: int) -> list[Outcome]:
    """Handshakes with a receiver that says nothing, once all places are theirs; what comes of them."""
    outcomes: list[Outcome] = []
    patient = Deadlines(connect_s=3, response_s=3, total_s=3)
    for _ in range(count):
        sender.send(a_request(to_silent(port), deadlines=patient), outcomes.append)
    while len(sender._dialer._turns._begun) < BEGUN_MAX:
        await a_turn_of_the_loop()
    return outcomes


async def noting(turns: Turns, order: list[str], what: str, account: str = "acc", host: str = "h") -> None:
    await turns.begin(account, ("https", host, 443))
    order.append(what)


async def all_ended(tasks: list[asyncio.Task[object]]) -> list[asyncio.Task[object]]:
    await asyncio.wait(tasks)
    return tasks


async def a_turn_of_the_loop(seconds: float = 0.001) -> None:
    await asyncio.sleep(seconds)


def to_silent(port: int) -> str:
    return f"https://127.0.0.1:{port}/"
