"""The log of several processes on one stream: each line says whose it is, and none is broken by another."""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from postback.observability import SharedStream, start_logging
from postback.observability.line import AttemptLine
from tests import manual
from tests.patience import PATIENCE_S

WRITER = """
import sys
from postback.observability import SharedStream, start_logging

lock, process = map(int, sys.argv[1:])
log = start_logging("info", sys.stderr, lambda: None, SharedStream(process, lock))
for number in range(40):
    log.error("a bug", number=number, exception=f"{process}" * 15_000)
    log.info("short", number=number)
"""


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_long_lines_of_several_processes_in_a_pipe_that_is_full_are_not_mixed(tmp_path: Path) -> None:
    """The system keeps together what is at most 4 KiB, and of what is longer only as much as finds room."""
    reading, writing = os.pipe()
    environment = {"PYTHONPATH": os.pathsep.join([str(manual.ROOT / "src"), *sys.path]), "PATH": os.environ["PATH"]}
    with TemporaryFile(dir=tmp_path) as lock, os.fdopen(reading, "rb") as log:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(lock.fileno()), str(process)],
                pass_fds=[lock.fileno()],
                stderr=writing,
                env=environment,
            )
            for process in (1, 2, 3)
        ]
        os.close(writing)
        read = b""
        while said := os.read(log.fileno(), 3_000):
            read += said
            # Slower than they write, so that the pipe is full.
            time.sleep(0.0002)
        assert [writer.wait(PATIENCE_S) for writer in writers] == [0, 0, 0]

    lines = [json.loads(line) for line in read.splitlines()]
    assert Counter((line["process"], line["event"]) for line in lines) == {
        (process, event): 40 for process in (1, 2, 3) for event in ("a bug", "short")
    }
    assert all(set(line["exception"]) == {str(line["process"])} for line in lines if line["event"] == "a bug")


@pytest.mark.anyio
async def test_each_kind_of_line_ends_with_the_number_of_its_process() -> None:
    stream = io.StringIO()
    with TemporaryFile() as lock:
        log = start_logging("info", stream, lambda: None, SharedStream(3, lock.fileno()))
        log.info("it happened", what="this")
        ids = ("dlv_1", "evt_1", "contact.created", "pbc_1", 1, "default", None)
        log.line(AttemptLine("info", "attempt", *ids, "https://shop.example", 1, 2, 0, None, None, None, 3, 4, 5))
        logging.getLogger("somewhere").error("elsewhere")
        await asyncio.sleep(0)

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["it happened", "attempt", "elsewhere"]
    assert [(next(iter(line)), list(line)[-1], line["process"]) for line in lines] == [("timestamp", "process", 3)] * 3
    assert lines[1]["delivery"] == "dlv_1"
    assert lines[1]["latency_ms"] == 5
