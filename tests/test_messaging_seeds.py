"""The two messaging systems as their documents tell of them: settings, events, and what receivers get and answer.

By Overview: Postback Notification System (XML, 200 and nothing else, a resend every five minutes) and Callbacks (one
URL or three, about a second to answer, with nothing).
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from postback.domain.catalog import CATALOG
from postback.domain.facts import row_of
from postback.domain.messaging import MESSAGING
from postback.formats import FORMATS
from tests.patience import PATIENCE_S
from tests.proof.harness import Server, until

DISCRIMINATORS = {"DELIVERY_DATE", "answer_date", "stop_date"}
NO_URLS = {
    "callbacks": dict.fromkeys(
        ("callback_url_for_deliveries", "callback_url_for_inbounds", "callback_url_for_blacklisted_numbers")
    ),
    "postbacksettings": dict.fromkeys(("postback_url", "mo_postback_url", "pass_postback_url")),
}


@dataclass(frozen=True)
class Hit:
    path: str
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    after_s: float = 0


class Receiver:
    """Answers with these in turn, the last for ever."""

    def __init__(self) -> None:
        self.hits: list[Hit] = []
        self.answers = [Answer()]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.hits.append(Hit(self.path, self.headers["content-type"], body))
                answers = receiver.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                time.sleep(answer.after_s)
                try:
                    self.send_response(answer.status)
                    if answer.status != 204:
                        self.send_header("content-length", str(len(answer.body)))
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    self.close_connection = True  # nobody waited for it

            def log_message(self, *_: object) -> None:
                """Tests read `hits`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def url(self, path: str) -> str:
        return self._url + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Customer:
    """Sets up where messages go, and looks what became of those that others publish."""

    server: Server
    receiver: Receiver

    def sets(self, settings: str, **fields: object) -> dict[str, Any]:
        status, answer = self.server.call("PUT", f"/v2/{settings}", {settings: fields})
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def sees(self, settings: str) -> dict[str, Any]:
        status, answer = self.server.call("GET", f"/v2/{settings}")
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def warning(self, settings: str, url: str) -> str:
        until(
            lambda: self.sees(settings)["configs"][url]["warning"] is not None,
            PATIENCE_S,
            "the settings show a warning",
        )
        warning = self.sees(settings)["configs"][url]["warning"]
        assert abs(time.time() - datetime.fromisoformat(warning["since"]).timestamp()) < 60
        text: str = warning["text"]
        return text

    def hears_of(self, event_type: str, **changes: object) -> str:
        """The catalog's example happens; the id of the event."""
        event = {"type": event_type, "data": {**CATALOG[event_type].example, **changes}}
        status, answer = self.server.call("POST", "/v2/events", {"event": event})
        assert status == 202, answer
        event_id: str = answer["event"]["id"]
        return event_id

    def delivery(self, event_id: str) -> dict[str, Any]:
        """The one delivery of the event, with its attempts."""
        [delivery] = self.server.call("GET", f"/v2/events/{event_id}")[1]["event"]["deliveries"]
        found: dict[str, Any] = self.server.call("GET", f"/v2/deliveries/{delivery['id']}")[1]["delivery"]
        return found

    def tried(self, event_id: str, state: str = "delivered") -> dict[str, Any]:
        def is_so() -> bool:
            delivery = self.delivery(event_id)
            return delivery["state"] == state and bool(delivery["attempts"])

        until(is_so, PATIENCE_S, f"the delivery was tried and is {state}")
        return self.delivery(event_id)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("messaging"))
    server.start()
    yield server
    assert server.terminate() == 0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def customer(server: Server, receiver: Receiver) -> Iterator[Customer]:
    customer = Customer(server, receiver)
    yield customer
    for settings, fields in NO_URLS.items():
        customer.sets(settings, **fields)


# --- XML postbacks ----------------------------------------------------------------------------------------------------


