"""Both clients with servers and networks that misbehave: nothing twice, nothing lost, nothing for ever."""

import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from postback.cli.client import Client as Known
from postback.client import (
    BadAnswer,
    Client,
    ClientError,
    Event,
    NotReachable,
    Published,
    RateLimited,
    Refused,
    Retrying,
    ServerFailed,
    TimedOut,
    TooLarge,
    Unavailable,
)
from tests.client.scripted import Asked, Scripted, raw, resets, says, through
from tests.client.speaking import QUICKLY, Speaker

Make = Callable[..., Speaker]
Script = Callable[..., Scripted]

SAID = Event("shop.opened")
BUSY = says(503, b'{"error": {"code": "unavailable", "message": "too much"}}')
OVER = says(429, b'{"error": {"code": "rate_limited", "message": "slow down"}}')


def accepts(connection: socket.socket, asked: Asked) -> bool:
    """Every event of a request, under its key."""
    answers = [
        {"id": f"evt_{json.loads(line)['idempotency_key']}", "deliveries": 1} for line in asked.body.split(b"\n")
    ]
    return says(202, json.dumps({"events": answers}).encode())(connection, asked)


def keys_of(asked: Asked) -> list[str]:
    return [json.loads(line)["idempotency_key"] for line in asked.body.split(b"\n")]


# --- asking again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [BUSY, OVER, says(500), says(502, b"<html>"), resets, raw(b"", ends=True)])
def test_an_event_is_sent_again_with_the_same_key_until_it_is_accepted(
    scripted: Script, speaker: Make, answer: Any
) -> None:
    server = scripted(answer, answer, accepts)

    published = speaker(server.url).publish(SAID)

    assert [keys_of(asked) for asked in server.asked] == [[SAID.idempotency_key]] * 3
    assert published.idempotency_key == SAID.idempotency_key


def test_an_event_whose_answer_was_lost_is_there_once(served: Known, scripted: Script, speaker: Make) -> None:
    """The connection is reset after the server has carried the request out."""
    event = Event("shop.opened", subject=f"lost-{time.monotonic_ns()}")
    between = scripted(through(served.url, resets), through(served.url, resets), through(served.url))

    published = speaker(between.url, served.key).publish(event)

    assert len(between.asked) == 3
    [kept] = speaker(served.url, served.key).items("/v2/events", subject=event.subject)
    assert kept["id"] == published.id


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (BUSY, Unavailable),
        (OVER, RateLimited),
        (says(502), ServerFailed),
        (resets, NotReachable),
    ],
)
def test_patience_ends(scripted: Script, speaker: Make, answer: Any, kind: type[ClientError]) -> None:
    server = scripted(answer)

    with pytest.raises(kind):
        speaker(server.url).publish(SAID)

    assert len(server.asked) == 1 + QUICKLY.times


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 302])
def test_what_will_not_change_is_not_asked_again(scripted: Script, speaker: Make, status: int) -> None:
    server = scripted(says(status))

    with pytest.raises(Refused, match=f"the server answered {status}") as refused:
        speaker(server.url).publish(SAID)

    assert (len(server.asked), refused.value.status) == (1, status)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_that_may_have_been_made_is_not_asked_for_again(scripted: Script, speaker: Make, method: str) -> None:
    server = scripted(resets)

    with pytest.raises(NotReachable) as lost:
        speaker(server.url).send(method, "/v2/locations", {})

    assert lost.value.may_have_arrived
    assert len(server.asked) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_change_that_was_surely_not_made_is_asked_for_again(scripted: Script, speaker: Make, method: str) -> None:
    server = scripted(BUSY, OVER, says(200, b"{}"))

    assert speaker(server.url).send(method, "/v2/locations", {}).body == {}
    assert len(server.asked) == 3


