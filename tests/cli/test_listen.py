"""The test receiver: shows what arrives, masks what proves who sent it, and fails as it is told."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from postback.cli.arrivals import as_object, shown_body, shown_headers
from postback.receiver.server import Behaviour, Received, TestReceiver
from tests.cli.calling import Cli, Ended
from tests.patience import PATIENCE_S
from tests.receiver.bodies import OTHER_SECRET, SECRET, Posted, posted

FORM = "application/x-www-form-urlencoded"


def a_request(body: bytes, content_type: str = FORM, *more: tuple[str, str]) -> Received:
    return Received(1, "POST", "/in", (("Host", "x"), ("Content-Type", content_type), *more), body, 0.0)


def post(port: int, bodies: Sequence[bytes], headers: dict[str, str] | None = None) -> list[int]:
    """The statuses of POSTs on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    statuses = []
    for body in bodies:
        connection.request("POST", "/in", body, headers or {})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses


def test_a_form_is_shown_by_its_parameters_and_json_spread_over_lines() -> None:
    assert shown_body(a_request(b"type=CREATE&data=%7B%22id%22%3A1%7D&empty=")) == [
        "type = CREATE",
        "data = {",
        '         "id": 1',
        "       }",
        "empty = ",
    ]


def test_what_a_sender_wrote_cannot_move_the_cursor() -> None:
    hostile = a_request(b"\x1b[2J\xff", "text/plain", ("X-Evil", "\x1b[2J"))

    assert shown_body(hostile) == ["\\x1b[2J\\xff"]
    assert dict(shown_headers(hostile))["X-Evil"] == "\\x1b[2J"


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "x-auth-token", "Cookie"])
def test_what_proves_who_sent_it_is_masked_as_in_the_log(name: str) -> None:
    request = a_request(b"", FORM, (name, "aHVzaA=="))

    assert dict(shown_headers(request))[name] == "***"
    assert "aHVzaA" not in json.dumps(as_object(request, 200))


def test_it_fails_the_first_times_and_then_recovers() -> None:
    heard: list[tuple[int, bytes, int]] = []

    with TestReceiver(lambda got, status: heard.append((got.number, got.body, status)), Behaviour(503, 2)) as receiver:
        statuses = post(receiver.port, [b"a", b"b", b"c"])

    assert statuses == [503, 503, 200]
    assert heard == [(1, b"a", 503), (2, b"b", 503), (3, b"c", 200)]


def test_what_broke_off_is_not_shown_as_if_it_were_whole() -> None:
    heard: list[bytes] = []

    with (
        TestReceiver(lambda got, _: heard.append(got.body)) as receiver,
        socket.create_connection(("127.0.0.1", receiver.port), 10) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nTO=120255")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""

    assert heard == []


def test_it_waits_before_it_answers_and_not_at_its_end() -> None:
    heard = threading.Event()
    started = time.monotonic()

    with ThreadPoolExecutor() as pool:
        with TestReceiver(lambda *_: heard.set(), Behaviour(delay_s=600)) as receiver:
            asking = pool.submit(post, receiver.port, [b""])
            assert heard.wait(PATIENCE_S)
            assert not asking.done()

        assert asking.result(10) == [200]

    assert time.monotonic() - started < 60


def test_what_was_heard_is_answered_also_when_it_ends_meanwhile() -> None:
    heard = threading.Event()

    def slowly(*_: object) -> None:
        heard.set()
        time.sleep(0.2)

    with ThreadPoolExecutor() as pool:
        with TestReceiver(slowly) as receiver:
            asking = pool.submit(post, receiver.port, [b""])
            assert heard.wait(PATIENCE_S)

        assert asking.result(10) == [200]


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "99999999999"}, {"Content-Length": "x"}, {"Transfer-Encoding": "chunked"}]
)
def test_a_body_that_is_too_long_or_not_announced_is_refused(headers: dict[str, str]) -> None:
    heard: list[Received] = []

    with TestReceiver(lambda got, _: heard.append(got)) as receiver:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=PATIENCE_S)
        connection.putrequest("POST", "/in")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()

    assert (status, heard) == (413, [])


def test_the_command_shows_what_arrives_and_ends_when_it_was_told(cli: Cli, unused_port: int) -> None:
    ended = listening(cli, unused_port, [b"type=CREATE", b"type=UPDATE"], "--status", "500", "--for", "1")

    assert ended.code == 0
    assert f"listening on http://127.0.0.1:{unused_port}" in ended.out
    assert "POST /in  → 500" in ended.out
    assert "type = CREATE" in ended.out
    assert "POST /in  → 200" in ended.out
    assert "type = UPDATE" in ended.out


