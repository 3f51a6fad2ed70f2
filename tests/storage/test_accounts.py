"""Accounts and keys on each database."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from postback.domain.accounts import Account, ApiKey, Scope
from postback.domain.errors import Conflict, InvalidValue, NotFound
from postback.domain.records import Delete, Insert
from postback.ports import Query
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.database import Database
from postback.storage.records import SqlRecords
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON, a_config, a_location

pytestmark = pytest.mark.anyio


@pytest.fixture
async def accounts(empty_store: Database) -> SqlAccounts:
    accounts = SqlAccounts(empty_store)
    await accounts.save(Account(id=ACCOUNT))
    return accounts


def a_key(number: int = 1, **changes: Any) -> ApiKey:
    key = ApiKey(
        id=f"key_{number}",
        account=ACCOUNT,
        name="Shop",
        scopes=frozenset({Scope.READ, Scope.PUBLISH}),
        hash=bytes([number]) * 32,
        prefix="pb_1234",
        created_ms=NOON + number * 1000,
    )
    return replace(key, **changes)


async def test_an_account_is_found_as_it_was_saved(accounts: SqlAccounts) -> None:
    account = Account(id="acme", name="Acme ë", metadata={"plan": {"n": [1, None]}}, created_ms=NOON, modified_ms=NOON)

    await accounts.save(account)

    assert await accounts.find("acme") == account


async def test_saving_again_changes_what_may_change(accounts: SqlAccounts) -> None:
    await accounts.save(Account(id="acme", name="Acme", created_ms=NOON, modified_ms=NOON))

    await accounts.save(Account(id="acme", name="Other", metadata={"a": 1}, created_ms=NOON + 9, modified_ms=NOON + 9))

    assert await accounts.find("acme") == Account(
        id="acme", name="Other", metadata={"a": 1}, created_ms=NOON, modified_ms=NOON + 9
    )


async def test_saving_again_keeps_the_version_of_the_configs(empty_store: Database, accounts: SqlAccounts) -> None:
    await SqlRecords(empty_store, {}).apply([Insert(a_location())])
    configs = SqlConfigs(empty_store)
    await configs.add(a_config())

    await accounts.save(Account(id=ACCOUNT, name="Renamed"))

    assert (await configs.snapshot(ACCOUNT)).version == 1


async def test_an_account_that_is_not_there_is_not_found(accounts: SqlAccounts) -> None:
    for account in ("nobody", "", "%", "DEFAULT", "default\0"):
        with pytest.raises(NotFound):
            await accounts.find(account)
        with pytest.raises(NotFound):
            await accounts.delete(account)


async def test_accounts_are_listed_for_operators(accounts: SqlAccounts) -> None:
    await accounts.save(Account(id="acme", name="Acme", created_ms=NOON))
    await accounts.save(Account(id="zeta", name="Zeta", created_ms=NOON + 1000))

    page = await accounts.list(Query())

    assert [account.id for account in page.items] == ["zeta", "acme", ACCOUNT]
    found = await accounts.list(Query(filters={"name": ["Acme"], "created_ts": [str(NOON // 1000)]}))
    assert [account.id for account in found.items] == ["acme"]
    with pytest.raises(InvalidValue):
        await accounts.list(Query(sort="metadata"))


async def test_an_account_in_use_cannot_be_deleted(empty_store: Database, accounts: SqlAccounts) -> None:
    records, configs = SqlRecords(empty_store, {}), SqlConfigs(empty_store)
    await records.apply([Insert(a_location())])
    await configs.add(a_config())

    with pytest.raises(Conflict, match="postback configs"):
        await accounts.delete(ACCOUNT)
    await configs.delete(ACCOUNT, CONFIG_ID)
    # Its deliveries may still be open.
    with pytest.raises(Conflict, match="postback configs"):
        await accounts.delete(ACCOUNT)
    await empty_store.write(lambda connection: connection.execute(text("DELETE FROM configs")).rowcount)
    with pytest.raises(Conflict, match="locations"):
        await accounts.delete(ACCOUNT)

    assert (await accounts.find(ACCOUNT)).id == ACCOUNT


async def test_an_account_goes_with_its_keys_and_secrets(empty_store: Database, accounts: SqlAccounts) -> None:
    records, configs = SqlRecords(empty_store, {}), SqlConfigs(empty_store)
    await accounts.save(Account(id="other"))
    await accounts.add_key(a_key(1))
    await accounts.add_key(a_key(2, account="other"))
    await accounts.add_key(a_key(3, account=None))
    await records.apply([Insert(a_location())])
    await configs.add(a_config(headers={"X-Key": "s3cret"}))
    await configs.delete(ACCOUNT, CONFIG_ID)
    await empty_store.write(lambda connection: connection.execute(text("DELETE FROM configs")).rowcount)
    await records.apply([Delete(ACCOUNT, "location", LOCATION_ID)])

    await accounts.delete(ACCOUNT)

    with pytest.raises(NotFound):
        await accounts.find(ACCOUNT)
    known = [await accounts.key_by_hash(a_key(number).hash) for number in (1, 2, 3)]
    assert [key and key.id for key in known] == [None, "key_2", "key_3"]
    assert (
        await empty_store.read(lambda connection: connection.execute(text("SELECT * FROM config_versions")).all()) == []
    )


async def test_a_key_is_found_by_its_hash_only(accounts: SqlAccounts) -> None:
    key = a_key(expires_ms=NOON + 5, last_used_ms=NOON)

    await accounts.add_key(key)

    assert await accounts.key_by_hash(key.hash) == key
    for other in (b"", key.hash[:-1], key.hash + b"\0"):
        assert await accounts.key_by_hash(other) is None


async def test_a_key_is_added_once_and_for_an_account_that_is_there(accounts: SqlAccounts) -> None:
    await accounts.add_key(a_key())

    with pytest.raises(Conflict):
        await accounts.add_key(a_key(2, hash=a_key().hash, account=None))
    with pytest.raises(NotFound):
        await accounts.add_key(a_key(3, account="nobody"))


async def test_a_scope_that_nobody_knows_allows_nothing(empty_store: Database, accounts: SqlAccounts) -> None:
    await accounts.add_key(a_key())
    await empty_store.write(
        lambda connection: connection.execute(text("UPDATE api_keys SET scopes = 'read fly'")).rowcount
    )

    key = await accounts.key_by_hash(a_key().hash)

    assert key is not None
    assert key.scopes == {Scope.READ}


async def test_keys_of_an_account_and_of_operators_are_listed_apart(accounts: SqlAccounts) -> None:
    await accounts.save(Account(id="other"))
    for key in (a_key(1), a_key(2), a_key(3, account="other"), a_key(4, account=None)):
        await accounts.add_key(key)

    assert [key.id for key in (await accounts.list_keys(ACCOUNT, Query())).items] == ["key_2", "key_1"]
    assert [key.id for key in (await accounts.list_keys(None, Query())).items] == ["key_4"]


async def test_a_key_is_revoked_by_whom_it_belongs_to(accounts: SqlAccounts) -> None:
    await accounts.save(Account(id="other"))
    await accounts.add_key(a_key(1))
    await accounts.add_key(a_key(2, account=None))

    for account, key_id in (("other", "key_1"), (None, "key_1"), (ACCOUNT, "key_2"), (ACCOUNT, "key_9")):
        with pytest.raises(NotFound):
            await accounts.revoke_key(account, key_id)
    await accounts.revoke_key(ACCOUNT, "key_1")
    await accounts.revoke_key(None, "key_2")

    assert await accounts.key_by_hash(a_key(1).hash) is None
    assert await accounts.key_by_hash(a_key(2).hash) is None


async def test_the_last_use_of_keys_is_kept(accounts: SqlAccounts) -> None:
    await accounts.add_key(a_key(1))
    await accounts.add_key(a_key(2, account=None))

    await accounts.touch_keys({"key_1": NOON + 1, "key_2": NOON + 2, "key_9": NOON})
    await accounts.touch_keys({})

    used = [await accounts.key_by_hash(a_key(number).hash) for number in (1, 2)]
    assert [key and key.last_used_ms for key in used] == [NOON + 1, NOON + 2]


async def test_28_hostile_names_are_stored_literally(accounts: SqlAccounts) -> None:
    hostile = "'; DROP TABLE accounts;-- %_\\ $1 :name {{7*7}} \u202e"

    await accounts.save(Account(id="acme", name=hostile, metadata={hostile: hostile}))
    await accounts.add_key(a_key(name=hostile, account="acme"))

    found = await accounts.list(Query(filters={"name": [hostile]}))
    assert [account.metadata for account in found.items] == [{hostile: hostile}]
    keys = await accounts.list_keys("acme", Query(filters={"name": [hostile]}))
    assert [key.name for key in keys.items] == [hostile]
