"""Records on each database: changes, the rules between records, and lists."""

from dataclasses import replace
from typing import Any

import pytest

from postback.domain.accounts import Account
from postback.domain.errors import Conflict, InvalidValue, NotFound, RevisionPassed
from postback.domain.records import Delete, Insert, ListedField, Record, Update
from postback.ports import Query, Search
from postback.storage.accounts import SqlAccounts
from postback.storage.configs import SqlConfigs
from postback.storage.database import Database
from postback.storage.records import SqlRecords
from tests.build import ACCOUNT, LOCATION_ID, NOON, a_config, a_location

pytestmark = pytest.mark.anyio

LISTED = {
    "location": {name: ListedField(name) for name in ("id", "name", "created_ts")},
    "contact": {
        "id": ListedField("id"),
        "location_id": ListedField("location_id"),
        "created_ts": ListedField("created_ts"),
        "last_name": ListedField("last_name"),
        "first_name": ListedField("first_name"),
        "email_trx_receipt": ListedField("email_trx_receipt"),
        "header_message_type": ListedField("header_message_type_id"),
        "contact_balance": ListedField("contact_balance", is_amount=True),
    },
}


@pytest.fixture
async def records(empty_store: Database) -> SqlRecords:
    accounts = SqlAccounts(empty_store)
    await accounts.save(Account(id=ACCOUNT))
    await accounts.save(Account(id="other"))
    records = SqlRecords(empty_store, LISTED)
    await records.apply([Insert(a_location()), Insert(a_location(account="other", id="loc_other"))])
    return records


def a_contact(number: int = 1, **changes: Any) -> Record:
    record = Record(
        account=ACCOUNT,
        resource="contact",
        id=f"con_{number}",
        location_id=LOCATION_ID,
        key=None,
        revision=1,
        created_ms=NOON + number,
        body={"id": f"con_{number}", "last_name": f"Jones {number}", "created_ts": (NOON + number) // 1000},
    )
    return replace(record, **changes)


def with_body(number: int = 1, **fields: object) -> Record:
    record = a_contact(number)
    return replace(record, body={**record.body, **fields})


async def test_what_was_inserted_is_found_as_it_was(records: SqlRecords) -> None:
    record = a_contact(key="c-1", body={"z": None, "a": [1.5, "é"], "flag": True})

    await records.apply([Insert(record)])

    assert await records.find(ACCOUNT, "contact", "con_1") == record
    assert list((await records.find(ACCOUNT, "contact", "con_1")).body) == ["z", "a", "flag"]


async def test_nobody_finds_what_is_anothers(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact(key="c-1"))])

    for account, resource, record_id in (
        ("other", "contact", "con_1"),
        (ACCOUNT, "location", "con_1"),
        (ACCOUNT, "contact", "con_2"),
        (ACCOUNT, "contact", "%"),
    ):
        with pytest.raises(NotFound):
            await records.find(account, resource, record_id)
    assert await records.find_by_key("other", "contact", LOCATION_ID, "c-1") is None
    assert (await records.list("other", "contact", Query())).total == 0


async def test_nobody_changes_or_deletes_what_is_anothers(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact())])

    with pytest.raises(NotFound):
        await records.apply([Update(a_contact(account="other"))])
    with pytest.raises(NotFound):
        await records.apply([Delete("other", "contact", "con_1")])

    assert (await records.find(ACCOUNT, "contact", "con_1")).revision == 1


@pytest.mark.parametrize("location_id", ["loc_nowhere", "loc_other", "con_2"])
async def test_a_record_needs_a_location_of_its_account(records: SqlRecords, location_id: str) -> None:
    await records.apply([Insert(a_contact(2))])

    with pytest.raises(InvalidValue) as raised:
        await records.apply([Insert(a_contact(location_id=location_id))])

    assert raised.value.errors == {"location_id": ["location_id provided is not valid"]}


async def test_a_key_is_taken_once_in_a_location(records: SqlRecords) -> None:
    await records.apply([Insert(a_location(id="loc_2")), Insert(a_contact(1, key="c-1"))])

    with pytest.raises(InvalidValue) as raised:
        await records.apply([Insert(a_contact(2, key="c-1"))])
    await records.apply([Insert(a_contact(3, key="c-1", location_id="loc_2")), Insert(a_contact(4, key=None))])
    await records.apply([Insert(a_contact(5, key=None))])

    assert raised.value.errors == {"contact_api_id": ["contact_api_id is taken by another contact already"]}
    found = await records.find_by_key(ACCOUNT, "contact", "loc_2", "c-1")
    assert found is not None
    assert found.id == "con_3"


async def test_a_change_cannot_take_the_key_of_another(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact(1, key="c-1")), Insert(a_contact(2, key="c-2"))])

    with pytest.raises(InvalidValue):
        await records.apply([Update(a_contact(2, key="c-1"))])
    await records.apply([Update(a_contact(1, key="c-1", body={"id": "con_1"}))])

    assert (await records.find(ACCOUNT, "contact", "con_1")).body == {"id": "con_1"}