def test_what_only_reads_is_asked_again(scripted: Script, speaker: Make) -> None:
    server = scripted(resets, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1", ends=True), says(200, b"[1]"))

    assert speaker(server.url).get("/v2/locations") == [1]


def test_nobody_there_is_told_with_its_address(speaker: Make) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(NotReachable, match=f"the server at {re.escape(url)} cannot be reached") as lost:
            speaker(url).post("/v2/locations", {})

    assert not lost.value.may_have_arrived


def test_retry_after_is_waited_for(scripted: Script, speaker: Make) -> None:
    server = scripted(says(503, Retry_After="1"), accepts)

    began = time.monotonic()
    speaker(server.url).publish(SAID)

    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("said", ["3600", "Mon, 02 Mar 2026 10:00:00 GMT"])
def test_a_retry_after_beyond_all_patience_is_told_at_once(scripted: Script, speaker: Make, said: str) -> None:
    server = scripted(says(429, Retry_After=said, Date="Mon, 02 Mar 2026 09:00:00 GMT"))

    with pytest.raises(RateLimited) as refused:
        speaker(server.url).publish(SAID)

    assert refused.value.retry_after_s == 3600
    assert len(server.asked) == 1


def test_a_closed_client_does_not_wait_for_the_next_try(scripted: Script) -> None:
    server = scripted(BUSY)
    client = Client(server.url, retrying=Retrying(first_wait_s=60))
    timer = threading.Timer(0.05, client.close)
    timer.start()

    with pytest.raises(RuntimeError, match="closed"):
        client.publish(SAID)
    timer.join()


# --- parts of a batch ------------------------------------------------------------------------------------------------


def test_of_a_batch_only_what_was_not_accepted_is_sent_again(scripted: Script, speaker: Make) -> None:
    events = [Event("shop.sold", {"n": number}) for number in range(4)]
    said = [
        {"id": "evt_0", "deliveries": 1},
        {"error": {"code": "unavailable", "message": "not now"}},
        {"errors": {"type": ["type is bad"]}},
        {"error": {"code": "rate_limited", "message": "not now"}},
    ]
    server = scripted(says(202, json.dumps({"events": said}).encode()), accepts)

    results = speaker(server.url).publish_many(events)

    assert [str(getattr(one, "id", one)) for one in results] == [
        "evt_0", f"evt_{events[1].idempotency_key}", "type is bad", f"evt_{events[3].idempotency_key}"
    ]  # fmt: skip
    assert keys_of(server.asked[1]) == [events[1].idempotency_key, events[3].idempotency_key]


def taking(most: int) -> Callable[[socket.socket, Asked], bool]:
    """The first few of each request are accepted, as by an account's rate."""

    def take(connection: socket.socket, asked: Asked) -> bool:
        keys = keys_of(asked)
        said: list[object] = [{"id": f"evt_{key}", "deliveries": 1} for key in keys[:most]]
        said += [{"error": {"code": "rate_limited", "message": "slow down"}} for _ in keys[most:]]
        return says(202, json.dumps({"events": said}).encode())(connection, asked)

    return take


def test_a_batch_that_a_rate_lets_in_bit_by_bit_gets_in_whole(scripted: Script, speaker: Make) -> None:
    """Most of it was given up, although each request got some in."""
    server = scripted(taking(2))

    results = speaker(server.url).publish_many(Event("shop.sold", {"n": number}) for number in range(20))

    assert all(isinstance(one, Published) for one in results)
    assert len(server.asked) == 10


def test_a_batch_of_which_nothing_gets_in_any_more_is_given_up(scripted: Script, speaker: Make) -> None:
    server = scripted(taking(1), taking(0))

    results = speaker(server.url).publish_many(Event("shop.sold") for _ in range(3))

    assert [type(one) for one in results] == [Published, RateLimited, RateLimited]
    assert len(server.asked) == QUICKLY.times + 1


def test_after_a_request_that_fails_for_good_the_rest_is_not_sent(scripted: Script, speaker: Make) -> None:
    server = scripted(accepts, says(403))

    results = speaker(server.url).publish_many(Event("shop.sold") for _ in range(2_500))

    assert [isinstance(one, Published) for one in results] == [True] * 1_000 + [False] * 1_500
    assert len({id(one) for one in results[1_000:]}) == 1
    assert len(server.asked) == 2


def test_where_something_in_between_takes_less_the_batch_is_halved(scripted: Script, speaker: Make) -> None:
    """Many a proxy takes no more than a megabyte, and answers 413 with a page of its own."""
    events = [Event("shop.sold", {"n": number, "much": "x" * (900 if number == 5 else 90)}) for number in range(10)]

    def small_only(connection: socket.socket, asked: Asked) -> bool:
        return (says(413, b"<html>") if len(asked.body) > 700 else accepts)(connection, asked)

    server = scripted(small_only)

    results = speaker(server.url).publish_many(events)

    assert isinstance(results[5], TooLarge)
    assert [one.idempotency_key for one in results if isinstance(one, Published)] == [
        event.idempotency_key for number, event in enumerate(events) if number != 5
    ]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"events": []}', b'{"events": [1]}', b'{"events": [{"id": 1}]}', b"<html>", b"\xff"]
)
def test_an_answer_that_does_not_say_what_came_of_an_event_is_no_success(
    scripted: Script, speaker: Make, body: bytes
) -> None:
    server = scripted(says(202, body))

    with pytest.raises(BadAnswer, match="postback"):
        speaker(server.url).publish(SAID)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"<html>", b"{}", b'{"a": [], "b": []}'])
def test_what_is_no_list_is_not_taken_for_an_empty_one(scripted: Script, speaker: Make, body: bytes) -> None:
    server = scripted(says(200, body))

    with pytest.raises(BadAnswer, match="not a list"):
        speaker(server.url).items("/v2/locations")


def test_a_cursor_that_leads_to_itself_ends_the_list(scripted: Script, speaker: Make) -> None:
    server = scripted(says(200, b'{"events": [1], "next_cursor": "a"}'))

    assert speaker(server.url).items("/v2/events") == [1, 1]


# --- time and size ---------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_given_up(scripted: Script, speaker: Make) -> None:
    server = scripted(raw(b""))
    server.acts[:] = [server.hangs]

    with pytest.raises(TimedOut, match=r"no answer within 0\.2 s") as lost:
        speaker(server.url, timeout=0.2).post("/v2/locations", {})

    assert lost.value.may_have_arrived


def test_an_answer_that_comes_drop_by_drop_is_given_up(scripted: Script, speaker: Make) -> None:
    """A byte now and then is no reason to wait for ever."""

    def drips(connection: socket.socket, _: Asked) -> bool:
        for letter in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000:
            connection.sendall(bytes([letter]))
            time.sleep(0.005)
        return False

    server = scripted(drips)

    with pytest.raises(TimedOut):
        speaker(server.url, timeout=0.3).post("/v2/locations", {})


def test_a_server_that_does_not_read_is_given_up(speaker: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"

        with pytest.raises(TimedOut):
            speaker(url, timeout=0.3).post("/v2/events", {"much": "x" * (8 << 20)})


def test_an_answer_longer_than_allowed_is_not_read(scripted: Script, speaker: Make) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"fff\r\n" + b"x" * 4095 + b"\r\n" + b"ffffffff\r\n"
    )
    server = scripted(says(200, b"x" * 9_000), raw(endless), raw(chunked))
    client = speaker(server.url, answer_max=8_000)

    for _ in range(3):
        with pytest.raises(BadAnswer, match="longer than 8,000 bytes"):
            client.get("/v2/locations")


