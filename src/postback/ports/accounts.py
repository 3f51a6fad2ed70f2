"""Accounts and their keys."""

from collections.abc import Mapping
from typing import Protocol

from postback.domain.accounts import Account, Actor, ApiKey
from postback.ports.basics import Page, Query


class Accounts(Protocol):
    async def save(self, account: Account, *, by: Actor | None = None) -> None:
        """Make it, or change its name, metadata and limits; Conflict while an account of that id is being forgotten."""

    async def find(self, account: str) -> Account: ...

    async def list(self, query: Query) -> Page[Account]: ...

    async def delete(self, account: str, *, by: Actor | None = None) -> None:
        """Conflict while it has locations, configs or deliveries owed; its keys go with it, and `bury` forgets its history."""

    async def add_key(self, key: ApiKey, *, by: Actor | None = None) -> None: ...

    async def key_by_hash(self, key_hash: bytes) -> ApiKey | None: ...

    async def list_keys(self, account: str | None, query: Query, *, with_operators: bool = False) -> Page[ApiKey]:
        """None lists the operator keys; `with_operators` lists them among those of the account."""

    async def revoke_key(self, account: str | None, key_id: str, *, by: Actor | None = None) -> None: ...

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        """Key id → unix ms of its last use."""
