"""Checkpoints: moving the log into the database. By the writer between commits, or beside it where this SQLite may.

SQLite's automatic checkpoints are off: they tell nobody when the disk fails them.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from postback.storage.sqlite.connections import WAL_BYTES, open_checkpointer

PAUSE_S: Final = 0.5

# PASSIVE waits for nobody: what a reader holds back is moved the next time.
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class OwnCheckpoints:
    """By the writer itself, on its connection: in idle moments, and when the log has grown large."""

    def __init__(self, raw: sqlite3.Connection, path: Path, large_bytes: int = WAL_BYTES) -> None:
        self._raw = raw
        self._log = path.with_name(path.name + "-wal")
        self._large_bytes = large_bytes
        self._threshold = large_bytes

    def run(self) -> None:
        _, frames, moved = self._raw.execute(_CHECKPOINT).fetchone()
        # While a reader holds some of it back, trying after each commit would cost much and move little.
        self._threshold = self._large_bytes if frames == moved else self._size() + self._large_bytes // 4

    def run_if_large(self) -> None:
        """The file says how long the log is: beginning the log anew cuts it to `journal_size_limit`."""
        if self._size() > self._threshold:
            self.run()

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError as error:
            raise sqlite3.OperationalError(f"the log {self._log} cannot be looked at: {error}") from error


class Checkpointer:
    """On a thread and a connection of its own. What goes wrong is told to `failed` on that thread, and tried again."""

    def __init__(self, path: Path, failed: Callable[[sqlite3.Error], None], pause_s: float = PAUSE_S) -> None:
        self._raw = open_checkpointer(path)
        self._failed = failed
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="postback-checkpointer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._raw.close()

    def _run(self) -> None:
        while not self._stopping.wait(self._pause_s):
            try:
                self._raw.execute(_CHECKPOINT).fetchone()
            except sqlite3.Error as error:
                self._failed(error)
