"""Events that come in one piece are answered on a shorter way than all other requests: nobody can tell which it was."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from postback.actions.access import Access, Principal
from postback.api.publish import PATH, Publish
from postback.domain.accounts import Actor, Scope
from tests.live import KEY, Live
from tests.patience import PATIENCE_S

EVENT = b'{"event": {"type": "order.paid", "data": {"id": "1"}}}'
ID = re.compile(rb"evt_[0-9a-z]+")
TIMES = re.compile(rb"(?i)\r\n(?:date|retry-after): [^\r]+")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("pieces"), POSTBACK_MAX_BODY="70000") as live:
        limits = {"events_per_second": 0.1}
        assert live.ask("PUT", "/v2/accounts/acc_slow", {"account": {"limits": limits}}).status in (200, 201)
        live.publish("a.b", headers={"Postback-Account": "acc_slow"})
        yield live


def a_request(body: bytes = EVENT, *headers: str, key: str | None = KEY, line: str = f"POST {PATH} HTTP/1.1") -> bytes:
    lines = [line, "Host: localhost", *headers]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    if not any(header.lower().startswith("transfer-encoding") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def connected(live: Live) -> socket.socket:
    host, port = live.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answers(connection: socket.socket, number: int) -> list[bytes]:
    """So many answers, each with its head and its body; they come one after the other."""
    found: list[bytes] = []
    data = b""
    while len(found) < number:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if separator:
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
            if len(rest) >= length:
                found.append(head + separator + rest[:length])
                data = rest[length:]
                continue
        more = connection.recv(65_536)
        assert more, f"it was closed after {found} and {data!r}"
        data += more
    assert data == b""
    return found


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(PATIENCE_S)
    return connection.recv(1) == b""


def in_one_piece(live: Live, request: bytes) -> bytes:
    with closing(connected(live)) as connection:
        connection.sendall(request)
        return answers(connection, 1)[0]


def in_two_pieces(live: Live, request: bytes) -> bytes:
    head, separator, body = request.partition(b"\r\n\r\n")
    with closing(connected(live)) as connection:
        connection.sendall(head + separator)
        time.sleep(0.05)
        connection.sendall(body)
        return answers(connection, 1)[0]


def alike(answer: bytes) -> bytes:
    head, _, body = TIMES.sub(b"", ID.sub(b"evt_", answer)).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return b"\r\n".join([first, *sorted(line.lower() for line in lines), b"", body])


BATCH = b'{"events": [%b]}' % b", ".join([EVENT[10:-1]] * 3)
REQUESTS = {
    "an event": (202, a_request()),
    "an event with a key": (202, a_request(EVENT, "Idempotency-Key: one")),
    "an event in chunks": (
        202,
        a_request(b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT), "Transfer-Encoding: chunked"),
    ),
    "a batch": (202, a_request(BATCH)),
    "a long batch": (202, a_request(b'{"events": [%b]}' % b", ".join([EVENT[10:-1]] * 900))),
    "lines": (202, a_request(EVENT[10:-1] + b"\n" + EVENT[10:-1], "Content-Type: application/x-ndjson")),
    "a batch with a bad event": (202, a_request(b'{"events": [{"type": "a.b"}, %b]}' % EVENT[10:-1])),
    "a batch with a key": (422, a_request(BATCH, "Idempotency-Key: one")),
    "no key": (401, a_request(key=None)),
    "an unknown key": (401, a_request(key="pbk_unknown")),
    "two keys": (401, a_request(EVENT, "Authorization: Bearer x")),
    "an unknown account": (404, a_request(EVENT, "Postback-Account: acc_unknown")),
    "another type": (415, a_request(EVENT, "Content-Type: text/plain")),
    "an encoding": (415, a_request(EVENT, "Content-Encoding: gzip")),
    "no JSON": (400, a_request(b"{")),
    "nothing": (400, a_request(b"")),
    "no UTF-8": (400, a_request(b'{"event": "\xff"}')),
    "no event": (422, a_request(b'{"thing": 1}')),
    "a field too many": (422, a_request(b'{"event": {"type": "a.b", "data": {}, "more": 1}}')),
    "an event too long": (413, a_request(b'{"event": {"type": "a.b", "data": {"a": "%b"}}}' % (b"x" * 70_000))),
    "a body too long": (413, a_request(b'{"event": {"type": "a.b", "data": {"a": "%b"}}}' % (b"x" * 140_000))),
    "events too many at once": (429, a_request(EVENT, "Postback-Account: acc_slow")),
    "HTTP/1.0": (202, a_request(line=f"POST {PATH} HTTP/1.0")),
    "its last request": (202, a_request(EVENT, "Connection: close")),
    "a query": (202, a_request(line=f"POST {PATH}?a=b HTTP/1.1")),
    "another path": (404, a_request(line=f"POST {PATH}/ HTTP/1.1")),
    "another method": (405, a_request(line=f"PUT {PATH} HTTP/1.1")),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_answer_is_the_same_however_the_request_comes(live: Live, name: str) -> None:
    status, request = REQUESTS[name]

    whole, parted = in_one_piece(live, request), in_two_pieces(live, request)

    assert whole.split(b" ", 2)[1] == str(status).encode()
    assert alike(whole) == alike(parted)


def test_requests_that_come_all_at_once_are_answered_in_their_order(live: Live) -> None:
    get = a_request(b"", line="GET /health HTTP/1.1")
    with closing(connected(live)) as connection:
        connection.sendall(a_request() + get + a_request(b"{") + a_request() + a_request(BATCH) + get)

        found = [answer.split(b" ", 2)[1] for answer in answers(connection, 6)]

    assert found == [b"202", b"200", b"400", b"202", b"202", b"200"]


def test_a_connection_carries_one_event_after_the_other(live: Live) -> None:
    with closing(connected(live)) as connection:
        ids = set()
        for _ in range(5):
            connection.sendall(a_request())
            ids.update(ID.findall(answers(connection, 1)[0]))

    assert len(ids) == 5


@pytest.mark.parametrize("line", [f"POST {PATH} HTTP/1.1", f"POST {PATH} HTTP/1.0"])
def test_a_connection_that_was_to_end_ends_after_the_answer(live: Live, line: str) -> None:
    with closing(connected(live)) as connection:
        connection.sendall(a_request(EVENT, "Connection: close", line=line))

        assert answers(connection, 1)[0].startswith(b"HTTP/1.1 202 Accepted\r\n")
        assert is_closed(connection)


def test_a_body_that_is_waited_for_is_asked_for(live: Live) -> None:
    head, separator, body = a_request(EVENT, "Expect: 100-continue").partition(b"\r\n\r\n")
    with closing(connected(live)) as connection:
        connection.sendall(head + separator)
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)

        assert answers(connection, 1)[0].startswith(b"HTTP/1.1 202 ")


def test_a_body_that_comes_byte_by_byte_is_taken(live: Live) -> None:
    with closing(connected(live)) as connection:
        for byte in a_request():
            connection.sendall(bytes([byte]))

        assert answers(connection, 1)[0].startswith(b"HTTP/1.1 202 ")


def test_an_event_whose_publisher_went_away_is_accepted_all_the_same(live: Live) -> None:
    with closing(connected(live)) as connection:
        connection.sendall(a_request(b'{"event": {"type": "went.away", "data": {}}}'))

    live.until(lambda: live.rows("SELECT 1 FROM events WHERE type = 'went.away'"))
    assert in_one_piece(live, a_request()).startswith(b"HTTP/1.1 202 ")


def test_what_is_no_http_after_an_event_ends_the_connection(live: Live) -> None:
    with closing(connected(live)) as connection:
        connection.sendall(a_request(EVENT) + b"\x00 no http\r\n\r\n")
        said = b""
        while more := connection.recv(65_536):
            said += more

    assert b"HTTP/1.1 400 Bad Request" in said


@pytest.mark.anyio
async def test_a_bug_is_a_500_with_an_id_and_the_log_has_more(caplog: pytest.LogCaptureFixture) -> None:
    class Anyone(Access):
        async def identify(self, *_: object, **__: object) -> Any:
            return Principal("default", frozenset(Scope), is_operator=True, actor=Actor("key_1", "one"))

        async def acting_for(self, principal: Principal, _: str | None) -> Principal:
            return principal

    class Broken:
        access = Anyone(None, lambda: 0)  # type: ignore[arg-type]
        publishing = None
        body_limits = None
        refusals = None

    services: Any = Broken()
    scope = {"method": "POST", "path": PATH, "headers": [(b"authorization", b"Bearer x")], "client": None}

    reply = await Publish(services).reply(scope, EVENT)

    assert reply.status == 500
    [error_id] = re.findall(rb'"id":"([0-9a-f]{16})"', reply.body)
    assert error_id.decode() in caplog.text
