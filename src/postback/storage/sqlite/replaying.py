"""Jobs over many deliveries: counted and put on record, then done in small steps.

A step is one transaction: what it does and how far the job has come become durable together, so a job whose process
was killed goes on where it was. It looks at a bounded part of an index, however little of it fits the filter, so what
else is to be written never waits long.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from postback.domain.deliveries import State, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.jobs import COUNTED_MAX, RUNNING_MAX, JobKind, JobState
from postback.domain.wire import Reason
from postback.ports import Job, LogFilter
from postback.storage.log_keys import INDEXED_ENDS, Key, Walk, finished_ones, first_id, forwards, owed_ones
from postback.storage.sqlite.connections import Door
from postback.storage.sqlite.counting import TEST
from postback.storage.sqlite.journal import OWED_COLUMNS, Journal, Owed, end
from postback.storage.sqlite.keeping import is_there, owe_again
from postback.storage.sqlite.statements import Lookup
from postback.storage.tables import attempts

LOOKED_AT: Final = 1_000
"""Rows of the index that a step looks at, at most."""

_LAST_CONFIG: Final = (1 << 63) - 1
_JOB_COLUMNS: Final = "id, account, kind, filter, selected, done, skipped, created_ms, ended_ms"

OF_CONFIG: Final = """
SELECT event_id FROM attempts WHERE config_id = ? AND event_id > ? ORDER BY event_id LIMIT 1 OFFSET ?
"""
OF_EVENTS: Final = "SELECT id FROM events WHERE account = ? AND id > ? ORDER BY id LIMIT 1 OFFSET ?"
OF_OWED: Final = "SELECT event_id FROM owed WHERE event_id > ? ORDER BY event_id LIMIT 1 OFFSET ?"
OF_ENDS: Final = {
    state: f"""
SELECT event_id FROM attempts WHERE account = ? AND verdict = {verdict:d} AND event_id > ?
ORDER BY event_id LIMIT 1 OFFSET ?
"""  # noqa: S608
    for state, verdict in ((State.FAILED, Verdict.FAILED), (State.CANCELLED, Verdict.CANCELLED))
}
"""How far so many rows of an index reach; each goes with one of the walks of `log_keys`."""

IN_TURN: Final = """
SELECT min(id) FROM replays INDEXED BY replays_running WHERE state = 'running' GROUP BY account ORDER BY 1
"""

_OPEN: Final = Lookup(
    f"""
    WITH k (event_id, config_id) AS ({{keys}})
    SELECT {", ".join(f"o.{name}" for name in OWED_COLUMNS.split(", "))}
    FROM k CROSS JOIN owed o ON o.event_id = k.event_id AND o.config_id = k.config_id
    """,  # noqa: S608
    width=2,
)


class _Filter(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The filter as it is stored. What a newer version has put in must not be overlooked: it narrows what is done."""

    upto: int
    """The newest event there was when the job was made."""
    location_id: str | None = None
    config_id: int | None = None
    event_type: str | None = None
    subject: str | None = None
    state: State | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def narrowed(self) -> LogFilter:
        said = msgspec.structs.asdict(self)
        del said["upto"]
        return LogFilter(**said)


class _Step(NamedTuple):
    """A part of a job: the keys to be done, and where the job is after them; `is_last` when there are no more."""

    keys: Sequence[Key]
    reached: Key
    is_last: bool


def count(connection: Connection, account: str, kind: JobKind, narrowed: LogFilter, now: int) -> int:
    """How many deliveries fit, up to COUNTED_MAX."""
    found = _walk(account, kind, narrowed, now).keys.limit(COUNTED_MAX).subquery()
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def start(raw: sqlite3.Connection, job: Job) -> None:
    """On record; it runs from now on."""
    running = raw.execute(
        "SELECT count(*) FROM replays WHERE account = ? AND state = 'running'", (job.account,)
    ).fetchone()[0]
    if running >= RUNNING_MAX:
        raise Conflict(f"{running} jobs of this account are running; wait until one is done")
    narrowed = job.narrowed
    upto = raw.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    if narrowed.until_ms is not None:
        upto = min(upto, first_id(narrowed.until_ms) - 1)
    before = 0 if narrowed.since_ms is None else first_id(narrowed.since_ms) - 1
    raw.execute(
        """
        INSERT INTO replays (
            id, account, kind, state, filter, selected, done, skipped, event_id, config_id, created_ms
        )
        VALUES (?, ?, ?, 'running', ?, ?, 0, 0, ?, ?, ?)
        """,
        (job.id, job.account, job.kind, _text(narrowed, upto), job.selected, before, _LAST_CONFIG, job.created_ms),
    )


def in_turn(raw: sqlite3.Connection) -> Sequence[str]:
    return [row[0] for row in raw.execute(IN_TURN)]


