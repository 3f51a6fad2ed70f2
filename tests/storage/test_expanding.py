"""The history of records and the related records of an event, gathered by each database as it accepts the event."""

import json
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from postback.domain.accounts import Account, Actor
from postback.domain.deliveries import Accepted, NewDeliveries, Refused
from postback.domain.errors import RevisionPassed
from postback.domain.events import Event
from postback.domain.records import Change, Delete, Insert, Record, Update
from postback.ports import Worker
from postback.storage.accounts import SqlAccounts
from postback.storage.changelogs import SHOWN_BYTES, SHOWN_MAX
from postback.storage.configs import SqlConfigs
from postback.storage.log import SqlLog
from postback.storage.records import SqlRecords
from postback.storage.tables import audit, changelogs
from tests.build import ACCOUNT, LOCATION_ID, NOON, a_location, an_event
from tests.doubles import ClockDouble
from tests.storage import given
from tests.storage.given import Store

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parents[1] / "formats" / "golden"
OWNER = Actor("21f0a7c6118a4d39bd5590e1", "shop.owner", "127.0.0.1")
OTHER = Actor("key_2", "the back office")


class Shop:
    """An account with a location, whose records change through events."""

    def __init__(self, store: Store, worker: Worker) -> None:
        self.store = store
        self.worker = worker
        self.log = SqlLog(store)
        self.next_id = NOON << 21

    async def accept(
        self, *changes: Change, expands: tuple[str, ...] = (), account: str = ACCOUNT, **event: Any
    ) -> Accepted | Refused:
        version = (await SqlConfigs(self.store).snapshot(account)).version
        unit = NewDeliveries(self.event(account=account, **event), [], version, changes=changes, expands=expands)
        [answer] = await self.store.accept(self.worker, [unit])
        return answer

    def event(self, **changes: Any) -> Event:
        self.next_id += 1
        return an_event(**{"id": self.next_id, "data": b"{}", **changes})

    async def related(self, *changes: Change, expands: str, **event: Any) -> dict[str, Any]:
        """What the event carries; fails for one that was refused."""
        answer = await self.accept(*changes, expands=tuple(expands.split(",")), **event)
        assert isinstance(answer, Accepted), answer
        kept, _ = await self.log.event(event.get("account", ACCOUNT), answer.event_id)
        related: dict[str, Any] = json.loads(kept.expands or b"{}")
        return related


@pytest.fixture
async def shop(empty_store: Store) -> Shop:
    for account, location_id in ((ACCOUNT, LOCATION_ID), ("other", "loc_other")):
        await SqlAccounts(empty_store).save(Account(id=account))
        location = a_location(account=account, id=location_id, body={"id": location_id, "name": account})
        await SqlRecords(empty_store, {}).apply([Insert(location)])
    return Shop(empty_store, await empty_store.enlist("here"))


def a_record(resource: str = "contact", record_id: str = "con_1", account: str = ACCOUNT, **body: Any) -> Record:
    return Record(
        account=account,
        resource=resource,
        id=record_id,
        location_id=LOCATION_ID if account == ACCOUNT else "loc_other",
        key=None,
        revision=1,
        created_ms=NOON,
        body={"id": record_id, **body},
    )


def event_of(record: Record, verb: str = "created") -> dict[str, Any]:
    return {
        "type": f"{record.resource}.{verb}",
        "subject": record.id,
        "data": json.dumps(record.said).encode(),
        "location_id": record.location_id,
    }


# --- the history of a record -----------------------------------------------------------------------------------------


async def test_the_making_of_a_record_is_shown_as_documented(shop: Shop, clock: ClockDouble) -> None:
    """But for our own ids, and the names of a person, where a key has one name."""
    documented = json.loads((GOLDEN / "transactionbatch_create.data.json").read_text())
    [expected] = documented.pop("changelogs")
    clock.now_ms = documented["created_ts"] * 1000
    batch = a_record("transactionbatch", documented.pop("id"), **documented)

    [entry] = (await shop.related(Insert(batch, OWNER), expands="changelogs", **event_of(batch)))["changelogs"]

    expected["id"] = entry["id"]
    expected["user"] |= {"first_name": None, "last_name": None}
    assert json.dumps(entry) == json.dumps(expected)


