"""Who a request acts as: from a key to an account and what may be done in it."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from postback.actions.remembered import Remembered
from postback.actions.secrets import hash_of
from postback.domain.accounts import Account, AccountLimits, Actor, ApiKey, Scope
from postback.domain.errors import Forbidden, InvalidValue, NotFound, Unauthorized, Unavailable
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.ports import Accounts, Clock

TOUCHED_EVERY_MS: Final = 60_000
"""The last use of a key is on record to the minute: not every request is a write."""


class Principal(NamedTuple):
    """Who asks: a key that acts for `account`. An operator key may act for any. `actor` is what is put on record."""

    account: str
    scopes: frozenset[Scope]
    is_operator: bool
    actor: Actor

    @property
    def own_account(self) -> str | None:
        """None for an operator, who is of no account."""
        return None if self.is_operator else self.account

    @property
    def sees_all(self) -> bool:
        """Whether sensitive fields are shown to it: only what it could set itself."""
        return Scope.WRITE in self.scopes

    def demand(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise Forbidden(f"this key lacks the scope {scope}")


class Access:
    """Finds out who asks. What the store said is kept in memory for a second, so a request costs no query."""

    def __init__(self, accounts: Accounts, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._accounts = accounts
        self._clock = clock
        self._keys: Remembered[bytes, ApiKey] = Remembered(monotonic)
        self._known_accounts: Remembered[str, Account] = Remembered(monotonic)

    async def identify(self, secret: str, address: str | None = None) -> Principal:
        """The principal behind a key, of its own account (an operator's: of the default one); `address` is the peer's."""
        key = await self._key(secret)
        if key is None or key.has_expired(self._clock()):
            raise Unauthorized("the key is unknown, revoked or expired")
        actor = Actor(key.id, key.name, address, is_operator=key.account is None)
        return Principal(key.account or ACCOUNT_DEFAULT, key.scopes, is_operator=actor.is_operator, actor=actor)

    async def acting_for(self, principal: Principal, wanted_account: str | None) -> Principal:
        """As which it acts; `wanted_account` is whom it asks to act for, which only an operator may do."""
        if not principal.is_operator:
            if wanted_account not in (None, principal.account):
                raise Forbidden("this key acts for its own account only")
            return principal
        account = principal.account if wanted_account is None else wanted_account
        if not await self.knows(account):
            raise NotFound("acc", account)
        return principal._replace(account=account)

    async def account_for(self, principal: Principal, named: object) -> str:
        """The account that a field `account` names, which only an operator key may do."""
        if not principal.is_operator:
            raise InvalidValue.of("account", "account may be named by operator keys only")
        if not isinstance(named, str) or not await self.knows(named):
            raise InvalidValue.of("account", "account provided is not valid")
        return named

    async def knows(self, account: str) -> bool:
        return await self._account(account) is not None

    async def limits_of(self, account: str) -> AccountLimits:
        """What it is allowed; an account that is gone is refused elsewhere."""
        found = await self._account(account)
        return AccountLimits() if found is None else found.limits

    async def portal_origins_of(self, account: str) -> tuple[str, ...]:
        """Whose pages may show its portal in a frame."""
        found = await self._account(account)
        return () if found is None else found.portal_origins

    def forget(self) -> None:
        """Ask the store anew: a key or an account has been removed, or is allowed something else."""
        self._keys.clear()
        self._known_accounts.clear()

    async def _account(self, account: str) -> Account | None:
        found = self._known_accounts.get(account)
        if found is None:
            try:
                found = await self._accounts.find(account)
            except NotFound:
                return None
            self._known_accounts.put(account, found)
        return found

    async def _key(self, secret: str) -> ApiKey | None:
        key_hash = hash_of(secret)
        key = self._keys.get(key_hash)
        if key is None:
            key = await self._accounts.key_by_hash(key_hash)
            if key is not None:
                self._keys.put(key_hash, key)
                await self._touch(key)
        return key

    async def _touch(self, key: ApiKey) -> None:
        now_ms = self._clock()
        if key.last_used_ms is not None and now_ms - key.last_used_ms < TOUCHED_EVERY_MS:
            return
        try:
            await self._accounts.touch_keys({key.id: now_ms})
        except Unavailable:
            # A store that cannot write now can still be read; the next second tries again.
            return
