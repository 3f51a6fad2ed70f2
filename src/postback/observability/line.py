"""The line of an attempt: all that a person asks about it, in one place."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class AttemptLine(msgspec.Struct, gc=False):
    """Its fields in the order in which they are written; those that are not set are left out.

    A struct, since each attempt makes one: as a dict it costs twice as much to make and to write.
    """

    level: str
    event: str
    delivery: str
    event_id: str
    event_type: str
    config: str
    config_version: int
    account: str
    location: str | None
    to: str
    attempt: int
    bytes: int
    waited_ms: int
    dns_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    first_byte_ms: int | None
    total_ms: int
    latency_ms: int
    """From acceptance to the end of the attempt."""
    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET
    manual: bool | UnsetType = UNSET
    interruptions: int | UnsetType = UNSET
    notes: Sequence[str] | UnsetType = UNSET
    status: int | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    again_in_ms: int | UnsetType = UNSET
    disables: str | UnsetType = UNSET
    warns: str | UnsetType = UNSET

    def facts(self) -> dict[str, Any]:
        """All but its level."""
        facts = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not UNSET}
        del facts["level"]
        return facts
