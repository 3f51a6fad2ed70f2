"""The examples for publishers run as their first lines say."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import postback
from postback.cli.client import Client as Known
from tests import manual
from tests.patience import PATIENCE_S

SOURCES = Path(postback.__file__).parents[1]


def run(name: str, *words: str, folder: Path, url: str, key: str | None) -> "subprocess.CompletedProcess[str]":
    # Of what is installed they need nothing.
    program = [sys.executable, "-S", str(manual.ROOT / "examples" / name), *words]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "POSTBACK_PUBLIC_URL": url, "POSTBACK_API_KEY": key or ""}
    return subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )


def test_what_was_sold_is_published_once(served: Known, tmp_path: Path) -> None:
    before = len(list(served.list("/v2/events", type="order.created")))

    told = run("publish.py", "1200", folder=tmp_path, url=served.url, key=served.key)

    assert (told.stdout, told.stderr) == ("1200 events were published, 0 wait for somebody to look at them\n", "")
    assert len(list(served.list("/v2/events", type="order.created"))) - before == 1_200
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert shop.execute("SELECT count(*) FROM orders").fetchone() == (1_200,)
    shop.close()


def test_what_can_never_be_accepted_does_not_stop_the_rest(served: Known, tmp_path: Path) -> None:
    run("publish.py", "0", folder=tmp_path, url=served.url, key=served.key)
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("INSERT INTO outbox (key, type, data) VALUES ('k', 'Not a type', '{}')")
    shop.close()

    told = [run("publish.py", "5", folder=tmp_path, url=served.url, key=served.key) for _ in range(2)]

    assert [one.stdout.split(" ")[0] for one in told] == ["6", "5"]
    assert all("1 wait for somebody" in one.stdout for one in told)


@pytest.mark.parametrize("key", ["a-key-that-nobody-knows-of"])
def test_what_is_not_published_stays_where_it_is(served: Known, tmp_path: Path, key: str) -> None:
    told = run("publish.py", "3", folder=tmp_path, url=served.url, key=key)

    assert "Unauthorized" in told.stderr
    assert run("publish.py", "0", folder=tmp_path, url=served.url, key=served.key).stdout.startswith("3 events")


def test_many_tasks_publish_together(served: Known, tmp_path: Path) -> None:
    told = run("publish_async.py", "700", folder=tmp_path, url=served.url, key=served.key)

    assert told.stderr == ""
    assert told.stdout.startswith("700 of 700 customers were served\nevt_")


def test_each_task_hears_that_its_event_is_not_accepted(served: Known, tmp_path: Path) -> None:
    told = run("publish_async.py", "2", folder=tmp_path, url=served.url, key="a-key-that-nobody-knows-of")

    assert "order 1 is not accepted: " in told.stdout
    assert "0 of 2 customers were served" in told.stdout
