"""The documents that this product implements, as they stand: their requests, sent to a server, and what a receiver gets.

The texts are those of Postback Operations; only the location's id and the address of the receiver are put in.
"""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.patience import PATIENCE_S
from tests.proof.harness import KEY, Server, until

LOCATION = "23948sdnfia1129i9asf92"
RECEIVER = "https://127.0.0.1/receiver"

CREATE_POSTBACK_CONFIG = """{
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
    "url": "https://127.0.0.1/receiver"
  }
}"""

POSTBACK_CONFIG_CREATED = """{
  "postbackconfig": {
    "id": "1028asnfias9f2j9sddf92jrwfskd",
    "location_id": "23948sdnfia1129i9asf92",
    "resource": "contact",
    "on_create": "1",
    "on_update": "1",
    "on_delete": "1",
    "url": "https://127.0.0.1/receiver",
    "is_active": "1",
    "format": "api-default",
    "number_of_attempts": 1,
    "attempt_interval": 300,
    "expands": "",
    "created_ts": 1539268970,
    "modified_ts": 1539268970,
    "_links": {
      "self": {
        "href": "https://api.sandbox.domain.com/v2/postbackconfigs/1028asnfias9f2j9sddf92jrwfskd"
      }
    }
  }
}"""

CREATE_CONTACT = """{
    "contact":{
        "last_name":"Jones",
        "location_id":"23948sdnfia1129i9asf92"
    }
}"""

CONTACT_CREATED_BEGINS = {
    "id": "123456789012345678901234",
    "location_id": "23948sdnfia1129i9asf92",
    "account_number": None,
    "contact_api_id": None,
    "company_name": None,
    "first_name": None,
    "last_name": "Jones",
}

POSTBACK = r"""{
    "type":"CREATE",
    "resource":"contact",
    "number_of_attempts":1,
    "data":"{\"id\":\"11e66c8a943ff4b2bf1b2102\",\"location_id\":\"23948sdnfia1129i9asf92\",\"account_number\":null,\"contact_api_id\":null,\"company_name\":null,\"first_name\":null,\"last_name\":\"Lue\",\"email\":null,\"address\":null,\"city\":null,\"state\":null,\"zip\":null,\"home_phone\":null,\"cell_phone\":null,\"office_phone\":null,\"office_ext_phone\":null,\"email_trx_receipt\":false,\"created_ts\":1472325312,\"modified_ts\":1472325312,\"date_of_birth\":null,\"header_message\":null,\"header_message_type_id\":0,\"contact_c1\":null,\"contact_c2\":null,\"contact_c3\":null,\"contact_balance\":null}"
}"""


@dataclass(frozen=True)
class Hit:
    """A request as the receiver got it. `at` is monotonic time in seconds."""

    line: str
    content_type: str
    body: str
    at: float

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body, keep_blank_values=True, strict_parsing=True)

    @property
    def counter(self) -> int:
        return int(dict(self.parameters)["number_of_attempts"])


class Receiver:
    """The client's server: answers with these statuses in turn, the last for ever."""

    def __init__(self, *statuses: int) -> None:
        self.hits: list[Hit] = []
        left = list(statuses)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                receiver.hits.append(Hit(self.requestline, self.headers["content-type"], body, time.monotonic()))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests read `hits`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/receiver"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Client:
    """Follows the documents, step by step, at a location of its own."""

    server: Server
    location_id: str
    receiver: Receiver

    def post(self, path: str, text: str) -> tuple[int, Any]:
        """The text as it stands in the document, with our location and receiver in it."""
        text = text.replace(LOCATION, self.location_id).replace(RECEIVER, self.receiver.url)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE_S)
        try:
            headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
            connection.request("POST", path, text.encode(), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def delivery(self) -> dict[str, Any]:
        """The one delivery to this location, with its attempts."""
        status, answer = self.server.call("GET", f"/v2/deliveries?location_id={self.location_id}")
        assert status == 200
        [delivery] = answer["deliveries"]
        status, answer = self.server.call("GET", f"/v2/deliveries/{delivery['id']}")
        assert status == 200
        found: dict[str, Any] = answer["delivery"]
        return found

    def ends(self, within_s: float = PATIENCE_S) -> dict[str, Any]:
        until(lambda: self.delivery()["state"] not in {"pending", "claimed"}, within_s, "the delivery comes to an end")
        return self.delivery()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("seeds"))
    server.start()
    yield server
    assert server.terminate() == 0


@pytest.fixture
def statuses() -> Sequence[int]:
    return (200,)


@pytest.fixture
def client(server: Server, statuses: Sequence[int]) -> Iterator[Client]:
    receiver = Receiver(*statuses)
    location_id = server.create("/v2/locations", "location", {"name": "Main"})
    yield Client(server, location_id, receiver)
    receiver.close()


def test_step_1_creates_a_postback_config_and_gets_the_documented_answer(client: Client) -> None:
    status, answer = client.post("/v2/postbackconfigs", CREATE_POSTBACK_CONFIG)

    documented = json.loads(POSTBACK_CONFIG_CREATED)["postbackconfig"]
    config = answer["postbackconfig"]
    assert status == 201
    assert list(answer) == ["postbackconfig"]
    assert list(config) == list(documented)
    assert config["_links"] == {"self": {"href": f"{address(client)}/v2/postbackconfigs/{config['id']}"}}
    assert isinstance(config["created_ts"], int)
    assert config["created_ts"] == config["modified_ts"]
    made_here = {"id", "created_ts", "modified_ts", "_links"}
    replaced = {"location_id": client.location_id, "url": client.receiver.url}
    assert {key: value for key, value in config.items() if key not in made_here} == {
        key: value for key, value in (documented | replaced).items() if key not in made_here
    }


