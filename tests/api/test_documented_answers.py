"""The examples of the documented API: the same requests get the same answers, key for key and in the same order."""

import json
from pathlib import Path
from typing import Any

import pytest

from postback.domain.records import LOCATION, Insert, Record
from postback.formats import render
from tests.api.client import PUBLIC_URL, Api, Client
from tests.build import ACCOUNT
from tests.doubles import ClockDouble

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parent / "golden"
CREATED_MS = 1_561_939_200_000
UPDATED_MS = 1_561_940_121_000
LOCATION_ID = "21f0a7c4e98d4bb6a1537c02"
SEED_LOCATION_ID = "23948sdnfia1129i9asf92"

SEED_CONFIG = b"""{
  "postbackconfig": {
    "attempt_interval": 300,
    "basic_auth_username": null,
    "basic_auth_password": null,
    "expands": "",
    "format": "api-default",
    "is_active": "1",
    "location_id": "23948sdnfia1129i9asf92",
    "number_of_attempts": 1,
    "on_create": "1",
    "on_delete": "1",
    "on_update": "1",
    "resource": "contact",
    "url": "https://127.0.0.1:9443/receiver"
  }
}"""

SEED_CONTACT = b"""{
    "contact":{
        "last_name":"Jones",
        "location_id":"23948sdnfia1129i9asf92"
    }
}"""


@pytest.fixture
def clock() -> ClockDouble:
    return ClockDouble(CREATED_MS)


