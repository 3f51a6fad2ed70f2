"""Jobs over many deliveries, as far as every database does them alike: their rows, their filters, what they select."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, func, select

from postback.domain.deliveries import State
from postback.domain.jobs import COUNTED_MAX, JobKind
from postback.ports import Job, LogFilter, Sought
from postback.storage.journal import TEST
from postback.storage.log_keys import INDEXED_ENDS, Key, Walk, finished_ones, first_id, forwards, owed_ones, unfolded
from postback.storage.tables import attempts

LOOKED_AT: Final = 1_000
"""Rows of the index that a step looks at, at most."""

LAST_CONFIG: Final = (1 << 63) - 1
JOB_COLUMNS: Final = "id, account, kind, filter, selected, done, skipped, created_ms, ended_ms"


class _Filter(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The filter as it is stored. What a newer version has put in must not be overlooked: it narrows what is done."""

    upto: int
    """The newest event there was when the job was made."""
    location_id: str | None = None
    config_id: int | None = None
    event_type: str | None = None
    subject: str | None = None
    state: State | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    sought: Sought | None = None

    def narrowed(self) -> LogFilter:
        said = msgspec.structs.asdict(self)
        del said["upto"]
        return LogFilter(**said)


class Step(NamedTuple):
    """A part of a job: the keys to be done, and where the job is after them; `is_last` when there are no more."""

    keys: Sequence[Key]
    reached: Key
    is_last: bool


def count(
    connection: Connection, account: str, kind: JobKind, narrowed: LogFilter, now: int, at_most: int | None = None
) -> int:
    """How many deliveries fit, up to `at_most`, or else COUNTED_MAX."""
    found = _walk(account, kind, narrowed, now).keys.limit(at_most or COUNTED_MAX).subquery()
    return connection.execute(select(func.count()).select_from(found)).scalar_one()


def new_job(job_id: str, account: str, kind: JobKind, narrowed: LogFilter, selected: int, now: int) -> Job:
    return Job(
        id=job_id, account=account, kind=kind, narrowed=narrowed, selected=selected, done=0, skipped=0, created_ms=now
    )


def bounds(job: Job, newest: int) -> tuple[str, int]:
    """The filter as it is stored, and the event before the first one that the job may do; `newest` is the last there is."""
    narrowed = job.narrowed
    upto = newest if narrowed.until_ms is None else min(newest, first_id(narrowed.until_ms) - 1)
    before = 0 if narrowed.since_ms is None else first_id(narrowed.since_ms) - 1
    if narrowed.sought is not None and narrowed.sought.events is not None:
        first, last = narrowed.sought.events
        upto, before = min(upto, last), max(before, first - 1)
    return _text(narrowed, upto), before


def last_event(filter_text: str) -> int:
    """The newest event that a job of this filter does."""
    return _decoded(filter_text).upto


def keys_of_step(job: Job, after: Key, reach: int, limit: int) -> Select[Any]:
    """The next keys of the job, up to that event."""
    return forwards(_walk(job.account, job.kind, job.narrowed, job.created_ms), after, reach).limit(limit)


def step_of(keys: Sequence[Key], reach: int, upto: int, limit: int) -> Step:
    if len(keys) == limit:
        return Step(keys, keys[-1], is_last=False)
    return Step(keys, (reach, LAST_CONFIG), is_last=reach == upto)


def looks(job: Job, after: int) -> Sequence[tuple[str, tuple[Any, ...]]]:
    """Which indexes say how far a step that begins after that event reaches, and what to ask them: those that its walk
    takes, or else that of the account's events. Their names are those of the statements that every database has."""
    narrowed, rest = unfolded(job.narrowed), (after, LOOKED_AT)
    found: list[tuple[str, tuple[Any, ...]]] = []
    if job.kind is JobKind.CANCEL:
        found.append(("owed", rest))
    if job.kind is JobKind.REPLAY and narrowed.config_id is not None:
        found.append(("config", (narrowed.config_id, *rest)))
    if job.kind is JobKind.REPLAY and narrowed.state in INDEXED_ENDS:
        # With a config as well the planner takes either index: the step is short by both.
        found.append((narrowed.state.value, (job.account, *rest)))
    return found or [("events", (job.account, *rest))]


class Progress(NamedTuple):
    """Where a job is after a step: columns of its row."""

    done: int
    skipped: int
    is_done: bool


def progress(job: Job, step: Step, number: int) -> Progress:
    """`number` of the step's deliveries were replayed or cancelled."""
    done, skipped = job.done + number, job.skipped + len(step.keys) - number
    if step.is_last:
        # What fitted when the job was made and does not any more: owed again, ended, removed.
        skipped = max(skipped, job.selected - done)
    return Progress(done, skipped, step.is_last)


def _walk(account: str, kind: JobKind, narrowed: LogFilter, made_ms: int) -> Walk:
    """What a job of this filter does, were it made at that time."""
    narrowed = unfolded(narrowed)
    if kind is JobKind.CANCEL:
        return owed_ones(account, narrowed)
    walk = finished_ones(account, narrowed)
    # What failed again later was not meant, and an example was never meant for anybody's books.
    return walk._replace(keys=walk.keys.where(attempts.c.ended_ms <= made_ms, attempts.c.manual != TEST))


def job_of(row: Sequence[Any]) -> Job:
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
