"""What every delivery relies on: the request's bytes, one outcome, connections that are used again, deadlines, the end."""

import asyncio

import pytest

from postback.domain.configs import BasicAuth
from postback.domain.policy import Deadlines
from postback.domain.wire import Answered, Note, Outcome, Reason
from postback.transport import pool as pools
from postback.transport.sender import HttpSender
from tests.patience import PATIENCE_S
from tests.receivers import Visit, answer, answers, answers_once, closed_port, never_answers, receiving
from tests.transport.posting import (
    SOON,
    OpenSender,
    a_request,
    post,
    post_all,
    reason_in,
    send,
    status_of,
    to,
)

pytestmark = pytest.mark.anyio


async def test_the_receiver_gets_the_request_as_it_was_made(sender: HttpSender) -> None:
    async with receiving(answers()) as receiver:
        where = to(
            receiver.url + "?a=%20b&c",
            headers={"X-Customer": "Jones & Sons"},
            basic_auth=BasicAuth("ann", "pä:ss"),
        )

        outcome = await send(sender, a_request("", b"x=\x00\xff", destination=where, headers=[("webhook-id", "evt_1")]))

    [received] = receiver.received
    assert status_of(outcome) == 200
    assert received.line == "POST /receiver?a=%20b&c HTTP/1.1"
    assert received.body == b"x=\x00\xff"
    assert received.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "postback/0.1",
        "accept": "*/*",
        "accept-encoding": "identity",
        "authorization": "Basic YW5uOnDDpDpzcw==",
        "x-customer": "Jones & Sons",
        "content-type": "application/x-www-form-urlencoded",
        "webhook-id": "evt_1",
        "content-length": "4",
    }


async def test_an_answer_is_kept_with_its_status_headers_body_and_times(sender: HttpSender) -> None:
    async with receiving(answers(418, body=b"short and stout", headers=[("X-Pot", "tea")])) as receiver:
        outcome = await post(sender, receiver.url)

    assert isinstance(outcome, Answered)
    assert outcome.status == 418
    assert outcome.header(b"x-pot") == [b"tea"]
    assert outcome.body == b"short and stout"
    assert not outcome.truncated
    assert outcome.notes == ()
    timings = outcome.timings
    assert timings.dns_ms is None
    assert timings.tls_ms is None
    assert timings.connect_ms is not None
    assert timings.first_byte_ms is not None
    assert timings.sent_after_ms is not None
    assert timings.total_ms >= timings.sent_after_ms


async def test_of_a_success_256_bytes_are_kept_and_of_a_failure_what_is_asked(open_sender: OpenSender) -> None:
    sender = open_sender(keep_answer=1000)
    async with receiving(answers(200, 500, body=b"x" * 5000)) as receiver:
        success = await post(sender, receiver.url)
        failure = await post(sender, receiver.url)

    assert isinstance(success, Answered)
    assert isinstance(failure, Answered)
    assert (len(success.body), success.truncated) == (256, True)
    assert (len(failure.body), failure.truncated) == (1000, True)


async def test_nothing_of_an_answer_is_kept_where_nothing_is_asked(open_sender: OpenSender) -> None:
    async with receiving(answers(200)) as receiver:
        outcome = await post(open_sender(keep_answer=0), receiver.url)

    assert isinstance(outcome, Answered)
    assert (outcome.body, outcome.truncated) == (b"", True)


async def test_a_connection_is_used_again_without_a_task_or_a_timer(sender: HttpSender) -> None:
    async with receiving(answers()) as receiver:
        await post(sender, receiver.url)
        tasks_before = asyncio.all_tasks()
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        sender.send(a_request(receiver.url), done.set_result)
        tasks_of_the_sender = asyncio.all_tasks() - tasks_before
        outcome = await done

    assert receiver.connections == 1
    assert tasks_of_the_sender == set()
    assert outcome.timings.connect_ms is None


async def test_a_connection_that_is_being_closed_is_not_used_again(sender: HttpSender) -> None:
    async with receiving(answers()) as receiver:
        await post(sender, receiver.url)
        [connection] = sender._connections
        connection.close()

        outcome = await post(sender, receiver.url)

    assert (status_of(outcome), outcome.notes) == (200, ())
    assert receiver.connections == 2


