"""Accounts, and the keys that act for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from postback.actions.access import Access, Principal
from postback.actions.fields import Errors, Reader, actor_name, read, require, text
from postback.actions.limits import read_limits
from postback.actions.origins import origins
from postback.actions.secrets import OWN_SECRET_MIN, hash_of, new_secret, prefix_of
from postback.domain.accounts import KEY_PREFIX, Account, AccountLimits, Actor, ApiKey, Scope, is_reserved
from postback.domain.errors import Conflict, Forbidden, InvalidValue, NotFound
from postback.domain.ids import ACCOUNT_DEFAULT, encode
from postback.domain.times import EXPECTED, unix_ms
from postback.ports import Accounts, Clock, Page, Query
from postback.resources.fields import Refusal, shown

METADATA_MAX: Final = 4_096
ACCOUNT_ID_MAX: Final = 36

ACCOUNTS_LISTED: Final = {"id": "id", "name": "name", "created_at": "created_ts", "modified_at": "modified_ts"}
KEYS_LISTED: Final = {"id": "id", "name": "name", "prefix": "prefix", "created_at": "created_ts"}
"""What lists may be narrowed and ordered by: the name that callers use → the one in the store."""

_ID_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True, slots=True)
class AccountActions:
    """What operators may do with accounts, and whoever has the scope admin with the keys of one."""

    accounts: Accounts
    access: Access
    clock: Clock
    ids: Callable[[], int]

    async def save(
        self, principal: Principal, account_id: str, fields: Mapping[str, object], *, only_new: bool = False
    ) -> tuple[Account, bool]:
        """Make or change it; also whether it was made. What is not sent stays, null removes.

        With `only_new` InvalidValue where there is one of that id.
        """
        demand_operator(principal)
        errors = Errors()
        sent = read(fields, _ACCOUNT_FIELDS, errors)
        if not 1 <= len(account_id) <= ACCOUNT_ID_MAX or not _ID_LETTERS.issuperset(account_id):
            errors.add("id", f"id is {shown(account_id)}; expected 1 to {ACCOUNT_ID_MAX} letters, digits, _ or -")
        limits = read_limits(sent.get("limits"), errors)
        errors.raise_any()
        try:
            old = await self.accounts.find(account_id)
        except NotFound:
            old = None
        if only_new and old is not None:
            raise InvalidValue.of("id", "there is an account with this id already")
        now_ms = self.clock()
        removes_limits = "limits" in fields and fields["limits"] is None
        account = Account(
            id=account_id,
            name=sent.get("name") if "name" in fields or old is None else old.name,
            metadata=sent.get("metadata", {}) if "metadata" in fields or old is None else old.metadata,
            limits=replace(AccountLimits() if old is None or removes_limits else old.limits, **limits),
            portal_origins=(
                sent.get("portal_origins", ()) if "portal_origins" in fields or old is None else old.portal_origins
            ),
            created_ms=now_ms if old is None else old.created_ms,
            modified_ms=now_ms,
        )
        await self.accounts.save(account, by=principal.actor)
        self.access.forget()
        return account, old is None

    async def find(self, principal: Principal, account_id: str) -> Account:
        demand_operator(principal)
        return await self.accounts.find(account_id)

    async def list(self, principal: Principal, query: Query) -> Page[Account]:
        demand_operator(principal)
        return await self.accounts.list(query)

    async def delete(self, principal: Principal, account_id: str) -> None:
        demand_operator(principal)
        if account_id == ACCOUNT_DEFAULT:
            raise Conflict(f"the account {ACCOUNT_DEFAULT} is the server's own and cannot be deleted")
        await self.accounts.delete(account_id, by=principal.actor)
        self.access.forget()

    async def add_key(self, principal: Principal, fields: Mapping[str, object]) -> tuple[ApiKey, str]:
        """A new key and its secret, which nobody can read again."""
        errors = Errors()
        sent = read(fields, _KEY_FIELDS, errors)
        require(("name", "scopes"), sent, errors)
        now_ms, expires_ms = self.clock(), sent.get("expires_at")
        if expires_ms is not None and expires_ms <= now_ms:
            errors.add("expires_at", "expires_at is in the past")
        account = principal.account
        if "account" in sent:
            try:
                account = await self.access.account_for(principal, sent["account"])
            except InvalidValue as error:
                errors.add_all(error)
        errors.raise_any()
        secret = new_secret()
        key = ApiKey(
            id=KEY_PREFIX + encode(self.ids()),
            account=account,
            name=sent["name"],
            scopes=sent["scopes"],
            hash=hash_of(secret),
            prefix=prefix_of(secret),
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
        await self.accounts.add_key(key, by=principal.actor)
        return key, secret

    async def list_keys(self, principal: Principal, query: Query) -> Page[ApiKey]:
        """The keys of the account; operators see their own among them, for who cannot find a key cannot revoke it."""
        return await self.accounts.list_keys(principal.account, query, with_operators=principal.is_operator)

    async def find_key(self, principal: Principal, key_id: str) -> ApiKey:
        """One of those that are listed; NotFound for any other."""
        found = await self.list_keys(principal, Query(page_size=1, filters={"id": [key_id]}))
        if not found.items:
            raise NotFound("key", key_id)
        return found.items[0]

    async def revoke_key(self, principal: Principal, key_id: str) -> None:
        """The key stops working: here at once, in other processes within a second."""
        if key_id == principal.actor.key_id:
            raise Conflict("this is the key that asks; revoke it with another one")
        try:
            await self.accounts.revoke_key(principal.account, key_id, by=principal.actor)
        except NotFound:
            if not principal.is_operator:
                raise
            await self.accounts.revoke_key(None, key_id, by=principal.actor)
        self.access.forget()

    async def add_operator_key(
        self, name: str, secret: str | None = None, *, by: Actor | None = None
    ) -> tuple[ApiKey, str]:
        """An operator key with all scopes; a given secret that is known already is answered with its key."""
        if secret is None:
            secret = new_secret()
        elif len(secret) < OWN_SECRET_MIN:
            raise InvalidValue.of(
                "api_key", f"api_key has {len(secret)} characters; expected at least {OWN_SECRET_MIN}"
            )
        known = await self.accounts.key_by_hash(hash_of(secret))
        if known is not None:
            return known, secret
        if is_reserved(name):
            raise InvalidValue.of("name", f"name is {shown(name)}, which no key may have")
        key = ApiKey(
            id=KEY_PREFIX + encode(self.ids()),
            account=None,
            name=name,
            scopes=frozenset(Scope),
            hash=hash_of(secret),
            prefix=prefix_of(secret),
            created_ms=self.clock(),
        )
        await self.accounts.add_key(key, by=by)
        return key, secret


def demand_operator(principal: Principal, what: str = "accounts") -> None:
    if not principal.is_operator:
        raise Forbidden(f"{what} can be managed with an operator key only")


def _object(sent: object) -> Mapping[str, object]:
    if not isinstance(sent, dict):
        raise Refusal(f"is {shown(sent)}; expected an object")
    return sent


def _metadata(sent: object) -> Mapping[str, object]:
    metadata = _object(sent)
    if len(msgspec.json.encode(metadata)) > METADATA_MAX:
        raise Refusal(f"is too long; expected at most {METADATA_MAX:,} bytes of JSON")
    return metadata


def _scopes(sent: object) -> frozenset[Scope]:
    known = ", ".join(Scope)
    if not isinstance(sent, list) or not sent:
        raise Refusal(f"is {shown(sent)}; expected a list of {known}")
    for scope in sent:
        if not isinstance(scope, str) or scope not in list(Scope):
            raise Refusal(f"names {shown(scope)}; expected some of {known}")
    return frozenset(Scope(scope) for scope in sent)


def _time(sent: object) -> int:
    ms = unix_ms(sent) if isinstance(sent, str) else None
    if ms is None:
        raise Refusal(f"is {shown(sent)}; {EXPECTED}")
    return ms


_ACCOUNT_FIELDS: Final[Mapping[str, Reader]] = {
    "name": text(),
    "metadata": _metadata,
    "limits": _object,
    "portal_origins": origins,
}
_KEY_FIELDS: Final[Mapping[str, Reader]] = {
    "name": actor_name(),
    "scopes": _scopes,
    "expires_at": _time,
    "account": text(36),
}
