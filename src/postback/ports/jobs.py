"""What lists of the log are narrowed to, and jobs over many deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from postback.domain.deliveries import State
from postback.domain.ids import config_text
from postback.domain.jobs import JobKind
from postback.domain.times import rfc3339


class Sought(NamedTuple):
    """What a text that somebody searches for stands for, found out when it was asked: events whose ids are from the first
    to the last of `events`, deliveries to these configs, events about this subject, or of the message with this tracking id.
    None narrows nothing."""

    text: str
    events: tuple[int, int] | None = None
    config_ids: tuple[int, ...] | None = None
    subject: str | None = None
    tracking_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilter:
    """What a list of the log is narrowed to; times are unix ms of acceptance, `until_ms` exclusive.

    `reason` is the cause (domain/causes.py) of the last attempt, which was no success.
    """

    location_id: str | None = None
    config_id: int | None = None
    event_type: str | None = None
    subject: str | None = None
    state: State | None = None
    reason: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    sought: Sought | None = None

    def as_asked(self) -> Mapping[str, object]:
        """What is narrowed, by the names that callers use."""
        said = {
            "state": self.state,
            "postbackconfig_id": None if self.config_id is None else config_text(self.config_id),
            "event_type": self.event_type,
            "location_id": self.location_id,
            "subject": self.subject,
            "reason": self.reason,
            "since": None if self.since_ms is None else rfc3339(self.since_ms),
            "until": None if self.until_ms is None else rfc3339(self.until_ms),
            "search": None if self.sought is None else self.sought.text,
        }
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Many deliveries to be replayed or cancelled. Times are unix ms; `ended_ms` is None while it runs.

    `selected` counts what fitted when it was made, `done` what it has come to, `skipped` what it found to be owed
    again, ended or gone. Where more than COUNTED_MAX fitted, `selected` grows with them.
    """

    id: str
    account: str
    kind: JobKind
    narrowed: LogFilter
    selected: int
    done: int
    skipped: int
    created_ms: int
    ended_ms: int | None = None
