"""Transactions, their batches and account vaults: said as documented, and what their fields take."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from postback.domain.accounts import Actor
from postback.domain.errors import InvalidValue
from postback.domain.masking import MASK, without_secrets
from postback.domain.records import KEYS, Record
from postback.resources import RESOURCES, SENSITIVE, Resource, changed, check, event_data, new_record

GOLDEN = Path(__file__).parents[1] / "formats" / "golden"
TRANSACTION, BATCH, VAULT = RESOURCES["transaction"], RESOURCES["transactionbatch"], RESOURCES["accountvault"]
LOCATION_ID = "21f0a7c4e98d4bb6a1537c02"
OWNER = Actor("21f0a7c6118a4d39bd5590e1", "shop.owner")

SENT: Mapping[str, dict[str, Any]] = {
    "transaction": {"location_id": LOCATION_ID, "transaction_amount": "24.50"},
    "transactionbatch": {"location_id": LOCATION_ID},
    "accountvault": {"location_id": LOCATION_ID},
}

each_resource = pytest.mark.parametrize("resource", [TRANSACTION, BATCH, VAULT], ids=lambda resource: resource.name)


def golden(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((GOLDEN / f"{name}.data.json").read_text())
    return record


def writable(resource: Resource, documented: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller sends to get the documented record."""
    return {name: value for name, value in documented.items() if not resource.by_name[name].read_only}


def made(resource: Resource, sent: Mapping[str, Any], documented: Mapping[str, Any]) -> Record:
    cleaned = check(resource, sent, creating=True)
    now_ms = documented["created_ts"] * 1000
    return new_record(resource, cleaned, account="default", id=documented["id"], now_ms=now_ms, by=OWNER)


def compact(sample: object) -> bytes:
    return json.dumps(sample, separators=(",", ":")).encode()


def errors_of(resource: Resource, sent: Mapping[str, object], *, creating: bool = False) -> dict[str, list[str]]:
    with pytest.raises(InvalidValue) as raised:
        check(resource, sent, creating=creating)
    return {field: list(messages) for field, messages in raised.value.errors.items()}


# --- the documented records ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["transaction_create_declined", "accountvault_create"])
def test_a_new_record_is_said_as_documented(name: str) -> None:
    resource, documented = RESOURCES[name.partition("_")[0]], golden(name)

    assert event_data(made(resource, writable(resource, documented), documented)) == compact(documented)


def test_a_new_batch_is_said_as_documented() -> None:
    """It says no location, though it belongs to one."""
    documented = golden("transactionbatch_create_plain")

    record = made(BATCH, {**writable(BATCH, documented), "location_id": LOCATION_ID}, documented)

    assert event_data(record) == compact(documented)
    assert record.location_id == LOCATION_ID


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("transaction_create_declined", "transaction_update_void"),
        ("accountvault_create", "accountvault_update_cau"),
        ("accountvault_update_cau", "accountvault_delete"),
    ],
)
def test_a_changed_record_is_said_as_documented(before: str, after: str) -> None:
    resource = RESOURCES[before.partition("_")[0]]
    first, documented = golden(before), golden(after)
    record = made(resource, writable(resource, first), first)
    sent = {name: value for name, value in writable(resource, documented).items() if value != first[name]}

    record = changed(
        resource, record, check(resource, sent, creating=False), now_ms=documented["modified_ts"] * 1000, by=OWNER
    )

    assert event_data(record) == compact(documented)


def test_a_settled_batch_is_said_in_its_order() -> None:
    documented = golden("transactionbatch_create_plain")
    record = made(BATCH, {**writable(BATCH, documented), "location_id": LOCATION_ID}, documented)
    settled = {"is_open": "0", "processing_status_id": 2, "batch_close_ts": 1562000000}

    record = changed(BATCH, record, check(BATCH, settled, creating=False), now_ms=1562000001_000, by=OWNER)

    assert event_data(record) == compact({**documented, "is_open": 0, "processing_status_id": 2, "batch_close_ts": 1562000000})  # fmt: skip


