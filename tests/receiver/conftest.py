"""An inbox in a file of its own, with a clock that the test sets."""

import logging
from pathlib import Path

import pytest

from postback.receiver import Inbox
from tests.receiver.boxes import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.db"


@pytest.fixture
def inbox(path: Path, clock: Clock) -> Inbox:
    return Inbox.in_file(path, clock=clock, lease_s=60, retry_waits_s=(5, 30))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "postback.receiver")
