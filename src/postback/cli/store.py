"""Accounts and keys by the database itself: a file while no server holds its lock."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, TypeVar

from postback.actions.access import Access, Principal
from postback.actions.accounts import AccountActions
from postback.actions.passwords import Passwords
from postback.actions.users import UserActions
from postback.api.views import account_view, key_view
from postback.cli.client import PAGE_SIZE
from postback.domain.accounts import Actor, Scope
from postback.domain.ids import ACCOUNT_DEFAULT, SLOTS, IdSource
from postback.domain.times import rfc3339
from postback.domain.users import User
from postback.ports import Page, Query, SignedOut
from postback.settings import Settings
from postback.storage.accounts import SqlAccounts
from postback.storage.links import SqlSignInLinks
from postback.storage.stores import Store, open_store
from postback.storage.users import SqlUsers

T = TypeVar("T")

_ACTOR: Final = Actor("command-line", "the command line", is_operator=True)


class StoreDesk:
    """By the database itself, with all rights: whoever may write the file needs no key."""

    def __init__(self, runner: asyncio.Runner, store: Store, account: str) -> None:
        clock = store.clock
        self._runner = runner
        self._store = store
        accounts = SqlAccounts(store)
        self._actions = AccountActions(
            accounts=accounts,
            access=Access(accounts, clock),
            clock=clock,
            # No server has this slot before all others are taken.
            ids=IdSource(clock, SLOTS - 1),
        )
        self._users = UserActions(
            SqlUsers(store), SqlSignInLinks(store), Passwords(), clock, IdSource(clock, SLOTS - 1)
        )
        self._principal = Principal(account, frozenset(Scope), is_operator=True, actor=_ACTOR)

    @classmethod
    def open(cls, runner: asyncio.Runner, settings: Settings, account: str | None) -> "StoreDesk":
        store = runner.run(
            open_store(settings.database, lambda: time.time_ns() // 1_000_000, secret_keys=settings.secret_keys)
        )
        here = cls(runner, store, account or ACCOUNT_DEFAULT)
        try:
            # An account that was named wrongly is told before anything is done for it.
            if account is not None:
                runner.run(here._actions.find(here._principal, account))
        except BaseException:
            here.close()
            raise
        return here

    def close(self) -> None:
        self._runner.run(self._store.close())

    def save_account(self, account_id: str, name: str | None) -> dict[str, Any]:
        fields = {} if name is None else {"name": name}
        account, _ = self._runner.run(self._actions.save(self._principal, account_id, fields))
        return account_view(account)

    def accounts(self) -> list[dict[str, Any]]:
        return [account_view(one) for one in self._all(lambda query: self._actions.list(self._principal, query))]

    def add_key(self, name: str, scopes: Sequence[str], expires_at: str | None) -> dict[str, Any]:
        fields = {"name": name, "scopes": list(scopes)} | ({} if expires_at is None else {"expires_at": expires_at})
        key, secret = self._runner.run(self._actions.add_key(self._principal, fields))
        return key_view(key) | {"secret": secret}

    def add_operator_key(self, name: str) -> dict[str, Any]:
        """Whoever may write the database may do anything: it acts for any account, with all scopes."""
        key, secret = self._runner.run(self._actions.add_operator_key(name, by=_ACTOR))
        return key_view(key) | {"secret": secret}

    def keys(self) -> list[dict[str, Any]]:
        return [key_view(one) for one in self._all(lambda query: self._actions.list_keys(self._principal, query))]

    def revoke_key(self, key_id: str) -> None:
        self._runner.run(self._actions.revoke_key(self._principal, key_id))

    def users(self) -> list[dict[str, Any]]:
        """Of the platform first, then of each account."""
        return [user_view(user) for user in self._runner.run(self._users.users.everybody())]

    def join_path(self) -> str | None:
        """Of a link to become the first user; None where there is a user."""
        if not self._runner.run(self._users.needs_first()):
            return None
        return f"/join/{self._runner.run(self._users.first_link())}"

    def new_password_path(self, email: str) -> str:
        return f"/new-password/{self._runner.run(self._users.rescue(email, _ACTOR))}"

    def sign_everybody_out(self) -> SignedOut:
        return self._runner.run(self._users.users.sign_everybody_out(by=_ACTOR))

    def _all(self, ask: Callable[[Query], Coroutine[Any, Any, Page[T]]]) -> Iterator[T]:
        number, seen = 1, 0
        while True:
            page = self._runner.run(ask(Query(page=number, page_size=PAGE_SIZE)))
            yield from page.items
            number, seen = number + 1, seen + len(page.items)
            if seen >= page.total or not page.items:
                return


def user_view(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "account": user.account,
        "email": user.email,
        "role": str(user.role),
        "created_at": rfc3339(user.created_ms),
        "disabled": user.is_disabled,
    }
