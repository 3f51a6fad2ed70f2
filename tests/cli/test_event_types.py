"""`events types`: the catalog, without a server."""

import json

import pytest

from postback.cli.output import Exit
from postback.domain.catalog import CATALOG
from postback.domain.described import described
from tests.cli.calling import Cli


@pytest.fixture(autouse=True)
def without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTBACK_PUBLIC_URL", "http://127.0.0.1:9")


def test_every_type_is_a_line_with_its_code_origin_and_meaning(cli: Cli) -> None:
    ended = cli("events", "types")

    head, *lines = ended.out.splitlines()
    assert ended.code == Exit.OK
    assert head.split() == ["Type", "Code", "Origin", "Meaning"]
    assert [line.split()[0] for line in lines] == list(CATALOG)
    assert "sms.undelivered           E202 (2014-03: N202)" in ended.out
    assert "mms.delivered             N102, N202" in ended.out
    assert "GENERATE_PASS  A pass was generated." in ended.out


@pytest.mark.parametrize(
    ("words", "types"),
    [
        (["subscriber.*"], ["subscriber.subscribed", "subscriber.unsubscribed"]),
        (["subscriber.*", "--format", "sms-callback"], ["subscriber.unsubscribed"]),
        (["*", "--format", "json"], list(CATALOG)),
    ],
)
def test_they_are_narrowed_by_pattern_and_format(cli: Cli, words: list[str], types: list[str]) -> None:
    assert [one["type"] for one in json.loads(cli("events", "types", *words, "--json").out)] == types


def test_scripts_get_what_the_api_answers(cli: Cli) -> None:
    assert json.loads(cli("events", "types", "--json").out) == [described(known) for known in CATALOG.values()]


def test_one_type_shows_its_fields_and_an_example_that_can_be_sent(cli: Cli) -> None:
    told = cli("events", "types", "email.subscribed").out

    facts = dict(line.split(None, 1) for line in told.splitlines()[:5])
    assert facts == {
        "type": "email.subscribed",
        "meaning": "An address was subscribed to a campaign.",
        "origin": "EMAIL_SUB",
        "formats": "api-default, xml, json, cloudevents",
        "code": "N303",
    }
    rows = [line.split(maxsplit=2) for line in told.splitlines() if line.startswith(("email ", "sub_id "))]
    assert [(row[0], row[1]) for row in rows] == [("email", "*"), ("sub_id", "string")]
    [example] = [line.removeprefix("Example: ") for line in told.splitlines() if line.startswith("Example: ")]
    assert json.loads(example) == CATALOG["email.subscribed"].example


def test_a_type_that_comes_in_several_ways_shows_each(cli: Cli) -> None:
    link = cli("events", "types", "mms.undelivered").out
    media = cli("events", "types", "mms.save_failed").out

    assert "\nsent_as = MMS: E102 (2014-03: N102)\n" in link
    assert "\nsent_as = SMS: E202 (2014-03: N202)\n" in link
    assert "; by default Message Sent/Failed" in link.replace("\n", " ")
    assert "\nwith audio_name: E002\n" in media
    assert "\nwith video_name: E003 (2014-03: E002)\n" in media
    assert link.count("Example: ") == media.count("Example: ") == 2


def test_a_type_without_a_code_takes_any_object(cli: Cli) -> None:
    told = cli("events", "types", "contact.created").out

    assert "\ncode" not in told
    assert "\norigin" not in told
    assert "any object is taken as data" in told


def test_a_type_that_nobody_knows_is_no_error(cli: Cli) -> None:
    ended = cli("events", "types", "order.shipped")

    assert ended.code == Exit.OK
    assert "any other may be sent" in ended.out


def test_types_that_a_format_cannot_say_are_not_called_unknown(cli: Cli) -> None:
    ended = cli("events", "types", "contact.*", "--format", "xml")

    assert ended.code == Exit.OK
    assert ended.out == "xml can say none of them; without --format they are shown\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sms"], "PATTERN is 'sms'; expected *, "),
        (["SMS.*"], "PATTERN is 'SMS.*'; expected *, "),
        (["--format", "soap"], "--format is 'soap'; expected one of api-default, xml, "),
    ],
)
def test_what_can_name_nothing_is_a_usage_error(cli: Cli, words: list[str], told: str) -> None:
    ended = cli("events", "types", *words)

    assert ended.code == Exit.USAGE
    assert ended.err.startswith(f"error: {told}")
    assert ended.err.count("\n") == 1
