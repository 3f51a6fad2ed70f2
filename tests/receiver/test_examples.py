"""The examples run as their first lines say, and take real bodies of several formats."""

import asyncio
import http.client
import importlib.util
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import postback
from postback.receiver import Inbox
from tests.patience import PATIENCE_S
from tests.receiver.bodies import FORM, SECRET, Posted, posted

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCES = Path(postback.__file__).parents[1]

BODIES = (
    posted("api-default", "contact.created", {"id": "con_1"}),
    posted("xml", "sms.sent"),
    posted("sms-callback", "sms.received"),
    posted("cloudevents", "contact.deleted", {"id": "con_2"}),
    posted("xml", "sms.sent"),
)
TYPES = ["contact.created", "contact.deleted", "sms.received", "sms.sent"]
"""Of those bodies, in the order of the alphabet; the last body is a repeat."""

Answer = tuple[int, bytes]


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INBOX", str(tmp_path / "inbox.db"))
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)
    return tmp_path / "inbox.db"


def loaded(name: str) -> Any:
    """An example as a module, anew."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def types_in(output: str) -> list[str]:
    return sorted(line.partition(": ")[0] for line in output.splitlines() if line.partition(": ")[0] in TYPES)


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def is_processed(path: Path) -> bool:
    return Inbox.in_file(path).counts() == {"waiting": 0, "processed": 4, "parked": 0}


# --- as processes ----------------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*words: str, log: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """An example as a process, which has to end well when it is asked to."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=EXAMPLES,
            env={**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            print(log.read_text())


def ask(port: int, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(port: int, path: str) -> bool:
    try:
        return ask(port, "GET", path) == (200, b"")
    except OSError:
        return False


def post_all(port: int, path: str) -> list[Answer]:
    return [ask(port, "POST", path, one.body, one.headers) for one in BODIES]


def test_asgi_stores_answers_with_nothing_and_writes_exactly_once(inbox: Path, port: int, tmp_path: Path) -> None:
    with running("receiver_asgi.py", log=tmp_path / "log", PORT=str(port)) as process:
        until(lambda: answers(port, "/"), "it answers")
        assert post_all(port, "/any/path") == [(200, b"")] * 5
        assert ask(port, "POST", "/", b"hello=world", {"content-type": FORM}) == (400, b"")
        until(lambda: is_processed(inbox), "all is processed")

    assert process.returncode in (0, -signal.SIGINT, 130)
    connection = sqlite3.connect(inbox)
    assert [row[0] for row in connection.execute("SELECT type FROM happened ORDER BY type")] == TYPES
    connection.close()
    assert types_in((tmp_path / "log").read_text()) == TYPES


def test_django_stores_in_one_process_and_works_in_another(inbox: Path, port: int, tmp_path: Path) -> None:
    with (
        running("receiver_django.py", "runserver", str(port), "--noreload", log=tmp_path / "server.log"),
        running("receiver_django.py", "work", log=tmp_path / "worker.log"),
    ):
        until(lambda: answers(port, "/postbacks"), "it answers")
        assert post_all(port, "/postbacks") == [(200, b"")] * 5
        assert ask(port, "POST", "/postbacks", b"<html/>", {"content-type": "text/xml"}) == (400, b"")
        assert ask(port, "DELETE", "/postbacks") == (405, b"")
        until(lambda: is_processed(inbox), "all is processed")

    assert types_in((tmp_path / "worker.log").read_text()) == TYPES


# --- in this process -------------------------------------------------------------------------------------------------


def test_flask_stores_beside_its_own_routes(inbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = loaded("receiver_flask")
    client = example.app.test_client()

    for one in BODIES:
        answer = client.post("/postbacks", data=one.body, headers=dict(one.headers))
        assert (answer.status_code, answer.data) == (200, b"")
    assert client.post("/postbacks", data=b"{}", content_type="application/json").status_code == 400
    assert client.get("/parked").json == []
    assert client.post("/parked/unknown/release").status_code == 404

    example.inbox.process(example.handle)
    assert is_processed(inbox)
    assert types_in(capsys.readouterr().out) == TYPES


def test_flask_works_until_it_is_told_to_stop(inbox: Path, tmp_path: Path) -> None:
    for one in BODIES:
        Inbox.in_file(inbox).put(one.body, one.content_type, headers=one.headers)

    with running("-m", "flask", "--app", "receiver_flask", "work", log=tmp_path / "log") as process:
        until(lambda: is_processed(inbox), "all is processed")

    assert process.returncode == 0
    assert types_in((tmp_path / "log").read_text()) == TYPES


def test_fastapi_stores_beside_its_own_routes_while_its_worker_runs(
    inbox: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = loaded("receiver_fastapi")

    async def scene() -> list[Answer]:
        async with example.app.router.lifespan_context(example.app):
            answers = [await through(example.app, "POST", "/postbacks", one) for one in BODIES]
            await asyncio.to_thread(until, lambda: is_processed(inbox), "all is processed")
            return [*answers, await through(example.app, "GET", "/counts")]

    assert asyncio.run(scene()) == [(200, b"")] * 5 + [(200, b'{"waiting":0,"processed":4,"parked":0}')]
    assert types_in(capsys.readouterr().out) == TYPES


@pytest.mark.parametrize("name", ["receiver_fastapi", "receiver_flask"])
def test_with_a_secret_they_take_only_what_is_signed(inbox: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    app = loaded(name).app
    signed, unsigned = posted("json", now_ms=int(time.time() * 1000)), posted("xml")

    def status(one: Posted) -> int:
        if name == "receiver_fastapi":
            return asyncio.run(through(app, "POST", "/postbacks", one))[0]
        return int(app.test_client().post("/postbacks", data=one.body, headers=dict(one.headers)).status_code)

    assert [status(one) for one in (signed, unsigned)] == [200, 401]


async def through(app: Any, method: str, path: str, one: Posted | None = None) -> Answer:
    """One request to an ASGI application, without a server."""
    one = one or Posted(b"")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": None,
        "server": ("127.0.0.1", 80), "headers": [(name.encode(), value.encode()) for name, value in one.headers.items()],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": one.body}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])
