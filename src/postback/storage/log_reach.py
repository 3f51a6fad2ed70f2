"""How far back a list looks at once: the event that so many rows of an index lead to, by the index that the list walks.

What no index leads to is found by looking: a type that is rare, a location of few events. A page that looks at so many
rows and no more is as quick with a million deliveries as with a thousand, and says from where on it goes on.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, literal

from postback.ports import LogFilter
from postback.storage import scope
from postback.storage.log_keys import (
    INDEXED,
    OPEN,
    Key,
    ends_of,
    in_time,
    leads_by_event,
    of_events,
    unfolded,
)
from postback.storage.tables import attempts, events, owed

_OF_AN_EVENT: Final = 1
_OF_AN_END: Final = 3
_ELSEWHERE: Final = 4
_OF_THE_LOG: Final = 10
"""What it costs to look at a row, by which so many fewer are looked at: at an event itself; at an end that is on record,
whether its delivery has gone on since; at what stands in another table, the event of what is owed or whose an event is; at a
row of the log, whether it is the last of its delivery, and of which event."""


def reach(
    connection: Connection, account: str, narrowed: LogFilter, before: Key | None, rows: int, *, of_open: bool = False
) -> int | None:
    """The newest of what its walks reach, or of that of what is open alone; None where each of them ends before, or comes
    past nothing but what it finds."""
    narrowed = unfolded(narrowed)
    if leads_by_event(narrowed) or (narrowed.state is None and _is_plain(narrowed)):
        return None
    found = [
        _last(connection, walk, max(rows // cost, 1))
        for walk, cost in walks(account, narrowed, None if before is None else before[0], of_open=of_open)
    ]
    return max((event_id for event_id in found if event_id is not None), default=None)


def reach_of_events(
    connection: Connection, account: str, narrowed: LogFilter, before: int | None, rows: int
) -> int | None:
    narrowed = unfolded(narrowed)
    if leads_by_event(narrowed) or not of_events(narrowed):
        return None
    return _last(connection, walk_of_events(account, narrowed, before), rows)


def walks(
    account: str, narrowed: LogFilter, before: int | None, *, of_open: bool = False
) -> Sequence[tuple[Select[Any], int]]:
    """Of what is owed and of what has ended, as far as the filter asks for them: the events, the newest first, and what a
    row costs."""
    open_ones = _backwards(scope.rows(account, owed, owed.c.event_id), owed.c.event_id, narrowed, before)
    open_walk = (open_ones, _cost_of_open(narrowed))
    if of_open or narrowed.state in OPEN:
        return [open_walk]
    finished_walk = (_finished(account, narrowed, before), _cost_of_finished(narrowed))
    return [finished_walk] if narrowed.state is not None else [open_walk, finished_walk]


def walk_of_events(account: str, narrowed: LogFilter, before: int | None) -> Select[Any]:
    return _backwards(scope.rows(account, events, events.c.id), events.c.id, narrowed, before)


def _is_plain(narrowed: LogFilter) -> bool:
    """Whether a state and a time are all that it says."""
    config_ids = None if narrowed.sought is None else narrowed.sought.config_ids
    names_configs = narrowed.config_id is not None or config_ids is not None
    return not names_configs and narrowed.reason is None and not of_events(narrowed)


def _walks_the_log(narrowed: LogFilter) -> bool:
    """Rather than events."""
    return narrowed.state not in OPEN and (narrowed.config_id is not None or ends_of(narrowed) in INDEXED)


def _cost_of_open(narrowed: LogFilter) -> int:
    if narrowed.reason is not None:
        return _OF_THE_LOG
    return _ELSEWHERE if of_events(narrowed) else _OF_AN_EVENT


def _cost_of_finished(narrowed: LogFilter) -> int:
    if _walks_the_log(narrowed):
        return _OF_AN_END if _is_plain(narrowed) else _OF_THE_LOG
    names_configs = narrowed.sought is not None and narrowed.sought.config_ids is not None
    return _ELSEWHERE if names_configs and not of_events(narrowed) else _OF_AN_EVENT


def _finished(account: str, narrowed: LogFilter, before: int | None) -> Select[Any]:
    if not _walks_the_log(narrowed):
        return walk_of_events(account, narrowed, before)
    if ends_of(narrowed) in INDEXED:
        [verdict] = ends_of(narrowed)
        # Written out, as for the walk itself: the index is of some rows only.
        is_end = attempts.c.verdict == literal(verdict.value, literal_execute=True)
        found = scope.rows(account, attempts, attempts.c.event_id).where(is_end)
    else:
        found = scope.rows(account, attempts, attempts.c.event_id).where(attempts.c.config_id == narrowed.config_id)
    return _backwards(found, attempts.c.event_id, narrowed, before)


def _backwards(
    found: Select[Any], event_id: ColumnElement[Any], narrowed: LogFilter, before: int | None
) -> Select[Any]:
    found = found.where(*in_time(narrowed, event_id)).order_by(event_id.desc())
    # Not the last event itself: however many deliveries it has, the next page begins further back.
    return found if before is None else found.where(event_id < before)


def _last(connection: Connection, walk: Select[Any], rows: int) -> int | None:
    found: int | None = connection.execute(walk.limit(1).offset(rows - 1)).scalar()
    return found
