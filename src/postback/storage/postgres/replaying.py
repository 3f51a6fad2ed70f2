"""Jobs over many deliveries: counted and put on record, then done in small steps, as on SQLite.

A step is one transaction that locks the job's row: what it does and how far the job has come become durable together,
and of two processes that would go on with the same job the second does nothing.
"""

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
from postback.storage.postgres.arrays import columns, unnested
from postback.storage.postgres.door import Door
from postback.storage.postgres.journal import Journal, Raw, end, go_by_keys
from postback.storage.postgres.keeping import owe_again, those_there

_OF_END: Final = """
SELECT event_id FROM attempts WHERE account = $1 AND verdict = {verdict:d} AND event_id > $2
ORDER BY event_id LIMIT 1 OFFSET $3
"""

REACH: Final[Mapping[str, str]] = {
    "owed": "SELECT event_id FROM owed WHERE event_id > $1 ORDER BY event_id LIMIT 1 OFFSET $2",
    "config": """
SELECT event_id FROM attempts WHERE config_id = $1 AND event_id > $2 ORDER BY event_id LIMIT 1 OFFSET $3
""",
    "events": "SELECT id FROM events WHERE account = $1 AND id > $2 ORDER BY id LIMIT 1 OFFSET $3",
    State.FAILED.value: _OF_END.format(verdict=Verdict.FAILED),
    State.CANCELLED.value: _OF_END.format(verdict=Verdict.CANCELLED),
}
"""How far so many rows of an index reach; each goes with one of the walks of `log_keys`."""

IN_TURN: Final = """
SELECT min(id) FROM replays WHERE state = 'running' AND coalesce(kind = $1, true) GROUP BY account ORDER BY 1
"""

_OPEN: Final = f"""
SELECT {", ".join(f"o.{name}" for name in OWED_COLUMNS.split(", "))}
FROM {unnested(("bigint", "bigint"), 1)} AS k (event_id, config_id), owed AS o
WHERE o.event_id = k.event_id AND o.config_id = k.config_id
FOR UPDATE OF o
"""  # noqa: S608

_ENDED: Final = f"""
SELECT k.event_id, k.config_id
FROM {unnested(("bigint", "bigint"), 1)} AS k (event_id, config_id)
WHERE NOT EXISTS (SELECT 1 FROM owed AS o WHERE o.event_id = k.event_id AND o.config_id = k.config_id)
"""  # noqa: S608


async def start(raw: Raw, job: Job) -> None:
    """On record; it runs from now on. Others of the account wait until it is."""
    await raw.execute("SELECT 1 FROM accounts WHERE id = $1 FOR NO KEY UPDATE", job.account)
    running = await raw.fetchval("SELECT count(*) FROM replays WHERE account = $1 AND state = 'running'", job.account)
    if running >= RUNNING_MAX:
        raise Conflict(f"{running} jobs of this account are running; wait until one is done")
    narrowed, before = jobs.bounds(job, await raw.fetchval("SELECT coalesce(max(id), 0) FROM events"))
    await raw.execute(
        """
        INSERT INTO replays (
            id, account, kind, state, filter, selected, done, skipped, event_id, config_id, created_ms
        )
        VALUES ($1, $2, $3, 'running', $4, $5, 0, 0, $6, $7, $8)
        """,
        job.id,
        job.account,
        job.kind.value,
        narrowed,
        job.selected,
        before,
        LAST_CONFIG,
        job.created_ms,
    )


async def in_turn(raw: Raw, kind: JobKind | None) -> Sequence[str]:
    return [row[0] for row in await raw.fetch(IN_TURN, kind and kind.value)]


async def step(door: Door, journal: Journal, job_id: str, limit: int) -> int:
    """Go on with the job; how many deliveries that were."""
    raw = door.raw
    row = await raw.fetchrow(
        f"""
        SELECT {JOB_COLUMNS}, event_id, config_id
        FROM replays
        WHERE id = $1 AND state = 'running'
        FOR UPDATE SKIP LOCKED
        """,  # noqa: S608
        job_id,
    )
    if row is None:
        return 0
    job, after = job_of(tuple(row)), (row["event_id"], row["config_id"])
    found = await _next(door, job, jobs.last_event(row["filter"]), after, limit)
    does = _replay if job.kind is JobKind.REPLAY else _cancel
    number = await does(raw, journal, job.account, found.keys)
    await journal.write(raw)

    made = jobs.progress(job, found, number)
    await raw.execute(
        """
        UPDATE replays
        SET
            event_id = $1, config_id = $2, done = $3, skipped = $4, selected = greatest(selected, $5),
            state = $6, ended_ms = $7
        WHERE id = $8
        """,
        *found.reached,
        made.done,
        made.skipped,
        made.done + made.skipped,
        *((JobState.DONE.value, journal.now) if made.is_done else (JobState.RUNNING.value, None)),
        job_id,
    )
    journal.rows += 1
    return number


async def find(raw: Raw, account: str, job_id: str) -> Job:
    row = await raw.fetchrow(
        f"SELECT {JOB_COLUMNS} FROM replays WHERE id = $1 AND account = $2",  # noqa: S608
        job_id,
        account,
    )
    if row is None:
        raise NotFound("rpl", job_id)
    return job_of(tuple(row))


async def listed(raw: Raw, account: str, before: str | None, limit: int) -> Sequence[Job]:
    """From the newest to the oldest."""
    # No id sorts after a letter that none begins with.
    rows = await raw.fetch(
        f"SELECT {JOB_COLUMNS} FROM replays WHERE account = $1 AND id < $2 ORDER BY id DESC LIMIT $3",  # noqa: S608
        account,
        before or "~",
        limit,
    )
    return [job_of(tuple(row)) for row in rows]


async def _next(door: Door, job: Job, upto: int, after: Key, limit: int) -> jobs.Step:
    reached = [await door.raw.fetchval(REACH[name], *known) for name, known in jobs.looks(job, after[0])]
    reach = min([upto, *(one for one in reached if one is not None)])
    query = jobs.keys_of_step(job, after, reach, limit)
    keys = await door.run(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])
    return jobs.step_of(keys, reach, upto, limit)


async def _replay(raw: Raw, journal: Journal, account: str, keys: Sequence[Key]) -> int:
    there = await those_there(raw, account, sorted({key[1] for key in keys}))
    await go_by_keys(raw)
    # Somebody may have replayed one of them since they were selected.
    ended = [(row[0], row[1]) for row in await raw.fetch(_ENDED, *columns(keys, 2))]
    wanted = [key for key in ended if key[1] in there]
    await owe_again(raw, journal, account, wanted)
    return len(wanted)


async def _cancel(raw: Raw, journal: Journal, _: str, keys: Sequence[Key]) -> int:
    await go_by_keys(raw)
    open_ones = [Owed(*row) for row in await raw.fetch(_OPEN, *columns(sorted(keys), 2))]
    await end(raw, journal, open_ones, Verdict.CANCELLED, Reason.CANCELLED)
    return len(open_ones)