def step(door: Door, now: int, job_id: str, limit: int) -> int:
    """Go on with the job; how many deliveries that were."""
    raw = door.raw
    row = raw.execute(
        f"SELECT {_JOB_COLUMNS}, event_id, config_id FROM replays WHERE id = ? AND state = 'running'",  # noqa: S608
        (job_id,),
    ).fetchone()
    if row is None:
        return 0
    job, after = _job(row), (row[-2], row[-1])
    found = _next(door, job, _decoded(row[3]).upto, after, limit)
    journal = Journal(raw, now)
    does = _replay if job.kind is JobKind.REPLAY else _cancel
    number = does(raw, journal, job.account, found.keys, now)
    journal.write()

    done, skipped = job.done + number, job.skipped + len(found.keys) - number
    if found.is_last:
        # What fitted when the job was made and does not any more: owed again, ended, removed.
        skipped = max(skipped, job.selected - done)
    raw.execute(
        """
        UPDATE replays
        SET event_id = ?, config_id = ?, done = ?, skipped = ?, selected = max(selected, ?), state = ?, ended_ms = ?
        WHERE id = ?
        """,
        (
            *found.reached,
            *(done, skipped, done + skipped),
            *((JobState.DONE, now) if found.is_last else (JobState.RUNNING, None)),
            job_id,
        ),
    )
    return number


def find(raw: sqlite3.Connection, account: str, job_id: str) -> Job:
    row = raw.execute(
        f"SELECT {_JOB_COLUMNS} FROM replays WHERE id = ? AND account = ?",  # noqa: S608
        (job_id, account),
    ).fetchone()
    if row is None:
        raise NotFound("rpl", job_id)
    return _job(row)


def listed(raw: sqlite3.Connection, account: str, before: str | None, limit: int) -> Sequence[Job]:
    """From the newest to the oldest."""
    # No id sorts after a letter that none begins with.
    rows = raw.execute(
        f"SELECT {_JOB_COLUMNS} FROM replays WHERE account = ? AND id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608
        (account, before or "~", limit),
    )
    return [_job(row) for row in rows]


def _walk(account: str, kind: JobKind, narrowed: LogFilter, made_ms: int) -> Walk:
    """What a job of this filter does, were it made at that time."""
    if kind is JobKind.CANCEL:
        return owed_ones(account, narrowed)
    walk = finished_ones(account, narrowed)
    # What failed again later was not meant, and an example was never meant for anybody's books.
    return walk._replace(keys=walk.keys.where(attempts.c.ended_ms <= made_ms, attempts.c.manual != TEST))


def _next(door: Door, job: Job, upto: int, after: Key, limit: int) -> _Step:
    reach = _reach(door.raw, job, after[0])
    reach = upto if reach is None else min(reach, upto)
    query = forwards(_walk(job.account, job.kind, job.narrowed, job.created_ms), after, reach).limit(limit)
    keys = door.run(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])
    if len(keys) == limit:
        return _Step(keys, keys[-1], is_last=False)
    return _Step(keys, (reach, _LAST_CONFIG), is_last=reach == upto)


def _reach(raw: sqlite3.Connection, job: Job, after: int) -> int | None:
    """The event where a step that begins after this one ends; None where less than a step is left."""
    narrowed, rest = job.narrowed, (after, LOOKED_AT)
    looks: list[tuple[str, tuple[Any, ...]]] = []
    if job.kind is JobKind.CANCEL:
        looks.append((OF_OWED, rest))
    if job.kind is JobKind.REPLAY and narrowed.config_id is not None:
        looks.append((OF_CONFIG, (narrowed.config_id, *rest)))
    if job.kind is JobKind.REPLAY and narrowed.state in INDEXED_ENDS:
        # With a config as well the planner takes either index: the step is short by both.
        looks.append((OF_ENDS[narrowed.state], (job.account, *rest)))
    found = [raw.execute(*look).fetchone() for look in looks or [(OF_EVENTS, (job.account, *rest))]]
    return min((row[0] for row in found if row is not None), default=None)


def _replay(raw: sqlite3.Connection, journal: Journal, account: str, keys: Sequence[Key], now: int) -> int:
    there = {config_id: is_there(raw, account, config_id) for config_id in {key[1] for key in keys}}
    wanted = [key for key in keys if there[key[1]]]
    owe_again(raw, journal, account, wanted, now)
    return len(wanted)


def _cancel(raw: sqlite3.Connection, journal: Journal, _: str, keys: Sequence[Key], now: int) -> int:
    end(raw, journal, [Owed(*row) for row in _OPEN.run(raw, keys)], Verdict.CANCELLED, Reason.CANCELLED, now)
    return len(keys)


def _job(row: Sequence[Any]) -> Job:
    job_id, account, kind, text, selected, done, skipped, created_ms, ended_ms = row[:9]
    return Job(
        id=job_id,
        account=account,
        kind=JobKind(kind),
        narrowed=_decoded(text).narrowed(),
        selected=selected,
        done=done,
        skipped=skipped,
        created_ms=created_ms,
        ended_ms=ended_ms,
    )


def _text(narrowed: LogFilter, upto: int) -> str:
    return msgspec.json.encode(_Filter(upto=upto, **asdict(narrowed))).decode()


def _decoded(text: str) -> _Filter:
    return msgspec.json.decode(text, type=_Filter)
