"""Secrets stay where they are: canaries are put in wherever one goes in, and looked for wherever something comes out.

A real process at its most talkative, a receiver that says back whatever it is told, requests that are refused,
a store that fails in the middle of a write, a kill.
"""

import base64
import json
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.live import Live, Reply
from tests.spans import Collector

OPERATOR: Final = "canary-operator-key-0123456789"
SEALING: Final = base64.b64encode(b"canary-sealing-key-of-32-bytes!!").decode()
WRONG: Final = "canary-wrong-key-0123456789"
USERNAME: Final = "canary-basic-username"
PASSWORD: Final = "canary-basic-password/+é"
BASIC: Final = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
HEADER: Final = "canary-header-value"
TOKEN: Final = "canary-bearer-token"
SIGNING: Final = "whsec_" + base64.b64encode(b"canary-signing-secret-of-the-owner").decode()
OF_URL: Final = "canary-password-in-a-url"
OF_SETTINGS: Final = "canary-password-of-callbacks"
OF_TARGET: Final = "canary-token-in-a-query"
IDEMPOTENCY: Final = "canary-idempotency-key"

SECRETS: Final = {
    "the operator key": OPERATOR,
    "the key that seals": SEALING,
    "a key that is none": WRONG,
    "a Basic password": PASSWORD,
    "a Basic login": BASIC,
    "a secret header": HEADER,
    "an Authorization header": TOKEN,
    "a signing secret": SIGNING,
    "a password in a URL": OF_URL,
    "a password in a URL of callbacks": OF_SETTINGS,
    "an idempotency key": IDEMPOTENCY,
}
"""Those that the server makes itself, a key and a signing secret, come to them."""

OF_PEOPLE: Final = {
    "ssn4": "#Sn4",
    "dob_year": "#Dy9",
    "dl_number": "canary-dl-number",
    "routing": "#canary-r",
}
"""Of a record: for those who may write, and in what is sent; never in a log or for those who may read only."""


@dataclass
class Seen:
    """What came out: `said` may hold no secret and nothing of a person, `whole` is for who may write and sees all of a
    record, `shown` are answers to those who may read and not write."""

    said: dict[str, bytes] = field(default_factory=dict)
    whole: dict[str, bytes] = field(default_factory=dict)
    shown: list[Reply] = field(default_factory=list)
    made: dict[str, str] = field(default_factory=dict)


