"""Who was refused, and who is an operator, in the audit of each database."""

from importlib import import_module

import pytest
from sqlalchemy import insert, text

from postback.domain.accounts import Account, Actor, ApiKey, Scope
from postback.ports import AuditEntry, AuditFilter
from postback.storage.accounts import SqlAccounts
from postback.storage.audit import SqlAudit
from postback.storage.database import Database
from postback.storage.tables import audit
from postback.storage.users import SqlUsers
from tests.build import ACCOUNT, NOON
from tests.storage.people import a_user

pytestmark = pytest.mark.anyio

OPERATOR = Actor("usr_boss", "boss@platform.example", "203.0.113.9", is_operator=True)
ANN = Actor("usr_ann", "ann@example.com", "192.0.2.1")
MARK_OPERATORS = import_module("postback.storage.migrations.versions.0013_operators_in_the_audit")._OPERATORS


async def found(store: Database, account: str | None = ACCOUNT, **narrowed: object) -> list[AuditEntry]:
    """The oldest first."""
    entries = await SqlAudit(store).entries(account, AuditFilter(**narrowed), None, 100)  # type: ignore[arg-type]
    return [*reversed(entries)]


async def test_a_refusal_is_an_entry_of_its_own_with_the_reason(empty_store: Database) -> None:
    await SqlAudit(empty_store).refuse(ACCOUNT, "POST /v2/keys", "this key lacks the scope admin", by=ANN)
    await SqlAudit(empty_store).refuse(None, "GET /accounts/add", "your role is viewer", by=OPERATOR)

    [entry] = await found(empty_store)
    assert (entry.action, entry.target, entry.by) == ("access.refuse", "POST /v2/keys", ANN)
    assert (entry.before, entry.after) == (None, {"why": "this key lacks the scope admin"})
    [of_platform] = await found(empty_store, None)
    assert of_platform.by == OPERATOR


async def test_entries_of_operators_are_told_from_others(empty_store: Database) -> None:
    accounts = SqlAccounts(empty_store)
    await accounts.save(Account(id=ACCOUNT, name="first"), by=OPERATOR)
    await accounts.save(Account(id=ACCOUNT, name="second"), by=ANN)
    await accounts.save(Account(id=ACCOUNT, name="third"))

    entries = await found(empty_store)

    assert [entry.by for entry in entries] == [OPERATOR, ANN, None]
    assert await found(empty_store, is_operator=True) == entries[:1]
    assert await found(empty_store, is_operator=False) == entries[1:]
    assert await found(empty_store, is_operator=False, key_name=OPERATOR.key_name) == []


def a_key(key_id: str, account: str | None) -> ApiKey:
    return ApiKey(
        id=key_id,
        account=account,
        name=key_id,
        scopes=frozenset(Scope),
        hash=key_id.encode().ljust(32),
        prefix="pb",
        created_ms=NOON,
    )


async def test_the_migration_knows_the_operators_of_before(empty_store: Database) -> None:
    accounts, users = SqlAccounts(empty_store), SqlUsers(empty_store)
    await accounts.save(Account(id=ACCOUNT))
    for key_id, account in (("key_op", None), ("key_gone", None), ("key_own", ACCOUNT), ("key_own_gone", ACCOUNT)):
        await accounts.add_key(a_key(key_id, account))
    await accounts.revoke_key(None, "key_gone")
    await accounts.revoke_key(ACCOUNT, "key_own_gone")
    await users.add(a_user(1, id="usr_of_platform", account=None), "hash")
    await users.add(a_user(2, id="usr_of_account"), "hash")
    ids = ("key_op", "key_gone", "command-line", "usr_of_platform")
    others = ("key_own", "key_own_gone", "usr_of_account", "lnk_1", None)
    rows = [
        {"id": number, "account": ACCOUNT, "at_ms": NOON, "key_id": key_id, "action": "x.change", "target": "x"}
        for number, key_id in enumerate((*ids, *others), start=1)
    ]
    await empty_store.write(lambda connection: connection.execute(insert(audit), rows).rowcount)

    await empty_store.write(lambda connection: connection.execute(text(MARK_OPERATORS)).rowcount)

    marked = await found(empty_store, action="x.change", is_operator=True)
    assert [entry.by.key_id for entry in marked if entry.by] == [*ids]