@pytest.mark.parametrize(
    "garbage",
    [
        b"hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
def test_what_is_no_http_is_told_as_that(scripted: Script, speaker: Make, garbage: bytes) -> None:
    server = scripted(raw(garbage))

    with pytest.raises(BadAnswer):
        speaker(server.url).get("/v2/locations")

    assert len(server.asked) == 1


# --- connections -----------------------------------------------------------------------------------------------------


def test_one_connection_serves_many_requests(scripted: Script, speaker: Make) -> None:
    server = scripted(says(200, b"{}"))
    client = speaker(server.url)

    for _ in range(5):
        client.get("/v2/locations")

    assert (len(server.asked), server.connections) == (5, 1)


@pytest.mark.parametrize(
    "answer",
    [
        says(200, b"{}", Connection="close"),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n\r\n{}", ends=True),
    ],
)
def test_a_connection_that_is_not_to_be_used_again_is_not(scripted: Script, speaker: Make, answer: Any) -> None:
    server = scripted(answer)
    client = speaker(server.url)

    assert [client.get("/v2/locations") for _ in range(2)] == [{}, {}]
    assert server.connections == 2


def test_a_connection_that_the_server_closed_meanwhile_costs_nothing(scripted: Script, speaker: Make) -> None:
    server = scripted(says(200, b"{}"))
    client = speaker(server.url, retrying=Retrying(times=0))
    client.get("/v2/locations")

    server.hang_up()
    time.sleep(0.05)

    assert client.post("/v2/locations", {}) == {}
    assert (len(server.asked), server.connections) == (2, 2)


def test_announcements_and_chunks_are_read(scripted: Script, speaker: Make) -> None:
    text = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b'4;a=b\r\n{"a"\r\n3\r\n: 1\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n'
    )
    server = scripted(raw(text))
    client = speaker(server.url)

    assert [client.get("/v2/locations") for _ in range(2)] == [{"a": 1}] * 2
    assert server.connections == 1


def test_an_answer_that_comes_before_the_body_was_read_is_taken(speaker: Make) -> None:
    """As servers do that see from the announced length that it is too much."""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(b"HTTP/1.1 413 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            time.sleep(0.1)

    thread = threading.Thread(target=refuse)
    thread.start()
    with listener, pytest.raises(TooLarge):
        speaker(f"http://127.0.0.1:{listener.getsockname()[1]}").post("/v2/contacts", {"much": "x" * (8 << 20)})
    thread.join()


def test_a_child_process_does_not_speak_on_its_parents_connection(scripted: Script) -> None:
    server = scripted(says(200, b"{}"))
    with Client(server.url) as client:
        client.get("/parent")
        child = os.fork()
        if child == 0:
            try:
                client.get("/child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        client.get("/parent")

    assert [(asked.connection, asked.target) for asked in server.asked] == [
        (1, "/parent"),
        (2, "/child"),
        (1, "/parent"),
    ]


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_key_and_account_go_in_headers_and_nowhere_else(
    scripted: Script, speaker: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = scripted(says(503), says(401))
    key = "pbk_canary-of-24-characters"

    with pytest.raises(ClientError) as refused:
        speaker(server.url, key, "acme").get("/v2/locations")

    assert server.asked[0].headers["authorization"] == f"Bearer {key}"
    assert server.asked[0].headers["postback-account"] == "acme"
    assert "asked again" in caplog.text
    assert key not in caplog.text + str(refused.value) + repr(refused.value)


def test_a_redirect_is_not_followed(scripted: Script, speaker: Make) -> None:
    server = scripted(says(307, Location="/elsewhere"))

    with pytest.raises(Refused, match="307"):
        speaker(server.url).get("/v2/locations")

    assert [asked.target for asked in server.asked] == ["/v2/locations"]


def test_a_proxy_of_the_environment_never_sees_the_key(
    scripted: Script, speaker: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert speaker(scripted(says(200, b"{}")).url).get("/v2/locations") == {}


def test_no_path_can_smuggle_a_second_request(scripted: Script, speaker: Make) -> None:
    server = scripted(says(200, b"{}"))

    speaker(server.url + "/base/").get(
        "/v2/x HTTP/1.1\r\nHost: elsewhere\r\n\r\n", name="ä&b=c", state=["a", "b"], on=True
    )

    [asked] = server.asked
    assert asked.target == (
        "/base/v2/x%20HTTP/1.1%0D%0AHost:%20elsewhere%0D%0A%0D%0A?name=%C3%A4%26b%3Dc&state=a%2Cb&on=true"
    )


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:8080", "ftp://x", "http://", "http://[::1", "http://x:port", "http://u:p@x", "http://x/?a", "http://x#a",
        "http://a b", "http://x\r\nHost: y", f"http://{'a' * 70}.example",
    ],
)  # fmt: skip
def test_only_addresses_of_servers_are_taken(speaker: Make, url: str) -> None:
    with pytest.raises(ValueError, match="expected an http or https address"):
        speaker(url)


@pytest.mark.parametrize("key", ["", "a b", "a\r\nHost: x", "ключ"])
def test_a_key_that_would_be_more_than_a_header_is_not_taken(speaker: Make, key: str) -> None:
    with pytest.raises(ValueError, match="key is not what one looks like"):
        speaker("http://127.0.0.1:9", key)
    with pytest.raises(ValueError, match="account is not what one looks like"):
        speaker("http://127.0.0.1:9", "key", key)