class Parrot(ThreadingHTTPServer):
    """A receiver that answers 500 with all that it was sent: the body, and the headers as headers and as text."""

    def __init__(self) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                back = b"".join(f"{name}: {value}\n".encode() for name, value in self.headers.items()) + body
                self.send_response(500)
                for name, value in self.headers.items():
                    if name.lower() not in ("content-length", "connection", "host"):
                        self.send_header(f"x-back-{name}", value)
                self.send_header("content-length", str(len(back)))
                self.end_headers()
                self.wfile.write(back)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @classmethod
    @contextmanager
    def talking(cls) -> Iterator[str]:
        with cls() as parrot:
            thread = threading.Thread(target=parrot.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{parrot.server_address[1]}"
            finally:
                parrot.shutdown()
                thread.join()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A day with all that can happen to a secret, and everything that came out of it."""
    folder = tmp_path_factory.mktemp("canaries")
    seen = Seen()
    live = Live(
        folder,
        POSTBACK_API_KEY=OPERATOR,
        POSTBACK_SECRET_KEY=SEALING,
        POSTBACK_LOG_LEVEL="debug",
    )
    with Collector.running() as collector, Parrot.talking() as parrot:
        live.settings["POSTBACK_OTEL_ENDPOINT"] = collector.url
        with live:
            Day(live, seen, parrot, collector).passes()
        seen.said |= {f"the file {path.name}": path.read_bytes() for path in folder.iterdir()}
        seen.said["the exported spans"] = b"\n".join(body for _, body in collector.requests)
    return seen


class Day:
    def __init__(self, live: Live, seen: Seen, parrot: str, collector: Collector) -> None:
        self.live = live
        self.seen = seen
        self.parrot = parrot
        self.collector = collector

    def passes(self) -> None:
        live, seen = self.live, self.seen
        reader = live.made("/v2/keys", {"key": {"name": "reader", "scopes": ["read"]}}, key=OPERATOR)
        seen.made["a key that was made"] = reader["secret"]
        location = self.ask("POST", "/v2/locations", {"location": {"name": "Here"}}).json["location"]["id"]
        self.configs(location)
        self.records(location)
        self.refusals(location)
        self.idempotency()
        live.until(lambda: live.rows("SELECT count(*) FROM attempts WHERE verdict IN (0, 2)")[0][0] >= 3)
        self.store_that_fails(location)
        self.looks(reader["secret"])
        seen.said["the database while it is written"] = self.database()
        # Spans leave every few seconds; those that wait die with the process, and then nothing would be looked at.
        live.until(lambda: any(b"http.request.method" in body for _, body in self.collector.requests))
        live.end(signal.SIGKILL)
        live.start()
        self.looks(reader["secret"])

    # --- where secrets go in ------------------------------------------------------------------------------------------

    def configs(self, location: str) -> None:
        """Configs with every kind of secret, changed, rotated and tested."""
        own = {"X-Api-Key": HEADER, "Authorization": f"Bearer {TOKEN}"}
        basic = {"basic_auth_username": USERNAME, "basic_auth_password": PASSWORD}
        retries = {"number_of_attempts": 2, "attempt_interval": 1}
        signing = {"format": "json", "signing_secret": SIGNING, "headers": own, **retries}
        signs = self.config(event_types=["*"], **signing)
        self.config(event_types=["*"], **basic, **retries)
        self.config(location_id=location, resource="accountvault", on_create=1, on_update=1, **basic)
        rotated = self.live.ask("POST", f"/v2/postbackconfigs/{signs}/rotate-secret", {"overlap": 60}, key=OPERATOR)
        self.seen.made["a signing secret that was made"] = rotated.json["signing_secret"]
        self.ask("POST", f"/v2/postbackconfigs/{signs}/test", {"event_type": "order.paid"})
        self.ask("PUT", f"/v2/postbackconfigs/{signs}", {"postbackconfig": {"name": "signs", "headers": own}})

    def config(self, **fields: Any) -> str:
        config = {"url": f"{self.parrot}/in?token={OF_TARGET}", **fields}
        # The answer that shows the secret which it was sent.
        return str(self.live.made("/v2/postbackconfigs", {"postbackconfig": config}, key=OPERATOR)["id"])

    def records(self, location: str) -> None:
        """Answers to those who may write show the record whole."""
        vault = {"location_id": location, "title": "card", **OF_PEOPLE}
        made = self.live.made("/v2/accountvaults", {"accountvault": vault}, key=OPERATOR)["id"]
        changed = {"accountvault": {"title": "other", "ssn4": OF_PEOPLE["ssn4"]}}
        self.live.ask("PUT", f"/v2/accountvaults/{made}", changed, key=OPERATOR)

    def idempotency(self) -> None:
        for data in ({"id": "1"}, {"id": "2"}):
            event = {"event": {"type": "order.paid", "data": data}}
            self.ask("POST", "/v2/events", event, headers={"idempotency-key": IDEMPOTENCY})
        event = {"type": "order.paid", "data": {}, "idempotency_key": IDEMPOTENCY}
        self.ask("POST", "/v2/events", {"events": [event, {**event, "type": "no type"}]})

    def refusals(self, location: str) -> None:
        """Each field with a secret in it that is not taken, and requests that cannot be read."""
        wrong: list[dict[str, object]] = [
            {"url": f"https://someone:{OF_URL}@shop.example/"},
            {"url": f"http://someone:{OF_URL}@@"},
            {"headers": {"X-Api-Key": f"{HEADER}\n"}},
            {"headers": {"Content-Length": HEADER}},
            {"headers": {"X-Api-Key\n": HEADER}, "number_of_attempts": "soap"},
            {"headers": HEADER},
            {"signing_secret": f"{SIGNING}!", "format": "json"},
            {"signing_secret": [SIGNING], "format": "json"},
            {"signing_secret": SIGNING, "format": "xml"},
            {"basic_auth_username": USERNAME, "basic_auth_password": [PASSWORD]},
            {"basic_auth_username": USERNAME, "basic_auth_password": f"{PASSWORD}\n"},
            {"basic_auth_password": PASSWORD},
        ]
        for fields in wrong:
            config = {"event_types": ["*"], "url": f"{self.parrot}/in", **fields}
            assert self.ask("POST", "/v2/postbackconfigs", {"postbackconfig": config}).status == 422, fields
        to = f"https://someone:{OF_SETTINGS}@shop.example/"
        assert self.ask("PUT", "/v2/callbacks", {"callbacks": {"callback_url_for_deliveries": to}}).status == 422
        assert self.ask("PUT", "/v2/postbacksettings", {"postbacksettings": {"postback_url": to}}).status == 422
        for name, value in OF_PEOPLE.items():
            for body in ({name: [value]}, {name: f"{value}-that-is-much-longer" * 20}, {f"x{name}": value}):
                vault = {"accountvault": {"location_id": location, **body}}
                self.ask("POST", "/v2/accountvaults", vault)
        broken = json.dumps({"accountvault": {"ssn4": OF_PEOPLE["ssn4"], "signing_secret": SIGNING}}).encode()[:-2]
        for path in ("/v2/accountvaults", "/v2/postbackconfigs", "/v2/events", "/v2/keys"):
            assert self.ask("POST", path, broken).status == 400
        for path in ("/v2/events", "/v2/postbackconfigs", "/nowhere"):
            for key in (WRONG, f"{OPERATOR}x"):
                self.seen_as("an answer to nobody", self.live.ask("GET", path, key=key))

    def store_that_fails(self, location: str) -> None:
        """What a driver says of a statement that failed may hold all that it was given: it goes to the log."""
        with closing(sqlite3.connect(self.live.folder / "postback.db")) as store:
            for table in ("records", "configs", "config_versions", "owed", "api_keys"):
                store.execute(
                    f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
                )
            vault = {"location_id": location, **OF_PEOPLE}
            failed = [
                self.ask("POST", "/v2/accountvaults", {"accountvault": vault}),
                self.ask(
                    "POST",
                    "/v2/postbackconfigs",
                    {
                        "postbackconfig": {
                            "event_types": ["*"],
                            "url": f"{self.parrot}/in",
                            "format": "json",
                            "signing_secret": SIGNING,
                            "headers": {"X-Api-Key": HEADER},
                        }
                    },
                ),
                self.ask("POST", "/v2/keys", {"key": {"name": "none", "scopes": ["read"]}}),
                self.ask("POST", "/v2/events", {"event": {"type": "order.paid", "data": {"id": "9"}}}),
            ]
            assert [reply.status for reply in failed] == [500] * 4
            for (name,) in store.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
                store.execute(f"DROP TRIGGER {name}")
        self.ask("POST", "/v2/events", {"event": {"type": "order.paid", "data": {"id": "10"}}})

    # --- where they could come out ------------------------------------------------------------------------------------

    def looks(self, reader: str) -> None:
        """Every GET that there is, with the key that may do all, and with one that may read only."""
        paths = self.ask("GET", "/openapi.json").json["paths"]
        for path in [path for path, operations in paths.items() if "get" in operations]:
            listed, bracket, rest = path.partition("/{")
            for one in self.ids(listed) if bracket else [""]:
                asked = f"{listed}/{one}{rest.partition('}')[2]}" if bracket else path
                if path.endswith("/explain"):
                    asked += f"?event_id={self.ids('/v2/events')[0]}"
                if path.startswith(("/v2/accountvaults", "/v2/events/{", "/v2/deliveries/{")):
                    answer = self.live.ask("GET", asked, key=OPERATOR).text.encode()
                    self.seen.whole[path] = self.seen.whole.get(path, b"") + answer
                else:
                    self.ask("GET", asked)
                shown = self.live.ask("GET", asked, key=reader)
                self.seen_as(f"GET {path} for a reader", shown)
                self.seen.shown.append(shown)

    def ids(self, path: str) -> list[str]:
        """Of the newest of what is listed there."""
        reply = self.live.ask("GET", path, key=OPERATOR).json
        return [one["id"] for things in reply.values() if isinstance(things, list) for one in things[:20]]

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        reply = self.live.ask(method, path, body, **{"key": OPERATOR, **more})
        self.seen_as(f"{method} {path}", reply)
        return reply

    def seen_as(self, what: str, reply: Reply) -> None:
        self.seen.said[what] = self.seen.said.get(what, b"") + b"\n" + reply.text.encode()

    def database(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.live.folder.glob("postback.db*")))


def ways(secret: str) -> set[bytes]:
    """How a secret may be written, whole: as it is, in JSON, in a URL, in base64 wherever it begins in it, in hex."""
    plain = secret.encode()
    inner = secret.removeprefix("whsec_")
    found = {plain, inner.encode(), quote(secret, safe="").encode(), plain.hex().encode()}
    found |= {json.dumps(secret)[1:-1].encode(), repr(plain)[2:-1].encode()}
    found |= {base64.b64encode(plain[start:])[4:-4] for start in range(3) if len(plain) > 16}
    if inner != secret:
        found.add(base64.b64decode(inner))
    return found


def found_in(secrets: dict[str, str], texts: dict[str, bytes]) -> list[str]:
    return sorted(
        f"{name} in {where}"
        for name, secret in secrets.items()
        for where, text in texts.items()
        if any(way in text for way in ways(secret))
    )


def test_no_secret_is_in_a_log_a_metric_an_answer_an_error_a_span_an_audit_row_or_a_file(seen: Seen) -> None:
    assert {"the file postback.db", "the file log.txt", "the file said.txt", "GET /metrics"} <= set(seen.said)
    assert b"order.paid" in seen.said["the file log.txt"]
    assert b"postbackconfig.create" in seen.said["GET /v2/audit"]
    assert b"http.request.method" in seen.said["the exported spans"]

    assert found_in({**SECRETS, **seen.made}, {**seen.said, **seen.whole}) == []


def test_what_a_receiver_says_back_shows_the_record_to_who_may_write_and_no_secret(seen: Seen) -> None:
    """The parrot was told all of it: its answers are kept, without the secrets."""
    log = seen.whole["/v2/deliveries/{delivery_id}"]

    assert OF_PEOPLE["ssn4"].encode() in log
    assert b'"x-back-x-api-key":"***"' in log.lower()
    assert found_in({**SECRETS, **seen.made}, {"the log": log}) == []


def test_an_error_of_the_store_is_logged_without_what_the_statement_was_given(seen: Seen) -> None:
    log = seen.said["the file log.txt"]

    assert b"INSERT INTO records" in log
    assert b"[SQL parameters hidden due to hide_parameters=True]" in log
    assert b"[parameters: " not in log


def test_what_a_url_holds_besides_the_host_is_for_its_owner_only(seen: Seen) -> None:
    said = {where: seen.said[where] for where in ("the file log.txt", "the file said.txt", "the exported spans")}

    assert found_in({"a token": OF_TARGET}, {**said, "the figures": seen.said["GET /metrics"]}) == []
    assert OF_TARGET.encode() in seen.said["GET /v2/postbackconfigs"]


def test_what_a_record_holds_of_a_person_is_in_no_log_metric_error_span_or_audit_row(seen: Seen) -> None:
    kept = ("the file postback.db", "the database while it is written")

    said = {where: text for where, text in seen.said.items() if not where.startswith(kept)}
    assert found_in(OF_PEOPLE, said) == []


def test_who_may_only_read_is_shown_that_there_is_something_and_not_what(seen: Seen) -> None:
    assert len(seen.shown) > 50
    assert {reply.status for reply in seen.shown} <= {200, 403}
    vaults = [reply for reply in seen.shown if reply.text.startswith('{"accountvaults"')]
    assert [vault["ssn4"] for reply in vaults for vault in reply.json["accountvaults"]] == ["***"] * 2
    assert found_in(OF_PEOPLE, {"what a reader was shown": "\n".join(one.text for one in seen.shown).encode()}) == []


def test_the_canaries_would_be_found() -> None:
    """A search that finds nothing proves nothing: each way to write a secret is looked for."""
    for name, secret in SECRETS.items():
        for text in (
            secret.encode(),
            json.dumps({"key": secret}).encode(),
            f"https://host/?{quote(secret, safe='')}".encode(),
            base64.b64encode(b"someone:" + secret.encode() + b":x"),
            base64.b64encode(b"x" + secret.encode()),
        ):
            assert found_in({name: secret}, {"there": text}) == [f"{name} in there"], (name, text)
