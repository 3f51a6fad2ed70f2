"""Accounts and keys: the one part of the store that looks across accounts, for operators and at the door."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, or_

from postback.domain.accounts import Account, AccountLimits, Actor, ApiKey, Scope
from postback.domain.errors import Conflict, NotFound
from postback.domain.ids import ACCOUNT_DEFAULT
from postback.domain.records import LOCATION
from postback.domain.times import rfc3339
from postback.ports import Page, Query
from postback.storage import lists, scope
from postback.storage.database import Database
from postback.storage.tables import (
    accounts,
    api_keys,
    audit,
    changelogs,
    config_versions,
    configs,
    counters,
    events,
    idempotency,
    records,
    removed_accounts,
    replays,
    sessions,
)

_ACCOUNT_FIELDS: Final[Mapping[str, lists.Listed]] = {
    "id": lists.text(accounts.c.id),
    "name": lists.text(accounts.c.name),
    "created_ts": lists.seconds(accounts.c.created_ms),
    "modified_ts": lists.seconds(accounts.c.modified_ms),
}
_KEY_FIELDS: Final[Mapping[str, lists.Listed]] = {
    "id": lists.text(api_keys.c.id),
    "name": lists.text(api_keys.c.name),
    "prefix": lists.text(api_keys.c.prefix),
    "created_ts": lists.seconds(api_keys.c.created_ms),
}


class SqlAccounts:
    """Keeps the port Accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, account: Account, *, by: Actor | None = None) -> None:
        values = {
            "name": account.name,
            "metadata": json.dumps(account.metadata, separators=(",", ":"), allow_nan=False),
            "limits": limits_text(account.limits),
            "portal_origins": " ".join(account.portal_origins),
            "modified_ms": account.modified_ms,
        }

        def write(connection: Connection) -> None:
            before = _account_facts(connection, account.id)
            changed = connection.execute(scope.change(account.id, accounts).values(**values))
            if changed.rowcount == 0:
                _refuse_while_remembered(connection, account.id)
                connection.execute(
                    scope.add(account.id, accounts).values(created_ms=account.created_ms, config_version=0, **values)
                )
            after = _account_facts(connection, account.id)
            self._database.auditor.record(connection, account.id, by, "account.save", account.id, before, after)

        await self._database.write(write)

    async def find(self, account: str) -> Account:
        query = scope.rows(account, accounts)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        if row is None:
            raise NotFound("account", account)
        return _account(row)

    async def list(self, query: Query) -> Page[Account]:
        found = scope.everyones_rows(accounts)
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, found, _ACCOUNT_FIELDS, query, accounts.c.id)
        )
        return Page([_account(row) for row in rows], total)

    async def delete(self, account: str, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            before = _account_facts(connection, account)
            _refuse_while_in_use(connection, account)
            for table in (config_versions, idempotency, counters, api_keys):
                connection.execute(scope.remove(account, table))
            if connection.execute(scope.remove(account, accounts)).rowcount == 0:
                raise NotFound("account", account)
            # Whoever of the platform looks at it sees the server's own account from now on.
            looking = scope.everyones_change(sessions).where(sessions.c.acts_for == account)
            connection.execute(looking.values(acts_for=ACCOUNT_DEFAULT))
            self._database.auditor.record(connection, account, by, "account.delete", account, before)
            _bury_history(connection, account, self._database.clock())
            self._database.changed(account)

        await self._database.write(write)

    async def add_key(self, key: ApiKey, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            if key.account is not None:
                demand_account(connection, key.account)
            if (
                connection.execute(scope.everyones_rows(api_keys).where(api_keys.c.hash == key.hash)).first()
                is not None
            ):
                raise Conflict("this key exists already")
            connection.execute(
                scope.add(key.account, api_keys).values(
                    id=key.id,
                    name=key.name,
                    scopes=" ".join(sorted(key.scopes)),
                    hash=key.hash,
                    prefix=key.prefix,
                    created_ms=key.created_ms,
                    expires_ms=key.expires_ms,
                    last_used_ms=key.last_used_ms,
                )
            )
            self._database.auditor.record(connection, key.account, by, "key.create", key.id, after=_key_facts(key))

        await self._database.write(write)

    async def key_by_hash(self, key_hash: bytes) -> ApiKey | None:
        query = scope.everyones_rows(api_keys).where(api_keys.c.hash == key_hash)
        row = await self._database.read(lambda connection: connection.execute(query).one_or_none())
        return None if row is None else _key(row)

    async def list_keys(self, account: str | None, query: Query, *, with_operators: bool = False) -> Page[ApiKey]:
        found = scope.rows(account, api_keys)
        if with_operators:
            found = scope.everyones_rows(api_keys).where(or_(scope.of(account, api_keys), scope.of(None, api_keys)))
        rows, total = await self._database.read(
            lambda connection: lists.page(connection, found, _KEY_FIELDS, query, api_keys.c.id)
        )
        return Page([_key(row) for row in rows], total)

    async def revoke_key(self, account: str | None, key_id: str, *, by: Actor | None = None) -> None:
        def write(connection: Connection) -> None:
            row = connection.execute(scope.rows(account, api_keys).where(api_keys.c.id == key_id)).one_or_none()
            if row is None:
                raise NotFound("key", key_id)
            connection.execute(scope.remove(account, api_keys).where(api_keys.c.id == key_id))
            self._database.auditor.record(connection, account, by, "key.revoke", key_id, _key_facts(_key(row)))

        await self._database.write(write)

    async def touch_keys(self, used: Mapping[str, int]) -> None:
        if not used:
            return
        statement = (
            scope.everyones_change(api_keys)
            .where(api_keys.c.id == bindparam("key_id"))
            .values(last_used_ms=bindparam("used_ms"))
        )
        values = [{"key_id": key_id, "used_ms": used_ms} for key_id, used_ms in used.items()]

        def write(connection: Connection) -> None:
            connection.execute(statement, values)

        await self._database.write(write)


def demand_account(connection: Connection, account: str) -> None:
    if connection.execute(scope.rows(account, accounts, accounts.c.id)).first() is None:
        raise NotFound("account", account)


def _refuse_while_in_use(connection: Connection, account: str) -> None:
    # A deleted config keeps its row while any of its deliveries is owed: no config, nothing owed.
    for table, what in ((configs, "postback configs"), (records, f"{LOCATION}s")):
        if connection.execute(scope.rows(account, table, table.c.id).limit(1)).first() is not None:
            raise Conflict(f"the account still has {what}, or deliveries of deleted ones; remove them first")


def _bury_history(connection: Connection, account: str, now_ms: int) -> None:
    """Another account may get the id, and must see nothing of this one: what is long goes bit by bit, later."""
    connection.execute(scope.change(account, audit).values(account=None))
    tables = (events, changelogs, replays)
    if any(connection.execute(scope.rows(account, table, table.c.id).limit(1)).first() for table in tables):
        connection.execute(scope.add(account, removed_accounts).values(removed_ms=now_ms))


def _refuse_while_remembered(connection: Connection, account: str) -> None:
    if connection.execute(scope.rows(account, removed_accounts)).first() is not None:
        raise Conflict(f"an account {account} was deleted, and its history is still being removed; ask again later")


def limits_of(connection: Connection, account: str) -> AccountLimits:
    """Inside a transaction, for what must hold when it ends; no account has no limits."""
    text = connection.execute(scope.rows(account, accounts, accounts.c.limits)).scalar_one_or_none()
    return AccountLimits() if text is None else _limits(text)


def limits_text(limits: AccountLimits) -> str:
    return json.dumps({name: value for name, value in asdict(limits).items() if value is not None})


def _limits(text: str) -> AccountLimits:
    return msgspec.json.decode(text, type=AccountLimits)


def _account_facts(connection: Connection, account: str) -> Mapping[str, object] | None:
    row = connection.execute(scope.rows(account, accounts)).one_or_none()
    if row is None:
        return None
    known = _account(row)
    facts = {"name": known.name, "metadata": known.metadata, "limits": asdict(known.limits)}
    return facts | ({"portal_origins": list(known.portal_origins)} if known.portal_origins else {})


def _key_facts(key: ApiKey) -> Mapping[str, object]:
    """Nothing of the key itself, neither its beginning nor its hash."""
    expires = None if key.expires_ms is None else rfc3339(key.expires_ms)
    return {"name": key.name, "scopes": sorted(key.scopes), "expires_at": expires}


def _account(row: Row[Any]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        metadata=json.loads(row.metadata),
        limits=_limits(row.limits),
        portal_origins=tuple(row.portal_origins.split()),
        created_ms=row.created_ms,
        modified_ms=row.modified_ms,
    )


def _key(row: Row[Any]) -> ApiKey:
    # A scope that this version does not know allows nothing.
    scopes = frozenset(Scope) & frozenset(row.scopes.split())
    return ApiKey(
        id=row.id,
        account=row.account,
        name=row.name,
        scopes=frozenset(Scope(name) for name in scopes),
        hash=row.hash,
        prefix=row.prefix,
        created_ms=row.created_ms,
        expires_ms=row.expires_ms,
        last_used_ms=row.last_used_ms,
    )
