"""The database of the server under test: made for it, measured beside it, and gone with it."""

import asyncio
import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from postback.bench import proc
from postback.bench.errors import BenchError, WrongWord
from postback.bench.tables import Tables, postgres_tables, postgres_view, sqlite_tables, sqlite_view

SQLITE: Final = "sqlite"
POSTGRESQL: Final = ("postgresql://", "postgres://")
_FRAME_HEADER: Final = 24
_LOOK_EVERY_S: Final = 0.02
_CONNECT_S: Final = 10


class Database(Protocol):
    """What the bench asks of it."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings that lead the server to it."""

    def cpu_s(self) -> float | None:
        """Seconds of CPU of its own processes so far; None where it has none, or they are not on this machine."""

    def log_bytes(self) -> int:
        """Bytes written to its write-ahead log so far."""

    def tables(self) -> AbstractContextManager[Tables]:
        """What is in it, while no server is on it."""

    def view(self) -> AbstractContextManager[None]:
        """Somebody reads in it, and sees it as it is now until the end of the block."""


def is_sqlite(words: str) -> bool:
    """What `--database` says, or WrongWord."""
    if words == SQLITE:
        return True
    if words.startswith(POSTGRESQL):
        return False
    raise WrongWord(f"--database is {words!r}; expected {SQLITE}, or the address of a server such as postgresql://…")


@contextmanager
def database(words: str, folder: Path) -> Iterator[Database]:
    """A database of its own: a file in the folder, or one that is made on the server and dropped again."""
    if is_sqlite(words):
        with _SqliteDatabase(folder / "bench.db") as made:
            yield made
        return
    with _PostgresDatabase(words) as made_there:
        yield made_there


class _SqliteDatabase:
    """Its CPU is the engine's own. The log begins anew now and then, so a thread adds up how far it came."""

    def __init__(self, path: Path) -> None:
        self.environment = {"POSTBACK_DATABASE": str(path)}
        self._path = path
        self._shared = path.with_name(path.name + "-shm")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._before = 0
        self._salt = b""
        self._now = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def cpu_s(self) -> None:
        return None

    def log_bytes(self) -> int:
        self._look()
        return self._before + self._now

    def tables(self) -> AbstractContextManager[Tables]:
        return sqlite_tables(self._path)

    def view(self) -> AbstractContextManager[None]:
        return sqlite_view(self._path)

    def _follow(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        """The index of the log begins with its page size, its number of frames, and a salt that each new log changes."""
        try:
            with self._shared.open("rb") as file:
                head = file.read(48)
        except FileNotFoundError:
            return
        if len(head) < 48:
            return
        page_size = int.from_bytes(head[14:16], sys.byteorder)
        page_size = 65536 if page_size == 1 else page_size
        frames = int.from_bytes(head[16:20], sys.byteorder)
        with self._lock:
            if head[32:40] != self._salt:
                # What was written between the last look and the new beginning is missed: at most a few milliseconds.
                self._before, self._salt = self._before + self._now, head[32:40]
            self._now = frames * (page_size + _FRAME_HEADER)


class _PostgresDatabase:
    """On a running server; its processes are found where it runs on this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._name = f"postback_bench_{os.getpid()}_{secrets.token_hex(3)}"
        self.environment = {
            "POSTBACK_DATABASE": with_name(address, self._name),
        }
        self._postmaster: int | None = None

    def __enter__(self) -> Self:
        self._ask(f'CREATE DATABASE "{self._name}"')
        self._postmaster = self._ask("SELECT pg_backend_pid()", _postmaster_of)
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(f'DROP DATABASE IF EXISTS "{self._name}" WITH (FORCE)')

    def cpu_s(self) -> float | None:
        return None if self._postmaster is None else proc.family_cpu_s(self._postmaster)

    def log_bytes(self) -> int:
        return int(self._ask("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"))

    def tables(self) -> AbstractContextManager[Tables]:
        return postgres_tables(self.environment["POSTBACK_DATABASE"])

    def view(self) -> AbstractContextManager[None]:
        return postgres_view(self.environment["POSTBACK_DATABASE"])

    def _ask(self, statement: str, then: Callable[[int], object] | None = None) -> Any:
        return asyncio.run(_value(self._address, statement, then))


def with_name(address: str, name: str) -> str:
    """The address of another database on the same server, which may be named by nothing but its options."""
    parts = urlsplit(address)
    options = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}/{name}{options}"


def _postmaster_of(backend: int) -> int | None:
    """The parent of all of a server's processes, while this one of them lives; None where it runs elsewhere."""
    if proc.name_of(backend) != "postgres":
        return None
    parent = proc.parent_of(backend)
    return parent if proc.name_of(parent) == "postgres" else None


async def _value(address: str, statement: str, then: Callable[[int], object] | None) -> Any:
    """What the statement gives, or what `then` makes of it before the connection is closed."""
    try:
        import asyncpg  # noqa: PLC0415 - an extra
    except ImportError:
        raise BenchError(
            "a PostgreSQL database needs the extra postgres: pip install './postback[postgres]' (./postback is the folder that was cloned)"
        ) from None
    try:
        connection = await asyncpg.connect(address, timeout=_CONNECT_S)
        try:
            value = await connection.fetchval(statement)
            return value if then is None else then(value)
        finally:
            await connection.close()
    except (OSError, ValueError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise BenchError(f"PostgreSQL at {_place(address)} did not do it: {_why(error)}") from error


def _place(address: str) -> str:
    """Where its server is, without the password."""
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    port = f":{options['port']}" if "port" in options else ""
    return parts.netloc.rpartition("@")[2] or f"{options.get('host', 'this machine')}{port}"


def _why(error: Exception) -> str:
    import asyncpg  # noqa: PLC0415 - an extra

    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return f"{error}; name a user with CREATEDB: ALTER ROLE … CREATEDB"
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {_CONNECT_S} s"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
