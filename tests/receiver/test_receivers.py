"""The ready receivers for ASGI and WSGI: stored before the answer, and the answer is empty whatever it says."""

import asyncio
import io
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postback.receiver import Inbox, asgi_receiver, receive, wsgi_receiver
from tests.receiver.bodies import FORM, KINDS, OTHER_SECRET, SECRET, posted

MAX_BODY = 5000


class Answer(NamedTuple):
    """What a sender gets."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Send(Protocol):
    """Send one request to the receiver under test. `announced` is the length that is announced, None for none."""

    def __call__(
        self, method: str, body: bytes, headers: Mapping[str, str], announced: int | None = ..., **options: Any
    ) -> Answer: ...


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox.in_file(tmp_path / "inbox.db")


@pytest.fixture(params=["asgi", "wsgi"])
def send(request: pytest.FixtureRequest, inbox: Inbox) -> Send:
    through = {"asgi": through_asgi, "wsgi": through_wsgi}[request.param]

    def send_it(
        method: str, body: bytes, headers: Mapping[str, str], announced: int | None = -1, **options: Any
    ) -> Answer:
        length = len(body) if announced == -1 else announced
        return through(options.pop("inbox", inbox), method, body, headers, length, {"max_body": MAX_BODY} | options)

    return send_it


def through_asgi(
    inbox: Inbox, method: str, body: bytes, headers: Mapping[str, str], length: int | None, options: Mapping[str, Any]
) -> Answer:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    raw += [] if length is None else [(b"content-length", str(length).encode())]
    half = len(body) // 2
    incoming = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:]},
    ]
    sent = asked(asgi_receiver(inbox, **options), {"type": "http", "method": method, "headers": raw}, incoming)
    start, *rest = sent
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], answered, b"".join(message["body"] for message in rest))


def asked(app: Any, scope: dict[str, Any], incoming: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an ASGI application sends, given these messages."""
    sent: list[dict[str, Any]] = []
    messages = iter(incoming)

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def through_wsgi(
    inbox: Inbox, method: str, body: bytes, headers: Mapping[str, str], length: int | None, options: Mapping[str, Any]
) -> Answer:
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "wsgi.input": io.BytesIO(body)}
    for name, value in headers.items():
        environ["CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"] = value
    if length is None:
        environ["wsgi.input_terminated"] = True
    else:
        environ["CONTENT_LENGTH"] = str(length)
    return called(wsgi_receiver(inbox, **options), environ)


def called(application: Any, environ: dict[str, Any]) -> Answer:
    started: list[Any] = []
    body = b"".join(application(environ, lambda status, headers: started.append((status, headers))))
    [(status, headers)] = started
    return Answer(int(status[:3]), {name.lower(): value for name, value in headers}, body)


def is_empty(answer: Answer) -> bool:
    return answer.body == b"" and answer.headers["content-length"] == "0" and "content-type" not in answer.headers


@pytest.mark.parametrize("announced", [-1, None], ids=["announced", "not announced"])
@pytest.mark.parametrize("name", KINDS)
def test_a_postback_is_stored_and_answered_with_200_and_nothing(
    send: Send, inbox: Inbox, name: str, announced: int | None
) -> None:
    _, one = KINDS[name]

    answers = [send("POST", one.body, one.headers, announced) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]
    assert all(map(is_empty, answers))
    bodies: list[bytes] = []
    inbox.process(lambda entry: bodies.append(entry.body))
    assert bodies == [one.body]


@pytest.mark.parametrize(
    ("method", "status", "allow"),
    [("GET", 200, None), ("HEAD", 200, None), ("PUT", 405, "GET, HEAD, POST"), ("BREW", 405, "GET, HEAD, POST")],
)
def test_other_methods_are_answered_without_a_word(
    send: Send, inbox: Inbox, method: str, status: int, allow: str | None
) -> None:
    answer = send(method, b"", {})

    assert answer.status == status
    assert is_empty(answer)
    assert answer.headers.get("allow") == allow
    assert sum(inbox.counts().values()) == 0


