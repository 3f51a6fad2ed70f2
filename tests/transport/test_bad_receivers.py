"""Receivers that misbehave, each by its number in the list of bad inputs: always one outcome, in time, in little memory."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest

from postback.domain.policy import Deadlines
from postback.domain.verdict import reason_of
from postback.domain.wire import Answered, Note, Outcome, Reason
from postback.transport.failures import not_connected
from postback.transport.sender import HttpSender
from tests.receivers import (
    Behaviour,
    Visit,
    answer,
    answers,
    answers_before_reading,
    closed_port,
    closes,
    deaf_port,
    drips,
    floods,
    greets,
    never_answers,
    never_reads,
    receiving,
    resets,
    says,
)
from tests.transport.posting import SOON, a_request, post, post_all, reason_in, send, status_of

pytestmark = pytest.mark.anyio

MEBIBYTE = 1024 * 1024
OK_HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def outcome_of(sender: HttpSender, behaviour: Behaviour, deadlines: Deadlines = SOON) -> Outcome:
    """What comes of one POST; afterwards the same sender must still serve another receiver."""
    async with receiving(behaviour) as receiver:
        outcome = await post(sender, receiver.url, deadlines=deadlines)
    assert outcome.timings.total_ms <= (deadlines.total_s + 1) * 1000
    async with receiving(answers()) as healthy:
        assert status_of(await post(sender, healthy.url)) == 200
    return outcome


def success(outcome: Outcome, status: int = 200) -> Answered:
    assert isinstance(outcome, Answered), outcome
    assert outcome.status == status
    return outcome


async def test_68_an_accepted_connection_without_an_answer_is_a_response_timeout(sender: HttpSender) -> None:
    outcome = await outcome_of(sender, never_answers)

    assert reason_in(outcome) is Reason.RESPONSE_TIMEOUT
    assert 400 <= outcome.timings.total_ms <= 900


async def test_69_dropped_syns_are_a_connect_timeout(sender: HttpSender) -> None:
    deadlines = Deadlines(connect_s=0.3, response_s=5, total_s=5)
    async with deaf_port() as port:
        outcome = await post(sender, f"http://127.0.0.1:{port}/", deadlines=deadlines)

    assert reason_in(outcome) is Reason.CONNECT_TIMEOUT
    assert 300 <= outcome.timings.total_ms <= 800
    assert outcome.timings.sent_after_ms is None


async def test_70_a_refused_connection_is_told_from_one_without_a_route(sender: HttpSender) -> None:
    outcome = await post(sender, f"http://127.0.0.1:{closed_port()}/")

    assert reason_in(outcome) is Reason.CONNECTION_REFUSED
    assert not_connected("192.0.2.1", 80, OSError(113, "No route to host")).reason is Reason.NO_ROUTE
    assert not_connected("192.0.2.1", 80, OSError(101, "Network is unreachable")).reason is Reason.NO_ROUTE
    assert not_connected("192.0.2.1", 80, OSError(110, "Timed out")).reason is Reason.CONNECT_TIMEOUT
    assert "ulimit" in not_connected("192.0.2.1", 80, OSError(24, "Too many open files")).detail


@pytest.mark.parametrize(
    "behaviour", [resets(), resets(reads=False), closes(), closes(reads=False), closes(b"HTTP/1.1 20")]
)
async def test_71_a_connection_that_ends_before_the_answer_is_a_reset(sender: HttpSender, behaviour: Behaviour) -> None:
    assert reason_in(await outcome_of(sender, behaviour)) is Reason.CONNECTION_RESET


async def test_71_a_connection_that_is_gone_before_it_can_be_used_is_a_reset_at_once(sender: HttpSender) -> None:
    """Nobody would tell of a request that is written to it, and the attempt would wait for its deadline."""

    async def behave(visit: Visit) -> None:
        visit.reset()

    patient = Deadlines(connect_s=5, response_s=5, total_s=10)
    async with receiving(behave) as receiver:
        outcomes = await post_all(sender, [a_request(receiver.url, deadlines=patient) for _ in range(200)])

    assert {reason_in(outcome) for outcome in outcomes} == {Reason.CONNECTION_RESET}
    assert max(outcome.timings.total_ms for outcome in outcomes) < 2000


async def test_72_headers_that_drip_do_not_stretch_the_attempt(sender: HttpSender) -> None:
    outcome = await outcome_of(sender, drips(OK_HEAD, b"X-A: a\r\n"))

    assert reason_in(outcome) is Reason.RESPONSE_TIMEOUT
    assert outcome.timings.total_ms <= 900


async def test_73_endless_headers_are_a_bad_response(sender: HttpSender) -> None:
    outcome = await outcome_of(sender, floods(OK_HEAD, b"X-A: aaaaaaaaaaaaaaaaaaaa\r\n" * 500, waves=1000))

    assert reason_in(outcome) is Reason.BAD_RESPONSE
    assert "200 headers" in str(outcome)


@pytest.mark.parametrize("first", [OK_HEAD + b"X: ", b"HTTP/1.1 200 "])
async def test_74_one_giant_line_is_a_bad_response_in_little_memory(sender: HttpSender, first: bytes) -> None:
    with little_memory():
        outcome = await outcome_of(sender, floods(first, b"a" * 65536, waves=3000))

    assert reason_in(outcome) is Reason.BAD_RESPONSE


@pytest.mark.parametrize(
    ("head", "fault"),
    [
        (b"X: " + b"a" * 9000 + b"\r\n", "longer than 8192"),
        (b"".join(b"X-%d: %s\r\n" % (n, b"a" * 7000) for n in range(12)), "longer than 65536"),
        (b"X-A: a\r\n" * 201, "more than 200"),
    ],
)
async def test_74_a_head_beyond_the_limits_is_refused_though_it_ends(
    sender: HttpSender, head: bytes, fault: str
) -> None:
    outcome = await outcome_of(sender, says(OK_HEAD + head + b"Content-Length: 0\r\n\r\n"))

    assert reason_in(outcome) is Reason.BAD_RESPONSE
    assert fault in str(outcome)


async def test_75_a_flood_of_early_hints_is_a_bad_response(sender: HttpSender) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    flood = await outcome_of(sender, floods(b"", hints * 100, waves=1000, last=answer()))
    many = await outcome_of(sender, says(hints * 17 + answer()))
    some = await outcome_of(sender, says(hints * 16 + answer(headers=[("X-A", "final")])))

    assert reason_in(flood) is Reason.BAD_RESPONSE
    assert reason_in(many) is Reason.BAD_RESPONSE
    assert "16 interim answers" in str(many)
    assert success(some).header(b"link") == []


async def test_76_continue_for_ever_is_a_response_timeout(sender: HttpSender) -> None:
    outcome = await outcome_of(sender, drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"))

    assert reason_in(outcome) is Reason.RESPONSE_TIMEOUT


@pytest.mark.parametrize("headers", [b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b""])
async def test_77_switching_protocols_is_no_success(sender: HttpSender, headers: bytes) -> None:
    outcome = await outcome_of(sender, says(b"HTTP/1.1 101 Switching Protocols\r\n" + headers + b"\r\nhello"))

    assert status_of(outcome) == 101
    assert reason_of(outcome) is Reason.BAD_STATUS


@pytest.mark.parametrize("framing", [b"Content-Length: 314572800\r\n", b"", b"Transfer-Encoding: chunked\r\n"])
async def test_78_an_endless_body_is_cut_and_the_status_counts(sender: HttpSender, framing: bytes) -> None:
    wave = b"10000\r\n" + b"a" * 65536 + b"\r\n" if b"chunked" in framing else b"a" * 65536
    with little_memory():
        outcome = success(await outcome_of(sender, floods(OK_HEAD + framing + b"\r\n", wave, waves=4800)))

    assert outcome.truncated
    assert outcome.body == b"a" * 256
    assert outcome.notes == ()
    assert outcome.timings.total_ms < 1000


async def test_79_a_body_that_drips_is_read_for_two_seconds_and_the_status_counts(sender: HttpSender) -> None:
    deadlines = Deadlines(connect_s=1, response_s=1, total_s=30)

    outcome = success(await outcome_of(sender, drips(OK_HEAD + b"Content-Length: 100000\r\n\r\n", b"a"), deadlines))

    assert outcome.truncated
    assert 2000 <= outcome.timings.total_ms <= 2600


async def test_79_a_body_that_drips_does_not_stretch_the_attempt(sender: HttpSender) -> None:
    deadlines = Deadlines(connect_s=1, response_s=1, total_s=0.3)

    outcome = success(await outcome_of(sender, drips(OK_HEAD + b"Content-Length: 100000\r\n\r\n", b"a"), deadlines))

    assert outcome.timings.total_ms <= 800


async def test_80_a_gzip_bomb_is_kept_as_it_came(sender: HttpSender) -> None:
    bomb = _gzipped_zeros(50 * MEBIBYTE)
    with little_memory():
        outcome = success(await outcome_of(sender, says(answer(body=bomb, headers=[("Content-Encoding", "gzip")]))))

    assert outcome.body == bomb[:256]


@pytest.mark.parametrize(
    "data",
    [
        answer(body=gzip.compress(b"") * 60_000, headers=[("Content-Encoding", "gzip")]),
        answer(body=b"\x1f\x8b\x08\x00garbage", headers=[("Content-Encoding", "gzip")]),
        answer(body=b"plain", headers=[("Content-Encoding", "x")] * 100),
    ],
    ids=["many members", "corrupt", "a hundred encodings"],
)
async def test_81_nothing_is_decompressed_so_nothing_can_fail(sender: HttpSender, data: bytes) -> None:
    outcome = success(await outcome_of(sender, says(data)))

    assert data.partition(b"\r\n\r\n")[2].startswith(outcome.body)


@pytest.mark.parametrize("ends", [resets, closes])
async def test_82_a_break_in_mid_body_is_still_a_success(
    sender: HttpSender, ends: Callable[[bytes], Behaviour]
) -> None:
    outcome = success(await outcome_of(sender, ends(OK_HEAD + b"Content-Length: 1000\r\n\r\nabc")))

    assert outcome.body == b"abc"
    assert outcome.notes == (Note.BODY_INCOMPLETE,)


async def test_82_a_body_without_a_length_ends_with_the_connection(sender: HttpSender) -> None:
    outcome = success(await outcome_of(sender, closes(OK_HEAD + b"\r\nabc")))

    assert outcome.body == b"abc"
    assert outcome.notes == ()


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 X\r\nContent-Length: 0\r\n\r\n",
        b"<html>hi</html>",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\x00" * 100,
    ],
)
async def test_83_what_is_not_http_is_a_bad_response(sender: HttpSender, data: bytes) -> None:
    assert reason_in(await outcome_of(sender, says(data))) is Reason.BAD_RESPONSE


async def test_83_a_server_that_speaks_first_is_no_web_server(sender: HttpSender) -> None:
    outcome = await outcome_of(sender, greets(b"220 mail.example ESMTP\r\n"))

    assert reason_in(outcome) in (Reason.BAD_RESPONSE, Reason.CONNECTION_RESET)


async def test_84_only_200_to_299_is_success(sender: HttpSender) -> None:
    zero = await outcome_of(sender, says(b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n"))
    outcomes = {status: await outcome_of(sender, says(answer(status))) for status in (299, 418, 600, 999)}

    assert reason_in(zero) is Reason.BAD_RESPONSE
    assert {status: status_of(outcome) for status, outcome in outcomes.items()} == {n: n for n in outcomes}
    assert reason_of(outcomes[999]) is Reason.BAD_STATUS


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 2\r\nContent-Length: 5\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 100000000000000000000000\r\n",
    ],
)
async def test_85_contradicting_lengths_are_a_bad_response(sender: HttpSender, framing: bytes) -> None:
    assert reason_in(await outcome_of(sender, says(OK_HEAD + framing + b"\r\nok"))) is Reason.BAD_RESPONSE


@pytest.mark.parametrize("size", [b"ZZ", b"-1", b"FFFFFFFFFFFFFFFFF"])
async def test_86_a_bad_chunk_comes_too_late_to_change_the_outcome(sender: HttpSender, size: bytes) -> None:
    outcome = success(await outcome_of(sender, says(CHUNKED + size + b"\r\nok\r\n0\r\n\r\n")))

    assert outcome.notes == (Note.BODY_INCOMPLETE,)


@pytest.mark.parametrize(
    ("first", "wave"),
    [(CHUNKED + b"2;", b"a" * 65536), (CHUNKED + b"2\r\nok\r\n0\r\n", b"X-A: a\r\n" * 8192)],
    ids=["extension", "trailers"],
)
async def test_87_endless_chunk_extensions_and_trailers_are_cut(sender: HttpSender, first: bytes, wave: bytes) -> None:
    with little_memory():
        outcome = success(await outcome_of(sender, floods(first, wave, waves=2000)))

    assert outcome.truncated


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("framing", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
async def test_88_a_204_with_a_body_is_a_204(sender: HttpSender, status: int, framing: bytes) -> None:
    data = b"HTTP/1.1 %d X\r\n%b\r\nhello" % (status, framing)

    outcome = success(await outcome_of(sender, says(data)), status)

    assert outcome.body == b""
    assert outcome.notes == ()


async def test_88_an_empty_body_promised_with_a_204_keeps_the_connection(sender: HttpSender) -> None:
    """Many servers write Content-Length: 0 with a 204; each such answer once cost a new connection."""
    async with receiving(answers(204, body=b"")) as receiver:
        outcomes = [await post(sender, receiver.url) for _ in range(3)]

    assert [status_of(outcome) for outcome in outcomes] == [204, 204, 204]
    assert receiver.connections == 1


async def test_88_the_late_body_of_a_204_is_not_the_next_answer(sender: HttpSender) -> None:
    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(b"HTTP/1.1 204 X\r\nContent-Length: 44\r\n\r\n")
        await asyncio.sleep(0.05)
        await visit.say(b"HTTP/1.1 500 X\r\nContent-Length: 6\r\n\r\npoison")

    async with receiving(behave) as receiver:
        outcomes = [await post(sender, receiver.url) for _ in range(2)]

    assert [status_of(outcome) for outcome in outcomes] == [204, 204]
    assert receiver.connections == 2


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (OK_HEAD + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok", b"a\x00b"),
        (b"HTTP/1.1 200 \xff\xfe\r\nX: \xff\xfe\r\nContent-Length: 2\r\n\r\nok", b"\xff\xfe"),
        (OK_HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", b"a b"),
        (b"HTTP/1.1 200 OK\nX: a\nContent-Length: 2\n\nok", b"a"),
    ],
    ids=["NUL", "8-bit", "obs-fold", "bare LF"],
)
async def test_89_sloppy_headers_are_kept_as_they_came(sender: HttpSender, data: bytes, header: bytes) -> None:
    outcome = success(await outcome_of(sender, says(data)))

    assert outcome.header(b"x") == [header]
    assert outcome.body == b"ok"


async def test_90_cookies_are_never_kept(sender: HttpSender) -> None:
    async with receiving(
        answers(headers=[("Set-Cookie", "s=1"), ("SET-COOKIE", "t=2"), ("X-A", "1")] * 20)
    ) as receiver:
        first = await post(sender, receiver.url)
        await post(sender, receiver.url)
    too_many = await outcome_of(sender, says(OK_HEAD + b"Set-Cookie: s=1\r\n" * 3000 + b"\r\n"))

    assert success(first).header(b"set-cookie") == []
    assert len(success(first).header(b"x-a")) == 20
    assert "cookie" not in receiver.received[1].headers
    assert reason_in(too_many) is Reason.BAD_RESPONSE


async def test_91_an_answer_too_many_never_becomes_the_answer_to_the_next_request(sender: HttpSender) -> None:
    """A thousand pairs: the receiver says 200 and, unasked, 500 to each odd request; the even ones are answered 200."""

    async def behave(visit: Visit) -> None:
        while True:
            received = await visit.request()
            poison = b"" if received.body == b"even" else answer(500, b"poison")
            await visit.say(answer() + poison)

    async with receiving(behave) as receiver:
        statuses = [
            status_of(await post(sender, receiver.url, body)) for _ in range(1000) for body in (b"odd", b"even")
        ]

    assert statuses == [200] * 2000


@pytest.mark.parametrize("extra", [b"\r\nHTT", b"x", answer(500, b"poison")])
async def test_91_bytes_that_nobody_asked_for_end_the_connection(sender: HttpSender, extra: bytes) -> None:
    async def behave(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer())
        await asyncio.sleep(0.02)
        await visit.say(extra)
        await visit.stay()

    async with receiving(behave) as receiver:
        first = await post(sender, receiver.url)
        await asyncio.sleep(0.06)
        second = await post(sender, receiver.url)

    assert [status_of(first), status_of(second)] == [200, 200]
    assert receiver.connections == 2


async def test_93_a_body_is_bytes_whatever_it_says_it_is(sender: HttpSender) -> None:
    body = b"\xff\xfe\x00<script>alert(1)</script>"

    outcome = success(
        await outcome_of(sender, says(answer(body=body, headers=[("Content-Type", "text/html; charset=nonexist")])))
    )

    assert outcome.body == body


async def test_96_an_answer_before_the_request_was_read_is_the_answer(sender: HttpSender) -> None:
    async with receiving(answers_before_reading(200)) as receiver:
        outcome = success(await post(sender, receiver.url, b"x" * 16 * MEBIBYTE))

    assert Note.ANSWERED_EARLY in outcome.notes


async def test_96_what_a_receiver_does_not_take_after_its_answer_is_not_kept(sender: HttpSender) -> None:
    async def behave(visit: Visit) -> None:
        await visit.reader.read(1)
        visit.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await visit.say(answer())
        await asyncio.Event().wait()

    async with receiving(behave) as receiver:
        success(await post(sender, receiver.url, b"x" * 16 * MEBIBYTE))
        await asyncio.sleep(0.05)

        assert sender._connections == set()


async def test_97_an_answer_after_the_time_is_ignored(sender: HttpSender) -> None:
    outcomes: list[Outcome] = []
    async with receiving(answers(delay_s=0.3)) as receiver:
        sender.send(a_request(receiver.url, deadlines=Deadlines(1, 0.1, 1)), outcomes.append)
        await asyncio.sleep(0.4)

        [late] = outcomes
        again = await post(sender, receiver.url)

    assert reason_in(late) is Reason.RESPONSE_TIMEOUT
    assert status_of(again) == 200
    assert len(outcomes) == 1


async def test_101_a_receiver_that_does_not_read_is_a_timeout_of_the_request(sender: HttpSender) -> None:
    async with receiving(never_reads) as receiver:
        outcome = await post(sender, receiver.url, b"x" * 16 * MEBIBYTE, deadlines=SOON)

    assert reason_in(outcome) is Reason.RESPONSE_TIMEOUT
    assert "did not take the whole request" in str(outcome)
    assert outcome.timings.total_ms <= 900


@pytest.mark.parametrize(
    "connection", [b"", b"Connection: close\r\n", b"Connection: keep-alive\r\n"], ids=["silently", "says so", "lies"]
)
async def test_102_a_receiver_that_closes_after_each_answer_makes_no_failure(
    sender: HttpSender, connection: bytes
) -> None:
    async with receiving(says(OK_HEAD + connection + b"Content-Length: 2\r\n\r\nok", linger=False)) as receiver:
        outcomes: list[Outcome] = []
        for _ in range(100):
            outcomes += await post_all(sender, [a_request(receiver.url) for _ in range(10)])

    assert {status_of(outcome) for outcome in outcomes} == {200}
    assert len(receiver.received) == 1000


async def test_nobodys_misbehaviour_reaches_anothers_outcome(sender: HttpSender) -> None:
    bad = [never_answers, drips(OK_HEAD, b"X: a\r\n"), resets(), says(b"SSH-2.0-OpenSSH_9.2\r\n")]
    async with AsyncExitStack() as opened:
        good = await opened.enter_async_context(receiving(answers(delay_s=0.01)))
        receivers = [await opened.enter_async_context(receiving(behaviour)) for behaviour in bad]
        failing = asyncio.gather(
            *(send(sender, a_request(receiver.url, deadlines=SOON)) for receiver in receivers for _ in range(10))
        )

        working = await post_all(sender, [a_request(good.url) for _ in range(50)])
        failed = await failing

    assert {status_of(outcome) for outcome in working} == {200}
    assert {reason_in(outcome) for outcome in failed} == {
        Reason.RESPONSE_TIMEOUT,
        Reason.CONNECTION_RESET,
        Reason.BAD_RESPONSE,
    }


@contextmanager
def little_memory(limit: int = 10 * MEBIBYTE) -> Iterator[None]:
    """What happens within must not need more than this at any moment."""
    Path("/proc/self/clear_refs").write_text("5")  # from here on the peak counts anew
    before = _peak_memory()
    yield
    assert _peak_memory() - before < limit


def _peak_memory() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _gzipped_zeros(size: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b"\0" * MEBIBYTE
    return b"".join(compressor.compress(piece) for _ in range(size // MEBIBYTE)) + compressor.flush()
