"""Postback configs, and those that fail."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from postback.domain.accounts import Actor
from postback.domain.configs import ConfigState, PostbackConfig, Snapshot
from postback.domain.notices import Trouble
from postback.ports.basics import Page, Query


class Configs(Protocol):
    """Postback configs; each change is a new version, raises the account's version, and is on record with its actor."""

    async def snapshot(self, account: str) -> Snapshot:
        """The configs of an account as they are now."""

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed(account)` on the loop after each change of the account's configs is durable."""

    def watch_all(self, changed: Callable[[], None]) -> None:
        """Call `changed()` on the loop when those of any account may have changed: word of it may have been lost."""

    async def add(self, config: PostbackConfig, *, by: Actor | None = None) -> None:
        """InvalidValue when its location is not the account's; Conflict when that is one config more than it is allowed."""

    async def find(self, account: str, config_id: int) -> PostbackConfig:
        """NotFound unless it is the account's and not deleted."""

    async def change(self, config: PostbackConfig, *, rotates: bool = False, by: Actor | None = None) -> None:
        """Put a new version in place; `config.version` is the one it was made from (else RevisionPassed).

        `rotates` says that nothing but its signing secret is another.
        """

    async def set_state(
        self, account: str, config_id: int, state: ConfigState, reason: str | None, *, by: Actor | None = None
    ) -> None:
        """Pause, resume or disable: one row, however much is owed."""

    async def delete(self, account: str, config_id: int, *, by: Actor | None = None) -> None:
        """Gone at once for everyone; `bury` cancels what is open, and the log stays."""

    async def arrange(
        self,
        added: Sequence[PostbackConfig],
        changed: Sequence[PostbackConfig],
        deleted: Sequence[PostbackConfig],
        *,
        by: Actor | None = None,
    ) -> None:
        """`add`, `change` and `delete` of configs of one account, all in one transaction or none of it.

        RevisionPassed when another change came between, also when it added a config of the same purpose.
        """

    async def list(self, account: str, query: Query) -> Page[PostbackConfig]: ...

    async def some(self, account: str, config_ids: Sequence[int]) -> Mapping[int, PostbackConfig]:
        """Those of them that are the account's and not deleted."""


class Troubles(Protocol):
    """Configs that fail."""

    async def of(self, account: str, config_id: int) -> Trouble:
        """How the config has fared since its last success, to the minute."""

    async def told(self, account: str, config_id: int, failing_ms: int | None) -> bool:
        """Since when others have been told that it fails, None that it is well again; False where that was so already."""