def test_scripts_get_one_json_object_a_request(cli: Cli, unused_port: int) -> None:
    ended = listening(cli, unused_port, [b"a", b"b"], "--json")

    assert [json.loads(line)["body"] for line in ended.out.splitlines()] == ["a", "b"]


def test_it_says_what_a_body_is_and_what_it_means_in_our_names(cli: Cli, unused_port: int) -> None:
    xml = posted("xml", "sms.received")

    ended = listening(cli, unused_port, [xml.body], headers=xml.headers)

    lines = ended.out.splitlines()
    assert "sms.received · format xml" in lines
    assert lines[-5:] == [
        "  from            12025550166",
        "  to              24687",
        "  text            INFO opening hours & prices",
        "  received        2026-03-02T08:44:57-05:00",
        "  transaction_id  704QK-51830-66LWD-290Z5",
    ]


def test_a_form_shows_the_number_of_its_attempt_and_its_data_once(cli: Cli, unused_port: int) -> None:
    form = posted("api-default", "contact.updated", {"id": "con_1"}, counter=3)

    ended = listening(cli, unused_port, [form.body], headers=form.headers)

    assert "contact.updated · format api-default · attempt 3" in ended.out
    assert ended.out.count("con_1") == 1


def test_what_is_no_postback_is_shown_with_the_reason(cli: Cli, unused_port: int) -> None:
    ended = listening(cli, unused_port, [b"hello=world"])

    assert "not a postback: a form whose parameters are none of a postback" in ended.out
    assert "hello = world" in ended.out


def signed_now() -> Posted:
    return posted("json", now_ms=int(time.time() * 1000))


@pytest.mark.parametrize(
    ("secret", "said"),
    [(SECRET, "signed"), (OTHER_SECRET, "refused: none of the signatures is that of this body, id and time")],
)
def test_it_checks_signatures(cli: Cli, unused_port: int, secret: str, said: str) -> None:
    one = signed_now()

    ended = listening(cli, unused_port, [one.body], "--secret", secret, headers=one.headers)

    assert any(line.startswith(said) for line in ended.out.splitlines())
    assert "→ 200" in ended.out
    assert secret not in ended.out


def test_scripts_get_the_event_and_the_signature(cli: Cli, unused_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    one = signed_now()

    ended = listening(cli, unused_port, [one.body, one.body + b" x"], "--json", headers=one.headers)

    good, bad = map(json.loads, ended.out.splitlines())
    assert good["event"]["type"] == "sms.delivered"
    assert good["event"]["id"] == one.headers["webhook-id"]
    assert (good["signature"], good["not_a_postback"]) == ("signed", None)
    assert bad["event"] is None
    assert bad["not_a_postback"].startswith("not JSON: ")
    assert bad["signature"].startswith("refused: ")


def test_local_dates_are_shown_in_the_zone_that_is_told(cli: Cli, unused_port: int) -> None:
    one = posted("sms-callback", "sms.received", time_zone="Europe/Paris")

    ended = listening(cli, unused_port, [one.body], "--time-zone", "Europe/Paris", headers=one.headers)

    assert "2026-03-02T14:44:57+01:00" in ended.out


@pytest.mark.parametrize(
    ("option", "why"),
    [(("--secret", "hunter2"), "a signing secret"), (("--time-zone", "Mars"), "time_zone is 'Mars'")],
)
def test_a_secret_or_zone_that_is_none_is_told_at_once(cli: Cli, option: tuple[str, str], why: str) -> None:
    ended = cli("listen", *option)

    assert ended.code == 2
    assert why in ended.err
    assert "hunter2" not in ended.err


def test_a_port_that_is_taken_is_told(cli: Cli) -> None:
    with TestReceiver(lambda *_: None) as receiver:
        ended = cli("listen", "--port", str(receiver.port))

    assert ended.code == 2
    assert ended.err == f"error: 127.0.0.1:{receiver.port} cannot be listened on: Address already in use\n"


@pytest.fixture
def unused_port() -> int:
    from tests.ports import free_port

    return free_port()


def listening(cli: Cli, port: int, bodies: list[bytes], *words: str, headers: Mapping[str, str] | None = None) -> Ended:
    """`listen` while these bodies are sent to it."""

    def send() -> None:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                post(port, bodies, dict(headers or {"Content-Type": FORM}))
            except ConnectionRefusedError:
                time.sleep(0.01)
            else:
                return

    sending = threading.Thread(target=send)
    sending.start()
    ended = cli("listen", "--port", str(port), "--stop-after", str(len(bodies)), *words)
    sending.join()
    return ended
