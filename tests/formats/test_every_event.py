"""Every event of the catalog, in every format that can say it, read back by the receiver's toolkit: the same facts."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from postback.domain.catalog import CATALOG, SAYABLE, can_say
from postback.domain.configs import FormatOptions, PostbackConfig, SigningSecret
from postback.domain.event_types import Layout
from postback.domain.facts import completed, with_constants
from postback.domain.ids import event_text
from postback.formats import FORMATS, is_sayable, render
from postback.receiver import parse, verify
from tests.build import NOON, a_config, an_event

SECRET: Final = "whsec_" + b64encode(bytes(range(32))).decode()

WAYS: Final[Mapping[str, FormatOptions]] = {
    "api-default": FormatOptions(),
    "xml": FormatOptions(),
    "xml as a form": FormatOptions(xml_content_type="form"),
    "xml 2014-03": FormatOptions(xml_layout=Layout.L2014_03),
    "xml 2014-03 as a form": FormatOptions(xml_layout=Layout.L2014_03, xml_content_type="form"),
    "xml strict": FormatOptions(xml_strict_historic=True),
    "sms-callback": FormatOptions(time_zone="Europe/Paris"),
    "sms-callback as a form": FormatOptions(callback_payload="form", time_zone="Europe/Paris"),
    "sms-callback reference": FormatOptions(callback_naming="reference", time_zone="Europe/Paris"),
    "json": FormatOptions(),
    "cloudevents": FormatOptions(),
}

EXAMPLES: Final = [
    (known.name, example)
    for known in CATALOG.values()
    for example in ([row.example for row in known.rows] or [known.example])
]

CASES: Final = [
    pytest.param(way, event_type, example, id=f"{way}: {event_type}-{number}")
    for way in WAYS
    for number, (event_type, example) in enumerate(EXAMPLES)
    if can_say(way.partition(" ")[0], event_type)
]


def a_config_for(way: str) -> PostbackConfig:
    return a_config(format=way.partition(" ")[0], options=WAYS[way], signing_secrets=(SigningSecret(SECRET),))


def normal(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Ids are digits on some wires, and numbers on others."""
    return {name: str(value) if isinstance(value, int) else value for name, value in facts.items()}


def test_each_format_has_its_ways_here() -> None:
    assert {way.partition(" ")[0] for way in WAYS} == FORMATS.keys() == SAYABLE.keys()


@pytest.mark.parametrize(("way", "event_type", "example"), CASES)
def test_an_event_comes_back_with_its_facts(way: str, event_type: str, example: Mapping[str, Any]) -> None:
    config = a_config_for(way)
    event = an_event(type=event_type, data=json.dumps(example).encode())
    assert is_sayable(event, config)

    rendered = render(event, config, 1, NOON)
    received = parse(
        rendered.body,
        rendered.content_type,
        headers=dict(rendered.headers),
        time_zone=config.options.time_zone,
    )

    assert received.type == event_type
    assert received.format == config.format
    sent, shown = normal(completed(event_type, example)), normal(received.data)
    if SAYABLE[config.format] is None:
        assert received.data == example
    elif config.format == "xml":
        # What this layout shows is as it was sent; all else is told by the type, or not shown at all.
        assert shown.items() <= sent.items()
        assert {"to", "from", "mobile", "email", "mms_id", "reference_value"} & shown.keys()
        assert shown == normal(with_constants(event_type, shown))
    else:
        other_party = "from" if event_type == "sms.received" else "mobile" if "mobile" in sent else "to"
        assert shown[other_party] == sent[other_party]
        assert {"timestamp", "received"} & shown.keys()


@pytest.mark.parametrize("way", ["json", "cloudevents"])
@pytest.mark.parametrize(("event_type", "example"), EXAMPLES)
def test_what_is_signed_is_accepted_and_says_which_event_it_is(
    way: str, event_type: str, example: Mapping[str, Any]
) -> None:
    event = an_event(type=event_type, data=json.dumps(example).encode())

    rendered = render(event, a_config_for(way), 1, NOON)

    assert verify(rendered.body, dict(rendered.headers), SECRET, now=NOON / 1000) == event_text(event.id)


@pytest.mark.parametrize(
    ("format_name", "event_type"),
    [(name, known) for name, types in SAYABLE.items() if types is not None for known in CATALOG if known not in types],
)
def test_what_a_format_cannot_say_is_wanted_by_no_pattern(format_name: str, event_type: str) -> None:
    config = replace(a_config_for(format_name), resource=None, event_types=("*",))
    event = an_event(type=event_type, data=json.dumps(CATALOG[event_type].example).encode())

    assert not is_sayable(event, config)
    assert not config.wants(event)
