"""Who changed what in an account, for those who may read it."""

from dataclasses import dataclass, replace
from typing import Final

from postback.actions.cursors import cursor, position
from postback.actions.log import Part
from postback.domain.accounts import PLATFORM, Actor
from postback.domain.ids import unix_ms_of
from postback.ports import Audit, AuditEntry, AuditFilter

AUDIT: Final = "audit"


@dataclass(frozen=True, slots=True)
class AuditActions:
    audit: Audit

    async def entries(
        self,
        account: str | None,
        narrowed: AuditFilter,
        after: str | None,
        size: int,
        looked_at: int | None = None,
        *,
        sees_operators: bool,
    ) -> Part[AuditEntry]:
        """Of what belongs to no account for None: who may read that is asked before. Operators alone see operators.

        `looked_at` bounds how many entries are looked at for those that fit."""
        whose = account or ""
        before = None if after is None else position(whose, AUDIT, after, 1)[0]
        asked = as_asked(narrowed, sees_operators=sees_operators)
        since = None if looked_at is None else await self.audit.reach(account, asked, before, looked_at)
        found = await self.audit.entries(account, asked, before, size + 1, since)
        shown = [replace(entry, by=as_seen(entry.by, sees_operators=sees_operators)) for entry in found[:size]]
        if len(found) > size:
            return Part(shown, cursor(whose, AUDIT, (found[size - 1].id,)))
        if since is not None:
            return Part(shown, cursor(whose, AUDIT, (since,)), looked_back_ms=unix_ms_of(since))
        return Part(shown, None)


def as_seen(by: Actor | None, *, sees_operators: bool) -> Actor | None:
    """Whom an entry names: for accounts an operator is the platform, without name, id and address."""
    if by is None or sees_operators or not by.is_operator:
        return by
    return PLATFORM


def as_asked(narrowed: AuditFilter, *, sees_operators: bool) -> AuditFilter:
    """What is looked for: nobody finds by a name what they are not shown that name of.

    The id and the name of the platform are no key's: who is asked for by them is any operator.
    """
    key_id = None if narrowed.key_id == PLATFORM.key_id else narrowed.key_id
    key_name = None if narrowed.key_name == PLATFORM.key_name else narrowed.key_name
    is_of_the_platform = (key_id, key_name) != (narrowed.key_id, narrowed.key_name)
    if is_of_the_platform and (sees_operators or (key_id is None and key_name is None)):
        return replace(narrowed, key_id=key_id, key_name=key_name, is_operator=True)
    if sees_operators or (narrowed.key_id is None and narrowed.key_name is None):
        return narrowed
    return replace(narrowed, is_operator=False)
