"""`demo`: the documented workflow from config to receipt, against built-in receivers, told step by step."""

import json
import queue
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from postback.cli.client import Client, segment
from postback.cli.listen import shown_body
from postback.cli.output import CommandError, console, headline, printable, program
from postback.cli.trial import trial_server
from postback.receiver.server import Behaviour, Received, TestReceiver

ARRIVES_WITHIN_S: Final = 15.0
BRIEF: Final = 110

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


class Inbox:
    """What a receiver heard, in order."""

    def __init__(self) -> None:
        self._heard: queue.Queue[tuple[Received, int]] = queue.Queue()

    def put(self, received: Received, answered: int) -> None:
        self._heard.put((received, answered))

    def next(self, what: str) -> tuple[Received, int]:
        try:
            return self._heard.get(timeout=ARRIVES_WITHIN_S)
        except queue.Empty:
            raise CommandError(f"not right: {what} did not arrive within {ARRIVES_WITHIN_S:g} s") from None

    def must_be_empty(self, who: str) -> None:
        if not self._heard.empty():
            raise CommandError(f"not right: {who} was called more often than it should have been")


def demo() -> None:
    """Show the whole way of a postback: config, contact, receipt, and a receiver that fails twice and recovers."""
    good, flaky = Inbox(), Inbox()
    story = Story()
    story.step("A server on a free port, in a temporary folder; and two receivers")
    with (
        TestReceiver(good.put) as first,
        TestReceiver(flaky.put, Behaviour(status=500, count=2)) as second,
        trial_server() as client,
    ):
        story.tell(f"server {client.url}, receivers {first.url} and {second.url}")
        [location, *_] = client.get("/v2/locations")["locations"]
        _documented_workflow(story, client, location["id"], first.url, good)
        _recovery(story, client, location["id"], second.url, flaky)
        good.next("the second contact at the first receiver")
        good.must_be_empty("the first receiver")
    story.tell("")
    story.tell("All was right.", "bold green")
    story.tell(f"Next: {program()} serve")


def _documented_workflow(story: "Story", client: Client, location_id: str, url: str, inbox: Inbox) -> None:
    story.step("Step 1: create a postback config")
    config = story.ask(client, "/v2/postbackconfigs", {"postbackconfig": _config(location_id, f"{url}/receiver")})
    _demand("the config's keys and their order", list(config["postbackconfig"])[: len(CONFIG_KEYS)], CONFIG_KEYS)

    story.step("Step 2: create a contact")
    contact = story.ask(client, "/v2/contacts", {"contact": {"last_name": "Jones", "location_id": location_id}})

    story.step("Step 3: receive the postback")
    received, answered = inbox.next("the postback of the contact")
    story.show(received, answered)
    _check_postback(received, contact["contact"], attempt=1)


def _recovery(story: "Story", client: Client, location_id: str, url: str, inbox: Inbox) -> None:
    story.step("A receiver that answers 500, 500, then 200: three attempts, at least a second apart")
    wanted = _config(location_id, f"{url}/flaky") | {"number_of_attempts": 3, "attempt_interval": 1}
    config = story.ask(client, "/v2/postbackconfigs", {"postbackconfig": wanted}, brief=True)["postbackconfig"]
    lue = {"last_name": "Lue", "location_id": location_id}
    contact = story.ask(client, "/v2/contacts", {"contact": lue}, brief=True)
    for attempt, status in enumerate((500, 500, 200), start=1):
        received, answered = inbox.next(f"attempt {attempt}")
        story.show(received, answered, brief=True)
        _demand(f"the answer to attempt {attempt}", answered, status)
        _check_postback(received, contact["contact"], attempt)

    story.step("Everything is on record")
    attempts = _finished_attempts(client, config["id"])
    for one in attempts:
        story.tell(
            f"attempt {one['number']}  sent {one['sent_at']}  answered {one['status']}  decided {one['decision']}"
        )
    _demand("the statuses on record", [one["status"] for one in attempts], [500, 500, 200])
    sent = [datetime.fromisoformat(one["sent_at"]) for one in attempts]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(sent)]
    if min(waits) < 1:
        raise CommandError(f"not right: there were only {min(waits)} s between two attempts, expected at least 1 s")
    inbox.must_be_empty("the receiver that failed twice")


def _finished_attempts(client: Client, config_id: str) -> Sequence[Mapping[str, Any]]:
    """The attempts of the config's one delivery, once its end is on record (which is after its receiver's answer)."""
    end = time.monotonic() + ARRIVES_WITHIN_S
    while True:
        [delivery] = client.get("/v2/deliveries", postbackconfig_id=config_id)["deliveries"]
        if delivery["state"] == "delivered":
            shown = client.get(f"/v2/deliveries/{segment(delivery['id'])}")["delivery"]
            attempts: Sequence[Mapping[str, Any]] = shown["attempts"]
            return attempts
        if time.monotonic() > end:
            raise CommandError(f"not right: the delivery is {delivery['state']}, expected delivered")
        time.sleep(0.05)


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
    _demand("the method", received.method, "POST")
    _demand("the content type", received.header("content-type"), "application/x-www-form-urlencoded")
    _demand("the parameters and their order", [name for name, _ in parameters], PARAMETERS)
    values = dict(parameters)
    _demand("type", values["type"], "CREATE")
    _demand("resource", values["resource"], "contact")
    _demand("number_of_attempts", values["number_of_attempts"], str(attempt))
    data = json.loads(values["data"])
    _demand("the keys of data and their order", list(data), CONTACT_KEYS)
    _demand("the contact's id", data["id"], contact["id"])
    _demand("the contact's last name", data["last_name"], contact["last_name"])


def _demand(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise CommandError(f"not right: {what}: found {found!r}, expected {expected!r}")


class Story:
    """Tells what happens, for people. `brief` tells again what has been told in full before."""

    def __init__(self) -> None:
        self._screen = console()

    def step(self, title: str) -> None:
        self._screen.print()
        self._screen.print(headline(title))

    def tell(self, line: str, style: str = "") -> None:
        self._screen.print(line, style=style, soft_wrap=True)

    def ask(self, client: Client, path: str, body: object, *, brief: bool = False) -> Any:
        """POST it, and show what was sent and what came back."""
        self.tell(f"→ POST {path}", "bold")
        self._details(json.dumps(body, indent=None if brief else 2).splitlines(), brief=brief)
        answer = client.send("POST", path, body)
        self.tell(f"← {answer.status}", "green")
        self._details(json.dumps(answer.body, indent=None if brief else 2).splitlines(), brief=brief)
        _demand(f"the status of POST {path}", answer.status, 201)
        return answer.body

    def show(self, received: Received, answered: int, *, brief: bool = False) -> None:
        """What arrived at a receiver, and what it answered."""
        self.tell(f"← {received.method} {received.path} arrived, {received.header('content-type')}", "bold")
        lines = [printable(unquote_plus(received.body.decode("ascii")))] if brief else shown_body(received)
        self._details(lines, brief=brief)
        self.tell(f"→ {answered}", "green" if answered < 300 else "red")

    def _details(self, lines: Sequence[str], *, brief: bool) -> None:
        for line in lines:
            cut = brief and len(line) > BRIEF
            self.tell("  " + (line[:BRIEF] + " …" if cut else line), "bright_black")
