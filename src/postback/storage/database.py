"""What the screens' storage needs of a database: a transaction to read in, one to write in, and word of changed configs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection

from postback.domain.errors import PostbackError
from postback.ports import Clock
from postback.storage.vault import Vault

if TYPE_CHECKING:
    from postback.storage.audit import Auditor

T = TypeVar("T")


class Sizes(NamedTuple):
    """Bytes of the database, and of a log of its own; None where that is not known, or not one database's."""

    database: int | None
    log: int | None


class Database(Protocol):
    """Either database, seen by `records`, `configs`, `accounts` and `log`. What a function raises is raised to its caller."""

    @property
    def clock(self) -> Clock: ...

    @property
    def vault(self) -> Vault:
        """What seals and opens the secrets of this database."""

    @property
    def auditor(self) -> "Auditor":
        """What puts changes on record, inside a `write`."""

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run it in a transaction that sees one state of the store and may write nothing."""

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run it in a transaction; its answer is durable on return, and nothing of it stays where it raised."""

    def changed(self, account: str) -> None:
        """Called inside a `write`: the account's configs are others once that is durable."""

    def watch(self, changed: Callable[[str], None]) -> None:
        """Call `changed(account)` on the loop after each such write, before its caller goes on."""

    def watch_all(self, changed: Callable[[], None]) -> None:
        """Call `changed()` on the loop when word of such writes of other processes may have been lost."""


class CannotOpen(PostbackError):
    """The store cannot be opened as it is; the message says which file, why, and what would help."""

    code = "cannot_open"
