"""Jobs over many deliveries: counted and put on record, then done in small steps.

A step is one transaction: what it does and how far the job has come become durable together, so a job whose process
was killed goes on where it was. It looks at a bounded part of an index, however little of it fits the filter, so what
else is to be written never waits long.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from postback.domain.deliveries import State, Verdict
from postback.domain.errors import Conflict, NotFound
from postback.domain.jobs import RUNNING_MAX, JobKind, JobState
from postback.domain.wire import Reason
from postback.ports import Job
from postback.storage import jobs
from postback.storage.jobs import JOB_COLUMNS, LAST_CONFIG, job_of
from postback.storage.journal import OWED_COLUMNS, Owed
from postback.storage.log_keys import Key
from postback.storage.sqlite.connections import Door
from postback.storage.sqlite.journal import Journal, end
from postback.storage.sqlite.keeping import is_there, owe_again
from postback.storage.sqlite.statements import Lookup

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
REACH: Final[Mapping[str, str]] = {
    "owed": OF_OWED,
    "config": OF_CONFIG,
    "events": OF_EVENTS,
    **{state.value: sql for state, sql in OF_ENDS.items()},
}
"""How far so many rows of an index reach; each goes with one of the walks of `log_keys`."""

IN_TURN: Final = """
SELECT min(id) FROM replays INDEXED BY replays_running
WHERE state = 'running' AND coalesce(kind = ?, true)
GROUP BY account ORDER BY 1
"""

_OPEN: Final = Lookup(
    f"""
    WITH k (event_id, config_id) AS ({{keys}})
    SELECT {", ".join(f"o.{name}" for name in OWED_COLUMNS.split(", "))}
    FROM k CROSS JOIN owed o ON o.event_id = k.event_id AND o.config_id = k.config_id
    """,  # noqa: S608
    width=2,
)


def start(raw: sqlite3.Connection, job: Job) -> None:
    """On record; it runs from now on."""
    running = raw.execute(
        "SELECT count(*) FROM replays WHERE account = ? AND state = 'running'", (job.account,)
    ).fetchone()[0]
    if running >= RUNNING_MAX:
        raise Conflict(f"{running} jobs of this account are running; wait until one is done")
    newest = raw.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0]
    narrowed, before = jobs.bounds(job, newest)
    raw.execute(
        """
        INSERT INTO replays (
            id, account, kind, state, filter, selected, done, skipped, event_id, config_id, created_ms
        )
        VALUES (?, ?, ?, 'running', ?, ?, 0, 0, ?, ?, ?)
        """,
        (job.id, job.account, job.kind, narrowed, job.selected, before, LAST_CONFIG, job.created_ms),
    )


def in_turn(raw: sqlite3.Connection, kind: JobKind | None) -> Sequence[str]:
    return [row[0] for row in raw.execute(IN_TURN, (kind,))]


def step(door: Door, now: int, job_id: str, limit: int) -> int:
    """Go on with the job; how many deliveries that were."""
    raw = door.raw
    row = raw.execute(
        f"SELECT {JOB_COLUMNS}, event_id, config_id FROM replays WHERE id = ? AND state = 'running'",  # noqa: S608
        (job_id,),
    ).fetchone()
    if row is None:
        return 0
    job, after = job_of(row), (row[-2], row[-1])
    found = _next(door, job, jobs.last_event(row[3]), after, limit)
    journal = Journal(raw, now)
    does = _replay if job.kind is JobKind.REPLAY else _cancel
    number = does(raw, journal, job.account, found.keys)
    journal.write()

    made = jobs.progress(job, found, number)
    raw.execute(
        """
        UPDATE replays
        SET event_id = ?, config_id = ?, done = ?, skipped = ?, selected = max(selected, ?), state = ?, ended_ms = ?
        WHERE id = ?
        """,
        (
            *found.reached,
            *(made.done, made.skipped, made.done + made.skipped),
            *((JobState.DONE, now) if made.is_done else (JobState.RUNNING, None)),
            job_id,
        ),
    )
    return number


def find(raw: sqlite3.Connection, account: str, job_id: str) -> Job:
    row = raw.execute(
        f"SELECT {JOB_COLUMNS} FROM replays WHERE id = ? AND account = ?",  # noqa: S608
        (job_id, account),
    ).fetchone()
    if row is None:
        raise NotFound("rpl", job_id)
    return job_of(row)


def listed(raw: sqlite3.Connection, account: str, before: str | None, limit: int) -> Sequence[Job]:
    """From the newest to the oldest."""
    # No id sorts after a letter that none begins with.
    rows = raw.execute(
        f"SELECT {JOB_COLUMNS} FROM replays WHERE account = ? AND id < ? ORDER BY id DESC LIMIT ?",  # noqa: S608
        (account, before or "~", limit),
    )
    return [job_of(row) for row in rows]


def _next(door: Door, job: Job, upto: int, after: Key, limit: int) -> jobs.Step:
    reached = [door.raw.execute(REACH[name], known).fetchone() for name, known in jobs.looks(job, after[0])]
    reach = min([upto, *(row[0] for row in reached if row is not None)])
    query = jobs.keys_of_step(job, after, reach, limit)
    keys = door.run(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])
    return jobs.step_of(keys, reach, upto, limit)


def _replay(raw: sqlite3.Connection, journal: Journal, account: str, keys: Sequence[Key]) -> int:
    there = {config_id: is_there(raw, account, config_id) for config_id in {key[1] for key in keys}}
    wanted = [key for key in keys if there[key[1]]]
    owe_again(raw, journal, account, wanted)
    return len(wanted)


def _cancel(raw: sqlite3.Connection, journal: Journal, _: str, keys: Sequence[Key]) -> int:
    end(raw, journal, [Owed(*row) for row in _OPEN.run(raw, keys)], Verdict.CANCELLED, Reason.CANCELLED)
    return len(keys)
