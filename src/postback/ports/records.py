"""What people and programs set up."""

from collections.abc import Sequence
from typing import Protocol

from postback.domain.records import Change, Record
from postback.ports.basics import Page, Query


class Records(Protocol):
    """What people and programs set up. Every query is bound to an account in one place."""

    async def find(self, account: str, resource: str, record_id: str) -> Record: ...

    async def find_by_key(self, account: str, resource: str, location_id: str, key: str) -> Record | None: ...

    async def list(self, account: str, resource: str, query: Query) -> Page[Record]: ...

    async def apply(self, changes: Sequence[Change]) -> None:
        """Changes that make no event (locations), in one transaction; the rest go with their event through Intake."""
