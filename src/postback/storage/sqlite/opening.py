"""Opening a store's file: locked, its schema brought up to date, the keys of its secrets at hand."""

import os
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from postback.storage import migrations
from postback.storage.database import CannotOpen
from postback.storage.lockfile import LockFile
from postback.storage.moved import MovedMark
from postback.storage.sqlite.connections import APPLICATION_ID, Door, open_writer
from postback.storage.sqlite.unlocking import Keys, unlock


class Opened(NamedTuple):
    """A file that is ours until `close`."""

    path: Path
    lock: LockFile
    door: Door
    keys: Keys

    def close(self) -> None:
        self.door.close()
        self.lock.release()


def open_file(path: str | Path, secret_keys: Sequence[bytes]) -> Opened:
    """CannotOpen says which file, why, and what would help; nothing stays open or locked then."""
    # Where a link leads: SQLite puts its log beside the file itself, and there the lock must be as well.
    path = Path(os.path.realpath(path))
    lock = LockFile(path)
    try:
        MovedMark(path).demand_none()
        door = open_writer(path)
        try:
            migrate(door, path)
            return Opened(path, lock, door, unlock(door, path, secret_keys))
        except BaseException:
            door.close()
            raise
    except BaseException as error:
        lock.release()
        if isinstance(error, OSError | sqlite3.Error | DBAPIError):
            raise CannotOpen(f"{path} cannot be opened: {error}") from error
        raise


def migrate(door: Door, path: Path) -> None:
    """Make or update the schema, all or nothing; a file of another program is refused untouched."""
    with door.transaction():
        found = door.raw.execute("PRAGMA application_id").fetchone()[0]
        tables = door.raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables and found != APPLICATION_ID:
            raise CannotOpen(f"{path} is a SQLite database of another program; give postback a file of its own")
        door.raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        door.run(partial(migrations.upgrade, database=str(path)))
