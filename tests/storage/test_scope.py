"""No statement on an account's things goes around the one place that binds it to the account."""

import ast
import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

from postback.domain.accounts import Account, ApiKey, Scope
from postback.domain.configs import ConfigState
from postback.domain.deliveries import Accepted, NewDeliveries, State, Target
from postback.domain.records import Delete, Insert, ListedField, Update
from postback.ports import LogFilter, Query
from postback.storage import (
    accounts,
    audit,
    changelogs,
    configs,
    expanding,
    links,
    lists,
    log,
    log_keys,
    log_reach,
    log_search,
    overview,
    records,
    scope,
    sealing,
    stats,
    users,
)
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.overview import SqlOverview
from postback.storage.records import SqlRecords
from postback.storage.stats import SqlStats
from postback.storage.tables import METADATA
from tests.build import ACCOUNT, CONFIG_ID, LOCATION_ID, NOON, a_config, a_location, an_event
from tests.storage import watched
from tests.storage.given import Store

MODULES = (
    accounts,
    audit,
    changelogs,
    configs,
    expanding,
    links,
    log,
    log_keys,
    log_reach,
    log_search,
    overview,
    records,
    sealing,
    stats,
    users,
)
STARTS = {"select", "insert", "update", "delete", "text", "table", "literal_column", "union", "union_all"}
LISTED = {name: ListedField(name) for name in ("id", "name")}
OF_EVERYONE = {"everyones_rows", "everyones_change"}