async def test_the_key_of_a_location_is_taken_once_in_the_account(records: SqlRecords) -> None:
    await records.apply([Insert(a_location(id="loc_2", key="l-1"))])

    with pytest.raises(InvalidValue) as raised:
        await records.apply([Insert(a_location(id="loc_3", key="l-1"))])
    await records.apply([Insert(a_location(id="loc_4", key="l-1", account="other"))])

    assert list(raised.value.errors) == ["location_api_id"]


async def test_each_change_raises_the_revision(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact())])

    await records.apply([Update(replace(with_body(last_name="Smith"), revision=1))])
    await records.apply([Update(replace(with_body(last_name="Lue"), revision=2))])

    record = await records.find(ACCOUNT, "contact", "con_1")
    assert (record.revision, record.body["last_name"], record.created_ms) == (3, "Lue", NOON + 1)


async def test_a_change_made_from_an_older_revision_is_refused(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact())])
    await records.apply([Update(with_body(last_name="Smith"))])

    with pytest.raises(RevisionPassed):
        await records.apply([Update(with_body(last_name="Lue"))])

    assert (await records.find(ACCOUNT, "contact", "con_1")).body["last_name"] == "Smith"


async def test_a_deleted_record_is_gone(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact())])

    await records.apply([Delete(ACCOUNT, "contact", "con_1")])

    for change in (Delete(ACCOUNT, "contact", "con_1"), Update(a_contact())):
        with pytest.raises(NotFound):
            await records.apply([change])


async def test_changes_happen_together_or_not_at_all(records: SqlRecords) -> None:
    with pytest.raises(NotFound):
        await records.apply([Insert(a_contact()), Delete(ACCOUNT, "contact", "con_9")])

    assert (await records.list(ACCOUNT, "contact", Query())).total == 0


async def test_a_location_that_is_in_use_cannot_be_deleted(empty_store: Database, records: SqlRecords) -> None:
    configs = SqlConfigs(empty_store)
    await configs.add(a_config())

    with pytest.raises(Conflict, match="still has postback configs"):
        await records.apply([Delete(ACCOUNT, "location", LOCATION_ID)])
    await configs.delete(ACCOUNT, a_config().id)
    await records.apply([Insert(a_contact())])
    with pytest.raises(Conflict, match="still has records"):
        await records.apply([Delete(ACCOUNT, "location", LOCATION_ID)])
    await records.apply([Delete(ACCOUNT, "contact", "con_1"), Delete(ACCOUNT, "location", LOCATION_ID)])

    with pytest.raises(NotFound):
        await records.find(ACCOUNT, "location", LOCATION_ID)


# --- lists -----------------------------------------------------------------------------------------------------------


async def ids_of(records: SqlRecords, **query: Any) -> list[str]:
    return [record.id for record in (await records.list(ACCOUNT, "contact", Query(**query))).items]


async def test_lists_show_the_newest_first_page_by_page(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact(number)) for number in range(1, 6)])

    first = await records.list(ACCOUNT, "contact", Query(page_size=2))
    beyond = await records.list(ACCOUNT, "contact", Query(page=10**18, page_size=2))

    assert [record.id for record in first.items] == ["con_5", "con_4"]
    assert await ids_of(records, page=3, page_size=2) == ["con_1"]
    assert (first.total, beyond.total, beyond.items) == (5, 5, [])


async def test_lists_are_sorted_as_asked(records: SqlRecords) -> None:
    names = {1: "Zoe", 2: "Ada", 3: None, 4: "Zoe"}
    await records.apply([Insert(with_body(number, first_name=name)) for number, name in names.items()])

    assert await ids_of(records, sort="first_name") == ["con_3", "con_2", "con_1", "con_4"]
    assert await ids_of(records, sort="-first_name") == ["con_4", "con_1", "con_2", "con_3"]
    assert await ids_of(records, sort="created_ts") == ["con_1", "con_2", "con_3", "con_4"]


async def test_numbers_are_sorted_as_numbers(records: SqlRecords) -> None:
    types = {1: 10, 2: 9, 3: 0}
    await records.apply([Insert(with_body(number, header_message_type_id=value)) for number, value in types.items()])

    assert await ids_of(records, sort="header_message_type") == ["con_3", "con_2", "con_1"]


async def test_amounts_are_sorted_by_their_worth(records: SqlRecords) -> None:
    amounts = {1: "9.00", 2: "10.00", 3: "100000000000.01", 4: None, 5: "100000000000.00", 6: "9.50"}
    await records.apply([Insert(with_body(number, contact_balance=value)) for number, value in amounts.items()])

    in_order = ["con_4", "con_1", "con_6", "con_2", "con_5", "con_3"]
    assert await ids_of(records, sort="contact_balance") == in_order
    assert await ids_of(records, sort="-contact_balance") == in_order[::-1]
    assert await ids_of(records, filters={"contact_balance": ["10.00"]}) == ["con_2"]


