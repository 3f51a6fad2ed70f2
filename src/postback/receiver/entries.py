"""What an inbox keeps, as rows of its table and as values."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from postback.receiver.parsing import ReceivedEvent, parse

TABLE: Final = """
    CREATE TABLE IF NOT EXISTS {table} (
        id TEXT PRIMARY KEY,
        body BYTEA NOT NULL,
        content_type TEXT NOT NULL,
        headers TEXT NOT NULL,
        time_zone TEXT,
        received_ms BIGINT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'processed', 'parked')),
        due_ms BIGINT NOT NULL,
        claim TEXT,
        attempts INTEGER NOT NULL,
        interruptions INTEGER NOT NULL,
        error TEXT,
        CHECK (claim IS NULL OR state = 'waiting')
    )
"""
"""`due_ms`: from when it may be claimed, which for a claimed one is the end of its lease; of all others since when."""

INDEX: Final = "CREATE INDEX IF NOT EXISTS {table}_due ON {table} (state, due_ms, id)"

SELECT: Final = (
    "SELECT id, body, content_type, headers, time_zone, received_ms, attempts, interruptions, error FROM {table}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request that the inbox keeps. `received_at` is unix seconds, `error` what the processing before this said.

    `attempts` counts its processings, this one included, and `interruptions` how often in a row this one began before:
    its process ended, or it took longer than the lease.
    """

    id: str
    body: bytes
    content_type: str
    headers: Mapping[str, str]
    time_zone: str | None
    received_at: float
    attempts: int
    interruptions: int
    error: str | None

    def event(self) -> ReceivedEvent:
        """What it tells; parsed at each call."""
        return parse(self.body, self.content_type, headers=self.headers, time_zone=self.time_zone)


class End(StrEnum):
    """What became of a processing. Lost: it took longer than the lease, and another one has the entry now."""

    PROCESSED = "processed"
    RETRIED = "retried"
    PARKED = "parked"
    LOST = "lost"


def repeat_key(event: ReceivedEvent) -> str:
    """What tells repeats from news: the event's id, and in formats without one a SHA-256 over its facts.

    The number of the attempt is none of them, since each repeat has another. Two events whose facts are the same to
    the last field are one by this: a format that shows neither an id nor a time cannot tell them apart.
    """
    if event.id is not None:
        return event.id
    facts = [event.type, event.data, event.occurred_at]
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return "sha256:" + hashlib.sha256(canonical.encode("ascii")).hexdigest()


def entry_of(row: Sequence[Any]) -> Entry:
    id, body, content_type, headers, time_zone, received_ms, attempts, interruptions, error = row
    return Entry(
        id=id,
        body=bytes(body),
        content_type=content_type,
        headers=json.loads(headers),
        time_zone=time_zone,
        received_at=received_ms / 1000,
        attempts=attempts,
        interruptions=interruptions,
        error=error,
    )
