"""Who changed what in an account, for those who may read it."""

from dataclasses import dataclass
from typing import Final

from postback.actions.cursors import cursor, position
from postback.actions.log import Part
from postback.ports import Audit, AuditEntry, AuditFilter

AUDIT: Final = "audit"


@dataclass(frozen=True, slots=True)
class AuditActions:
    audit: Audit

    async def entries(
        self, account: str | None, narrowed: AuditFilter, after: str | None, size: int
    ) -> Part[AuditEntry]:
        """Of what belongs to no account for None: who may read that is asked before."""
        whose = account or ""
        before = None if after is None else position(whose, AUDIT, after, 1)[0]
        found = await self.audit.entries(account, narrowed, before, size + 1)
        more = len(found) > size
        return Part(found[:size], cursor(whose, AUDIT, (found[size - 1].id,)) if more else None)
