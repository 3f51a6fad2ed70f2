"""Accepting: events, their deliveries and their record changes become durable together, each event or none of it."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from postback.domain.deliveries import Accepted, Claim, Idempotency, NewDeliveries, Refused
from postback.domain.errors import ConfigsPassed, Conflict, NotFound, PostbackError
from postback.domain.events import Event
from postback.domain.ids import IdSource
from postback.domain.records import Change
from postback.storage.measures import ACCEPTED
from postback.storage.sqlite.connections import uncommitted
from postback.storage.sqlite.journal import Journal
from postback.storage.sqlite.statements import Insert
from postback.storage.sqlite.transactions import raise_if_of_the_store

IDEMPOTENCY_MS: Final = 24 * 3600 * 1000

INSERT_EVENT: Final = Insert(
    """
INSERT INTO events (
    id, account, location_id, type, subject, occurred_at, accepted_ms, deliveries, data, expands, trace
)
VALUES
    """,
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)

INSERT_OWED: Final = Insert(
    """
INSERT INTO owed (
    event_id, config_id, account, order_key, due_at_ms, worker, claim, claimed_ms,
    attempts, forgiven, interruptions, logged, manual
)
VALUES
    """,
    "(?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0)",
)

Answer = Accepted | Refused


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
        self._worker = worker
        self._now = now
        self._tokens = tokens
        self._apply_changes = apply_changes
        self._related = related
        # What a dead worker is given nobody would carry out: its deliveries are born unclaimed.
        self._worker_lives = raw.execute("SELECT 1 FROM workers WHERE id = ?", (worker,)).fetchone() is not None

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
        raw, now, worker, tokens = self._raw, self._now, self._worker, self._tokens
        versions = self._config_versions(units)
        journal = Journal(raw, now)
        answers: list[Answer] = []
        events: list[tuple[object, ...]] = []
        owed: list[tuple[object, ...]] = []
        keys: dict[tuple[str, bytes], tuple[int, int, bytes]] = {}

        for unit in units:
            event, targets, config_version, idempotency, changes, due_at_ms, expands = unit
            account = event.account
            if idempotency is not None:
                first = keys.get((account, idempotency.key_hash)) or self._first_with(account, idempotency)
                if first is not None:
                    answers.append(_answer_again(first, idempotency))
                    continue
            if versions[account] != config_version:
                answers.append(Refused(_passed(account, versions[account])))
                continue
            if idempotency is not None:
                keys[account, idempotency.key_hash] = (event.id, len(targets), idempotency.body_hash)
            if changes:
                self._apply_changes(changes)
            if expands:
                event = event._replace(expands=self._related(event, expands))

            events.append((*event[:7], len(targets), event.data, event.expands, event.trace))
            due = now if due_at_ms is None else due_at_ms
            may_be_claimed = due <= now and self._worker_lives
            claims = []
            for config_id, claimed in targets:
                journal.count(account, config_id, ACCEPTED)
                if claimed and may_be_claimed:
                    token = tokens()
                    owed.append((event.id, config_id, account, event.subject, due, worker, token, now))
                    claims.append(Claim(event, config_id, token, 0, 0, 0, False, now))
                else:
                    owed.append((event.id, config_id, account, event.subject, due, None, None, None))
                    journal.due(account, config_id, due)
            answers.append(Accepted(event.id, len(targets), claims))

        INSERT_EVENT.run(raw, events)
        INSERT_OWED.run(raw, owed)
        if keys:
            self._remember(keys)
        journal.write()
        counted = uncommitted(raw)
        counted.events += len(events)
        counted.deliveries += len(owed)
        return answers

    def _config_versions(self, units: Sequence[NewDeliveries]) -> dict[str, int | None]:
        versions: dict[str, int | None] = {}
        for unit in units:
            account = unit.event.account
            if account not in versions:
                row = self._raw.execute("SELECT config_version FROM accounts WHERE id = ?", (account,)).fetchone()
                versions[account] = None if row is None else row[0]
        return versions

    def _first_with(self, account: str, idempotency: Idempotency) -> tuple[int, int, bytes] | None:
        """(event id, its deliveries, body hash) of the event that used this key first, while the key holds."""
        found: tuple[int, int, bytes] | None = self._raw.execute(
            """
            SELECT i.event_id, coalesce(e.deliveries, 0), i.body_hash
            FROM idempotency i LEFT JOIN events e ON e.id = i.event_id
            WHERE i.account = ? AND i.key_hash = ? AND i.expires_ms > ?
            """,
            (account, idempotency.key_hash, self._now),
        ).fetchone()
        return found

    def _remember(self, keys: dict[tuple[str, bytes], tuple[int, int, bytes]]) -> None:
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


def _answer_again(first: tuple[int, int, bytes], idempotency: Idempotency) -> Answer:
    event_id, deliveries, body_hash = first
    if body_hash != idempotency.body_hash:
        return Refused(Conflict("this idempotency key was used before, with another body"))
    return Accepted(event_id, deliveries, known=True)


def _passed(account: str, version: int | None) -> PostbackError:
    if version is None:
        return NotFound("account", account)
    return ConfigsPassed(f"the configs of account {account} changed; match the event again")
