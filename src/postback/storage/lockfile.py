"""One server process per SQLite file: whoever holds the lock file is the server."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from postback.storage.database import CannotOpen

_PID_BYTES: Final = 32
_PATIENCE_S: Final = 0.2
_PAUSE_S: Final = 0.01


class LockFile:
    """`<database>.lock`, held until `release` or the end of the process, however it ends.

    The file itself stays: removing it would let a third process lock a new file of the same name. Whoever only asks
    whether a server runs holds it for a moment, which is waited for.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotOpen(f"{self.path} cannot be opened: {error.strerror}") from error
        try:
            _lock(self._descriptor)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise CannotOpen(
                f"{database} is in use by another postback process (pid {holder}), which holds {self.path}; "
                "stop that process, or give this one a database of its own"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
        time.sleep(_PAUSE_S)  # noqa: TID251 - without the lock there is nothing yet that this could hold up