def test_the_api_shows_a_batch_in_the_order_of_its_own() -> None:
    documented = golden("transactionbatch_create_plain")

    shown = BATCH.api_view(made(BATCH, {**writable(BATCH, documented), "location_id": LOCATION_ID}, documented))

    assert shown == documented
    assert [name for name in shown if name not in ("id", "batch_num", "settlement_file_name")] == [
        "product_transaction_id", "created_ts", "processing_status_id", "is_open", "batch_close_ts",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["transaction_create_declined", "accountvault_create"])
def test_the_api_shows_other_records_with_the_keys_of_the_event(name: str) -> None:
    resource, documented = RESOURCES[name.partition("_")[0]], golden(name)

    shown = resource.api_view(made(resource, writable(resource, documented), documented))

    assert list(shown) == list(documented)
    assert shown == {**documented, "modified_ts": None}


@each_resource
def test_what_is_not_sent_is_null_or_what_the_field_says_instead(resource: Resource) -> None:
    record = made(resource, SENT[resource.name], {"id": "x", "created_ts": 1})

    said = json.loads(event_data(record))
    told = {name: value for name, value in said.items() if value is not None}
    ours = {"id": "x", "created_ts": 1}
    expected = {
        "transaction": {
            **SENT["transaction"], **ours, "modified_ts": 1, "notification_email_sent": False, "is_recurring": False,
            "is_accountvault": False, "additional_amounts": [],
            "created_user_id": OWNER.key_id, "modified_user_id": OWNER.key_id,
        },
        "transactionbatch": ours,
        "accountvault": {**SENT["accountvault"], **ours, "modified_ts": 1, "has_recurring": False, "active": 1},
    }  # fmt: skip
    assert told == expected[resource.name]


def test_who_made_a_transaction_and_who_changed_it_stand_in_it() -> None:
    record = made(TRANSACTION, SENT["transaction"], {"id": "x", "created_ts": 1})

    by_other = changed(TRANSACTION, record, {}, now_ms=2000, by=Actor("key_2", "other"))
    by_nobody = changed(TRANSACTION, by_other, {}, now_ms=3000)

    users = [(one.body["created_user_id"], one.body["modified_user_id"]) for one in (record, by_other, by_nobody)]
    assert users == [(OWNER.key_id, OWNER.key_id), (OWNER.key_id, "key_2"), (OWNER.key_id, None)]


@pytest.mark.parametrize(
    ("account", "key_id", "told"),
    [("other", "key_9", "platform"), ("default", "usr_9", "platform"), ("default", "key_9", "key_9")],
)
def test_of_operators_the_platform_stands_in_it_but_for_a_key_in_the_servers_own_account(
    account: str, key_id: str, told: str
) -> None:
    by = Actor(key_id, "boss@example.com", is_operator=True)
    cleaned = check(TRANSACTION, SENT["transaction"], creating=True)

    record = new_record(TRANSACTION, cleaned, account=account, id="x", now_ms=1000, by=by)
    of_owner = new_record(TRANSACTION, cleaned, account=account, id="x", now_ms=1000, by=OWNER)
    after = changed(TRANSACTION, of_owner, {}, now_ms=2000, by=by)

    assert (record.body["created_user_id"], record.body["modified_user_id"]) == (told, told)
    assert (after.body["created_user_id"], after.body["modified_user_id"]) == (OWNER.key_id, told)


# --- what may be sent ------------------------------------------------------------------------------------------------


def test_what_each_record_needs() -> None:
    assert errors_of(TRANSACTION, {}, creating=True) == {
        "location_id": ["Location Id cannot be blank."],
        "transaction_amount": ["Transaction Amount cannot be blank."],
    }
    for resource in (BATCH, VAULT):
        assert errors_of(resource, {}, creating=True) == {"location_id": ["Location Id cannot be blank."]}


