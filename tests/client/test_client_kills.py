"""The server is killed while events are published, and each event is there once."""

import threading
from collections.abc import Callable
from pathlib import Path

from postback.client import Event, Published, Retrying
from tests.client.speaking import Speaker
from tests.proof.harness import KEY, Server

EVENTS = 6_000


def test_each_event_is_there_once_though_the_server_was_killed(tmp_path: Path, speaker: Callable[..., Speaker]) -> None:
    server = Server(tmp_path)
    server.start()
    events = [Event("shop.sold", {"n": number, "much": "x" * 500}) for number in range(EVENTS)]
    client = speaker(f"http://127.0.0.1:{server.port}", KEY, retrying=Retrying(times=20, first_wait_s=0.05))
    results: list[object] = []

    publishing = threading.Thread(target=lambda: results.extend(client.publish_many(events)))
    publishing.start()
    while kept(server) < EVENTS // 4:
        assert publishing.is_alive()
    server.kill()
    server.start()
    publishing.join(60)

    published = [one for one in results if isinstance(one, Published)]
    assert [one for one in results if not isinstance(one, Published)] == []
    assert [one.idempotency_key for one in published] == [one.idempotency_key for one in events]
    assert len({one.id for one in published}) == EVENTS
    assert kept(server) == EVENTS
    server.kill()


def kept(server: Server) -> int:
    return int(server.rows("SELECT count(*) AS n FROM events")[0]["n"])
