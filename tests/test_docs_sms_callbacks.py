"""The guide to callbacks shows what is sent: its bodies are those of the catalog's examples."""

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from postback.domain.catalog import CATALOG, RECEIPTS
from postback.domain.configs import FormatOptions
from postback.domain.policy import POLICIES
from postback.domain.verdict import warning
from postback.domain.wire import Reason, Unreachable
from postback.formats import render
from postback.formats.sms_callback import NAME
from postback.receiver import Inbox, parse, wsgi_receiver
from tests import manual
from tests.build import NOON, a_config, an_event, answered

PAGE = (manual.ROOT / "docs" / "guide" / "sms-callbacks.md").read_text("utf-8")
SECTIONS = {"Receipts": "sms.delivered", "Replies": "sms.received", "Opt-outs": "subscriber.unsubscribed"}

each_section = pytest.mark.parametrize(("title", "event_type"), SECTIONS.items(), ids=SECTIONS)


def body_of(event_type: str, payload: str = "json", naming: str = "overview") -> str:
    options = FormatOptions(callback_payload=payload, callback_naming=naming)
    event = an_event(type=event_type, data=json.dumps(dict(CATALOG[event_type].example)).encode())
    return render(event, a_config(format=NAME, options=options), 1, NOON).body.decode()


def shown(title: str, language: str) -> list[str]:
    return [block.text for block in manual.blocks(manual.section(PAGE, title)) if block.language == language]


@each_section
def test_the_bodies_on_the_page_are_those_that_are_sent(title: str, event_type: str) -> None:
    both = dict.fromkeys(body_of(event_type, naming=naming) for naming in ("overview", "reference"))

    assert shown(title, "json") == [json.dumps(json.loads(body), indent=2) + "\n" for body in both]
    assert shown(title, "text") == [body_of(event_type, "form") + "\n"]


@each_section
def test_the_fields_that_tell_the_kinds_apart_are_the_right_ones(title: str, event_type: str) -> None:
    kind = title.removesuffix("s").lower().replace("replie", "reply")
    [row] = [row for row in manual.table(PAGE, "kind") if row[0] == kind]

    assert event_type in row[2].split(", ")
    for naming in ("overview", "reference"):
        assert set(json.loads(body_of(event_type, naming=naming))) & set(row[3].split(" or "))


def test_the_statuses_on_the_page_are_those_that_are_sent() -> None:
    assert manual.table(PAGE, "event") == [[name, json.loads(body_of(name))["status"]] for name in RECEIPTS]


def test_the_warnings_on_the_page_are_those_of_the_product() -> None:
    policy = POLICIES[NAME]
    config = a_config(format=NAME, success=policy.success, retry=policy.retry, deadlines=policy.deadlines)
    late = Unreachable(Reason.RESPONSE_TIMEOUT, "", answered().timings)

    for outcome in (answered(200, body=b"<html></html>"), late):
        assert f"\n- {warning(config, outcome, NOON)}\n" in PAGE
    assert not warning(config, answered(204), NOON)
    assert (config.deadlines.total_s, config.retry.attempts) == (1.0, 1)


def test_the_receiver_on_the_page_takes_the_callbacks_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [program] = [block.text for block in manual.blocks(PAGE) if block.language == "python"]
    names: dict[str, Any] = {}
    exec(program, names)
    assert names["wsgi_receiver"] is wsgi_receiver

    statuses = [post(names["application"], body) for title in SECTIONS for body in shown(title, "json")]

    assert statuses == ["200 OK"] * 5
    assert Inbox.in_file("callbacks.db").counts()["waiting"] == 4


def test_the_callback_to_try_a_receiver_with_is_one() -> None:
    [curl] = [words for words in manual.commands(PAGE) if words[0] == "curl"]

    assert parse(curl[-1].encode(), "application/json").type == "subscriber.unsubscribed"


def post(application: Any, body: str) -> str:
    found: list[str] = []
    environ: Mapping[str, object] = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body.encode())),
        "wsgi.input": BytesIO(body.encode()),
    }
    answer = application(environ, lambda status, headers: found.append(status))
    assert b"".join(answer) == b""
    return found[0]