@each_resource
def test_a_record_stays_in_its_location(resource: Resource) -> None:
    errors = errors_of(resource, {"location_id": LOCATION_ID})

    assert errors == {"location_id": [f"location_id can be given only when {resource.one} is made"]}


def test_the_key_of_a_record_is_the_callers_own_id_of_it() -> None:
    assert {name: resource.key for name, resource in RESOURCES.items() if resource.key is not None} == KEYS

    vault = made(VAULT, {**SENT["accountvault"], "account_vault_api_id": "card-1"}, {"id": "x", "created_ts": 1})

    assert vault.key == "card-1"
    assert made(BATCH, SENT["transactionbatch"], {"id": "x", "created_ts": 1}).key is None


def test_an_account_vault_is_active_until_it_is_said_not_to_be() -> None:
    assert check(VAULT, {"active": None}, creating=False) == {"active": 1}
    assert check(BATCH, {"is_open": None}, creating=False) == {"is_open": None}


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("description", 64), ("order_num", 32), ("po_number", 24), ("customer_id", 64), ("transaction_api_id", 64),
        ("transaction_c1", 128), ("transaction_c3", 128), ("clerk_number", 16), ("billing_street", 32),
        ("billing_city", 36), ("billing_phone", 10), ("billing_zip", 12), ("response_message", 255),
    ],
)  # fmt: skip
def test_documented_limits_of_a_transaction_are_kept_to_the_letter(field: str, most: int) -> None:
    assert check(TRANSACTION, {field: "é" * most}, creating=False)
    assert list(errors_of(TRANSACTION, {field: "é" * (most + 1)})) == [field]


# --- what only some may see ------------------------------------------------------------------------------------------


def test_what_is_sensitive_is_a_secret_to_every_log_as_well() -> None:
    assert {"ssn4", "dob_year", "dl_number", "routing"} <= SENSITIVE
    assert without_secrets(dict.fromkeys(SENSITIVE, "1234")) == dict.fromkeys(SENSITIVE, MASK)


def test_sensitive_fields_are_masked_where_there_is_a_value() -> None:
    view = {"id": "x", "ssn4": "1234", "dob_year": None, "title": "Main card", "routing": "", "dl_number": "D1"}

    assert VAULT.masked(view) == {**view, "ssn4": MASK, "routing": MASK, "dl_number": MASK}
    assert TRANSACTION.masked({"routing": "123456789", "ssn4": "what a transaction has not"}) == {
        "routing": MASK,
        "ssn4": "what a transaction has not",
    }


def test_a_mask_that_is_sent_back_keeps_the_value() -> None:
    record = made(VAULT, {**SENT["accountvault"], "ssn4": "1234", "title": "x"}, {"id": "x", "created_ts": 1})

    cleaned = check(VAULT, {"ssn4": MASK, "dl_number": MASK, "title": MASK}, creating=False)

    assert cleaned == {"title": MASK}
    assert changed(VAULT, record, cleaned, now_ms=2000).body["ssn4"] == "1234"
    assert changed(VAULT, record, check(VAULT, {"ssn4": None}, creating=False), now_ms=0).body["ssn4"] is None


def test_a_new_record_has_nothing_that_a_mask_could_keep() -> None:
    errors = errors_of(VAULT, {**SENT["accountvault"], "ssn4": MASK}, creating=True)

    assert errors == {"ssn4": ["ssn4 is ***, which keeps a value, and none is set"]}


@pytest.mark.parametrize("sent", [123456789, "12345", True, {"ssn4": "1234"}])
def test_a_sensitive_value_that_is_refused_is_not_repeated(sent: object) -> None:
    for field in ("ssn4", "dob_year", "routing"):
        for resource in (VAULT, TRANSACTION):
            if field in resource.by_name and sent != "12345":
                [message] = errors_of(resource, {field: sent})[field]
                assert message == f"{field} is ***; expected a string"


def test_lists_are_not_narrowed_by_what_is_sensitive() -> None:
    for resource in RESOURCES.values():
        assert SENSITIVE & set(resource.listed) == set()