def test_step_2_creates_a_contact_and_gets_the_documented_answer(client: Client) -> None:
    status, answer = client.post("/v2/contacts", CREATE_CONTACT)

    contact = answer["contact"]
    assert status == 201
    assert list(answer) == ["contact"]
    assert list(contact)[:7] == list(CONTACT_CREATED_BEGINS)
    assert {**CONTACT_CREATED_BEGINS, "id": contact["id"], "location_id": client.location_id} == {
        key: contact[key] for key in CONTACT_CREATED_BEGINS
    }
    assert list(contact)[-1] == "_links"
    assert contact["_links"] == {"self": {"href": f"{address(client)}/v2/contacts/{contact['id']}"}}


def test_step_3_the_receiver_gets_the_documented_postback(client: Client) -> None:
    client.post("/v2/postbackconfigs", CREATE_POSTBACK_CONFIG)
    _, answer = client.post("/v2/contacts", CREATE_CONTACT)
    client.ends()

    [hit] = client.receiver.hits
    documented = json.loads(POSTBACK)
    assert hit.line == "POST /receiver HTTP/1.1"
    assert hit.content_type == "application/x-www-form-urlencoded"
    assert [name for name, _ in hit.parameters] == list(documented)
    sent = dict(hit.parameters)
    assert (sent["type"], sent["resource"], sent["number_of_attempts"]) == ("CREATE", "contact", "1")

    record, documented_record = json.loads(sent["data"]), json.loads(documented["data"])
    contact = answer["contact"]
    assert list(record) == list(documented_record)
    assert record == documented_record | {
        "id": contact["id"],
        "location_id": client.location_id,
        "last_name": "Jones",
        "created_ts": contact["created_ts"],
        "modified_ts": contact["created_ts"],
    }
    assert sent["data"] == json.dumps(record, separators=(",", ":")), "there is white space in the JSON string"


def test_step_3_a_success_is_on_record(client: Client) -> None:
    client.post("/v2/postbackconfigs", CREATE_POSTBACK_CONFIG)
    client.post("/v2/contacts", CREATE_CONTACT)
    delivery = client.ends()

    [hit] = client.receiver.hits
    [attempt] = delivery["attempts"]
    assert (delivery["state"], delivery["attempts_made"], delivery["last_status"]) == ("delivered", 1, 200)
    assert (attempt["number"], attempt["status"], attempt["request"]["body"]) == (1, 200, hit.body)


@pytest.mark.parametrize("statuses", [(500, 500, 200)])
def test_a_failure_is_tried_again_as_configured(client: Client) -> None:
    """Step 4 of the workflow: by number_of_attempts and attempt_interval."""
    config = CREATE_POSTBACK_CONFIG.replace('"number_of_attempts": 1,', '"number_of_attempts": 3,').replace(
        '"attempt_interval": 300,', '"attempt_interval": 1,'
    )
    client.post("/v2/postbackconfigs", config)
    client.post("/v2/contacts", CREATE_CONTACT)
    delivery = client.ends()

    first, second, third = client.receiver.hits
    assert [hit.counter for hit in client.receiver.hits] == [1, 2, 3]
    assert second.at - first.at >= 1
    assert third.at - second.at >= 1
    assert first.body.replace("attempts=1", "attempts=3") == third.body
    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 500, 200]


@pytest.mark.parametrize("statuses", [(500, 200)])
def test_with_one_attempt_a_receiver_that_fails_gets_one_post_and_the_failure_can_be_seen(client: Client) -> None:
    client.post("/v2/postbackconfigs", CREATE_POSTBACK_CONFIG)
    client.post("/v2/contacts", CREATE_CONTACT)
    delivery = client.ends()

    assert (delivery["state"], delivery["attempts_made"]) == ("failed", 1)
    assert (delivery["last_status"], delivery["last_reason"], delivery["due_at"]) == (500, "bad_status", None)
    time.sleep(0.3)
    assert [hit.counter for hit in client.receiver.hits] == [1]


@pytest.mark.parametrize("statuses", [(201,), (202,), (204,), (299,)])
def test_any_status_of_2xx_acknowledges(client: Client, statuses: Sequence[int]) -> None:
    client.post("/v2/postbackconfigs", CREATE_POSTBACK_CONFIG)
    client.post("/v2/contacts", CREATE_CONTACT)

    assert (client.ends()["state"], client.ends()["last_status"]) == ("delivered", statuses[0])


def test_update_and_delete_are_posted_as_well(client: Client) -> None:
    client.post("/v2/postbackconfigs", CREATE_POSTBACK_CONFIG)
    _, answer = client.post("/v2/contacts", CREATE_CONTACT)
    contact_id = answer["contact"]["id"]
    client.server.call("PUT", f"/v2/contacts/{contact_id}", {"contact": {"first_name": "Ann"}})
    client.server.call("DELETE", f"/v2/contacts/{contact_id}")
    until(lambda: len(client.receiver.hits) == 3, PATIENCE_S, "all three changes are posted")

    posted = {dict(hit.parameters)["type"]: json.loads(dict(hit.parameters)["data"]) for hit in client.receiver.hits}
    assert set(posted) == {"CREATE", "UPDATE", "DELETE"}
    assert {record["id"] for record in posted.values()} == {contact_id}
    assert (posted["CREATE"]["first_name"], posted["UPDATE"]["first_name"]) == (None, "Ann")


def address(client: Client) -> str:
    return f"http://127.0.0.1:{client.server.port}"
