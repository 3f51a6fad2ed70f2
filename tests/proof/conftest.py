"""A server on a new database of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import postgres
from tests.proof.harness import Server

QUIET = {"POSTBACK_LOG_LEVEL": "warning"}

LEASE = {"POSTBACK_LEASE": "2 s"}
"""A file knows at once that whoever had it is gone; of the processes on PostgreSQL this says it."""


@pytest.fixture(params=["sqlite", "postgres"])
async def server(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Server]:
    """Not started yet; it is killed at the end where it still runs."""
    if request.param == "sqlite":
        server = Server(tmp_path, QUIET)
        yield server
        server.end()
        return
    async with postgres.database() as dsn:
        server = Server(tmp_path, QUIET | LEASE, dsn=dsn)
        yield server
        server.end()
