"""Store first, drop repeats, process later: what stands between a request that was answered and the work it means."""

import json
import logging
import secrets
import sqlite3
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self

from postback.receiver.clock import now_s
from postback.receiver.database import Connection, Dialect, Statements, check_open, is_sqlite, transaction
from postback.receiver.entries import INDEX, SELECT, TABLE, End, Entry, entry_of, repeat_key
from postback.receiver.parsing import ID_HEADER, ID_MAX, ReceivedEvent, parse

KEPT_HEADERS: Final = (ID_HEADER, "webhook-timestamp")
RETRY_WAITS_S: Final = (5, 30, 120, 600, 1800, 3600, 7200)
LEASE_S: Final = 60
KEEP_S: Final = 30 * 86400
INTERRUPTIONS_MAX: Final = 30
"""In a row, of one entry: so many processes are not ended by chance just then."""

ERROR_MAX: Final = 1000
SQLITE_BUSY_S: Final = 5
WAL_TRIES: Final = 10

_CLEANING_EVERY_S: Final = 3600

_log = logging.getLogger("postback.receiver")


Handler = Callable[..., object]
"""Takes an entry; with `in_transaction` also the connection that the mark is written on. Raises where it fails."""


class Inbox:
    """A table of postbacks in a database of yours: claim, process, mark, and only what was marked is done.

    `connect` gives a new connection (DB-API 2.0) each time, which is closed after use: with a pool, one that goes back
    then. Safe to use from any number of threads and processes. A processing that fails is repeated after each of
    `retry_waits_s`, then parked with its error. `lease_s` is how long a processing may take: thereafter it counts as
    dead, and another one takes over. `key` says by what repeats are known. ValueError for options that cannot work.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        paramstyle: str = "qmark",
        table: str = "postback_inbox",
        create_table: bool = True,
        key: Callable[[ReceivedEvent], str] = repeat_key,
        lease_s: float = LEASE_S,
        retry_waits_s: Sequence[float] = RETRY_WAITS_S,
        keep_s: float = KEEP_S,
        clock: Callable[[], float] = now_s,
    ) -> None:
        if not lease_s > 0 or not keep_s >= 0 or not all(wait >= 0 for wait in retry_waits_s):
            raise ValueError("expected lease_s above 0, and keep_s and retry_waits_s of 0 or more seconds")
        self._connect = connect
        self._dialect = Dialect(paramstyle, table)
        self._key = key
        self._lease_ms = round(lease_s * 1000)
        self._waits_ms = tuple(round(wait * 1000) for wait in retry_waits_s)
        self._keep_s = keep_s
        self._clock = clock
        if create_table:
            self._create_table()

    @classmethod
    def in_file(cls, path: str | PathLike[str], **options: Any) -> Self:
        """An inbox in an SQLite file, which is made where there is none; `options` are those of Inbox."""
        # Each use opens it anew, also after the process has gone to another folder.
        return cls(partial(_opened, _file(path)), **options)

    # --- storing -----------------------------------------------------------------------------------------------------

    def put(
        self,
        body: bytes | bytearray | memoryview,
        content_type: str | None,
        *,
        headers: Mapping[str, str] | None = None,
        time_zone: str | None = None,
        id: str | None = None,
    ) -> bool:
        """Keep a body that arrived: True when it is new, False for a repeat. Durable when this returns.

        NotAPostback when it is none; the rest is as `parse` takes it. `id` stands in place of what the inbox's `key`
        would say. What the database raises passes through: then it is not stored, so do not answer 200.
        """
        event = parse(body, content_type, headers=headers, time_zone=time_zone)
        chosen = self._key(event) if id is None else id
        if not (isinstance(chosen, str) and 0 < len(chosen) <= ID_MAX and chosen.isprintable()):
            raise ValueError(f"the id of an entry is {chosen!r:.80}; expected 1 to {ID_MAX} printable characters")
        kept = {name.lower(): value for name, value in (headers or {}).items() if name.lower() in KEPT_HEADERS}
        with self._transaction() as statements:
            inserted = statements.run(
                """
                INSERT INTO {table}
                    (id, body, content_type, headers, time_zone, received_ms, state, due_ms, attempts, interruptions)
                VALUES (:id, :body, :content_type, :headers, :time_zone, :now_ms, 'waiting', :now_ms, 0, 0)
                ON CONFLICT (id) DO NOTHING
                """,
                id=chosen,
                body=bytes(body),
                content_type=content_type or "",
                headers=json.dumps(kept),
                time_zone=time_zone,
                now_ms=self._now_ms(),
            )
        return inserted == 1

    # --- processing --------------------------------------------------------------------------------------------------

    def process(self, handler: Handler, limit: int = 100, *, in_transaction: bool = False) -> Mapping[End, int]:
        """Hand over what is due, one after the other and the oldest first, at most `limit`; how many ended how.

        An entry is marked as processed only after the handler returned, so each is processed at least once. With
        `in_transaction` the handler gets the connection too, and what it writes there is committed together with the
        mark or not at all: exactly once, within this database. It must not commit by itself, and be quick with SQLite,
        which lets nobody else write in the meantime.
        """
        ends: Counter[End] = Counter()
        for _ in range(limit):
            claimed = self._claim()
            if claimed is None:
                break
            ends[self._process(*claimed, handler, in_transaction=in_transaction)] += 1
        return ends

    def run(
        self, handler: Handler, stop: threading.Event, *, poll_s: float = 0.5, in_transaction: bool = False
    ) -> None:
        """Process what comes until `stop` is set, and forget what was processed long ago (`keep_s`).

        It looks each `poll_s` seconds, and goes on whatever the database raises; only what is no Exception ends it.
        """
        clean_at = 0.0
        while not stop.is_set():
            try:
                if self._clock() >= clean_at:
                    self.forget(self._keep_s)
                    clean_at = self._clock() + _CLEANING_EVERY_S
                is_idle = not self.process(handler, 1, in_transaction=in_transaction)
            except Exception:  # noqa: BLE001 - drivers raise what they like when the database is away for a while
                _log.exception("the inbox cannot be read; trying again")
                is_idle = True
            if is_idle:
                stop.wait(poll_s)

    def _process(self, entry: Entry, claim: str, handler: Handler, *, in_transaction: bool) -> End:
        if entry.interruptions >= INTERRUPTIONS_MAX:
            # Claimed so often and never marked, not even as failed: it takes the process down with it.
            text = f"{entry.interruptions} processings in a row ended with their process, or took longer than the lease"
            return self._park(entry, claim, text)
        try:
            if in_transaction:
                with self._transaction(is_shared=True) as statements:
                    handler(entry, statements.connection)
                    check_open(statements.connection)
                    self._mark(statements, entry, claim)
            else:
                handler(entry)
                with self._transaction() as statements:
                    self._mark(statements, entry, claim)
        except _ClaimLost:
            _log.warning("%s: its lease ended before its processing did; another one has it now", entry.id)
            return End.LOST
        except Exception as error:  # noqa: BLE001 - a handler raises what it likes, and the next entry waits
            told = _writable("".join(traceback.format_exception(error)))
            _log.error("%s: processing %d failed\n%s", entry.id, entry.attempts, told)
            text = _storable(f"{type(error).__name__}: {error}")
            return (self._retry if entry.attempts < self._attempts_max else self._park)(entry, claim, text)
        return End.PROCESSED

    @property
    def _attempts_max(self) -> int:
        return len(self._waits_ms) + 1

    def _claim(self) -> tuple[Entry, str] | None:
        """The oldest that is due, and the token of its claim: while the lease lasts nobody else gets it."""
        claim = secrets.token_hex(8)
        while True:
            now_ms = self._now_ms()
            with self._transaction() as statements:
                # The conditions stand there twice: whoever waited for another's claim must look at them again. A claim
                # that is still there is of one who did not come to an end, and that costs the entry no attempt.
                claimed = statements.run(
                    """
                    UPDATE {table} SET
                        attempts = CASE WHEN claim IS NULL THEN attempts + 1 ELSE attempts END,
                        interruptions = CASE WHEN claim IS NULL THEN 0 ELSE interruptions + 1 END,
                        claim = :claim, due_ms = :lease_ends_ms
                    WHERE state = 'waiting' AND due_ms <= :now_ms AND id = (
                        SELECT id FROM {table} WHERE state = 'waiting' AND due_ms <= :now_ms
                        ORDER BY due_ms, id LIMIT 1
                    )
                    """,
                    claim=claim,
                    now_ms=now_ms,
                    lease_ends_ms=now_ms + self._lease_ms,
                )
                if claimed:
                    # With the time, which the index has: by state alone it would look at all that are waiting.
                    [row] = statements.rows(
                        SELECT + " WHERE state = 'waiting' AND due_ms = :lease_ends_ms AND claim = :claim",
                        lease_ends_ms=now_ms + self._lease_ms,
                        claim=claim,
                    )
                    return entry_of(row), claim
                due = statements.rows(
                    "SELECT 1 FROM {table} WHERE state = 'waiting' AND due_ms <= :now_ms LIMIT 1", now_ms=now_ms
                )
            if not due:
                return None

    def _mark(self, statements: Statements, entry: Entry, claim: str) -> None:
        marked = statements.run(
            """
            UPDATE {table} SET state = 'processed', claim = NULL, due_ms = :now_ms, error = NULL
            WHERE id = :id AND claim = :claim
            """,
            id=entry.id,
            claim=claim,
            now_ms=self._now_ms(),
        )
        if not marked:
            raise _ClaimLost

    def _retry(self, entry: Entry, claim: str, error: str) -> End:
        return self._give_back(End.RETRIED, entry, claim, "waiting", error, self._waits_ms[entry.attempts - 1])

    def _park(self, entry: Entry, claim: str, error: str) -> End:
        _log.error("%s is parked after %d attempts: %s", entry.id, entry.attempts, error)
        return self._give_back(End.PARKED, entry, claim, "parked", error, 0)

    def _give_back(self, end: End, entry: Entry, claim: str, state: str, error: str, wait_ms: int) -> End:
        with self._transaction() as statements:
            held = statements.run(
                """
                UPDATE {table} SET state = :state, claim = NULL, due_ms = :due_ms, error = :error
                WHERE id = :id AND claim = :claim
                """,
                id=entry.id,
                claim=claim,
                state=state,
                error=error,
                due_ms=self._now_ms() + wait_ms,
            )
        return end if held else End.LOST

    # --- looking after it --------------------------------------------------------------------------------------------

    def counts(self) -> Mapping[str, int]:
        """How many entries are waiting, processed, parked."""
        with self._transaction() as statements:
            rows = statements.rows("SELECT state, count(*) FROM {table} GROUP BY state")
        return {"waiting": 0, "processed": 0, "parked": 0} | {state: int(count) for state, count in rows}

    def parked(self, limit: int = 100) -> Sequence[Entry]:
        """What failed for good, the longest parked first; `error` says why."""
        with self._transaction() as statements:
            rows = statements.rows(SELECT + " WHERE state = 'parked' ORDER BY due_ms, id LIMIT :limit", limit=limit)
        return [entry_of(row) for row in rows]

    def release(self, id: str) -> bool:
        """Process a parked entry anew, now, with all its attempts; False where none of this id is parked."""
        with self._transaction() as statements:
            return bool(
                statements.run(
                    """
                    UPDATE {table} SET state = 'waiting', due_ms = :now_ms, attempts = 0
                    WHERE id = :id AND state = 'parked'
                    """,
                    id=id,
                    now_ms=self._now_ms(),
                )
            )

    def forget(self, older_than_s: float) -> int:
        """Delete what was processed so long ago; a repeat that comes thereafter is news. How many there were."""
        with self._transaction() as statements:
            return statements.run(
                "DELETE FROM {table} WHERE state = 'processed' AND due_ms < :before_ms",
                before_ms=self._now_ms() - round(older_than_s * 1000),
            )

    # --- the database ------------------------------------------------------------------------------------------------

    def _create_table(self) -> None:
        connection = self._connect()
        try:
            if is_sqlite(connection):
                _let_readers_beside(connection)
        finally:
            connection.close()
        with self._transaction() as statements:
            statements.run(TABLE)
            statements.run(INDEX)

    def _transaction(self, *, is_shared: bool = False) -> AbstractContextManager[Statements]:
        return transaction(self._connect, self._dialect, is_shared=is_shared)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


def _file(path: str | PathLike[str]) -> Path:
    if not path or str(path) == ":memory:":
        raise ValueError(f"the inbox is in {path!r}; expected a file, since each connection would have another memory")
    return Path(path).absolute()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=SQLITE_BUSY_S, isolation_level=None)
    except sqlite3.OperationalError as error:
        error.add_note(f"the file is {path}; its folder must exist, and both must be ours to write")
        raise
    # On the disk before it is answered, whatever the library was built to do.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _let_readers_beside(connection: Connection) -> None:
    """Readers and a writer beside each other; the file remembers it.

    SQLite waits for no lock when it changes this, so of two processes that start at once one may be refused: it waits
    as for any write, and then most often finds it done.
    """
    cursor = connection.cursor()
    for tries_left in reversed(range(WAL_TRIES)):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if not tries_left:
                raise
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return


class _ClaimLost(Exception):
    """Another one has claimed the entry, so nothing of this processing may be committed."""


def _storable(text: str) -> str:
    """An error as every database takes it: no NUL, no halves of characters, not without end."""
    return _writable(text[:ERROR_MAX]).replace("\0", "\\0")


def _writable(text: str) -> str:
    """Halves of characters as escapes: no log that is written as UTF-8 could take them."""
    return text.encode("utf-8", "backslashreplace").decode()
