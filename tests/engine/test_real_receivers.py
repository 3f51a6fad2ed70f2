"""The engine with the sender that ships and receivers on this machine, in real time: the seam between the two."""

import asyncio
import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
from prometheus_client import CollectorRegistry

from postback.domain.addresses import AddressRules, networks
from postback.domain.deliveries import Accepted, State, Verdict
from postback.domain.policy import Deadlines, RetryPolicy
from postback.observability import Metrics, Observer, start_logging
from postback.transport.guard import Guard
from postback.transport.sender import HttpSender
from tests.engine.scene import Scene
from tests.patience import PATIENCE_S
from tests.receivers import answers, closed_port, greets, never_answers, receiving, says
from tests.transport.posting import Names

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def sends_for_real(scene: Scene) -> HttpSender:
    scene.sender = sender = HttpSender(Names(), Guard(AddressRules(networks(["127.0.0.0/8"]))))
    return sender


async def test_good_slow_refusing_and_failing_receivers_each_get_what_they_are_owed(scene: Scene) -> None:
    sends_for_real(scene)
    deadlines = Deadlines(0.5, 0.3, 1.0)
    async with receiving(answers(200)) as fine, receiving(answers(500)) as failing, receiving(never_answers) as silent:
        urls = [fine.url, failing.url, silent.url, f"http://127.0.0.1:{closed_port()}/receiver"]
        for n, url in enumerate(urls):
            await scene.add_config(n, url=url, retry=ONCE, deadlines=deadlines)
        await scene.start()

        events = await scene.publish(6)
        await scene.rest(within_s=PATIENCE_S)
        last = [await scene.delivery(events[-1], n) for n in range(4)]
        await scene.stop()

    assert [view.state for view in last] == [State.DELIVERED, State.FAILED, State.FAILED, State.FAILED]
    assert [view.last_reason for view in last] == [None, "bad_status", "response_timeout", "connection_refused"]
    assert len(fine.received) == len(failing.received) == len(silent.received) == 6


async def test_at_the_end_an_answer_within_the_grace_counts_and_one_that_does_not_come_costs_no_attempt(
    scene: Scene,
) -> None:
    sends_for_real(scene)
    async with receiving(answers(200, delay_s=0.2)) as slow, receiving(never_answers) as silent:
        await scene.add_config(0, url=slow.url, retry=ONCE)
        await scene.add_config(1, url=silent.url, retry=ONCE)
        await scene.start(grace_s=0.5)
        [event] = await scene.publish()
        await slow.has(1)
        await silent.has(1)

        await scene.stop()

    assert await scene.verdicts(event, 0) == [Verdict.DELIVERED]
    assert await scene.verdicts(event, 1) == [Verdict.INTERRUPTED]
    assert (await scene.delivery(event, 1)).attempts_made == 0


async def test_a_second_signal_interrupts_what_is_under_way(scene: Scene) -> None:
    sends_for_real(scene)
    async with receiving(never_answers) as silent:
        await scene.add_config(0, url=silent.url)
        await scene.start(grace_s=30.0)
        [event] = await scene.publish()
        await silent.has(1)
        ending = scene.ask_to_stop()
        await scene.pass_(0.05)
        assert not ending.done()

        await scene.engine.hurry()
        await asyncio.wait_for(ending, 3)

    assert await scene.verdicts(event) == [Verdict.INTERRUPTED]


async def test_what_the_next_worker_sends_carries_on_where_the_first_one_stopped(scene: Scene) -> None:
    async with receiving(answers(500, 200)) as receiver:
        sends_for_real(scene)
        await scene.add_config(0, url=receiver.url, retry=RetryPolicy(2, (1,)))
        await scene.start()
        [event] = await scene.publish()
        await receiver.has(1)
        await scene.stop()

        sends_for_real(scene)
        await scene.start()
        await scene.rest(within_s=PATIENCE_S)
        await scene.stop()

    assert [b"number_of_attempts=%d&" % n in got.body for n, got in enumerate(receiver.received, 1)] == [True, True]
    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.DELIVERED]


@pytest.mark.parametrize(
    ("asked", "wait_s"),
    [
        (["100000000000000000000"], 86_400),
        (["-5"], 60),
        (["soon"], 60),
        (["Mon, 01 Jan 1990 00:00:00 GMT"], 60),
        (["600", "900"], 60),
        (["600"], 600),
    ],
)
async def test_92_what_a_receiver_asks_to_wait_is_obeyed_where_it_makes_sense(
    scene: Scene, asked: list[str], wait_s: int
) -> None:
    sends_for_real(scene)
    async with receiving(answers(503, headers=[("retry-after", value) for value in asked])) as busy:
        await scene.add_config(0, url=busy.url, retry=RetryPolicy(2, (60,)))
        await scene.start()
        [event] = await scene.publish()
        await scene.until_async(lambda: has_attempts(scene, event, 1), within_s=PATIENCE_S)
        [row] = await scene.attempts(event)
        await scene.stop()

    assert (row.verdict, row.wait_ms) == (Verdict.RETRY, wait_s * 1000)
    assert len(busy.received) == 1


async def has_attempts(scene: Scene, event: Accepted, count: int) -> bool:
    return len(await scene.attempts(event)) == count


HOSTILE = b'\x1b[2J\x1b]0;owned\x07\r\nERROR all is lost\n{"level":"error","event":"forged"}\n\x00\xff\xfe\xe2\x80\xae'


async def test_104_what_receivers_say_forges_no_line_of_the_log(scene: Scene) -> None:
    """Neither by control characters, nor by line feeds, nor by its length."""
    sends_for_real(scene)
    head = b"HTTP/1.1 500 \x1b[2JERROR\r\nx-evil: \x1b[31m\r\ncontent-length: 10000000\r\n\r\n"
    banner = b"SSH-2.0-\x1b[2Jevil\r\nERROR forged\r\n"
    async with (
        receiving(says(head + HOSTILE + b"x" * 10_000_000)) as long_line,
        receiving(greets(banner)) as no_http,
        receiving(answers(500, body=HOSTILE)) as hostile,
    ):
        for n, url in enumerate((long_line.url, no_http.url, hostile.url)):
            await scene.add_config(n, url=url, retry=ONCE, deadlines=Deadlines(2.0, 2.0, 4.0))
        await scene.start()
        [event] = await scene.publish()
        await scene.rest(within_s=PATIENCE_S)
        rows = [(await scene.attempts(event, n))[0] for n in range(3)]
        await scene.stop()

    stream = StringIO()
    observer = Observer(metrics := Metrics(CollectorRegistry()), start_logging("info", stream, metrics.line_lost))
    for fact in scene.facts:
        observer(fact)
    await asyncio.sleep(0)
    lines = stream.getvalue().split("\n")[:-1]
    assert len([line for line in lines if '"event":"attempt failed"' in line]) == 3
    for line in lines:
        assert line.isascii() or line.isprintable()
        assert len(line) < 2048
        assert json.loads(line)["event"] not in ("forged", "ERROR")
        assert "x" * 100 not in line
    assert [row.reason for row in rows] == ["bad_status", "bad_response", "bad_status"]
    assert [len(row.answer_body or b"") for row in rows] == [4096, 0, len(HOSTILE)]
    assert rows[0].truncated
    assert rows[2].answer_body == HOSTILE
