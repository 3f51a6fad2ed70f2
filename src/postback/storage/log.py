"""The log: events, and their deliveries as a view of what is owed and of the attempts."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, tuple_

from postback.domain.configs import PostbackConfig
from postback.domain.deliveries import State, Verdict
from postback.domain.errors import InvalidValue, NotFound
from postback.domain.events import Event
from postback.domain.ids import delivery_text, event_text
from postback.domain.wire import Reason
from postback.ports import AttemptView, DeliveryView, LogFilter, Sought
from postback.storage import scope
from postback.storage.configs import version_of
from postback.storage.database import Database
from postback.storage.journal import TEST
from postback.storage.log_keys import ENDS, Key, held_configs, in_time, keys_of_page, of_events, unfolded
from postback.storage.log_reach import reach, reach_of_events
from postback.storage.log_search import sought
from postback.storage.tables import attempts, events, owed
from postback.storage.vault import Vault

_EVENT: Final = tuple(events.c[name] for name in Event._fields)
_OUTLINE: Final = tuple(
    attempts.c[name]
    for name in ("event_id", "config_id", "n", "counter", "verdict", "manual", "ended_ms", "status", "reason")
)
_STATE_OF: Final = {verdict: state for state, verdict in ENDS.items()}
_OUTCOMES: Final = frozenset({Verdict.RETRY, Verdict.DELIVERED, Verdict.FAILED})
_NO_POST: Final = frozenset({Reason.POISON, Reason.EXPIRED, Reason.CANCELLED, Reason.CANNOT_RENDER})

NO_EVENTS: Final = (1, 0)

Which = Callable[[FromClause], ColumnElement[bool]]
"""Which deliveries: a condition on the columns event_id and config_id that both tables have."""


class SqlLog:
    """Keeps the port Log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events(
        self, account: str, narrowed: LogFilter, before: int | None, limit: int, since: int | None = None
    ) -> Sequence[tuple[Event, int]]:
        for name in ("config_id", "state"):
            if getattr(narrowed, name) is not None:
                raise InvalidValue.of(name, f"{name} narrows deliveries, not events")
        narrowed = unfolded(_of_its_events(narrowed))
        query = (
            scope.rows(account, events, *_EVENT, events.c.deliveries)
            .where(*of_events(narrowed), *in_time(narrowed, events.c.id))
            .order_by(events.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(events.c.id < before)
        if since is not None:
            query = query.where(events.c.id >= since)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [(Event(*row[:-1]), row[-1]) for row in rows]

    async def reach_of_events(self, account: str, narrowed: LogFilter, before: int | None, rows: int) -> int | None:
        return await self._database.read(
            lambda connection: reach_of_events(connection, account, _of_its_events(narrowed), before, rows)
        )

    async def event(self, account: str, event_id: int) -> tuple[Event, int]:
        query = scope.rows(account, events, *_EVENT, events.c.deliveries).where(events.c.id == event_id)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise NotFound("evt", event_text(event_id))
        return Event(*row[:-1]), row[-1]

    async def reach(
        self, account: str, narrowed: LogFilter, before: Key | None, rows: int, *, of_open: bool = False
    ) -> int | None:
        return await self._database.read(
            lambda connection: reach(connection, account, narrowed, before, rows, of_open=of_open)
        )

    async def sought(self, account: str, text: str) -> Sought:
        return await self._database.read(lambda connection: sought(connection, account, text))

    async def deliveries(
        self,
        account: str,
        narrowed: LogFilter,
        before: Key | None,
        limit: int,
        since: int | None = None,
    ) -> Sequence[DeliveryView]:
        def read(connection: Connection) -> Sequence[DeliveryView]:
            keys = keys_of_page(connection, account, narrowed, before, limit, since)
            event_ids = {key[0] for key in keys}
            # The event ids stand there once more alone: SQLite finds no rows by a list of pairs.
            views = _views(
                connection,
                account,
                event_ids,
                lambda table: and_(table.c.event_id.in_(event_ids), tuple_(*_key(table)).in_(keys)),
            )
            return sorted(views, key=lambda view: (view.event.id, view.config_id), reverse=True)

        return await self._database.read(read)

    async def deliveries_of(self, account: str, event_id: int, limit: int | None = None) -> Sequence[DeliveryView]:
        def read(connection: Connection) -> Sequence[DeliveryView]:
            first = None if limit is None else _first_configs(connection, account, event_id, limit)
            views = _views(
                connection,
                account,
                {event_id},
                lambda table: and_(
                    table.c.event_id == event_id, *(() if first is None else (table.c.config_id.in_(first),))
                ),
            )
            return sorted(views, key=lambda view: view.config_id)

        return await self._database.read(read)

    async def delivery(self, account: str, event_id: int, config_id: int) -> tuple[DeliveryView, Sequence[AttemptView]]:
        def read(connection: Connection) -> tuple[DeliveryView, Sequence[AttemptView]]:
            key = (event_id, config_id)
            views = _views(connection, account, {event_id}, lambda table: _is(table, key))
            if not views:
                raise NotFound("dlv", delivery_text(*key))
            return views[0], _attempts(connection, account, key, self._database.vault)

        return await self._database.read(read)


def _of_its_events(narrowed: LogFilter) -> LogFilter:
    """What was sought, as far as it says something of events themselves; who stands for configs alone has none."""
    sought = narrowed.sought
    if sought is None or sought.config_ids is None:
        return narrowed
    events_of_it = NO_EVENTS if sought.events is None else sought.events
    return replace(narrowed, sought=sought._replace(events=events_of_it, config_ids=None))


def _first_configs(connection: Connection, account: str, event_id: int, limit: int) -> Sequence[int]:
    """Of the deliveries of an event; each table is walked along its primary key until there are enough."""
    found: set[int] = set()
    for table in (owed, attempts):
        query = scope.rows(account, table, table.c.config_id).where(table.c.event_id == event_id)
        found.update(connection.execute(query.distinct().order_by(table.c.config_id).limit(limit)).scalars())
    return sorted(found)[:limit]


def _is(table: FromClause, key: Key) -> ColumnElement[bool]:
    return and_(table.c.event_id == key[0], table.c.config_id == key[1])


def _key(table: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return table.c.event_id, table.c.config_id


def _views(connection: Connection, account: str, event_ids: set[int], which: Which) -> Sequence[DeliveryView]:
    """The deliveries of these events that fit, in no order."""
    found = connection.execute(scope.rows(account, events, *_EVENT).where(events.c.id.in_(event_ids)))
    event_of = {row.id: Event(*row) for row in found}
    found = connection.execute(scope.rows(account, owed).where(which(owed)))
    owed_of = {(row.event_id, row.config_id): row for row in found}
    rows_of = defaultdict(list)
    outline = scope.rows(account, attempts, *_OUTLINE).where(which(attempts))
    for row in connection.execute(outline.order_by(*_key(attempts), attempts.c.n)):
        rows_of[row.event_id, row.config_id].append(row)
    held = frozenset(connection.execute(held_configs(account)).scalars())
    return [
        _view(event_of[key[0]], key[1], owed_of.get(key), rows_of.get(key, []), held) for key in {*owed_of, *rows_of}
    ]


def _view(
    event: Event, config_id: int, owed_row: Row[Any] | None, rows: Sequence[Row[Any]], held: frozenset[int]
) -> DeliveryView:
    # The outcome of a claim that no longer held is on record, and decides nothing.
    deciding = [row for row in rows if row.verdict != Verdict.LATE]
    is_test = any(row.manual == TEST for row in rows)
    if owed_row is None:
        last = deciding[-1]
        return DeliveryView(
            event=event,
            config_id=config_id,
            state=_STATE_OF[Verdict(last.verdict)],
            attempts_made=max(map(_counted, deciding)),
            due_ms=None,
            finished_ms=last.ended_ms,
            last_status=last.status,
            last_reason=last.reason,
            test=is_test,
        )
    return DeliveryView(
        event=event,
        config_id=config_id,
        state=_open_state(owed_row, held),
        attempts_made=owed_row.attempts,
        due_ms=owed_row.due_at_ms,
        finished_ms=None,
        last_status=deciding[-1].status if deciding else None,
        last_reason=deciding[-1].reason if deciding else None,
        test=is_test,
    )


def _open_state(row: Row[Any], held: frozenset[int]) -> State:
    if row.claim is not None:
        return State.CLAIMED
    return State.HELD if row.config_id in held else State.PENDING


def _counted(row: Row[Any]) -> int:
    """The number of the attempt that this row is, 0 where it is no POST with an outcome."""
    is_attempt = row.verdict in _OUTCOMES and row.reason not in _NO_POST
    return int(row.counter) if is_attempt else 0


def _attempts(connection: Connection, account: str, key: Key, vault: Vault) -> Sequence[AttemptView]:
    query = scope.rows(account, attempts).where(_is(attempts, key)).order_by(attempts.c.n)
    rows = connection.execute(query).all()
    numbers = {row.config_version for row in rows if row.config_version is not None}
    versions = {number: version_of(connection, vault, account, key[1], number) for number in numbers}
    return [_attempt(row, versions) for row in rows]


def _attempt(row: Row[Any], versions: Mapping[int, PostbackConfig | None]) -> AttemptView:
    return AttemptView(
        number=row.n,
        counter=row.counter,
        verdict=row.verdict,
        config=versions.get(row.config_version),
        worker=row.worker,
        manual=row.manual == 1,
        test=row.manual == TEST,
        started_ms=row.started_ms,
        rendered_ms=row.rendered_ms,
        sent_ms=row.sent_ms,
        ended_ms=row.ended_ms,
        wait_ms=row.wait_ms,
        status=row.status,
        reason=row.reason,
        detail=row.detail,
        body_hash=row.body_hash,
        answer_headers=_headers(row.answer_headers or b""),
        answer_body=row.answer_body or b"",
        truncated=bool(row.truncated),
        notes=row.notes.split(",") if row.notes else [],
        dns_ms=row.dns_ms,
        connect_ms=row.connect_ms,
        tls_ms=row.tls_ms,
        first_byte_ms=row.first_byte_ms,
    )


def _headers(lines: bytes) -> Sequence[tuple[bytes, bytes]]:
    """One `name: value` a line, as received."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\n") if line)]
