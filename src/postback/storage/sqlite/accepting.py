"""Accepting: events, their deliveries and their record changes become durable together, each event or none of it."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from postback.domain.deliveries import NewDeliveries, Refused
from postback.domain.errors import PostbackError
from postback.domain.events import Event
from postback.domain.ids import IdSource
from postback.domain.records import Change
from postback.storage.accepting import (
    EVENT_COLUMNS,
    IDEMPOTENCY_MS,
    OWED_COLUMNS,
    Answer,
    First,
    KeyRow,
    decide,
)
from postback.storage.sqlite.connections import uncommitted
from postback.storage.sqlite.journal import Journal
from postback.storage.sqlite.statements import Insert
from postback.storage.sqlite.transactions import raise_if_of_the_store

INSERT_EVENT: Final = Insert(
    "events", EVENT_COLUMNS, usual=dict.fromkeys(("occurred_at", "expands", "trace", "tracking_id"))
)

INSERT_OWED: Final = Insert(
    "owed",
    OWED_COLUMNS[:8],
    usual={"worker": None, "claim": None, "claimed_ms": None},
    always=dict.fromkeys(OWED_COLUMNS[8:], 0),
)


class Accepting:
    """One call of `accept`, in the writer's transaction."""

    def __init__(
        self,
        raw: sqlite3.Connection,
        worker: int,
        now: int,
        tokens: IdSource,
        apply_changes: Callable[[Sequence[Change]], None],
        related: Callable[[Event, Sequence[str]], bytes | None],
    ) -> None:
        self._raw = raw
        self._now = now
        self._tokens = tokens
        self._apply_changes = apply_changes
        self._related = related
        lives = raw.execute("SELECT 1 FROM workers WHERE id = ?", (worker,)).fetchone() is not None
        self._worker = worker if lives else None

    def accept(self, units: Sequence[NewDeliveries]) -> Sequence[Answer]:
        """All that change no record at once; those that do, and all where that fails, one at a time."""
        answers: dict[int, Answer] = {}
        together = [at for at, unit in enumerate(units) if not unit.changes]
        if len(together) > 1:
            kept = self._try_together([units[at] for at in together])
            answers.update(zip(together, kept, strict=False))
        for at, unit in enumerate(units):
            if at not in answers:
                answers[at] = self._alone(unit)
        return [answers[at] for at in range(len(units))]

    def _try_together(self, units: Sequence[NewDeliveries]) -> Sequence[Answer]:
        """Nothing of it, and no answers, when one of them cannot be stored: which one shows when each goes alone."""
        self._raw.execute("SAVEPOINT together")
        try:
            answers = self._keep(units)
        except Exception as error:  # noqa: BLE001 (each is tried alone next, and the one at fault is answered there)
            raise_if_of_the_store(error)
            self._raw.execute("ROLLBACK TO together")
            answers = ()
        self._raw.execute("RELEASE together")
        return answers

    def _alone(self, unit: NewDeliveries) -> Answer:
        self._raw.execute("SAVEPOINT alone")
        try:
            [answer] = self._keep([unit])
        except PostbackError as error:
            answer = Refused(error)
        except Exception as error:  # noqa: BLE001 (a value that SQLite cannot hold must not fail its neighbours)
            raise_if_of_the_store(error)
            refusal = PostbackError(f"the event cannot be stored: {error}")
            refusal.__cause__ = error
            answer = Refused(refusal)
        if isinstance(answer, Refused):
            self._raw.execute("ROLLBACK TO alone")
        self._raw.execute("RELEASE alone")
        return answer

    def _keep(self, units: Sequence[NewDeliveries]) -> Sequence[Answer]:
        raw = self._raw
        journal = Journal(raw, self._now)
        versions, known = self._config_versions(units), self._known(units)
        events, owed, keys, answers = decide(
            journal, units, versions, known, self._worker, partial(self._tokens.at, self._now), self._complete
        )
        INSERT_EVENT.run(raw, events)
        INSERT_OWED.run(raw, owed)
        if keys:
            self._remember(keys)
        journal.write()
        counted = uncommitted(raw)
        counted.events += len(events)
        counted.deliveries += len(owed)
        return answers

    def _complete(self, unit: NewDeliveries) -> Event:
        """Its record changes are made with it, and what belongs to it is gathered as it is after them."""
        event = unit.event
        if unit.changes:
            self._apply_changes(unit.changes)
        if unit.expands:
            event = event._replace(expands=self._related(event, unit.expands))
        return event

    def _config_versions(self, units: Sequence[NewDeliveries]) -> dict[str, int | None]:
        versions: dict[str, int | None] = {}
        for unit in units:
            account = unit.event.account
            if account not in versions:
                row = self._raw.execute("SELECT config_version FROM accounts WHERE id = ?", (account,)).fetchone()
                versions[account] = None if row is None else row[0]
        return versions

    def _known(self, units: Sequence[NewDeliveries]) -> Mapping[KeyRow, First]:
        """The keys among these that hold, each with the event that used it first."""
        known: dict[KeyRow, First] = {}
        for unit in units:
            if unit.idempotency is None:
                continue
            key = (unit.event.account, unit.idempotency.key_hash)
            found: First | None = self._raw.execute(
                """
                SELECT i.event_id, coalesce(e.deliveries, 0), i.body_hash
                FROM idempotency i LEFT JOIN events e ON e.id = i.event_id
                WHERE i.account = ? AND i.key_hash = ? AND i.expires_ms > ?
                """,
                (*key, self._now),
            ).fetchone()
            if found is not None:
                known[key] = found
        return known

    def _remember(self, keys: Mapping[KeyRow, First]) -> None:
        self._raw.executemany(
            """
            INSERT INTO idempotency (account, key_hash, event_id, body_hash, expires_ms)
            VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (account, key_hash) DO UPDATE
            SET event_id = excluded.event_id, body_hash = excluded.body_hash, expires_ms = excluded.expires_ms
            """,
            [
                (account, key_hash, event_id, body_hash, self._now + IDEMPOTENCY_MS)
                for (account, key_hash), (event_id, _, body_hash) in keys.items()
            ],
        )