@pytest.fixture
async def known(api: Api) -> Api:
    """With the locations of the examples, under their ids."""
    for location_id in (LOCATION_ID, SEED_LOCATION_ID):
        location = Record(
            account=ACCOUNT,
            resource=LOCATION,
            id=location_id,
            location_id=None,
            key=None,
            revision=1,
            created_ms=CREATED_MS,
            body={"id": location_id, "name": "Main Street", "created_ts": CREATED_MS // 1000, "modified_ts": None},
        )
        await api.services.records.apply([Insert(location)])
    return api


async def test_step_1_of_the_workflow_creates_a_postback_config(known: Api, client: Client) -> None:
    reply = await client.post("/v2/postbackconfigs", SEED_CONFIG)

    config_id = reply.json["postbackconfig"]["id"]
    assert reply.status == 201
    assert ordered(reply.body) == {
        "postbackconfig": {
            "id": config_id,
            "location_id": "23948sdnfia1129i9asf92",
            "resource": "contact",
            "on_create": "1",
            "on_update": "1",
            "on_delete": "1",
            "url": "https://127.0.0.1:9443/receiver",
            "is_active": "1",
            "format": "api-default",
            "number_of_attempts": 1,
            "attempt_interval": 300,
            "expands": "",
            "created_ts": 1561939200,
            "modified_ts": 1561939200,
            "_links": {"self": {"href": f"{PUBLIC_URL}/v2/postbackconfigs/{config_id}"}},
        }
    }


async def test_steps_2_and_3_create_a_contact_and_say_it_in_the_documented_body(known: Api, client: Client) -> None:
    created = await client.post("/v2/postbackconfigs", SEED_CONFIG)

    reply = await client.post("/v2/contacts", SEED_CONTACT)

    contact = reply.json["contact"]
    assert reply.status == 201
    assert list(contact)[:7] == [
        "id", "location_id", "account_number", "contact_api_id", "company_name", "first_name", "last_name",
    ]  # fmt: skip
    assert contact["last_name"] == "Jones"

    [delivery] = await known.deliveries()
    assert delivery["postbackconfig_id"] == created.json["postbackconfig"]["id"]
    view, _ = await known.services.log_actions.delivery(ACCOUNT, delivery["id"], sees_all=True)
    config = await known.services.config_actions.find(ACCOUNT, delivery["postbackconfig_id"])
    body = render(view.event, config, 1, CREATED_MS).body.decode()
    assert body.startswith("type=CREATE&resource=contact&number_of_attempts=1&data=%7B%22id%22%3A%22" + contact["id"])


async def test_a_config_for_contacts_is_created_as_documented(known: Api, client: Client) -> None:
    reply = await client.post("/v2/postbackconfigs", golden_bytes("config_create_contact_request.json"))

    assert reply.status == 201
    assert_golden(reply.body, "config_create_contact_response_201.json", "postbackconfig")


@pytest.mark.parametrize("resource", ["transaction", "transactionbatch"])
async def test_a_config_with_numbers_for_flags_is_answered_with_numbers(
    known: Api, client: Client, resource: str, clock: ClockDouble
) -> None:
    expected = golden(f"config_create_{resource}_response_201.json")
    clock.now_ms = expected["postbackconfig"]["created_ts"] * 1000

    reply = await client.post("/v2/postbackconfigs", golden_bytes(f"config_create_{resource}_request.json"))

    assert reply.status == 201
    assert_golden(reply.body, f"config_create_{resource}_response_201.json", "postbackconfig")


async def test_a_config_for_account_vaults_is_created_as_documented(
    known: Api, client: Client, clock: ClockDouble
) -> None:
    """Every flag is echoed as it was sent: the sample's answer has the text "1" for an `is_active` sent as the number."""
    expected = golden("config_create_accountvault_response_201.json")
    expected["postbackconfig"]["is_active"] = 1
    clock.now_ms = expected["postbackconfig"]["created_ts"] * 1000

    reply = await client.post("/v2/postbackconfigs", golden_bytes("config_create_accountvault_request.json"))

    assert reply.status == 201
    assert_same(reply.body, expected, "postbackconfig")


async def test_a_config_is_changed_and_shown_as_documented(known: Api, client: Client, clock: ClockDouble) -> None:
    created = await client.post("/v2/postbackconfigs", golden_bytes("config_create_contact_request.json"))
    address = f"/v2/postbackconfigs/{created.json['postbackconfig']['id']}"
    clock.now_ms = UPDATED_MS

    changed = await client.put(address, golden_bytes("config_update_contact_request.json"))
    shown = await client.get(address)

    assert (changed.status, shown.status) == (200, 200)
    assert_golden(changed.body, "config_update_contact_response_200.json", "postbackconfig")
    assert_golden(shown.body, "config_view_response_200.json", "postbackconfig")


async def test_a_list_of_configs_has_the_documented_pagination(known: Api, client: Client, clock: ClockDouble) -> None:
    for _ in range(4):
        await client.post("/v2/postbackconfigs", golden_bytes("config_create_contact_request.json"))
        clock.pass_(seconds=60)

    reply = await client.get("/v2/postbackconfigs?sort=-created_ts&page_size=2&page=1")

    expected = golden("config_list_response_200.json")
    assert reply.status == 200
    assert list(reply.json) == list(expected)
    assert len(reply.json["postbackconfigs"]) == 2
    assert json.dumps(reply.json["meta"]) == json.dumps(expected["meta"]).replace(
        "https://api.sandbox.example.com", PUBLIC_URL
    )


async def test_every_wrong_field_of_a_config_is_named_at_once(known: Api, client: Client) -> None:
    request = golden("config_create_transaction_request.json")
    request["postbackconfig"]["location_id"] = "loc_of_nobody"
    del request["postbackconfig"]["product_transaction_id"]

    reply = await client.post("/v2/postbackconfigs", request)

    assert reply.status == 422
    assert json.dumps(reply.json) == json.dumps(golden("config_error_422.json"))


async def test_a_contact_is_created_as_documented(known: Api, client: Client, clock: ClockDouble) -> None:
    expected = golden("contact_create_response_201.json")["contact"]
    clock.now_ms = expected["created_ts"] * 1000

    reply = await client.post("/v2/contacts", golden_bytes("contact_create_request.json"))

    # The documented answer leaves out four fields that contacts have; they stand before the links.
    contact = reply.json["contact"]
    assert reply.status == 201
    assert [contact.pop(name) for name in ("state", "contact_c1", "contact_c2", "contact_c3")] == [None] * 4
    expected["id"] = contact["id"]
    expected["_links"]["self"]["href"] = f"{PUBLIC_URL}/v2/contacts/{contact['id']}"
    assert json.dumps(contact) == json.dumps(expected)
    assert list(reply.json["contact"])[-5:] == ["state", "contact_c1", "contact_c2", "contact_c3", "_links"]


def ordered(body: bytes) -> Any:
    """JSON whose objects are equal only with their keys in the same order."""
    return json.loads(body, object_pairs_hook=_Ordered)


class _Ordered(dict[str, Any]):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and list(self.items()) == list(other.items())

    __hash__ = None


def assert_golden(body: bytes, name: str, wrapper: str) -> None:
    assert_same(body, golden(name), wrapper)


def assert_same(body: bytes, expected: Any, wrapper: str) -> None:
    """The same keys in the same order with the same values, but for ids and the host."""
    found = json.loads(body)
    expected[wrapper]["id"] = found[wrapper]["id"]
    expected[wrapper]["_links"]["self"]["href"] = f"{PUBLIC_URL}/v2/{wrapper}s/{found[wrapper]['id']}"
    assert json.dumps(found, indent=1) == json.dumps(expected, indent=1)


def golden(name: str) -> Any:
    return json.loads(golden_bytes(name))


def golden_bytes(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()
