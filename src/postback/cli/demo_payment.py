"""The payment API's part of the demonstration: the documented workflow, and a receiver that fails and recovers."""

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl

from postback.cli.client import Client
from postback.cli.output import CommandError
from postback.cli.story import Inbox, Story, demand, finished_attempts
from postback.receiver.server import Received

PARAMETERS: Final = ["type", "resource", "number_of_attempts", "data"]
CONFIG_KEYS: Final = [
    "id",
    "location_id",
    "resource",
    "on_create",
    "on_update",
    "on_delete",
    "url",
    "is_active",
    "format",
    "number_of_attempts",
    "attempt_interval",
    "expands",
    "created_ts",
    "modified_ts",
    "_links",
]
CONTACT_KEYS: Final = [
    "id",
    "location_id",
    "account_number",
    "contact_api_id",
    "company_name",
    "first_name",
    "last_name",
    "email",
    "address",
    "city",
    "state",
    "zip",
    "home_phone",
    "cell_phone",
    "office_phone",
    "office_ext_phone",
    "email_trx_receipt",
    "created_ts",
    "modified_ts",
    "date_of_birth",
    "header_message",
    "header_message_type_id",
    "contact_c1",
    "contact_c2",
    "contact_c3",
    "contact_balance",
]


def documented_workflow(story: Story, client: Client, location_id: str, url: str, inbox: Inbox) -> None:
    story.step("Step 1: create a postback config")
    config = story.ask(client, "/v2/postbackconfigs", {"postbackconfig": _config(location_id, f"{url}/receiver")})
    demand("the config's keys and their order", list(config["postbackconfig"])[: len(CONFIG_KEYS)], CONFIG_KEYS)

    story.step("Step 2: create a contact")
    contact = story.ask(client, "/v2/contacts", {"contact": {"last_name": "Jones", "location_id": location_id}})

    story.step("Step 3: receive the postback")
    received, answered = inbox.next("the postback of the contact")
    story.show(received, answered)
    _check_postback(received, contact["contact"], attempt=1)


def recovery(story: Story, client: Client, location_id: str, url: str, inbox: Inbox) -> None:
    story.step("A receiver that answers 500, 500, then 200: three attempts, at least a second apart")
    wanted = _config(location_id, f"{url}/flaky") | {"number_of_attempts": 3, "attempt_interval": 1}
    config = story.ask(client, "/v2/postbackconfigs", {"postbackconfig": wanted}, brief=True)["postbackconfig"]
    lue = {"last_name": "Lue", "location_id": location_id}
    contact = story.ask(client, "/v2/contacts", {"contact": lue}, brief=True)
    for attempt, status in enumerate((500, 500, 200), start=1):
        received, answered = inbox.next(f"attempt {attempt}")
        story.show(received, answered, brief=True)
        demand(f"the answer to attempt {attempt}", answered, status)
        _check_postback(received, contact["contact"], attempt)

    story.step("Everything is on record")
    attempts = finished_attempts(client, config["id"])
    for one in attempts:
        story.tell(
            f"attempt {one['number']}  sent {one['sent_at']}  answered {one['status']}  decided {one['decision']}"
        )
    demand("the statuses on record", [one["status"] for one in attempts], [500, 500, 200])
    sent = [datetime.fromisoformat(one["sent_at"]) for one in attempts]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(sent)]
    if min(waits) < 1:
        raise CommandError(f"not right: there were only {min(waits)} s between two attempts, expected at least 1 s")
    inbox.must_be_empty("the receiver that failed twice")


def _config(location_id: str, url: str) -> dict[str, object]:
    """The documented request, with our location and a receiver that exists."""
    return {
        "attempt_interval": 300,
        "basic_auth_username": None,
        "basic_auth_password": None,
        "expands": "",
        "format": "api-default",
        "is_active": "1",
        "location_id": location_id,
        "number_of_attempts": 1,
        "on_create": "1",
        "on_delete": "1",
        "on_update": "1",
        "resource": "contact",
        "url": url,
    }


def _check_postback(received: Received, contact: Mapping[str, Any], attempt: int) -> None:
    parameters = parse_qsl(received.body.decode("ascii"), keep_blank_values=True)
    demand("the method", received.method, "POST")
    demand("the content type", received.header("content-type"), "application/x-www-form-urlencoded")
    demand("the parameters and their order", [name for name, _ in parameters], PARAMETERS)
    values = dict(parameters)
    demand("type", values["type"], "CREATE")
    demand("resource", values["resource"], "contact")
    demand("number_of_attempts", values["number_of_attempts"], str(attempt))
    data = json.loads(values["data"])
    demand("the keys of data and their order", list(data), CONTACT_KEYS)
    demand("the contact's id", data["id"], contact["id"])
    demand("the contact's last name", data["last_name"], contact["last_name"])