async def test_requests_at_the_same_time_have_a_connection_each(sender: HttpSender) -> None:
    async with receiving(answers(delay_s=0.05)) as receiver:
        outcomes = await post_all(sender, [a_request(receiver.url, b"n=%d" % n) for n in range(20)])

    assert [status_of(outcome) for outcome in outcomes] == [200] * 20
    assert receiver.connections == 20
    assert {received.body for received in receiver.received} == {b"n=%d" % n for n in range(20)}


async def test_a_connection_that_waited_too_long_is_closed(sender: HttpSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_S", 0.0)
    closed = asyncio.Event()

    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer())
        assert await visit.reader.read() == b""
        closed.set()

    async with receiving(behave) as receiver:
        await post(sender, receiver.url)

        async with asyncio.timeout(PATIENCE_S):
            await closed.wait()


async def test_no_more_connections_wait_than_the_limit(sender: HttpSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "IDLE_MAX", 3)
    async with receiving(answers(delay_s=0.05)) as receiver:
        await post_all(sender, [a_request(receiver.url) for _ in range(5)])
        before = receiver.connections

        await post_all(sender, [a_request(receiver.url) for _ in range(5)])

    assert (before, receiver.connections) == (5, 7)


async def test_a_whole_attempt_ends_with_its_total_time(sender: HttpSender) -> None:
    deadlines = Deadlines(connect_s=5, response_s=5, total_s=0.3)
    async with receiving(never_answers) as receiver:
        outcome = await post(sender, receiver.url, deadlines=deadlines)

    assert reason_in(outcome) is Reason.RESPONSE_TIMEOUT
    assert 300 <= outcome.timings.total_ms <= 800


async def test_a_refused_connection_names_the_address_and_the_error(sender: HttpSender) -> None:
    port = closed_port()

    outcome = await post(sender, f"http://127.0.0.1:{port}/")

    assert reason_in(outcome) is Reason.CONNECTION_REFUSED
    assert outcome.timings.sent_after_ms is None
    assert f"127.0.0.1:{port}" in str(outcome)


async def test_a_header_that_could_break_the_request_is_never_sent(
    sender: HttpSender, loud: list[BaseException]
) -> None:
    async with receiving(answers()) as receiver:
        on_a_fresh_one = await send(sender, a_request(receiver.url, headers=[("x-a", "1\r\nx-evil: 1")]))
        await post(sender, receiver.url)
        on_a_used_one = await send(sender, a_request(receiver.url, headers=[("x a", "1")]))
        content_type = await send(sender, a_request(receiver.url, content_type="text/plain\r\nx-evil: 1"))
        afterwards = await post(sender, receiver.url)

    assert reason_in(on_a_fresh_one) is Reason.INTERNAL_ERROR
    assert reason_in(on_a_used_one) is Reason.INTERNAL_ERROR
    assert reason_in(content_type) is Reason.INTERNAL_ERROR
    assert status_of(afterwards) == 200
    assert len(receiver.received) == 2
    assert [type(error) for error in loud] == [ValueError] * 3


async def test_an_error_in_a_callback_does_not_stop_the_others(sender: HttpSender, loud: list[BaseException]) -> None:
    def broken(_: Outcome) -> None:
        raise RuntimeError("a bug of the caller")

    async with receiving(answers()) as receiver:
        sender.send(a_request(receiver.url), broken)
        outcomes = await post_all(sender, [a_request(receiver.url) for _ in range(3)])

    assert [status_of(outcome) for outcome in outcomes] == [200] * 3
    assert [str(error) for error in loud] == ["a bug of the caller"]


async def test_closing_lets_what_is_under_way_end(sender: HttpSender) -> None:
    async with receiving(answers(delay_s=0.2)) as receiver:
        waiting = asyncio.ensure_future(post(sender, receiver.url))
        await receiver.has(1)

        await sender.close(5)

    assert waiting.done()
    assert status_of(await waiting) == 200


