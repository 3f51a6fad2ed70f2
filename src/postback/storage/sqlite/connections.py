"""Connections to the file: one that writes, a few that read, each also as SQLAlchemy sees it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool
from sqlalchemy.util import LRUCache

from postback.storage.committed import Uncommitted
from postback.storage.database import CannotOpen

T = TypeVar("T")

APPLICATION_ID: Final = 0x70_6F_73_74
PAGE_BYTES: Final = 8192
WAL_BYTES: Final = 64 << 20
BUSY_MS: Final = 5000

CHECKPOINTS_BY_OTHERS: Final = (3, 51, 3)
"""From this version on another connection may checkpoint while one writes; before it, that can corrupt the log."""


# For values of these types the module looks for a way to adapt them each time one is bound, at more cost than the
# binding, unless it is told one: here they stay what they are.
_NONE_OF_NONE: Final[Callable[[Any], Any]] = {}.get
sqlite3.register_adapter(type(None), _NONE_OF_NONE)
sqlite3.register_adapter(bytes, bytes)

# Statements compiled once for all connections: each costs a few milliseconds.
_COMPILED: Final[LRUCache[Any, Any]] = LRUCache(500)


class FencedConnection(sqlite3.Connection):
    """SQLAlchemy cannot end our transactions: beginning and ending them is for `transactions` alone."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.uncommitted = Uncommitted()

    def commit(self) -> None:
        """Nothing."""

    def rollback(self) -> None:
        """Nothing."""


def uncommitted(raw: sqlite3.Connection) -> Uncommitted:
    if not isinstance(raw, FencedConnection):
        raise TypeError("the log of attempts is written by the store's own connection only")
    return raw.uncommitted


class Door:
    """One connection, by hand (`raw`) and through SQLAlchemy (`run`), in the same transaction."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        # What a statement was given stays out of its errors: they are logged, and people's records are in there.
        self._engine = create_engine(
            "sqlite+pysqlite://",
            creator=lambda: raw,
            poolclass=StaticPool,
            hide_parameters=True,
            execution_options={"compiled_cache": _COMPILED},
        )

    def run(self, function: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return function(connection)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, for whoever has the store to itself: the writer's transactions begin elsewhere."""
        self.raw.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.raw.execute("COMMIT")
        except BaseException:
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._engine.dispose()
        self.raw.close()


def open_writer(path: Path) -> Door:
    """The one connection that writes; makes the file where there is none."""
    # It holds what people are told, and sealed passwords: nobody else may read it, nor the files beside it.
    path.touch(mode=0o600)
    raw = _connect(f"{path.absolute().as_uri()}?mode=rw", path)
    # The first two take effect only while the file is empty.
    raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
    mode = raw.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raw.close()
        raise CannotOpen(f"{path} cannot be written ahead (journal mode {mode}); put it on a local, writable disk")
    # NORMAL would answer before the commit is on the disk, and lose it with the power.
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA cache_size = -65536")
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    raw.execute("PRAGMA wal_autocheckpoint = 0")
    return Door(raw)


def open_reader(path: Path) -> Door:
    """A connection that can change nothing."""
    raw = _connect(f"{path.absolute().as_uri()}?mode=rw", path)
    raw.execute("PRAGMA query_only = ON")
    raw.execute("PRAGMA cache_size = -16384")
    return Door(raw)


def open_checkpointer(path: Path) -> sqlite3.Connection:
    return _connect(f"{path.absolute().as_uri()}?mode=rw", path)


def checkpoints_apart(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether a second thread may checkpoint; the writer itself does otherwise."""
    return version >= CHECKPOINTS_BY_OTHERS


def _connect(uri: str, path: Path) -> sqlite3.Connection:
    raw: sqlite3.Connection | None = None
    try:
        raw = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=FencedConnection,
        )
        raw.execute("PRAGMA trusted_schema = OFF")
        raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        if raw is not None:
            raw.close()
        raise CannotOpen(f"{path} cannot be opened as a SQLite database: {error}") from error
    return raw
