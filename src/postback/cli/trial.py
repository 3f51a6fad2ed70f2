"""A server to try things out with: a process of its own, on a free port, in a folder that goes away with it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import postback
from postback.cli.client import Client, NotReachable, Refused
from postback.cli.output import CommandError
from postback.settings import PREFIX

START_S: Final = 30.0
STOP_S: Final = 30.0
LOG_TAIL: Final = 20


@contextmanager
def trial_server() -> Iterator[Client]:
    """A running server, and a client with its operator key."""
    with TemporaryDirectory(prefix="postback-") as name:
        folder = Path(name)
        database, log = folder / "demo.db", folder / "server.log"
        address = f"127.0.0.1:{free_port()}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "postback", "serve", "--listen", address, "--database", str(database)],
                cwd=folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            url = f"http://{address}"
            _wait_until_ready(process, Client(url, None), log)
            yield Client(url, Path(f"{database}.key").read_text("ascii").strip())
        finally:
            _stop(process)


def environment() -> dict[str, str]:
    """Ours without its settings: the trial is the same whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    packages = str(Path(postback.__file__).absolute().parents[1])
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, [packages, kept.get("PYTHONPATH")]))
    return kept


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], client: Client, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            client.get("/ready")
        except (NotReachable, Refused):
            time.sleep(0.05)
        else:
            return
    lines = log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL:]
    raise CommandError("\n".join(["the server did not start; its last words:", *lines]))


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