def test_what_is_no_postback_is_a_400(send: Send, inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    answer = send("POST", b"hello=world", {"content-type": FORM})

    assert answer.status == 400
    assert is_empty(answer)
    assert "none of a postback" in caplog.text
    assert sum(inbox.counts().values()) == 0


@pytest.mark.parametrize("secrets", [SECRET, [SECRET], [OTHER_SECRET, SECRET]])
def test_with_secrets_what_one_of_them_signed_is_taken(send: Send, secrets: Any) -> None:
    one = posted("json", now_ms=now_ms())

    assert send("POST", one.body, one.headers, secrets=secrets).status == 200


@pytest.mark.parametrize("format_name", ["json", "xml", "cloudevents"])
def test_with_secrets_nothing_else_is_taken(
    send: Send, inbox: Inbox, format_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = posted(format_name, now_ms=now_ms())

    answer = send("POST", one.body, one.headers, secrets=[OTHER_SECRET])

    assert answer.status == 401
    assert is_empty(answer)
    assert "answered 401: " in caplog.text
    assert sum(inbox.counts().values()) == 0


def test_a_signature_of_long_ago_is_refused(send: Send) -> None:
    one = posted("json", now_ms=now_ms() - 301_000)

    assert send("POST", one.body, one.headers, secrets=SECRET).status == 401


@pytest.mark.parametrize("announced", [-1, None], ids=["announced", "not announced"])
def test_a_body_is_at_most_as_long_as_allowed(send: Send, announced: int | None) -> None:
    longest = posted("api-default", "contact.updated", {"id": ""}).body
    longest += b"x" * (MAX_BODY - len(longest))

    assert send("POST", longest, {"content-type": FORM}, announced).status == 400  # read, and no postback
    too_long = send("POST", longest + b"x", {"content-type": FORM}, announced)
    assert too_long.status == 413
    assert is_empty(too_long)


def test_a_store_that_does_not_take_it_is_a_503_so_it_comes_again(
    send: Send, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def connect() -> sqlite3.Connection:
        raise sqlite3.OperationalError("the disk is full")

    away = Inbox(connect, create_table=False)
    one = posted("xml")

    answer = send("POST", one.body, one.headers, inbox=away)

    assert answer.status == 503
    assert is_empty(answer)
    assert "the disk is full" in caplog.text


def test_local_dates_are_kept_with_their_zone(send: Send, inbox: Inbox) -> None:
    one = posted("sms-callback", "sms.received", time_zone="Europe/Paris")
    seen: list[str] = []

    assert send("POST", one.body, one.headers, time_zone="Europe/Paris").status == 200

    inbox.process(lambda entry: seen.append(entry.event().data["received"]))
    assert seen == ["2026-03-02T14:44:57+01:00"]


@pytest.mark.parametrize("make", [asgi_receiver, wsgi_receiver])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"secrets": "hunter2"}, "a signing secret"),
        ({"secrets": ""}, "a signing secret"),
        ({"time_zone": "Mars/Olympus"}, "time_zone is 'Mars/Olympus'; expected a name such as"),
        ({"time_zone": "../localtime"}, "time_zone is '../localtime'; expected a name such as"),
        ({"time_zone": ""}, "time_zone is ''; expected a name such as"),
    ],
)
def test_what_would_refuse_every_request_is_told_at_the_start(
    inbox: Inbox, make: Any, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ValueError, match=why) as told:
        make(inbox, **options)

    assert "hunter2" not in str(told.value)


def test_where_no_zone_is_known_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch, inbox: Inbox) -> None:
    """Small containers have no zones, and without dependencies there is no tzdata: a right name was called wrong."""
    monkeypatch.setattr("postback.receiver.answering.ZoneInfo", {}.__getitem__)
    monkeypatch.setattr("postback.receiver.answering.available_timezones", set)

    with pytest.raises(ValueError, match="time_zone is 'Europe/Paris'; expected the package tzdata"):
        wsgi_receiver(inbox, time_zone="Europe/Paris")


@pytest.mark.parametrize("name", ["content-length", "Content-Length"])
def test_a_view_takes_no_half_of_a_form(inbox: Inbox, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Django gives a view what arrived before the connection broke; a number lost its last digits in this way."""
    one = posted("xml", xml_content_type="form")
    headers = {**one.headers, name: str(len(one.body))}

    assert receive(inbox, one.body[:-4], headers) == 400
    assert "it broke off: " in caplog.text
    assert inbox.counts()["waiting"] == 0
    assert receive(inbox, one.body, headers) == 200


@pytest.mark.parametrize("length", ["", "-1", "many", "\u00b2", "9" * 5000])
def test_a_length_that_is_none_says_nothing(inbox: Inbox, length: str) -> None:
    one = posted("xml")

    assert receive(inbox, one.body, {**one.headers, "content-length": length}) == 200


@pytest.mark.parametrize("secrets", ["", None, ("",), "hunter2"])
def test_a_view_whose_secret_is_not_set_takes_nothing(
    inbox: Inbox, secrets: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """os.environ.get("WEBHOOK_SECRET", "") where it is not set: everybody's postbacks were stored, signed or not."""
    one = posted("json")

    assert receive(inbox, one.body, one.headers, secrets=secrets) == 503

    assert inbox.counts()["waiting"] == 0
    assert "could not be checked or stored" in caplog.text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["POST", "GET", "DELETE"]),
    body=st.binary(max_size=200) | st.sampled_from([one.body for _, one in KINDS.values()]),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "x-other"]),
        st.sampled_from([FORM, "application/json", "application/xml", "1790000000", "v1,AAAA"])
        | st.text(st.characters(max_codepoint=255), max_size=30),
    ),
    secrets=st.sampled_from([(), (SECRET,)]),
)
def test_no_request_whatever_makes_them_raise_or_speak(
    send: Send, method: str, body: bytes, headers: dict[str, str], secrets: tuple[str, ...]
) -> None:
    answer = send(method, body, headers, secrets=secrets)

    assert answer.status in (200, 400, 401, 405)
    assert is_empty(answer)