async def test_filters_are_exact_and_take_any_of_several(records: SqlRecords) -> None:
    names = {1: "Jones", 2: "jones", 3: "Jone", 4: "Smith"}
    await records.apply([Insert(with_body(number, last_name=name)) for number, name in names.items()])

    assert await ids_of(records, filters={"last_name": ["Jones"]}) == ["con_1"]
    assert await ids_of(records, filters={"last_name": ["Jones", "Smith", "x"]}) == ["con_4", "con_1"]
    assert await ids_of(records, filters={"last_name": ["Jones", "Smith"], "id": ["con_4"]}) == ["con_4"]
    assert await ids_of(records, filters={"last_name": []}) == []
    assert await ids_of(records, filters={"created_ts": [str(NOON // 1000)]}) == ["con_4", "con_3", "con_2", "con_1"]


async def test_filters_know_flags_and_numbers_by_their_texts(records: SqlRecords) -> None:
    await records.apply(
        [
            Insert(with_body(1, email_trx_receipt=True, header_message_type_id=1, last_name="1")),
            Insert(with_body(2, email_trx_receipt=False, header_message_type_id=0, last_name="true")),
        ]
    )

    for text in ("1", "true"):
        assert await ids_of(records, filters={"email_trx_receipt": [text]}) == ["con_1"]
    assert await ids_of(records, filters={"email_trx_receipt": ["0"]}) == ["con_2"]
    assert await ids_of(records, filters={"email_trx_receipt": ["yes"]}) == []
    assert await ids_of(records, filters={"header_message_type": ["1"]}) == ["con_1"]
    assert await ids_of(records, filters={"last_name": ["true"]}) == ["con_2"]


# --- bad inputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "😀👩‍👩‍👧",
        "e" + "\u0301" * 1_000,
        "\u202etxt.exe",
        "\ufeffBOM",
        "Zoe\u0308",
        "Zo\u00eb",
        "tab\tand\nline",
        "\x7f",
    ],
)
async def test_23_names_are_stored_exactly(records: SqlRecords, name: str) -> None:
    await records.apply([Insert(with_body(last_name=name))])

    assert (await records.find(ACCOUNT, "contact", "con_1")).body["last_name"] == name
    assert await ids_of(records, filters={"last_name": [name]}) == ["con_1"]


async def test_23_keys_that_look_the_same_are_the_same(records: SqlRecords) -> None:
    await records.apply([Insert(a_contact(1, key="Zo\u00eb", body={"contact_api_id": "Zo\u00eb"}))])

    with pytest.raises(InvalidValue):
        await records.apply([Insert(a_contact(2, key="Zoe\u0308"))])

    found = await records.find_by_key(ACCOUNT, "contact", LOCATION_ID, "Zoe\u0308")
    assert found is not None
    assert found.body["contact_api_id"] == "Zo\u00eb"


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE records;--",
        "%",
        "_",
        "\\",
        "$1",
        ":name",
        "{{7*7}}",
        "${jndi:ldap://x}",
        '"',
        "a,b",
        "?",
        "%(x)s",
    ],
)
async def test_28_texts_are_stored_and_found_literally(records: SqlRecords, text: str) -> None:
    await records.apply(
        [Insert(replace(with_body(1, last_name=text), key=text)), Insert(with_body(2, last_name="other"))]
    )

    assert await ids_of(records, filters={"last_name": [text]}) == ["con_1"]
    found = await records.find_by_key(ACCOUNT, "contact", LOCATION_ID, text)
    assert found is not None
    with pytest.raises(NotFound):
        await records.find(ACCOUNT, "contact", text)


@pytest.mark.parametrize("sort", ["secret", "-body", "", "-", "--id", "id; DROP TABLE records", "revision", "\ud83d"])
async def test_29_lists_are_sorted_by_known_fields_only(records: SqlRecords, sort: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        await records.list(ACCOUNT, "contact", Query(sort=sort))

    [message] = raised.value.errors["sort"]
    assert "expected one of id, location_id, created_ts" in message


async def test_29_lists_are_filtered_by_known_fields_only(records: SqlRecords) -> None:
    with pytest.raises(InvalidValue) as raised:
        await records.list(ACCOUNT, "contact", Query(filters={"account": ["other"]}))

    assert raised.value.errors == {"account": ["account is not a field that lists are filtered by"]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mAiN", ["loc_main"]),
        ("loc_", ["loc_main", "loc_odd"]),
        ("100%_\\", ["loc_odd"]),
        ("%", ["loc_odd"]),
        ("Übersee", ["loc_odd"]),
        ("ÜBERSEE", ["loc_odd"]),
        ("Street'; --", []),
        ("\0", []),
    ],
)
async def test_a_search_finds_parts_of_text_literally(records: SqlRecords, text: str, found: list[str]) -> None:
    odd = a_location(id="loc_odd", created_ms=NOON + 1, body={"id": "loc_odd", "name": "100%_\\ harbour Übersee"})
    await records.apply([Insert(odd)])

    query = Query(sort="created_ts", search=Search(("name", "id"), text))
    page = await records.list(ACCOUNT, "location", query)

    assert [record.id for record in page.items] == found
    assert page.total == len(found)
