"""`serve` as a process of its own, for the tests that start and stop it. It finds a database in which there is nothing."""

import signal
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

from postback.cli.trial import environment
from tests.databases import new_database
from tests.patience import PATIENCE_S
from tests.ports import free_port


class Served:
    """`serve` as a process of its own in a folder."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", **settings: str) -> None:
        self.url = f"http://{host}:{free_port()}"
        if not (folder / "postback.db").exists():
            copyfile(new_database(), folder / "postback.db")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "postback", "serve", "--listen", self.url.removeprefix("http://")],
            cwd=folder,
            env=environment() | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def announced(self) -> str:
        """What it says up to the last of the lines to paste."""
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if " deliveries list " in line:
                return "".join(lines)
        raise AssertionError(f"it ended: {self.process.communicate()[1]}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.last_words, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode
