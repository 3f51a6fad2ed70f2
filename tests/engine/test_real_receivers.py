"""The engine with the sender that ships and receivers on this machine, in real time: the seam between the two."""

import asyncio

import pytest

from postback.domain.addresses import AddressRules, networks
from postback.domain.deliveries import State, Verdict
from postback.domain.policy import Deadlines, RetryPolicy
from postback.transport.guard import Guard
from postback.transport.sender import HttpSender
from tests.engine.scene import Scene
from tests.receivers import answers, closed_port, never_answers, receiving
from tests.transport.posting import Names

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
        await scene.rest(within_s=8)
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
        await scene.rest(within_s=5)
        await scene.stop()

    assert [b"number_of_attempts=%d&" % n in got.body for n, got in enumerate(receiver.received, 1)] == [True, True]
    assert await scene.verdicts(event) == [Verdict.RETRY, Verdict.DELIVERED]
