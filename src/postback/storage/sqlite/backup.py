"""A copy of the file as it is at one moment, taken beside a server at work, and looked at before it gets its name."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from postback.storage.database import CannotOpen
from postback.storage.sqlite.connections import APPLICATION_ID, open_reader

PAGES_AT_ONCE: Final = 512

PART: Final = ".part"
"""What a copy's name ends in until it is whole; one that was cut short is written over by the next."""

LOGS: Final = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file. Beside another file of the same name it would be taken for that one's."""


class CannotCopy(CannotOpen):
    """There is no copy; the message says why, and what would help."""


class Copied(NamedTuple):
    """What the copy holds: its bytes, and how many rows of each table."""

    size: int
    rows: Mapping[str, int]


def copy(source: Path, target: Path, told: Callable[[int, int], None], *, may_replace: bool = False) -> Copied:
    """All that was committed when this began. `target` is there once the copy is on the disk, and before that as it was.

    `told` hears (pages done, pages in all). CannotOpen for a source that cannot be read; CannotCopy otherwise.
    """
    door = open_reader(source)
    part = target.with_name(target.name + PART)
    try:
        _demand_ours(door.raw, source)
        with _written(part) as fresh:
            rows = _copy(door.raw, part, told)
            _demand_same(part, rows)
            os.fsync(fresh)
            size = os.fstat(fresh).st_size
            _name(part, target, may_replace=may_replace)
    except sqlite3.Error as error:
        raise CannotCopy(f"{source} cannot be copied to {target}: {error}") from error
    except OSError as error:
        raise CannotCopy(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        door.close()
    return Copied(size, rows)


def size_of(source: Path) -> int:
    """Bytes that a copy would have."""
    door = open_reader(source)
    try:
        pages: int = door.raw.execute("PRAGMA page_count").fetchone()[0]
        page: int = door.raw.execute("PRAGMA page_size").fetchone()[0]
    finally:
        door.close()
    return pages * page


def _demand_ours(raw: sqlite3.Connection, source: Path) -> None:
    if raw.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise CannotCopy(f"{source} is not a database of postback")


@contextmanager
def _written(part: Path) -> Iterator[int]:
    """A file for the copy alone, which is gone afterwards unless it was given its name."""
    fresh = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fresh, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # One that has just become whole has another name now.
        is_free = part.exists() and part.stat().st_ino == os.fstat(fresh).st_ino
    except BlockingIOError:
        is_free = False
    if not is_free:
        os.close(fresh)
        raise CannotCopy(f"{part} is being written by another `postback backup`; wait for it")
    try:
        # It holds what people are told, and sealed passwords.
        os.fchmod(fresh, 0o600)
        os.ftruncate(fresh, 0)
        yield fresh
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(fresh)


def _copy(source: sqlite3.Connection, part: Path, told: Callable[[int, int], None]) -> Mapping[str, int]:
    # One moment for all of it: without a transaction the copy would begin anew at each commit of the server. It costs
    # the server nothing but that its log grows meanwhile. This connection reads and nothing else: before SQLite 3.51.3
    # a second one that checkpoints beside a writer can corrupt the log.
    source.execute("BEGIN")
    try:
        source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        target = sqlite3.connect(part.absolute().as_uri(), uri=True, isolation_level=None)
        try:
            # Nobody needs half a copy: it is either finished and then put on the disk as a whole, or thrown away.
            target.execute("PRAGMA journal_mode = OFF")
            target.execute("PRAGMA synchronous = OFF")
            source.backup(
                target, pages=PAGES_AT_ONCE, progress=lambda _, left, total: told(total - left, total), sleep=0
            )
        finally:
            target.close()
        return _rows(source)
    finally:
        source.execute("ROLLBACK")


def _rows(raw: sqlite3.Connection) -> Mapping[str, int]:
    """Table → how many rows; of whatever version the schema is."""
    tables = raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
    return {name: raw.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in sorted(tables)}  # noqa: S608


def _demand_same(part: Path, rows: Mapping[str, int]) -> None:
    """Read as a file that nobody writes to: no log is made beside it."""
    copied = sqlite3.connect(f"{part.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        [sound] = copied.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise CannotCopy(f"the copy is damaged, and was thrown away: {sound}; look at the database with `doctor`")
        found = _rows(copied)
    finally:
        copied.close()
    if found != rows:
        raise CannotCopy(f"the copy has other rows than the database, and was thrown away: {found}, not {rows}")


def _name(part: Path, target: Path, *, may_replace: bool) -> None:
    """Durably."""
    if may_replace:
        for ending in LOGS:
            target.with_name(target.name + ending).unlink(missing_ok=True)
        part.replace(target)
    else:
        _name_anew(part, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _name_anew(part: Path, target: Path) -> None:
    """Not where there is something, though it may have come this very moment."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise CannotCopy(f"{target} exists already; name another file") from None
    except OSError:
        # A disk that knows no second names.
        if target.exists():
            raise CannotCopy(f"{target} exists already; name another file") from None
        part.replace(target)
        return
    part.unlink()
