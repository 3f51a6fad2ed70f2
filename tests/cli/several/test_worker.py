"""`worker`: processes that only deliver, from the database that servers accept into."""

import re
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postback.bootstrap.role import SERVER, WORKER
from postback.cli.worker import announcement
from postback.settings import load_settings
from tests import postgres
from tests.cli.nodes import Arrived, ask, on, until
from tests.live import Live

pytestmark = pytest.mark.anyio

LOOPBACK = {"POSTBACK_ALLOW_NETWORKS": "127.0.0.0/8"}


class LiveWorker(Live):
    command = "worker"


@pytest.fixture
async def dsn(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[str]:
    making = postgres.empty_database() if getattr(request, "param", None) == "empty" else postgres.database()
    async with making as found:
        yield found


def a_folder(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir()
    return folder


def accept(tmp_path: Path, dsn: str, url: str, count: int) -> None:
    """Events that nobody has claimed when the only server has ended."""
    with Live(a_folder(tmp_path, "server"), **on(dsn)) as server:
        server.config(url, "order.*", format="json")
        soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        events = [{"type": "order.paid", "data": {}, "deliver_at": soon} for _ in range(count)]
        assert server.ask("POST", "/v2/events", {"events": events}).status in (200, 202)
        server.end(signal.SIGTERM)


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_a_worker_delivers_what_a_server_has_stored(tmp_path: Path, dsn: str, processes: str) -> None:
    with Arrived() as arrived:
        accept(tmp_path, dsn, arrived.url, 20)
        assert arrived.ids == []

        folder = a_folder(tmp_path, "worker")
        with LiveWorker(folder, POSTBACK_PROCESSES=processes, **LOOPBACK, **on(dsn)) as worker:
            until(lambda: "what is due in" in worker.said)
            until(lambda: len(arrived.ids) == 20)
            until(lambda: len(worker.lines("attempt delivered")) == 20)
            statuses = {
                path: worker.ask("GET", path).status
                for path in ("/health", "/ready", "/metrics", "/v2/events", "/docs")
            }
            published = worker.ask("POST", "/v2/events", {"event": {"type": "order.paid", "data": {}}})
            text = worker.ask("GET", "/metrics").text
            worker.end(signal.SIGTERM)

    assert len(set(arrived.ids)) == 20
    assert await ask(dsn, "SELECT count(*) FROM owed") == 0
    assert await ask(dsn, "SELECT count(*) FROM workers") == 0
    assert statuses == {"/health": 200, "/ready": 200, "/metrics": 200, "/v2/events": 404, "/docs": 404}
    assert published.status == 404
    attempts = re.findall(r'^postback_attempts_total{.*verdict="delivered"} (\S+)$', text, re.MULTILINE)
    assert (len(attempts), sum(map(float, attempts))) == (int(processes), 20)
    assert "deliver" in worker.said.splitlines()[0]
    assert "PASSWORD" not in worker.said
    assert worker.said.endswith("postback has stopped; nothing that was accepted is lost\n")
    assert (worker.process.returncode, "Traceback" in worker.log) == (0, False)


@pytest.mark.parametrize("dsn", ["empty"], indirect=True)
async def test_a_worker_on_a_new_database_makes_its_tables_and_no_key(tmp_path: Path, dsn: str) -> None:
    with LiveWorker(a_folder(tmp_path, "worker"), **on(dsn)) as worker:
        worker.end(signal.SIGTERM)

    assert await ask(dsn, "SELECT count(*) FROM api_keys") == 0
    assert await ask(dsn, "SELECT count(*) FROM accounts") == 0
    assert "Private networks are not called" in worker.said


async def test_a_worker_and_a_server_share_the_work_and_a_change_holds_for_both(tmp_path: Path, dsn: str) -> None:
    with (
        Live(a_folder(tmp_path, "server"), **on(dsn)) as server,
        LiveWorker(a_folder(tmp_path, "worker"), **LOOPBACK, **on(dsn)) as worker,
        Arrived() as first,
        Arrived() as second,
    ):
        config = server.config(first.url, "order.*", format="json", max_in_flight=1)
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        events = [{"type": "order.paid", "data": {}, "deliver_at": soon} for _ in range(10)]
        assert server.ask("POST", "/v2/events", {"events": events}).status in (200, 202)
        changed = server.ask("PUT", f"/v2/postbackconfigs/{config}", {"postbackconfig": {"url": second.url}})
        assert changed.status == 200
        until(lambda: len(second.ids) == 10)
        time.sleep(0.2)
        until(lambda: len(worker.lines("attempt delivered") + server.lines("attempt delivered")) == 10)

    assert first.ids == []
    assert len(set(second.ids)) == 10


def test_without_word_of_networks_a_worker_calls_none_that_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that listens on loopback is for trying out; where a worker listens says nothing."""
    monkeypatch.chdir(tmp_path)
    plain, given = load_settings(), load_settings(allow_networks="10.0.0.0/8")

    assert SERVER.networks(plain)
    assert WORKER.networks(plain) == ()
    assert WORKER.networks(given) == SERVER.networks(given)


def test_a_worker_says_where_it_takes_from_without_a_password_and_where_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(
        database="postgresql://me:hush@db.example/shop", worker_listen="127.0.0.1:9100", processes=4
    )

    said = announcement(settings)

    assert said.startswith("4 workers deliver what is due in postgresql://me:***@db.example/shop\n")
    assert "http://127.0.0.1:9100 answers" in said
    assert "hush" not in said