# --- ASGI ------------------------------------------------------------------------------------------------------------


def test_asgi_nothing_is_stored_of_a_body_that_broke_off(inbox: Inbox) -> None:
    one = posted("xml")
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/xml")]}
    incoming = [{"type": "http.request", "body": one.body, "more_body": True}, {"type": "http.disconnect"}]

    assert asked(asgi_receiver(inbox), scope, incoming) == []

    assert sum(inbox.counts().values()) == 0


def test_asgi_a_header_that_is_there_twice_is_no_signature(inbox: Inbox) -> None:
    one = posted("json", now_ms=now_ms())
    raw = [(name.encode(), value.encode()) for name, value in one.headers.items()]
    scope = {"type": "http", "method": "POST", "headers": [*raw, (b"webhook-id", b"evt_other")]}

    start, _ = asked(asgi_receiver(inbox, secrets=SECRET), scope, [{"type": "http.request", "body": one.body}])

    assert start["status"] == 401


def test_asgi_it_starts_and_ends_with_its_server(inbox: Inbox) -> None:
    incoming: list[dict[str, Any]] = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    sent = asked(asgi_receiver(inbox), {"type": "lifespan"}, incoming)

    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def test_asgi_it_does_not_talk_over_websockets(inbox: Inbox) -> None:
    sent = asked(asgi_receiver(inbox), {"type": "websocket"}, [{"type": "websocket.connect"}])

    assert [message["type"] for message in sent] == ["websocket.close"]
    with pytest.raises(NotImplementedError, match="'mqtt'"):
        asked(asgi_receiver(inbox), {"type": "mqtt"}, [])


def test_asgi_others_are_served_while_the_store_is_busy(inbox: Inbox, tmp_path: Path) -> None:
    one = posted("xml")
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/xml")]}
    app = asgi_receiver(inbox)
    order: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": one.body}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            order.append(f"answered {message['status']}")

    async def scene() -> None:
        posting = asyncio.create_task(app(scope, receive, send))
        # The writer of another process has the file.
        for _ in range(20):
            await asyncio.sleep(0.005)
            order.append("served another")
        other.execute("COMMIT")
        await posting

    other = sqlite3.connect(tmp_path / "inbox.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asyncio.run(scene())
    other.close()

    assert order == ["served another"] * 20 + ["answered 200"]


# --- WSGI ------------------------------------------------------------------------------------------------------------


class Broken:
    """An input whose sender went away."""

    def read(self, _: int) -> bytes:
        raise OSError("connection reset")


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({}, 411),
        ({"CONTENT_LENGTH": ""}, 411),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "ten"}, 400),
        ({"CONTENT_LENGTH": "²"}, 400),
        ({"CONTENT_LENGTH": "9" * 5000}, 400),
        ({"CONTENT_LENGTH": "9" * 18}, 413),
        ({"CONTENT_LENGTH": "600"}, 400),
        ({"CONTENT_LENGTH": "600", "wsgi.input": Broken()}, 400),
        ({"wsgi.input_terminated": True, "wsgi.input": Broken()}, 400),
    ],
)
def test_wsgi_a_body_whose_end_cannot_be_told_is_not_waited_for(
    inbox: Inbox, environ: dict[str, Any], status: int
) -> None:
    whole = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": FORM, "wsgi.input": io.BytesIO(b"type=CREATE"), **environ}

    answer = called(wsgi_receiver(inbox), whole)

    assert answer.status == status
    assert is_empty(answer)


def test_wsgi_no_more_is_read_than_belongs_to_the_request(inbox: Inbox) -> None:
    one = posted("xml")
    stream = io.BytesIO(one.body + b"POST /next")
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/xml",
        "CONTENT_LENGTH": str(len(one.body)),
        "wsgi.input": stream,
    }

    assert called(wsgi_receiver(inbox), environ).status == 200
    assert stream.read() == b"POST /next"


def now_ms() -> int:
    return int(time.time() * 1000)
