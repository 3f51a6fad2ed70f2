"""Lock files of the workers on this machine: the system drops the lock of whoever dies, so the others see it at once."""

import fcntl
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Final

LOOK_S: Final = 0.5
"""So often the locks of the others are tried."""

KEPT_S: Final = 86_400
"""After so long the file of one that is dead says nothing that its lease has not said."""

TRIES: Final = 5

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Lives:
    """Of one process; its own workers are those that it has begun.

    A file that is there and not locked says for certain that its worker is dead. All else says nothing, and the lease
    holds: no file, one of another machine or of before its last start, or a folder that is not this user's alone.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is made where there is none. By default it is this user's in that for temporary files."""
        self._wanted = folder
        self._folder: Path | None = None
        self._machine = _machine()
        self._own: dict[int, int] = {}
        self._watched: set[int] = set()

    def begin(self, worker: int) -> None:
        """It lives, until `end` or the end of this process, however that comes."""
        with suppress(OSError):
            folder = self._wanted or Path(gettempdir()) / f"postback-workers-{os.geteuid()}"
            self._own[worker] = descriptor = _locked(folder, worker, self._machine)
            self._folder = folder
            _sweep(folder, os.fstat(descriptor).st_mtime - KEPT_S)

    def end(self, worker: int) -> None:
        """It holds nothing any more, whoever's it was."""
        self._watched.discard(worker)
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / str(worker)).unlink()
                # Whoever is last takes it away; to the others it is not empty.
                self._folder.rmdir()
        descriptor = self._own.pop(worker, None)
        if descriptor is not None:
            os.close(descriptor)

    def is_over(self, worker: int) -> bool:
        """Whether it is dead for certain."""
        if self._folder is None:
            return False
        try:
            descriptor = os.open(self._folder / str(worker), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            # Others that look share the lock; the worker does not.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return os.read(descriptor, len(self._machine) + 1) == self._machine
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def watch(self, workers: Iterable[int]) -> None:
        """These are all that are registered."""
        self._watched = set(workers)

    def one_is_over(self) -> bool:
        """Whether a watched one is dead; each is told of once, until it is watched again."""
        over = {worker for worker in self._watched if self.is_over(worker)}
        self._watched -= over
        return bool(over)

    def close(self) -> None:
        """As at the end of the process: others see that its workers are dead."""
        for descriptor in self._own.values():
            os.close(descriptor)
        self._own.clear()


def _machine() -> bytes:
    """Another one for each machine, and after each start of it."""
    try:
        boot = _BOOT.read_bytes()
    except OSError:
        boot = b""
    return boot + socket.gethostname().encode()


def _make(folder: Path) -> None:
    """OSError where others may write there: a file of theirs would say that one of ours is dead."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not this user's alone")


def _locked(folder: Path, worker: int, text: bytes) -> int:
    """A descriptor of the worker's new file, which nobody sees without its lock."""
    path, unseen = folder / str(worker), folder / f"{worker}.new"
    for left in reversed(range(TRIES)):
        _make(folder)
        try:
            descriptor = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            break
        except FileNotFoundError:
            # Somebody else has just been the last.
            if not left:
                raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, text)
        unseen.rename(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(folder: Path, before: float) -> None:
    """Whose dead nobody has freed for long: made before that time of the file system."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.lstat().st_mtime < before and _is_free(path):
                path.unlink()


def _is_free(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