async def test_a_change_tells_what_there_was_before_the_newest_first(shop: Shop, clock: ClockDouble) -> None:
    first = a_record(
        "transactionbatch", "bat_1", batch_num=7, is_open=1, batch_close_ts=None, settlement_file_name=None
    )
    settled = replace(first, body={**first.body, "is_open": 0, "batch_close_ts": 1_562_000_000})
    again = replace(settled, revision=2, body={**settled.body, "settlement_file_name": "a.csv"})
    await shop.accept(Insert(first, OWNER), **event_of(first))
    clock.pass_(seconds=10)
    await shop.accept(Update(settled, OTHER), **event_of(settled, "updated"))
    clock.pass_(seconds=10)

    entries = (await shop.related(Update(again), expands="changelogs", **event_of(again, "updated")))["changelogs"]

    assert [(entry["action"], entry["created_ts"] - NOON // 1000) for entry in entries] == [
        ("UPDATE", 20), ("UPDATE", 10), ("CREATE", 0),
    ]  # fmt: skip
    assert [(entry["user_id"], entry["user"] and entry["user"]["username"]) for entry in entries] == [
        (None, None), ("key_2", "the back office"), (OWNER.key_id, "shop.owner"),
    ]  # fmt: skip
    details = [[(one["field"], one["old_value"]) for one in entry["changelog_details"]] for entry in entries]
    assert details == [[("settlement_file_name", None)], [("is_open", "1"), ("batch_close_ts", None)], []]
    for entry in entries:
        assert {one["changelog_id"] for one in entry["changelog_details"]} <= {entry["id"]}
        assert (entry["model"], entry["model_id"]) == ("TransactionBatch", "bat_1")
    ids = [entry["id"] for entry in entries] + [one["id"] for entry in entries for one in entry["changelog_details"]]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 36


async def test_the_last_entry_of_a_deleted_record_is_its_deletion(shop: Shop) -> None:
    contact = a_record()
    await shop.accept(Insert(contact, OWNER), **event_of(contact))

    related = await shop.related(
        Delete(ACCOUNT, "contact", "con_1", OWNER),
        expands="changelogs,created_user,location",
        **event_of(contact, "deleted"),
    )

    assert [entry["action"] for entry in related["changelogs"]] == ["DELETE", "CREATE"]
    assert [entry["changelog_details"] for entry in related["changelogs"]] == [[], []]
    assert related["created_user"]["username"] == "shop.owner"
    assert related["location"]["id"] == LOCATION_ID


OPERATOR_KEY = Actor("key_3", "backend of the platform", "203.0.113.9", is_operator=True)
OPERATOR_USER = Actor("usr_3", "boss@example.com", "203.0.113.9", is_operator=True)
COMMAND_LINE = Actor("command-line", "the command line", is_operator=True)
NAME_THE_PLATFORM = import_module("postback.storage.migrations.versions.0014_operators_in_the_history")._OPERATORS
PLATFORM = {"id": "platform", "username": "the platform", "first_name": None, "last_name": None}


@pytest.mark.parametrize(
    ("account", "by"),
    [("other", OPERATOR_KEY), ("other", OPERATOR_USER), (ACCOUNT, OPERATOR_USER), (ACCOUNT, COMMAND_LINE)],
)
async def test_receivers_are_told_of_the_platform_and_not_who_of_it_it_was(shop: Shop, account: str, by: Actor) -> None:
    batch = a_record("transactionbatch", "bat_1", account, is_open=1)
    changed = replace(batch, body={**batch.body, "is_open": 0})
    event = {**event_of(changed), "account": account}

    related = await shop.related(Insert(batch, by), Update(changed, by), expands="changelogs,created_user", **event)

    assert [entry["user"] for entry in related["changelogs"]] == [PLATFORM, PLATFORM]
    assert [entry["user_id"] for entry in related["changelogs"]] == ["platform", "platform"]
    assert related["created_user"] == PLATFORM
    assert {(row.key_id, row.key_name) for row in await given.rows(shop.store, audit)} >= {(by.key_id, by.key_name)}


async def test_the_migration_names_the_platform_in_the_history_of_before(shop: Shop) -> None:
    told = {"con_1": OWNER, "con_2": OPERATOR_KEY, "con_3": OPERATOR_USER, "con_4": None}
    of_other = {"con_5": OPERATOR_KEY, "con_6": OPERATOR_USER, "con_7": OTHER}
    for account, makers in ((ACCOUNT, told), ("other", of_other)):
        for contact_id, by in makers.items():
            contact = a_record("contact", contact_id, account)
            await shop.accept(Insert(contact, by), **{**event_of(contact), "account": account})
            if by is not None:
                named = {"key_id": by.key_id, "key_name": by.key_name}
                before = update(changelogs).where(changelogs.c.record_id == contact_id).values(named)
                await shop.store.write(lambda connection, before=before: connection.execute(before).rowcount)

    await shop.store.write(lambda connection: connection.execute(text(NAME_THE_PLATFORM)).rowcount)

    names = {row.record_id: row.key_name for row in await given.rows(shop.store, changelogs)}
    assert names == {
        "con_1": "shop.owner", "con_2": "backend of the platform", "con_3": "the platform", "con_4": None,
        "con_5": "the platform", "con_6": "the platform", "con_7": "the back office",
    }  # fmt: skip


async def test_an_operator_key_is_a_key_of_the_servers_own_account(shop: Shop) -> None:
    contact = a_record()

    related = await shop.related(Insert(contact, OPERATOR_KEY), expands="created_user", **event_of(contact))

    assert (related["created_user"]["id"], related["created_user"]["username"]) == ("key_3", "backend of the platform")


async def test_old_values_are_texts(shop: Shop) -> None:
    before = {
        "text": "é", "empty": "", "none": None, "number": 7, "yes": True, "no": False, "list": [{"type": "4S"}],
        "object": {"a": 1.5}, "same": [1], "gone": 1, "modified_ts": 1, "modified_user_id": "key_1",
    }  # fmt: skip
    after = {**dict.fromkeys(before, "other"), "same": (1,)}
    record = a_record("transaction", "trx_1", **before)
    changed = replace(record, body={"id": "trx_1", **after})
    await shop.accept(Insert(record), **event_of(record))

    entries = (await shop.related(Update(changed), expands="changelogs", **event_of(changed)))["changelogs"]

    assert {one["field"]: one["old_value"] for one in entries[0]["changelog_details"]} == {
        "text": "é", "empty": "", "none": None, "number": "7", "yes": "1", "no": "0", "list": '[{"type":"4S"}]',
        "object": '{"a":1.5}', "gone": "1",
    }  # fmt: skip


async def test_old_values_of_sensitive_fields_are_kept_nowhere(shop: Shop) -> None:
    vault = a_record("accountvault", "acv_1", ssn4="6789", dob_year="1957", dl_number=None, routing="021000021")
    changed = replace(vault, body={**vault.body, "ssn4": "1", "dob_year": "2", "dl_number": "3", "routing": "4"})
    await shop.accept(Insert(vault), **event_of(vault))

    entries = (await shop.related(Update(changed), expands="changelogs", **event_of(changed)))["changelogs"]

    assert {one["field"]: one["old_value"] for one in entries[0]["changelog_details"]} == {
        "ssn4": "***", "dob_year": "***", "dl_number": None, "routing": "***",
    }  # fmt: skip
    for row in await given.rows(shop.store, changelogs):
        assert not {"6789", "1957", "021000021"} & set(row.details.split('"'))


async def test_what_was_refused_is_no_history(shop: Shop) -> None:
    contact = a_record()
    await shop.accept(Insert(contact), **event_of(contact))
    passed = replace(contact, revision=2)

    refused = await shop.accept(Update(passed), **event_of(passed))
    known = await shop.accept(Insert(contact), **event_of(contact))

    assert isinstance(refused, Refused)
    assert isinstance(refused.error, RevisionPassed)
    assert isinstance(known, Refused)
    assert [row.action for row in await given.rows(shop.store, changelogs)] == ["CREATE"]


async def test_a_refusal_by_the_database_does_not_tell_what_it_was_given(shop: Shop) -> None:
    """Its message is logged, and SQLAlchemy's errors repeat the parameters of their statement unless told not to."""
    vault = a_record("accountvault", "acv_1", ssn4="6789")
    await shop.accept(Insert(vault), **event_of(vault))

    refused = await shop.accept(Insert(vault), **event_of(vault))

    assert isinstance(refused, Refused)
    assert re.search(r"records(\.id|_pkey)", str(refused.error))
    assert "6789" not in f"{refused.error} {refused.error.__cause__!r}"


async def test_locations_have_no_history(shop: Shop) -> None:
    assert await given.rows(shop.store, changelogs) == []


async def test_an_event_carries_the_newest_entries_of_a_long_history(shop: Shop) -> None:
    contact = a_record(city="0")
    changes: list[Change] = [Insert(contact, OWNER)]
    for revision in range(1, SHOWN_MAX + 3):
        changed = replace(contact, revision=revision, body={**contact.body, "city": str(revision)})
        changes.append(Update(changed, OTHER))
    await shop.accept(*changes, **event_of(contact))

    related = await shop.related(expands="changelogs,created_user", **event_of(contact))

    assert len(related["changelogs"]) == SHOWN_MAX
    assert related["changelogs"][0]["changelog_details"][0]["old_value"] == str(SHOWN_MAX + 1)
    assert related["created_user"]["id"] == OWNER.key_id


async def test_an_event_stays_small_however_long_the_values_were(shop: Shop) -> None:
    long = "x" * (SHOWN_BYTES // 3)
    contact = a_record(city=long)
    cities = {revision: {**contact.body, "city": f"{revision}{long}"} for revision in range(1, 6)}
    changes = [Update(replace(contact, revision=revision, body=body)) for revision, body in cities.items()]
    await shop.accept(Insert(contact), *changes, **event_of(contact))
    longer = replace(contact, revision=6, body={**contact.body, "city": long * 4})
    short = replace(contact, revision=7, body={**contact.body, "city": "Ulm"})

    of_some = await shop.related(expands="changelogs", **event_of(contact))
    of_one = await shop.related(Update(longer), Update(short), expands="changelogs", **event_of(contact))

    assert [entry["changelog_details"][0]["old_value"][0] for entry in of_some["changelogs"]] == ["4", "3"]
    assert [len(entry["changelog_details"][0]["old_value"]) for entry in of_one["changelogs"]] == [len(long) * 4]


# --- related records -------------------------------------------------------------------------------------------------


async def test_related_records_are_those_of_the_transaction(shop: Shop) -> None:
    contact = a_record("contact", "con_1", last_name="Okafor", created_ts=1, modified_ts=None)
    vault = a_record("accountvault", "acv_1", last_four="1111", created_ts=1, modified_ts=2)
    transaction = a_record("transaction", "trx_1", contact_id="con_1", account_vault_id="acv_1")
    await shop.accept(Insert(contact), **event_of(contact))
    await shop.accept(Insert(vault), **event_of(vault))

    related = await shop.related(
        Insert(transaction, OWNER),
        expands="contact,account_vault,location,created_user,product_transaction,tags,is_voidable",
        **event_of(transaction),
    )

    assert related == {
        "contact": {"id": "con_1", "last_name": "Okafor", "created_ts": 1, "modified_ts": 1},
        "account_vault": {"id": "acv_1", "last_four": "1111", "created_ts": 1, "modified_ts": 2},
        "location": {"id": LOCATION_ID, "name": ACCOUNT},
        "created_user": {"id": OWNER.key_id, "username": "shop.owner", "first_name": None, "last_name": None},
    }


async def test_related_records_are_as_they_were_when_the_event_was_accepted(shop: Shop) -> None:
    contact = a_record(last_name="Okafor")
    transaction = a_record("transaction", "trx_1", contact_id="con_1")
    await shop.accept(Insert(contact), **event_of(contact))
    answer = await shop.accept(Insert(transaction), expands=("contact",), **event_of(transaction))

    await shop.accept(Update(replace(contact, body={**contact.body, "last_name": "Lue"})), **event_of(contact))

    assert isinstance(answer, Accepted)
    event, _ = await shop.log.event(ACCOUNT, answer.event_id)
    assert json.loads(event.expands or b"")["contact"]["last_name"] == "Okafor"


async def test_what_there_is_not_is_left_to_the_format_to_say(shop: Shop) -> None:
    for data in (
        b"{}",
        b'{"contact_id":"con_9"}',
        b'{"contact_id":["con_1"],"id":17}',
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ):
        answer = await shop.accept(
            expands=("contact", "changelogs", "created_user"), data=data, type="transaction.created"
        )

        assert isinstance(answer, Accepted)
        assert (await shop.log.event(ACCOUNT, answer.event_id))[0].expands is None


async def test_nothing_of_another_account_is_related(shop: Shop) -> None:
    contact, theirs = a_record(last_name="Okafor"), a_record("accountvault", "acv_9", "other", last_four="9999")
    await shop.accept(Insert(contact, OWNER), **event_of(contact))
    await shop.accept(Insert(theirs), account="other", **event_of(theirs))
    asked = "contact,account_vault,location,changelogs,created_user"
    data = b'{"id":"con_1","contact_id":"con_1","account_vault_id":"acv_9"}'

    of_other = await shop.related(
        expands=asked, account="other", type="contact.updated", data=data, location_id=LOCATION_ID
    )
    of_kind = await shop.related(expands="changelogs,created_user", type="transaction.updated", data=data)

    assert of_other == {"account_vault": {"id": "acv_9", "last_four": "9999"}}
    assert of_kind == {}


async def test_an_event_without_expands_looks_for_nothing(shop: Shop) -> None:
    contact = a_record()

    answer = await shop.accept(Insert(contact), **event_of(contact))

    assert isinstance(answer, Accepted)
    assert (await shop.log.event(ACCOUNT, answer.event_id))[0].expands is None
