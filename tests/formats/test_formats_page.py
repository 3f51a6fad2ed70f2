"""The page docs/guide/formats.md: what it prints is what the code does."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from postback.actions.config_options import OPTIONS, SIGNED
from postback.domain.catalog import SAYABLE
from postback.domain.configs import FormatOptions, SigningSecret
from postback.domain.events import Event
from postback.domain.facts import refusals, with_constants
from postback.domain.policy import POLICIES
from postback.formats import FORMATS, Rendered, json_webhook, signing
from postback.formats.signing import sign
from postback.receiver import parse
from tests import manual
from tests.build import NOON, a_config, an_event

PAGE = (manual.ROOT / "docs" / "guide" / "formats.md").read_text("utf-8")
[SECRET] = set(re.findall(r"whsec_\w{8,}=*", PAGE))
[PUBLISHED] = [json.loads(block.text)["event"] for block in manual.blocks(PAGE) if block.language == "json"]

each_format = pytest.mark.parametrize("name", FORMATS)


def the_event() -> Event:
    data = json.dumps(PUBLISHED["data"]).encode()
    return an_event(**{**PUBLISHED, "data": data})


def rendered(name: str, **options: Any) -> Rendered:
    secrets = (SigningSecret(SECRET),) if name in SIGNED else ()
    config = a_config(format=name, signing_secrets=secrets, options=FormatOptions(**options))
    return FORMATS[name].render(the_event(), config, 1, NOON)


def printed(name: str) -> list[str]:
    """The blocks of a format's section, without the line feed at their end."""
    return [block.text.removesuffix("\n") for block in manual.blocks(manual.section(PAGE, name))]


def block_of(language: str) -> str:
    [block] = [block for block in manual.blocks(PAGE) if block.language == language]
    return block.text


# --- bodies ----------------------------------------------------------------------------------------------------------


def test_the_event_of_the_page_may_be_published() -> None:
    assert refusals(PUBLISHED["type"], PUBLISHED["data"]) == {}


def test_every_format_has_its_section_and_its_row() -> None:
    titles = re.findall(r"^### (\S+)$", PAGE, re.MULTILINE)

    assert titles == list(FORMATS)
    assert manual.column(PAGE, "format") == [f"[{name}](#{name})" for name in FORMATS]


@each_format
def test_the_request_that_is_printed_is_the_one_that_is_sent(name: str) -> None:
    posted = rendered(name)
    lines = [f"{key}: {value}" for key, value in (("content-type", posted.content_type), *posted.headers)]

    assert printed(name)[0] == "\n".join([*lines, "", posted.body.decode()])


@pytest.mark.parametrize(
    ("name", "number", "options"),
    [
        ("xml", 1, {"xml_content_type": "form"}),
        ("sms-callback", 1, {"callback_naming": "reference"}),
        ("sms-callback", 2, {"callback_payload": "form"}),
    ],
)
def test_a_body_with_options_is_the_one_that_is_sent(name: str, number: int, options: Mapping[str, str]) -> None:
    assert printed(name)[number] == rendered(name, **options).body.decode()


def test_no_other_body_is_printed() -> None:
    assert {name: len(printed(name)) for name in FORMATS} == {
        "api-default": 1,
        "xml": 2,
        "sms-callback": 3,
        "json": 1,
        "cloudevents": 1,
    }


@each_format
def test_every_body_that_is_printed_is_read_back(name: str) -> None:
    for text in printed(name):
        head, _, body = text.rpartition("\n\n")
        found = re.search(r"content-type: (.+)", head)
        event = parse(body.encode(), found[1] if found else "")

        assert (event.format, event.type) == (name, PUBLISHED["type"])
        facts = with_constants(PUBLISHED["type"], PUBLISHED["data"])
        assert event.data.get("to") == facts["to"]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_what_a_format_says_and_what_is_signed() -> None:
    for name, (_, _, says, signed) in zip(FORMATS, manual.table(PAGE, "format"), strict=True):
        assert (says == "every event") == (SAYABLE[name] is None), name
        assert bool(signed) == (name in SIGNED), name


def test_every_option_stands_there_with_its_formats_and_its_default() -> None:
    defaults = FormatOptions()

    assert {field.name for field in fields(FormatOptions)} == set(OPTIONS)
    assert [(name, formats, default) for name, formats, _, default in manual.table(PAGE, "option")] == [
        (name, ", ".join(option.formats), _shown(getattr(defaults, name))) for name, option in OPTIONS.items()
    ]


def test_every_value_of_an_option_is_taken() -> None:
    for name, _, values, _ in manual.table(PAGE, "option"):
        if not values.startswith("a "):
            for value in values.split(", "):
                assert OPTIONS[name].read(value) == value


def _shown(default: object) -> str:
    return {None: "–", False: "false"}.get(default, str(default))  # type: ignore[call-overload]


def test_the_policy_of_every_format_stands_there() -> None:
    assert manual.table(PAGE, "policy") == [
        [
            name,
            str(policy.success),
            str(policy.retry.attempts),
            ", ".join(f"{wait:,} s" for wait in policy.retry.waits_s),
            *(f"{seconds:g} s" for seconds in (policy.deadlines.connect_s, policy.deadlines.response_s)),
            f"{policy.deadlines.total_s:g} s",
        ]
        for name, policy in POLICIES.items()
    ]


def test_the_headers_of_a_signature_stand_there() -> None:
    assert manual.column(PAGE, "header") == [signing.ID, signing.TIMESTAMP, signing.SIGNATURE]


# --- signatures ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
def test_openssl_comes_to_the_signature_that_is_printed(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(printed("json")[0].rpartition("\n\n")[2])

    done = subprocess.run(["sh", "-eu", "-c", block_of("sh")], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert f"webhook-signature: v1,{done.stdout.strip()}\n" in printed("json")[0]


def test_the_receiver_that_is_printed_takes_what_is_ours_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    exec(compile(block_of("python"), "formats.md", "exec"), names)
    answer: Callable[..., int] = names["answer"]
    body, now = rendered("json").body, int(time.time())
    headers = {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(now),
        "Webhook-Signature": sign([SECRET], "evt_1", now, body),
    }

    assert answer(headers, body, SECRET) == 200
    assert answer(headers, body + b" ", SECRET) == 401
    assert capsys.readouterr().out.splitlines()[0] == "evt_1 is ours"


def test_the_limits_that_are_told_are_those_of_the_code() -> None:
    told = manual.section(PAGE, "Signatures")

    assert f"{signing.KEY_MIN} to {signing.KEY_MAX} bytes" in told
    assert len(signing.key_of(signing.new_secret())) == 32
    assert "more than 300 seconds" in told
    assert json_webhook.CONTENT_TYPE in manual.table(PAGE, "format")[3]
