"""Who changed what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from postback.domain.accounts import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """What a list of the audit is narrowed to; times are unix ms, `until_ms` exclusive."""

    action: str | None = None
    target: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    is_operator: bool | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change: who made it (None is the server itself), and what it changed, secrets as `***`."""

    id: int
    at_ms: int
    by: Actor | None
    action: str
    target: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


class Audit(Protocol):
    """Who changed what. A change and its entry are written together, or neither is; what changes nothing has none."""

    async def entries(
        self, account: str | None, narrowed: AuditFilter, before: int | None, limit: int, since: int | None = None
    ) -> Sequence[AuditEntry]:
        """From the newest to the oldest, of ids from `since` on; `before` is the last id of the page before. None is what
        belongs to no account."""

    async def reach(self, account: str | None, narrowed: AuditFilter, before: int | None, rows: int) -> int | None:
        """The id that so many entries back lead to; None where such a list ends before, or comes past no others."""

    async def first(self, account: str | None, narrowed: AuditFilter, rows: int) -> AuditEntry | None:
        """The oldest that fits, among the first `rows` entries from `since_ms` on."""

    async def refuse(self, account: str | None, route: str, why: str, *, by: Actor) -> None:
        """Put on record that somebody may not do something. Nothing was changed: it is an entry without a change."""