def tree_of(module: ModuleType) -> list[ast.AST]:
    assert module.__file__ is not None
    return list(ast.walk(ast.parse(Path(module.__file__).read_text())))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_module_begins_a_statement_of_its_own(module: ModuleType) -> None:
    imported = {
        alias.name
        for node in tree_of(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
    }
    whole = {alias.name for node in tree_of(module) if isinstance(node, ast.Import) for alias in node.names}

    assert imported & STARTS == set()
    assert not any(name.startswith("sqlalchemy") for name in whole)


@pytest.mark.parametrize("module", [*MODULES, lists], ids=lambda module: module.__name__)
def test_only_accounts_keys_people_and_the_sealing_of_secrets_look_across_accounts(module: ModuleType) -> None:
    used = {node.attr for node in tree_of(module) if isinstance(node, ast.Attribute)}

    expected = {accounts: OF_EVERYONE, links: OF_EVERYONE, sealing: {"everyones_rows"}, users: {"everyones_rows"}}
    assert used & OF_EVERYONE == expected.get(module, set())


def test_every_table_that_has_an_account_is_bound_by_it() -> None:
    for table in METADATA.sorted_tables:
        if "account" not in table.c and table.name != "accounts":
            continue
        bound = "accounts.id = :id_1" if table.name == "accounts" else f"{table.name}.account = :account_1"
        for statement in (scope.rows("a", table), scope.change("a", table), scope.remove("a", table)):
            assert f"WHERE {bound}" in str(statement)
    assert "api_keys.account IS NULL" in str(scope.rows(None, METADATA.tables["api_keys"]))


def unbound(sql: str) -> list[str]:
    """Tables and aliases that the statement reads or changes without naming an account for them."""
    if "nextval('ids')" in sql:
        # The next id of the audit is later than all that there are, whose ever they are; nothing else is read.
        return []
    used = re.findall(r"(?:FROM|JOIN|UPDATE|INTO) (\w+)(?: AS (\w+))?", sql)
    names = {alias or table for table, alias in used} - {"anon_1"}
    if sql.startswith("INSERT"):
        return [] if re.search(r"\((?:[^)]*, )?(?:account|id)[,)]", sql) else sorted(names)
    # Of a session it is the account whose things are shown.
    columns = {"accounts": "id", "sessions": "acts_for"}
    return sorted(
        name
        for name in names
        if not re.search(rf"\b{name}\.{columns.get(name, 'account')} (?:= (?:\?|\$\d)|IS NULL)", sql)
    )


@pytest.mark.anyio
async def test_every_statement_that_is_sent_names_the_account(empty_store: Store) -> None:
    account_store, config_store = SqlAccounts(empty_store), SqlConfigs(empty_store)
    record_store, history = SqlRecords(empty_store, {"location": LISTED}), SqlLog(empty_store)
    worker = await empty_store.enlist("here")
    numbers = count(an_event().id + 1)
    key = ApiKey(id="key_1", account=ACCOUNT, name="k", scopes=frozenset(Scope), hash=b"h", prefix="p", created_ms=0)

    with watched.statements() as seen:
        await account_store.save(Account(id=ACCOUNT))
        await account_store.find(ACCOUNT)
        await account_store.list_keys(ACCOUNT, Query(sort="id"))
        await record_store.apply([Insert(a_location(key="l-1")), Update(a_location(key="l-2"))])
        await record_store.find(ACCOUNT, "location", LOCATION_ID)
        await record_store.find_by_key(ACCOUNT, "location", LOCATION_ID, "l-2")
        await record_store.list(ACCOUNT, "location", Query(sort="name", filters={"name": ["x"]}))
        await config_store.add(a_config())
        await config_store.change(a_config())
        await config_store.set_state(ACCOUNT, CONFIG_ID, ConfigState.PAUSED, None)
        await config_store.find(ACCOUNT, CONFIG_ID)
        await config_store.list(ACCOUNT, Query(sort="created_ts"))
        version = (await config_store.snapshot(ACCOUNT)).version
        related = ("location", "contact", "changelogs", "created_user")
        contact = replace(a_location(), resource="contact", id="con_1", location_id=LOCATION_ID)
        for change in (Insert(contact), Update(contact), Delete(ACCOUNT, "contact", "con_1")):
            event = an_event(id=next(numbers), data=b'{"id":"con_1","contact_id":"con_1","account_vault_id":"acv_1"}')
            changed = NewDeliveries(event, [], version, changes=[change], expands=related)
            assert isinstance((await empty_store.accept(worker, [changed]))[0], Accepted)
        await empty_store.accept(worker, [NewDeliveries(an_event(), [Target(CONFIG_ID, claimed=False)], version)])
        for narrowed in (LogFilter(), LogFilter(subject="con_1"), LogFilter(config_id=CONFIG_ID, event_type="a.b")):
            await history.deliveries(ACCOUNT, narrowed, None, 10)
        for state in State:
            await history.deliveries(ACCOUNT, LogFilter(state=state, location_id=LOCATION_ID), None, 10)
            await history.deliveries(ACCOUNT, LogFilter(state=state, reason="tls_error.other"), None, 10)
        await history.events(ACCOUNT, LogFilter(subject="con_1"), None, 10)
        for text in ("127.0.0.1", "con_1", "pbc_1", "evt_1"):
            sought = await history.sought(ACCOUNT, text)
            await history.deliveries(ACCOUNT, LogFilter(sought=sought), None, 10)
        for narrowed in (LogFilter(config_id=CONFIG_ID), LogFilter(event_type="a.b"), LogFilter(state=State.DELIVERED)):
            await history.reach(ACCOUNT, narrowed, None, 10)
        await history.reach_of_events(ACCOUNT, LogFilter(event_type="a.b"), None, 10)
        await history.event(ACCOUNT, an_event().id)
        await history.deliveries_of(ACCOUNT, an_event().id)
        await history.delivery(ACCOUNT, an_event().id, CONFIG_ID)
        await SqlStats(empty_store).steps(ACCOUNT, 0, NOON, NOON)
        await SqlStats(empty_store).health(ACCOUNT, [CONFIG_ID], NOON)
        glance = SqlOverview(empty_store)
        await glance.waits(ACCOUNT)
        await glance.failures(ACCOUNT, NOON, NOON + 60_000, 60_000)
        await glance.begun(ACCOUNT)
        await glance.troubled(ACCOUNT, NOON, 10)
        await config_store.some(ACCOUNT, [CONFIG_ID])
        await config_store.delete(ACCOUNT, CONFIG_ID)
        await empty_store.bury(10)
        await record_store.apply([Delete(ACCOUNT, "location", LOCATION_ID)])
        await account_store.delete(ACCOUNT)
        while await empty_store.bury(100):
            continue
        of_accounts = len(seen)
        await account_store.save(Account(id=ACCOUNT))
        await account_store.add_key(key)
        await account_store.key_by_hash(b"h")
        await account_store.list(Query(sort="id"))
        await account_store.touch_keys({"key_1": 1})
        await account_store.revoke_key(ACCOUNT, "key_1")

    assert of_accounts > 80
    assert [statement.sql for statement in seen[:of_accounts] if unbound(statement.sql)] == []
    # The check itself sees what is unbound.
    assert [unbound(statement.sql) for statement in seen[of_accounts:] if unbound(statement.sql)] == [
        ["api_keys"],
        ["api_keys"],
        ["accounts"],
        ["accounts"],
        ["api_keys"],
    ]
