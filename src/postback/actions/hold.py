"""Whether the server is held after a restore, what it would send, and its release: for operators."""

from dataclasses import dataclass
from typing import NamedTuple

from postback.actions.access import Principal
from postback.actions.accounts import demand_operator
from postback.domain.restored import Copy, Owing
from postback.ports import Held


class Standing(NamedTuple):
    """`owing` is None where nothing is held: what is owed is delivered then."""

    copy: Copy | None
    owing: Owing | None


@dataclass(frozen=True, slots=True)
class HoldActions:
    held: Held

    async def show(self, principal: Principal) -> Standing:
        demand_operator(principal, "a hold")
        return await self._standing()

    async def release(self, principal: Principal) -> Standing:
        """Once released, again changes nothing."""
        demand_operator(principal, "a hold")
        await self.held.release(by=principal.actor)
        return await self._standing()

    async def _standing(self) -> Standing:
        return Standing(self.held.copy, await self.held.owing() if self.held.is_held else None)
