"""Many writes in one transaction, each in a savepoint of its own: an error of one never fails its neighbours."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy.exc import DBAPIError

from postback.domain.errors import Unavailable
from postback.domain.telemetry import Committed
from postback.storage.committed import NOTHING
from postback.storage.sqlite.connections import uncommitted
from postback.storage.sqlite.now import Now

_KIND: Final = 0xFF

Work = Callable[[sqlite3.Connection], Any]

_STORE_ERRORS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
"""Primary codes of errors that are the disk's or the file's, not the statement's."""

# After a failed fsync the kernel may have dropped the pages and answer the next one with success.
_FATAL_ERRORS: Final = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_FATAL_KINDS: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Job(NamedTuple):
    work: Work
    future: "asyncio.Future[Any]"


class Answer(NamedTuple):
    future: "asyncio.Future[Any]"
    result: Any
    error: Exception | None


class Answers(NamedTuple):
    """What a group came to, after its COMMIT: accounts whose configs changed, an answer for each job, and what there is
    to count; None where nothing was committed."""

    changed: Sequence[str]
    answers: Sequence[Answer]
    committed: Committed | None


class Transactions:
    """Runs groups of jobs on the writing connection. `broken` says why it never will again, None while it does."""

    def __init__(self, raw: sqlite3.Connection, now: Now) -> None:
        self._raw = raw
        self._now = now
        self._uncommitted = uncommitted(raw)
        self._changed: list[str] = []
        self.broken: str | None = None

    def changed(self, account: str) -> None:
        self._changed.append(account)

    def run(self, group: Sequence[Job]) -> Answers:
        """All of the group in one durable transaction; each job answered with its result, its error or Unavailable."""
        if self.broken is not None:
            return _unavailable(group, self.broken)
        self._changed = []
        self._uncommitted.back_to(NOTHING)
        began, rows_before = time.monotonic(), self._raw.total_changes
        try:
            self._raw.execute("BEGIN IMMEDIATE")
            self._now.begin(self._raw)
            answers = [self._attempt(job) for job in group]
            self._raw.execute("COMMIT")
            self._now.committed()
        except Exception as error:  # noqa: BLE001 (whatever it is, nothing of the group stands and each is told so)
            return _unavailable(group, self.failed(error))
        rows = self._raw.total_changes - rows_before
        return Answers(self._changed, answers, self._uncommitted.committed(time.monotonic() - began, rows))

    def break_off(self, error: Exception) -> None:
        """Never write again, if the error leaves the file in doubt."""
        code = _code(error)
        if code is not None and (code in _FATAL_ERRORS or code & _KIND in _FATAL_KINDS):
            self.broken = f"the store failed and must be opened anew: {error}"

    def _attempt(self, job: Job) -> Answer:
        changed_before, mark = len(self._changed), self._uncommitted.mark()
        self._raw.execute("SAVEPOINT job")
        try:
            result = job.work(self._raw)
        except Exception as error:
            if is_of_the_store(error) or not self._raw.in_transaction:
                raise
            self._raw.execute("ROLLBACK TO job")
            self._raw.execute("RELEASE job")
            del self._changed[changed_before:]
            self._uncommitted.back_to(mark)
            return Answer(job.future, None, error)
        self._raw.execute("RELEASE job")
        return Answer(job.future, result, None)

    def failed(self, error: Exception) -> str:
        """Roll back and tell why; after an error that leaves the file in doubt, never write again."""
        self.break_off(error)
        if self._raw.in_transaction:
            try:
                self._raw.execute("ROLLBACK")
            except sqlite3.Error as second:
                self.broken = f"the store failed and must be opened anew: {error}, then {second}"
        return self.broken or f"the store cannot write now: {error}"


def _unavailable(group: Sequence[Job], why: str) -> Answers:
    return Answers((), [Answer(job.future, None, Unavailable(why)) for job in group], None)


def is_of_the_store(error: Exception) -> bool:
    """Whether the disk or the file is at fault, and not the statement."""
    code = _code(error)
    return code is not None and code & _KIND in _STORE_ERRORS


def _code(error: BaseException | None) -> int | None:
    """SQLite's extended code, also behind SQLAlchemy's wrapping."""
    if isinstance(error, DBAPIError):
        error = error.orig
    return getattr(error, "sqlite_errorcode", None) if isinstance(error, sqlite3.Error) else None


def raise_if_of_the_store(error: Exception) -> None:
    """Raise it again where it is the disk's or the file's and not the statement's: no savepoint helps then."""
    if is_of_the_store(error):
        raise error