async def test_closing_interrupts_what_does_not_end_in_time(sender: HttpSender) -> None:
    async with receiving(never_answers) as receiver:
        waiting = [asyncio.ensure_future(post(sender, receiver.url)) for _ in range(3)]
        await receiver.has(3)

        await sender.close(0.05)
        outcomes = await asyncio.gather(*waiting)

    assert [reason_in(outcome) for outcome in outcomes] == [Reason.INTERRUPTED] * 3


async def test_closing_interrupts_what_is_still_connecting(open_sender: OpenSender) -> None:
    class Silent:
        async def resolve(self, name: str, asker: str) -> list[str]:
            await asyncio.Event().wait()
            raise AssertionError(name)

        async def close(self) -> None: ...

    sender = open_sender(resolver=Silent())
    waiting = asyncio.ensure_future(post(sender, "http://silent.example/"))
    await asyncio.sleep(0)

    await sender.close(0.01)

    assert reason_in(await waiting) is Reason.INTERRUPTED


async def test_after_closing_everything_is_interrupted_at_once(sender: HttpSender) -> None:
    async with receiving(answers()) as receiver:
        await post(sender, receiver.url)
        await sender.close(1)

        outcome = await post(sender, receiver.url)

    assert reason_in(outcome) is Reason.INTERRUPTED
    assert len(receiver.received) == 1


async def test_a_bug_while_connecting_is_loud_and_still_an_outcome(
    open_sender: OpenSender, loud: list[BaseException]
) -> None:
    class Broken:
        async def resolve(self, name: str, asker: str) -> list[str]:
            raise ZeroDivisionError(name)

        async def close(self) -> None: ...

    outcome = await post(open_sender(resolver=Broken()), "http://client.example/")

    assert reason_in(outcome) is Reason.INTERNAL_ERROR
    assert [type(error) for error in loud] == [ZeroDivisionError]


async def test_a_large_body_arrives_whole(sender: HttpSender) -> None:
    body = bytes(range(256)) * 8192
    async with receiving(answers()) as receiver:
        outcome = await post(sender, receiver.url, body)

    assert status_of(outcome) == 200
    assert receiver.received[0].body == body


async def test_a_reused_connection_that_died_is_replaced_once(sender: HttpSender) -> None:
    """A receiver may close a connection at the very moment at which it is used again: nobody's attempt is lost by that."""
    async with receiving(_breaks_at_the_second_request) as receiver:
        first = await post(sender, receiver.url, b"n=1")
        second = await post(sender, receiver.url, b"n=2")

    assert status_of(first) == 200
    assert isinstance(second, Answered)
    assert (second.status, second.notes) == (200, (Note.SENT_AGAIN,))
    assert second.timings.connect_ms is not None
    assert receiver.connections == 2


async def test_a_fresh_connection_that_died_is_not_replaced(sender: HttpSender) -> None:
    attempts = 0

    async def behave(visit: Visit) -> None:
        nonlocal attempts
        attempts += 1
        await visit.request()
        if attempts == 1:
            await visit.say(answer())
            await visit.request()
        visit.reset()

    async with receiving(behave) as receiver:
        await post(sender, receiver.url)
        outcome = await post(sender, receiver.url, deadlines=SOON)

    assert reason_in(outcome) is Reason.CONNECTION_RESET
    assert outcome.notes == (Note.SENT_AGAIN,)
    assert attempts == 2


async def test_a_reused_connection_that_died_in_mid_answer_is_not_replaced(sender: HttpSender) -> None:
    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer())
        await visit.request()
        await visit.say(b"HTTP/1.1 2")

    async with receiving(behave) as receiver:
        await post(sender, receiver.url)
        outcome = await post(sender, receiver.url)

    assert reason_in(outcome) is Reason.CONNECTION_RESET
    assert receiver.connections == 1


async def test_an_old_http_receiver_is_answered_on_a_connection_each(sender: HttpSender) -> None:
    async with receiving(answers_once(b"HTTP/1.0 200 OK\r\n\r\nfine")) as receiver:
        outcomes = [await post(sender, receiver.url) for _ in range(3)]

    assert [(status_of(each), each.notes) for each in outcomes] == [(200, ())] * 3
    assert receiver.connections == 3


async def _breaks_at_the_second_request(visit: Visit) -> None:
    received = await visit.request()
    await visit.say(answer())
    if received.body == b"n=1":
        await visit.request()
        visit.reset()
