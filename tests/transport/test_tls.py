"""TLS: verified always, resumed where it can be, paced, and every way in which it fails is a `tls_error`."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from postback.domain.policy import Deadlines
from postback.domain.wire import Answered, Note, Outcome, Reason
from postback.transport.connection import HostKey
from postback.transport.tls import RENEW_S, Sessions, client_context
from tests.patience import PATIENCE_S
from tests.receivers import Behaviour, Visit, answer, answers, closes, floods, greets, never_answers, receiving, resets
from tests.transport.certificates import Authority
from tests.transport.posting import SOON, Names, OpenSender, a_request, post, post_all, reason_in, status_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def trusting(authority: Authority) -> ssl.SSLContext:
    return client_context(str(authority.file))


async def test_95_a_verified_receiver_gets_the_request(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    sender = open_sender(context=trusting)
    async with receiving(answers(body=b"x" * 100_000), tls=authority.server()) as receiver:
        first = await post(sender, receiver.url, b"b" * 1_000_000)
        second = await post(sender, receiver.url, b"n=2")

    assert [status_of(first), status_of(second)] == [200, 200]
    assert [len(received.body) for received in receiver.received] == [1_000_000, 3]
    assert first.timings.tls_ms is not None


async def test_95_a_connection_is_used_again(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    sender = open_sender(context=trusting)
    async with receiving(answers(), tls=authority.server()) as receiver:
        outcomes = [await post(sender, receiver.url) for _ in range(20)]

    assert {status_of(outcome) for outcome in outcomes} == {200}
    assert [outcome.timings.tls_ms is None for outcome in outcomes] == [False, *[True] * 19]
    assert receiver.connections == 1


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_95_a_session_is_resumed_on_the_next_connection(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    resumed: list[bool] = []
    server = authority.server()
    server.minimum_version = server.maximum_version = version

    async def behave(visit: Visit) -> None:
        await visit.request()
        resumed.append(visit.writer.get_extra_info("ssl_object").session_reused)
        await visit.say(answer(headers=[("connection", "close")]))

    async with receiving(behave, tls=server) as receiver:
        sender = open_sender(context=trusting)
        outcomes = [await post(sender, receiver.url) for _ in range(3)]

    assert {status_of(outcome) for outcome in outcomes} == {200}
    assert resumed == [False, True, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_an_answer_says_when_the_certificate_ends_that_was_shown_for_it_and_no_other_does(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    server = authority.server(days=7)
    server.minimum_version = server.maximum_version = version
    left = iter([False, True, False])

    async def behave(visit: Visit) -> None:
        while await visit.request():
            stays = next(left)
            await visit.say(answer() if stays else answer(headers=[("connection", "close")]))
            if not stays:
                return

    sender = open_sender(context=trusting)
    async with receiving(behave, tls=server) as receiver:
        shown, *others = [await post(sender, receiver.url) for _ in range(3)]
    async with receiving(answers()) as plain:
        others.append(await post(sender, plain.url))

    assert isinstance(shown, Answered)
    assert shown.certificate_ends_ms is not None
    in_days = (shown.certificate_ends_ms / 1000 - datetime.now(UTC).timestamp()) / 86_400
    assert 6.9 < in_days < 7.1
    # The second was shortened by the first, the third went over the connection of the second.
    assert [one.certificate_ends_ms for one in others if isinstance(one, Answered)] == [None, None, None]


async def test_95_the_name_and_the_protocol_are_told(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    told: list[str | None] = []
    server = authority.server(["client.example"])
    server.set_alpn_protocols(["h2", "http/1.1"])
    server.sni_callback = lambda _, name, __: told.append(name)

    async def behave(visit: Visit) -> None:
        await visit.request()
        told.append(visit.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await visit.say(answer())

    async with receiving(behave, tls=server) as receiver:
        sender = open_sender(context=trusting, resolver=Names(client_example=[["127.0.0.1"]]))
        outcome = await post(sender, receiver.url_of("Client.example."))

    assert status_of(outcome) == 200
    assert told == ["client.example", "http/1.1"]
    assert receiver.received[0].headers["host"] == f"client.example:{receiver.port}"


async def test_95_a_client_certificate_may_be_asked_for_but_not_required(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    asking, requiring = authority.server(), authority.server()
    asking.verify_mode, requiring.verify_mode = ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED
    sender = open_sender(context=trusting)
    async with receiving(answers(), tls=asking) as receiver:
        asked = await post(sender, receiver.url)
    async with receiving(answers(), tls=requiring) as receiver:
        required = await post(sender, receiver.url)

    assert status_of(asked) == 200
    assert reason_in(required) in (Reason.TLS_ERROR, Reason.CONNECTION_RESET)
    assert receiver.received == []


async def test_95_a_giant_certificate_is_refused(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    async with receiving(answers(), tls=authority.server(padding=1_000_000)) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR


def test_95_renegotiation_is_off(trusting: ssl.SSLContext) -> None:
    assert trusting.options & ssl.OP_NO_RENEGOTIATION


def test_94_certificates_and_names_are_verified_from_tls_1_2_on(trusting: ssl.SSLContext) -> None:
    assert trusting.verify_mode is ssl.CERT_REQUIRED
    assert trusting.check_hostname
    assert trusting.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda authority: authority.server(days=-1), "expired"),
        (lambda authority: authority.server(self_signed=True), "self-signed"),
        (lambda authority: authority.server(["other.example"]), "IP address mismatch"),
    ],
    ids=["expired", "self-signed", "wrong name"],
)
async def test_94_a_bad_certificate_is_a_tls_error_and_nothing_is_sent(
    open_sender: OpenSender,
    authority: Authority,
    trusting: ssl.SSLContext,
    make: Callable[[Authority], ssl.SSLContext],
    words: str,
) -> None:
    async with receiving(answers(), tls=make(authority)) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert words in str(outcome)
    assert receiver.received == []


async def test_94_a_wrong_name_is_refused_for_names_as_well(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    sender = open_sender(context=trusting, resolver=Names(other_example=[["127.0.0.1"]]))
    async with receiving(answers(), tls=authority.server()) as receiver:
        outcome = await post(sender, receiver.url_of("other.example"))

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert "other.example" in str(outcome)


async def test_94_an_unknown_authority_is_refused(
    open_sender: OpenSender, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "Stranger")
    async with receiving(answers(), tls=stranger.server()) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert "issuer" in str(outcome)


async def test_94_tls_1_1_is_refused(open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext) -> None:
    server = authority.server()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server.minimum_version = ssl.TLSVersion.TLSv1
        server.maximum_version = ssl.TLSVersion.TLSv1_1
    server.set_ciphers("ALL:@SECLEVEL=0")
    async with receiving(answers(), tls=server) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert receiver.received == []


@pytest.mark.parametrize(
    "behaviour",
    [
        greets(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        closes(reads=False),
        resets(reads=False),
        greets(b"\x00" * 40),
    ],
    ids=["plain HTTP", "closes", "resets", "nonsense"],
)
async def test_94_what_is_not_tls_is_a_tls_error(
    open_sender: OpenSender, trusting: ssl.SSLContext, behaviour: Behaviour
) -> None:
    async with receiving(behaviour) as receiver:
        outcome = await post(open_sender(context=trusting), f"https://127.0.0.1:{receiver.port}/", deadlines=SOON)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert outcome.timings.sent_after_ms is None


async def test_94_a_handshake_that_stalls_is_a_tls_error_in_time(
    open_sender: OpenSender, trusting: ssl.SSLContext
) -> None:
    async with receiving(greets(b"")) as receiver:
        deadlines = Deadlines(connect_s=0.3, response_s=5, total_s=5)
        outcome = await post(open_sender(context=trusting), f"https://127.0.0.1:{receiver.port}/", deadlines=deadlines)

    assert reason_in(outcome) is Reason.TLS_ERROR
    assert "did not end within 0.3 s" in str(outcome)
    assert 300 <= outcome.timings.total_ms <= 800


async def test_65_certificates_of_the_environment_are_not_trusted(
    open_sender: OpenSender, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with receiving(answers(), tls=authority.server()) as receiver:
        outcome = await post(open_sender(context=client_context()), receiver.url)

    assert reason_in(outcome) is Reason.TLS_ERROR


def test_a_ca_file_is_trusted_beside_the_systems(authority: Authority, trusting: ssl.SSLContext) -> None:
    assert trusting.cert_store_stats()["x509_ca"] == client_context().cert_store_stats()["x509_ca"] + 1


async def test_102_a_tls_receiver_that_closes_after_each_answer_makes_no_failure(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    sender = open_sender(context=trusting)
    async with receiving(closes(answer()), tls=authority.server()) as receiver:
        outcomes: list[Outcome] = []
        for _ in range(10):
            outcomes += await post_all(sender, [a_request(receiver.url) for _ in range(10)])

    assert {status_of(outcome) for outcome in outcomes} == {200}
    assert len(receiver.received) == 100


async def test_71_a_reused_tls_connection_that_died_is_replaced_once(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    async def behave(visit: Visit) -> None:
        received = await visit.request()
        await visit.say(answer())
        if received.body == b"n=1":
            await visit.request()

    sender = open_sender(context=trusting)
    async with receiving(behave, tls=authority.server()) as receiver:
        outcomes = [await post(sender, receiver.url, body) for body in (b"n=1", b"n=2")]

    assert [status_of(outcome) for outcome in outcomes] == [200, 200]
    assert outcomes[1].notes == (Note.SENT_AGAIN,)


async def test_91_an_answer_too_many_in_a_record_of_its_own_is_not_the_next_answer(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    """The next request is sent in the very moment of the first answer, while the poison waits behind it."""

    async def behave(visit: Visit) -> None:
        while True:
            await visit.request()
            visit.writer.write(answer())
            visit.writer.write(answer(500, b"poison"))
            await visit.writer.drain()

    sender = open_sender(context=trusting)
    statuses: list[int] = []
    done = asyncio.Event()

    def and_again(outcome: Outcome) -> None:
        statuses.append(status_of(outcome))
        if len(statuses) < 50:
            sender.send(a_request(receiver.url), and_again)
        else:
            done.set()

    async with receiving(behave, tls=authority.server()) as receiver:
        sender.send(a_request(receiver.url), and_again)
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()

    assert statuses == [200] * 50


async def test_78_an_endless_body_over_tls_is_cut(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    behaviour = floods(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 65536, waves=2000)
    async with receiving(behaviour, tls=authority.server()) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url)

    assert isinstance(outcome, Answered)
    assert (outcome.status, outcome.truncated, outcome.body) == (200, True, b"a" * 256)


async def test_68_silence_over_tls_is_a_response_timeout(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    async with receiving(never_answers, tls=authority.server()) as receiver:
        outcome = await post(open_sender(context=trusting), receiver.url, deadlines=SOON)

    assert reason_in(outcome) is Reason.RESPONSE_TIMEOUT


async def test_many_handshakes_at_once_all_succeed(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext
) -> None:
    sender = open_sender(context=trusting)
    async with receiving(answers(), tls=authority.server()) as receiver:
        outcomes = await post_all(sender, [a_request(receiver.url) for _ in range(40)])

    assert {status_of(outcome) for outcome in outcomes} == {200}


async def test_a_session_is_asked_for_once_a_minute_and_not_after_an_idle_one(
    open_sender: OpenSender, authority: Authority, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking costs about a quarter of a handshake, which a host called once never needed."""
    asked: list[ssl.SSLObject] = []
    keep = Sessions.keep

    def counting(sessions: Sessions, key: HostKey, tls: ssl.SSLObject, now: float) -> None:
        before = sessions.of(key)
        keep(sessions, key, tls, now)
        if sessions.of(key) is not before:
            asked.append(tls)

    monkeypatch.setattr(Sessions, "keep", counting)
    async with receiving(closes(answer()), tls=authority.server()) as closing:
        closed = open_sender(context=trusting)
        for _ in range(3):
            await post(closed, closing.url)
    async with receiving(answers(), tls=authority.server()) as patient:
        idle = open_sender(context=trusting)
        await post(idle, patient.url)
        for connection in idle._connections:
            connection.idle_since -= RENEW_S
        await idle.close(0)

    assert len(asked) == 1
