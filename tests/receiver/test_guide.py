"""What the page on receiving shows is run: the curl lines, the openssl lines, the Python."""

import doctest
import re
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from postback.domain.policy import POLICIES
from postback.formats import FORMATS
from postback.formats.signing import sign
from postback.receiver import Inbox, wsgi_receiver
from postback.receiver import __all__ as exported
from tests import manual
from tests.build import NOON
from tests.receiver.bodies import SECRET, posted

PAGE = manual.ROOT / "docs" / "guide" / "receiving.md"
TEXT = PAGE.read_text("utf-8")


def shell_of(title: str) -> str:
    """The lines of a section that stand after the prompt, as one script."""
    [block] = [block for block in manual.blocks(manual.section(TEXT, title)) if block.language == "console"]
    return "\n".join(line.removeprefix("$ ") for line in block.text.splitlines())


class Quiet(WSGIRequestHandler):
    """The output of the tests belongs to the tests."""

    def log_message(self, *_: object) -> None:
        pass


def test_each_curl_line_prints_200_and_nothing_else(tmp_path: Path) -> None:
    inbox = Inbox.in_file(tmp_path / "inbox.db")
    server = WSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(wsgi_receiver(inbox))
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    script = shell_of("Try it without us").replace("127.0.0.1:9000", f"127.0.0.1:{server.server_port}")
    try:
        told = [subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True) for _ in range(2)]
    finally:
        server.shutdown()
        server.server_close()
        serving.join()

    assert [one.stdout for one in told] == ["200\n" * 4] * 2
    types: list[str] = []
    inbox.process(lambda entry: types.append(entry.event().type))
    assert sorted(types) == ["contact.created", "contact.created", "sms.received", "subscriber.unsubscribed"]


def test_openssl_comes_to_the_signature_that_is_sent(tmp_path: Path) -> None:
    body = posted("json").body
    (tmp_path / "body.json").write_bytes(body)

    told = subprocess.run(
        ["bash", "-c", shell_of("Is it from us")], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert f"v1,{told.stdout.strip()}" == sign([SECRET], "evt_38fwet5n40000", NOON // 1000, body)


def test_what_is_typed_into_python_answers_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    typed = "\n".join(block.text for block in manual.blocks(TEXT) if block.language == "pycon")
    test = doctest.DocTestParser().get_doctest(typed, {}, PAGE.name, str(PAGE), 0)
    told: list[str] = []

    ended = doctest.DocTestRunner().run(test, out=told.append)

    assert ended.failed == 0, "".join(told)
    assert ended.attempted > 20


def test_the_python_that_is_shown_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    for block in manual.blocks(TEXT):
        if block.language == "python":
            exec(compile(block.text, PAGE.name, "exec"), names)

    one = posted("xml")
    view = names["view"]
    assert callable(view)
    assert view(SimpleNamespace(body=one.body, headers=one.headers)) == 200


def test_the_table_of_formats_says_what_the_policies_say() -> None:
    rows = {row[0]: row for row in manual.table(manual.section(TEXT, "By format"), "format")}

    assert set(rows) == set(FORMATS)
    for name, (_, success, time, attempts, *_) in rows.items():
        policy = POLICIES[name]
        assert success.startswith("200" if policy.success == "200" else "any 2xx"), name
        assert time.startswith(f"{min(policy.deadlines.response_s, policy.deadlines.total_s):g} s"), name
        assert attempts.split()[0].rstrip(",") == str(policy.retry.attempts), name


def test_every_name_that_the_page_offers_exists() -> None:
    offered = {name for row in manual.column(TEXT, "name") for name in re.findall(r"^\w+$|\w+(?=\()", row)}

    assert offered <= set(exported)
    assert {"verify", "parse", "Inbox", "asgi_receiver", "wsgi_receiver", "receive"} == offered
