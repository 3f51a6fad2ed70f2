"""Which deliveries a page of the log shows: statements for their keys, the newest event first.

What is owed and what is finished stand in two tables. Each is walked backwards along an index until the page is
full, so a page costs what it shows and not what there is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, literal, not_, or_

from postback.domain.causes import Cause, parse_cause
from postback.domain.configs import ConfigState
from postback.domain.deliveries import State, Verdict
from postback.domain.ids import first_id_at
from postback.domain.wire import Reason
from postback.ports import LogFilter
from postback.storage import scope
from postback.storage.causes import has_cause
from postback.storage.tables import attempts, configs, events, owed

Key = tuple[int, int]
"""(event id, config id)"""

OPEN: Final = (State.PENDING, State.CLAIMED, State.HELD)
ENDS: Final = {
    State.DELIVERED: Verdict.DELIVERED,
    State.FAILED: Verdict.FAILED,
    State.CANCELLED: Verdict.CANCELLED,
}

INDEXED_ENDS: Final = (State.FAILED, State.CANCELLED)
"""What has ended so is found by an index of its own."""

INDEXED: Final = [[ENDS[state]] for state in INDEXED_ENDS]
"""The same as what `ends_of` tells."""

_MS_MAX: Final = (1 << 42) - 1


class Walk(NamedTuple):
    """Keys that fit a filter, in no order yet. By these two columns the database walks along an index."""

    keys: Select[Any]
    event_id: ColumnElement[Any]
    config_id: ColumnElement[Any]


def keys_of_page(
    connection: Connection,
    account: str,
    narrowed: LogFilter,
    before: Key | None,
    limit: int,
    since: int | None = None,
) -> Sequence[Key]:
    """The keys of one page, of events from `since` on."""
    narrowed = unfolded(narrowed)
    if narrowed.state in OPEN:
        return _run(connection, owed_keys(account, narrowed, before, since), limit)
    if narrowed.state is not None:
        return _run(connection, finished_keys(account, narrowed, before, since), limit)

    if (
        narrowed.config_id is None
        and narrowed.reason is None
        and not _of_sought_configs(narrowed, owed.c.config_id)
        and not _narrows_events(narrowed)
    ):
        # Each of these events has a delivery: the page ends with the last of them at the latest.
        newest = connection.execute(_events_with_deliveries(account, narrowed, before).limit(limit + 1)).scalars().all()
        if not newest:
            return []
        since = max(newest[-1], since or 0)
    open_ones = _run(connection, owed_keys(account, narrowed, before, since), limit)
    if len(open_ones) == limit:
        since = open_ones[-1][0]
    finished = _run(connection, finished_keys(account, narrowed, before, since), limit)
    return sorted({*open_ones, *finished}, reverse=True)[:limit]


def unfolded(narrowed: LogFilter) -> LogFilter:
    """The same with what was sought in the place of a field that says as much, since that field has an index."""
    sought = narrowed.sought
    if sought is None:
        return narrowed
    config_id, subject = narrowed.config_id, narrowed.subject
    if config_id is None and sought.config_ids is not None and len(sought.config_ids) == 1:
        config_id, sought = sought.config_ids[0], sought._replace(config_ids=None)
    if subject is None and sought.subject is not None:
        subject, sought = sought.subject, sought._replace(subject=None)
    return replace(narrowed, config_id=config_id, subject=subject, sought=sought)


def owed_keys(account: str, narrowed: LogFilter, before: Key | None, since: int | None = None) -> Select[Any]:
    """What is owed, the newest event first, of events from `since` on."""
    return _backwards(owed_ones(account, narrowed), before, since)


def finished_keys(account: str, narrowed: LogFilter, before: Key | None, since: int | None = None) -> Select[Any]:
    """What has ended, the newest event first, of events from `since` on."""
    return _backwards(finished_ones(account, narrowed), before, since)


def owed_ones(account: str, narrowed: LogFilter) -> Walk:
    """What is owed.

    It is walked by its primary key: the index of what is due knows no claimed ones, and another order.
    """
    key = (owed.c.event_id, owed.c.config_id)
    if not leads_by_event(narrowed):
        found = scope.rows(account, owed, *key)
        if _narrows_events(narrowed):
            found = found.where(_has_event(account, owed.c.event_id, narrowed))
        bound = owed.c.event_id
    else:
        found = scope.rows(account, events, *key).join(owed, owed.c.event_id == events.c.id)
        found = found.where(scope.of(account, owed), *of_events(narrowed))
        bound = events.c.id

    # "+ 0" keeps these out of the choice of an index.
    config_id = owed.c.config_id + 0
    found = found.where(*_of_configs(narrowed, config_id))
    is_held = and_(owed.c.claim.is_(None), config_id.in_(held_configs(account)))
    match narrowed.state:
        case State.CLAIMED:
            found = found.where(owed.c.claim.is_not(None))
        case State.HELD:
            found = found.where(is_held)
        case State.PENDING:
            found = found.where(owed.c.claim.is_(None), not_(is_held))
    if narrowed.reason is not None:
        found = found.where(_has_failed_so(account, parse_cause(narrowed.reason)))
    return Walk(found.where(*in_time(narrowed, bound)), bound, owed.c.config_id)


def finished_ones(account: str, narrowed: LogFilter) -> Walk:
    """What has ended: its last row decides, and rows of claims that no longer held never do."""
    key = (attempts.c.event_id, attempts.c.config_id)
    wanted = ends_of(narrowed)
    # One table leads and gives the order; the other is looked into by its key.
    if not leads_by_event(narrowed) and (narrowed.config_id is not None or wanted in INDEXED):
        found = scope.rows(account, attempts, *key)
        if _narrows_events(narrowed):
            found = found.where(_has_event(account, attempts.c.event_id, narrowed))
        bound = attempts.c.event_id
    else:
        found = scope.rows(account, events, *key).join(attempts, attempts.c.event_id == events.c.id)
        found = found.where(scope.of(account, attempts), events.c.deliveries > 0, *of_events(narrowed))
        bound = events.c.id

    if narrowed.config_id is not None:
        found = found.where(attempts.c.config_id == narrowed.config_id)
    found = found.where(*_of_sought_configs(narrowed, attempts.c.config_id + 0))
    # Written out, since the planner takes an index of some rows only where it sees that these are they.
    is_end = or_(*(attempts.c.verdict == literal(verdict.value, literal_execute=True) for verdict in wanted))
    found = found.where(is_end, _is_last(account), not_(_is_owed(account)), *in_time(narrowed, bound))
    if narrowed.reason is not None:
        found = found.where(has_cause(parse_cause(narrowed.reason)))
    return Walk(found, bound, attempts.c.config_id)


def leads_by_event(narrowed: LogFilter) -> bool:
    """Whether an index of events leads to what fits: to few of them."""
    return narrowed.subject is not None or (narrowed.sought is not None and narrowed.sought.tracking_id is not None)


def forwards(walk: Walk, after: Key, upto: int) -> Select[Any]:
    """From the oldest event to the newest, those after this key, of events up to `upto`."""
    rest = or_(walk.event_id > after[0], walk.config_id > after[1])
    found = walk.keys.where(walk.event_id >= after[0], walk.event_id <= upto, rest)
    return found.order_by(walk.event_id, walk.config_id)


def of_events(narrowed: LogFilter) -> Sequence[ColumnElement[bool]]:
    """What a filter says of events themselves."""
    said = {events.c.location_id: narrowed.location_id, events.c.type: narrowed.event_type}
    conditions = [column == value for column, value in said.items() if value is not None]
    if narrowed.subject is not None:
        conditions.append(events.c.subject == narrowed.subject)
    sought = narrowed.sought
    if sought is not None and sought.subject is not None:
        conditions.append(events.c.subject == sought.subject)
    if sought is not None and sought.tracking_id is not None:
        conditions.append(events.c.tracking_id == sought.tracking_id)
    return conditions


def in_time(narrowed: LogFilter, event_id: ColumnElement[Any]) -> Sequence[ColumnElement[bool]]:
    """Ids go by the time of acceptance: a time is a bound on ids, which every index here ends with."""
    conditions: list[ColumnElement[bool]] = []
    if narrowed.since_ms is not None:
        conditions.append(event_id >= first_id(narrowed.since_ms))
    if narrowed.until_ms is not None:
        conditions.append(event_id < first_id(narrowed.until_ms))
    if narrowed.sought is not None and narrowed.sought.events is not None:
        conditions += [event_id >= narrowed.sought.events[0], event_id <= narrowed.sought.events[1]]
    return conditions


def first_id(ms: int) -> int:
    """The lowest id from then on; of any time that a caller may name."""
    return first_id_at(min(max(ms, 0), _MS_MAX))


def _backwards(walk: Walk, before: Key | None, since: int | None) -> Select[Any]:
    found = walk.keys.order_by(walk.event_id.desc(), walk.config_id.desc())
    if since is not None:
        found = found.where(walk.event_id >= since)
    if before is not None:
        # The first condition bounds the walk, the second what is left of the last event.
        rest = or_(walk.event_id < before[0], walk.config_id < before[1])
        found = found.where(walk.event_id <= before[0], rest)
    return found


def _events_with_deliveries(account: str, narrowed: LogFilter, before: Key | None) -> Select[Any]:
    found = scope.rows(account, events, events.c.id).where(events.c.deliveries > 0, *in_time(narrowed, events.c.id))
    if before is not None:
        found = found.where(events.c.id <= before[0])
    return found.order_by(events.c.id.desc())


def held_configs(account: str) -> Select[Any]:
    return scope.rows(account, configs, configs.c.id).where(
        configs.c.state.in_([ConfigState.PAUSED, ConfigState.DISABLED])
    )


def _of_configs(narrowed: LogFilter, config_id: ColumnElement[Any]) -> Sequence[ColumnElement[bool]]:
    own = [] if narrowed.config_id is None else [config_id == narrowed.config_id]
    return [*own, *_of_sought_configs(narrowed, config_id)]


def _of_sought_configs(narrowed: LogFilter, config_id: ColumnElement[Any]) -> Sequence[ColumnElement[bool]]:
    config_ids = None if narrowed.sought is None else narrowed.sought.config_ids
    return [] if config_ids is None else [config_id.in_(config_ids)]


def _run(connection: Connection, query: Select[Any], limit: int) -> list[Key]:
    return [(row[0], row[1]) for row in connection.execute(query.limit(limit))]


def _narrows_events(narrowed: LogFilter) -> bool:
    return bool(of_events(narrowed))


def _has_event(account: str, event_id: ColumnElement[Any], narrowed: LogFilter) -> ColumnElement[bool]:
    query = scope.rows(account, events, events.c.id).where(events.c.id == event_id, *of_events(narrowed))
    return _looked_up(query.correlate(owed, attempts))


def _looked_up(query: Select[Any]) -> ColumnElement[bool]:
    """That there is such a row, by a look for each row that the walk comes past.

    PostgreSQL makes a join of an EXISTS where it can, and would read all of the other table for few rows of this one: not
    where there is an OFFSET.
    """
    return query.limit(1).offset(0).exists()


def _is_last(account: str) -> ColumnElement[bool]:
    later = attempts.alias("later")
    return not_(
        exists(
            scope.rows(account, later, later.c.n)
            .where(
                later.c.event_id == attempts.c.event_id,
                later.c.config_id == attempts.c.config_id,
                later.c.n > attempts.c.n,
                later.c.verdict != Verdict.LATE.value,
            )
            .correlate(attempts)
        )
    )


def ends_of(narrowed: LogFilter) -> Sequence[Verdict]:
    """What an end of these deliveries is called; of a reason there is one."""
    if narrowed.state is not None:
        return [ENDS[narrowed.state]]
    if narrowed.reason is not None:
        return [Verdict.CANCELLED if parse_cause(narrowed.reason).reason is Reason.CANCELLED else Verdict.FAILED]
    return list(ENDS.values())


def _has_failed_so(account: str, cause: Cause) -> ColumnElement[bool]:
    """That the last attempt of what is owed failed for this cause."""
    return _looked_up(
        scope.rows(account, attempts, attempts.c.n)
        .where(
            attempts.c.event_id == owed.c.event_id,
            attempts.c.config_id == owed.c.config_id,
            attempts.c.verdict != Verdict.LATE.value,
            has_cause(cause),
            _is_last(account),
        )
        .correlate(owed)
    )


def _is_owed(account: str) -> ColumnElement[bool]:
    return exists(
        scope.rows(account, owed, owed.c.event_id)
        .where(owed.c.event_id == attempts.c.event_id, owed.c.config_id == attempts.c.config_id)
        .correlate(attempts)
    )
