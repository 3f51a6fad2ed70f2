"""Portal links: what operators give to the people of one account, who have no user here and need none."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from postback.actions.access import Access, Principal
from postback.actions.accounts import demand_operator
from postback.actions.fields import Errors, Reader, actor_name, one_of, read, whole
from postback.actions.sign_in_links import MadeLink, make_link
from postback.domain.errors import NotFound
from postback.domain.users import LINK_MAX_MS, Link, LinkKind, Role
from postback.ports import Clock, SignInLinks

LASTS_S: Final = 3600
LASTS_MIN_S: Final = 60
LASTS_MAX_S: Final = LINK_MAX_MS // 1000
"""Seconds that a link may be opened for: what holds where nothing is said, the least and the most."""

ROLES: Final = (Role.VIEWER, Role.EDITOR, Role.ADMIN)
ROLE: Final = Role.EDITOR
NAME_MAX: Final = 100
LISTED: Final = 100
"""Links that are listed at once, the newest; what is older is over by itself within a day."""

_FIELDS: Final[Mapping[str, Reader]] = {
    "role": one_of(*ROLES),
    "name": actor_name(NAME_MAX),
    "lasts": whole(LASTS_MIN_S, LASTS_MAX_S),
}


@dataclass(frozen=True, slots=True)
class PortalLinks:
    links: SignInLinks
    access: Access
    clock: Clock
    ids: Callable[[], int]

    async def make(self, principal: Principal, account: str, fields: Mapping[str, object]) -> MadeLink:
        """Whoever opens it first sees the portal of this account, and of no other. NotFound without such an account."""
        demand_operator(principal, "portal links")
        errors = Errors()
        sent = read(fields, _FIELDS, errors)
        errors.raise_any()
        if not await self.access.knows(account):
            raise NotFound("acc", account)
        link = Link(
            id="",
            kind=LinkKind.PORTAL,
            created_ms=0,
            account=account,
            role=Role(sent.get("role", ROLE)),
            name=sent.get("name", account),
        )
        lasts_ms = sent.get("lasts", LASTS_S) * 1000
        return await make_link(self.links, link, lasts_ms, self.clock, self.ids, principal.actor)

    async def list(self, principal: Principal, account: str) -> Sequence[Link]:
        """Those that can be opened, or were, and somebody may still be signed in by; the newest first."""
        demand_operator(principal, "portal links")
        since_ms = self.clock() - LINK_MAX_MS
        return [
            link
            for link in await self.links.list(account, LinkKind.PORTAL, LISTED)
            if link.created_ms > since_ms and (link.used_ms is not None or link.is_good(self.clock()))
        ]

    async def revoke(self, principal: Principal, account: str, link_id: str) -> None:
        """It opens nothing any more, and whoever came by it is signed out. NotFound unless it is one of the account."""
        demand_operator(principal, "portal links")
        await self.links.revoke(account, link_id, LinkKind.PORTAL, by=principal.actor)
