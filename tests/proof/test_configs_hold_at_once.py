"""What was answered at one process holds at every other from then on: a config applies to the very next event."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import postgres
from tests.patience import PATIENCE_S
from tests.proof.harness import Server, until
from tests.proof.quick import QuickReceivers
from tests.proving import times

CONFIGS = times(20, 1_000)


@pytest.fixture
async def servers(tmp_path: Path, anyio_backend: str) -> AsyncIterator[list[Server]]:
    """Two on one database."""
    async with postgres.database() as dsn:
        folders = [tmp_path / "one", tmp_path / "other"]
        for folder in folders:
            folder.mkdir()
        servers = [Server(folder, {"POSTBACK_LOG_LEVEL": "warning"}, dsn=dsn) for folder in folders]
        yield servers
        for server in servers:
            server.end()


def test_a_config_made_at_one_server_holds_at_once_for_an_event_at_the_other(servers: list[Server]) -> None:
    came: Counter[str] = Counter()

    def answer(path: str, _: bytes) -> tuple[int, float]:
        came[path] += 1
        return 200, 0.0

    receivers = QuickReceivers(answer)
    for server in servers:
        server.start()
    for number in range(CONFIGS):
        one, other = servers if number % 2 else servers[::-1]
        kind = f"order.n{number}"
        one.create("/v2/postbackconfigs", "postbackconfig", {"event_types": [kind], "url": receivers.url(f"/{number}")})
        status, answered = other.call("POST", "/v2/events", {"event": {"type": kind, "data": {}}})
        assert (status, answered["event"]["deliveries"]) == (202, 1), number
    until(lambda: servers[0].owed() == 0, PATIENCE_S, "all is delivered")
    assert [server.terminate() for server in servers] == [0, 0]
    receivers.close()

    assert came == Counter({f"/{number}": 1 for number in range(CONFIGS)})
