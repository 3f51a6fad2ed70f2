"""The small HTTP client: what a person is told when a server does not answer, or not as hoped."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from postback.cli.client import Client, NotReachable, Refused, connect, known_key, segment
from postback.cli.output import CommandError, Exit
from postback.settings import load_settings
from tests.cli.calling import Cli
from tests.client.scripted import Scripted as Server
from tests.client.scripted import says

KEY = "pbk_a-key-of-more-than-24-characters"


class Scripted:
    """A server that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"{}", {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                scripted.asked.append((self.command, self.path, dict(self.headers), body))
                self.send_response(scripted.status)
                for name, value in scripted.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(scripted.body)

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - named by the library

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    made = Scripted()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_key_and_account_travel_in_headers(scripted: Scripted) -> None:
    Client(scripted.url, KEY, "acme").post("/v2/events", {"é": 1})

    [(method, path, headers, body)] = scripted.asked
    assert (method, path, body) == ("POST", "/v2/events", b'{"\\u00e9": 1}')
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Postback-Account"] == "acme"
    assert headers["Content-Type"] == "application/json"


def test_an_error_by_field_becomes_a_line_a_message(scripted: Scripted) -> None:
    scripted.status, scripted.body = 422, b'{"errors": {"type": ["is missing"], "data": ["is a list", "is long"]}}'

    with pytest.raises(Refused) as refused:
        Client(scripted.url, KEY).post("/v2/events", {})

    assert str(refused.value) == "type: is missing\ndata: is a list\ndata: is long"
    assert refused.value.code is Exit.FAILED


def test_a_field_that_its_message_names_is_not_named_twice(scripted: Scripted) -> None:
    scripted.status, scripted.body = 422, b'{"errors": {"type": ["type is \'bad\'", "typed wrongly"]}}'

    with pytest.raises(Refused) as refused:
        Client(scripted.url, KEY).post("/v2/events", {})

    assert str(refused.value) == "type is 'bad'\ntype: typed wrongly"


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        (401, b'{"error": {"code": "x", "message": "no key"}}', "no key", Exit.NOT_ALLOWED),
        (403, b'{"error": {"code": "x", "message": "not yours"}}', "not yours", Exit.NOT_ALLOWED),
        (404, b'{"error": {"code": "x", "message": "no such thing"}}', "/v2/x: no such thing", Exit.FAILED),
        (409, b'{"error": {"code": "x", "message": "not now"}}', "not now", Exit.FAILED),
        (502, b"<html>bad gateway</html>", "the server answered 502", Exit.FAILED),
        (302, b"", "the server answered 302", Exit.FAILED),
    ],
)
def test_a_refusal_has_the_servers_words_and_a_code(
    scripted: Scripted, status: int, body: bytes, message: str, code: Exit
) -> None:
    scripted.status, scripted.body = status, body

    with pytest.raises(Refused) as refused:
        Client(scripted.url, KEY).get("/v2/x")

    assert (str(refused.value), refused.value.code) == (message, code)


def test_a_redirect_is_not_followed_with_the_key(scripted: Scripted) -> None:
    scripted.status, scripted.headers = 307, {"Location": scripted.url + "/elsewhere"}

    with pytest.raises(Refused):
        Client(scripted.url, KEY).get("/v2/x")

    assert [path for _, path, _, _ in scripted.asked] == ["/v2/x"]


def test_a_proxy_of_the_environment_never_sees_the_key(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert Client(scripted.url, KEY).get("/v2/x") == {}


def test_nobody_there_is_told_apart_from_a_refusal() -> None:
    with pytest.raises(NotReachable) as caught:
        Client("http://127.0.0.1:9", KEY).get("/v2/x")

    assert caught.value.code is Exit.NOT_REACHABLE
    assert str(caught.value) == "the server at http://127.0.0.1:9 cannot be reached: Connection refused"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "localhost:8080", "ftp://x"])
def test_only_http_addresses_are_opened(url: str) -> None:
    with pytest.raises(CommandError, match="expected an http or https address"):
        Client(url, KEY)


def test_a_list_by_pages_is_read_to_its_end(scripted: Scripted) -> None:
    scripted.body = b'{"keys": [1, 2], "meta": {"pagination": {"pageCount": 3}}}'

    assert list(Client(scripted.url, KEY).list("/v2/keys")) == [1, 2] * 3
    assert [path for _, path, _, _ in scripted.asked] == [
        f"/v2/keys?page_size=500{more}" for more in ("", "&page=2", "&page=3")
    ]


def test_a_log_is_read_by_its_cursor_and_no_further_than_asked(scripted: Scripted) -> None:
    scripted.body = b'{"deliveries": [1, 2], "next_cursor": "c&d"}'

    assert list(Client(scripted.url, KEY).list("/v2/deliveries", 3, state="failed", config=None)) == [1, 2, 1]
    assert [path for _, path, _, _ in scripted.asked] == [
        "/v2/deliveries?page_size=3&state=failed",
        "/v2/deliveries?page_size=1&cursor=c%26d&state=failed",
    ]


def test_an_event_is_sent_again_with_its_key_while_the_server_is_busy(cli: Cli) -> None:
    accepted = says(202, b'{"events": [{"id": "evt_1", "deliveries": 2}]}')
    with Server(says(503), says(503), accepted) as server:
        ended = cli("events", "send", "shop.opened", "{}", "--url", server.url, "--key", KEY, "--json")

    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == {"id": "evt_1", "type": "shop.opened", "deliveries": 2}
    assert len({asked.body for asked in server.asked}) == 1
    assert len(server.asked) == 3


def test_anything_else_is_asked_once_so_that_nobody_waits(cli: Cli) -> None:
    with Server(says(503, b'{"error": {"code": "unavailable", "message": "not now"}}')) as server:
        ended = cli("deliveries", "list", "--url", server.url, "--key", KEY)

    assert (ended.code, ended.err) == (1, "error: not now\n")
    assert len(server.asked) == 1


def test_what_was_typed_for_an_id_cannot_name_another_path() -> None:
    assert segment("../keys?x=1#y") == "..%2Fkeys%3Fx%3D1%23y"


def test_the_key_comes_from_the_flag_the_setting_or_the_file_in_this_order(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known_key(load_settings()) is None

    (empty_folder / "postback.db.key").write_text("from-the-file\n")
    assert known_key(load_settings()) == "from-the-file"

    monkeypatch.setenv("POSTBACK_API_KEY", KEY)
    assert known_key(load_settings()) == KEY
    assert connect(None, "from-the-flag").key == "from-the-flag"