def test_every_messaging_event_is_posted_to_the_main_url_as_xml_with_its_code(customer: Customer) -> None:
    customer.sets("postbacksettings", postback_url=customer.receiver.url("/main"))

    for event_type in (one.name for one in MESSAGING):
        customer.receiver.hits.clear()
        customer.tried(customer.hears_of(event_type))

        [hit] = customer.receiver.hits
        row = row_of(event_type, CATALOG[event_type].example)
        assert row is not None
        assert (hit.path, hit.content_type) == ("/main", "application/xml; charset=utf-8")
        assert code_in(hit.body) == row.code
        assert FORMATS["xml"].parse(hit.body, hit.content_type).type == event_type


def code_in(body: bytes) -> str:
    found = re.search(rb"<(?:STATUS)?CODE>(\w+)</(?:STATUS)?CODE>", body)
    assert found, body
    return found[1].decode()


def test_what_comes_in_and_passes_go_to_their_own_urls(customer: Customer) -> None:
    url = customer.receiver.url
    customer.sets(
        "postbacksettings", postback_url=url("/main"), mo_postback_url=url("/mo"), pass_postback_url=url("/pass")
    )

    for event_type in ("sms.sent", "sms.received", "mms.received", "pass.generated"):
        customer.tried(customer.hears_of(event_type))

    assert [hit.path for hit in customer.receiver.hits] == ["/main", "/mo", "/mo", "/pass"]


def test_the_layout_of_2014_and_the_form_are_on_the_wire_as_set(customer: Customer) -> None:
    url = customer.receiver.url("/main")
    customer.sets("postbacksettings", postback_url=url, xml_layout="2014-03")
    customer.tried(customer.hears_of("sms.sent"))
    customer.sets("postbacksettings", xml_content_type="form", xml_layout="2015")
    customer.tried(customer.hears_of("sms.sent"))

    old, form = customer.receiver.hits
    assert b"xsi:noNamespaceSchemaLocation" in old.body
    assert form.content_type == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(form.body.decode()))["CODE"] == "N201"


@pytest.mark.parametrize("status", [201, 204, 302, 503])
def test_anything_but_a_200_is_a_failure_and_resent_after_five_minutes(customer: Customer, status: int) -> None:
    customer.receiver.answers = [Answer(status)]
    customer.sets("postbacksettings", postback_url=customer.receiver.url("/main"))

    delivery = customer.tried(customer.hears_of("sms.delivered"), "pending")

    [attempt] = delivery["attempts"]
    failed, again = (datetime.fromisoformat(attempt[name]) for name in ("finished_at", "next_at"))
    assert (attempt["status"], attempt["decision"]) == (status, "retry")
    assert (again - failed).total_seconds() == 300
    assert datetime.fromisoformat(delivery["due_at"]) >= again
    assert delivery["attempts_made"] == 1


def test_there_are_five_resends_and_a_body_does_no_harm(customer: Customer) -> None:
    customer.receiver.answers = [Answer(204), Answer(201), Answer(200, b"<html></html>")]
    shown = customer.sets("postbacksettings", postback_url=customer.receiver.url("/main"))
    path = f"/v2/postbackconfigs/{shown['configs']['postback_url']['id']}"
    policy = customer.server.call("GET", f"{path}?expand=policy")[1]["postbackconfig"]["policy"]
    assert (policy["number_of_attempts"], policy["waits"], policy["success_status"]) == (6, [300], "200")

    # The same with a second in place of five minutes.
    assert customer.server.call("PUT", path, {"postbackconfig": {"attempt_interval": 1}})[0] == 200
    delivery = customer.tried(customer.hears_of("sms.delivered"))

    assert [attempt["status"] for attempt in delivery["attempts"]] == [204, 201, 200]
    assert len({hit.body for hit in customer.receiver.hits}) == 1
    assert customer.sees("postbacksettings")["configs"]["postback_url"]["warning"] is None


def test_a_main_url_that_is_not_enabled_gets_nothing(customer: Customer) -> None:
    shown = customer.sets("postbacksettings", postback_url=customer.receiver.url("/main"), enabled="0")
    event_id = customer.hears_of("sms.sent")
    assert customer.server.call("GET", f"/v2/events/{event_id}")[1]["event"]["deliveries"] == []

    customer.sets("postbacksettings", **shown["postbacksettings"] | {"enabled": "1"})
    customer.tried(customer.hears_of("sms.sent"))
    assert len(customer.receiver.hits) == 1


