"""Where accounts and keys are managed: the running server, or its database while no server holds the lock."""

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from postback.cli.client import Client, connect, known_key, segment
from postback.cli.output import CommandError, Exit
from postback.settings import Settings, load_settings

PID_BYTES = 32


class Desk(Protocol):
    """Where accounts and keys are managed. Answers are as the API gives them."""

    def save_account(self, account_id: str, name: str | None) -> dict[str, Any]: ...

    def accounts(self) -> list[dict[str, Any]]: ...

    def add_key(self, name: str, scopes: Sequence[str], expires_at: str | None) -> dict[str, Any]: ...

    def keys(self) -> list[dict[str, Any]]: ...

    def revoke_key(self, key_id: str) -> None: ...


@contextmanager
def desk(url: str | None, key: str | None, account: str | None = None) -> Iterator[Desk]:
    """The server where one was named or one holds the database; else the database itself, if it can be opened."""
    settings = load_settings()
    if not _opens(settings, url, key):
        yield ServerDesk(connect(url, key, account))
        return
    # The store's libraries take a while to load, which no other command should wait for.
    from postback.cli.store import StoreDesk

    with asyncio.Runner() as runner:
        here = StoreDesk.open(runner, settings, account)
        try:
            yield here
        finally:
            here.close()


def make_operator_key(name: str) -> dict[str, Any]:
    """In the database itself: no server makes one for whoever asks. On PostgreSQL servers may run, on a file none."""
    settings = load_settings()
    if not settings.is_on_a_server:
        database = Path(settings.database)
        if not database.exists():
            raise CommandError(f"{database} does not exist; its first start makes an operator key", Exit.USAGE)
        holder = lock_holder(database)
        if holder is not None:
            raise CommandError(f"{database} is in use by a server (pid {holder}); stop it first")
    from postback.cli.store import StoreDesk

    with asyncio.Runner() as runner:
        here = StoreDesk.open(runner, settings, None)
        try:
            return here.add_operator_key(name)
        finally:
            here.close()


def _opens(settings: Settings, url: str | None, key: str | None) -> bool:
    """Whether the database itself is opened: a file that no server has; on PostgreSQL, beside any servers, where there
    is no key to ask them with."""
    if url is not None:
        return False
    if settings.is_on_a_server:
        return key is None and known_key(settings) is None
    database = Path(settings.database)
    return database.exists() and lock_holder(database) is None


def lock_holder(database: Path) -> str | None:
    """The process id of the server that holds the database's lock, None when none does."""
    try:
        descriptor = os.open(database.with_name(database.name + ".lock"), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # Held only for as long as it takes to let go of it.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, PID_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
    finally:
        os.close(descriptor)
    return None


class ServerDesk:
    """By the API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def save_account(self, account_id: str, name: str | None) -> dict[str, Any]:
        fields = {} if name is None else {"name": name}
        answer = self._client.send("PUT", f"/v2/accounts/{segment(account_id)}", {"account": fields})
        return dict(answer.body["account"])

    def accounts(self) -> list[dict[str, Any]]:
        return list(self._client.list("/v2/accounts"))

    def add_key(self, name: str, scopes: Sequence[str], expires_at: str | None) -> dict[str, Any]:
        fields = {"name": name, "scopes": scopes} | ({} if expires_at is None else {"expires_at": expires_at})
        return dict(self._client.post("/v2/keys", {"key": fields})["key"])

    def keys(self) -> list[dict[str, Any]]:
        return list(self._client.list("/v2/keys"))

    def revoke_key(self, key_id: str) -> None:
        self._client.send("DELETE", f"/v2/keys/{segment(key_id)}")