# --- callbacks --------------------------------------------------------------------------------------------------------


def on_one_url(customer: Customer, **fields: object) -> None:
    customer.sets("callbacks", **dict.fromkeys(NO_URLS["callbacks"], customer.receiver.url("/all")), **fields)


@pytest.mark.parametrize(
    ("event_type", "field"),
    [
        ("sms.sent", "DELIVERY_DATE"),
        ("sms.delivered", "DELIVERY_DATE"),
        ("sms.undelivered", "DELIVERY_DATE"),
        ("sms.failed", "DELIVERY_DATE"),
        ("sms.received", "answer_date"),
        ("subscriber.unsubscribed", "stop_date"),
    ],
)
@pytest.mark.parametrize("payload", ["json", "form"])
def test_three_kinds_on_one_url_are_told_apart_by_their_fields(
    customer: Customer, event_type: str, field: str, payload: str
) -> None:
    on_one_url(customer, payload=payload)

    customer.tried(customer.hears_of(event_type))

    [hit] = customer.receiver.hits
    read: dict[str, Callable[[str], Any]] = {"json": json.loads, "form": lambda text: dict(parse_qsl(text, True))}
    fields = read[payload](hit.body.decode())
    assert set(fields) & DISCRIMINATORS == {field}
    assert (
        hit.content_type.partition(";")[0]
        == {
            "json": "application/json",
            "form": "application/x-www-form-urlencoded",
        }[payload]
    )
    assert FORMATS["sms-callback"].parse(hit.body, hit.content_type).type == event_type


def test_the_names_of_the_reference_are_on_the_wire_as_set(customer: Customer) -> None:
    on_one_url(customer, naming="reference")

    customer.tried(customer.hears_of("sms.received"))

    [hit] = customer.receiver.hits
    assert "reception_date" in json.loads(hit.body)


def test_who_takes_longer_than_a_second_has_failed_and_its_owner_is_warned(customer: Customer) -> None:
    customer.receiver.answers = [Answer(after_s=1.5)]
    on_one_url(customer)

    delivery = customer.tried(customer.hears_of("sms.received"), "failed")

    [attempt] = delivery["attempts"]
    assert (attempt["status"], attempt["reason"], attempt["decision"]) == (None, "response_timeout", "failed")
    assert attempt["timings"]["total_ms"] < 1_500
    assert "did not answer within 1 s" in customer.warning("callbacks", "callback_url_for_inbounds")
    assert customer.sees("callbacks")["configs"]["callback_url_for_deliveries"]["warning"] is None
    assert len(customer.receiver.hits) == 1


def test_who_answers_with_a_body_has_it_delivered_and_its_owner_is_warned(customer: Customer) -> None:
    customer.receiver.answers = [Answer(200, b"<html></html>")]
    on_one_url(customer)

    delivery = customer.tried(customer.hears_of("subscriber.unsubscribed"))

    assert delivery["last_status"] == 200
    assert "answered with a body" in customer.warning("callbacks", "callback_url_for_blacklisted_numbers")


def test_an_empty_answer_in_time_is_all_that_is_asked(customer: Customer) -> None:
    customer.receiver.answers = [Answer(204)]
    on_one_url(customer)

    customer.tried(customer.hears_of("sms.delivered"))

    assert customer.sees("callbacks")["configs"]["callback_url_for_deliveries"]["warning"] is None


def test_both_systems_hear_of_the_same_event(customer: Customer) -> None:
    customer.sets("postbacksettings", postback_url=customer.receiver.url("/xml"))
    customer.sets("callbacks", callback_url_for_deliveries=customer.receiver.url("/callback"))

    customer.hears_of("sms.delivered")

    until(
        lambda: {hit.path for hit in customer.receiver.hits} == {"/xml", "/callback"},
        PATIENCE_S,
        "both get their postback",
    )
