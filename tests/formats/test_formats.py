"""What holds for every format: add a format to FORMATS and make these pass."""

import json
from base64 import b64encode

import pytest

from postback.domain.catalog import CATALOG, SAYABLE
from postback.domain.configs import PostbackConfig, SigningSecret
from postback.domain.errors import CannotRender, Malformed
from postback.domain.events import Event
from postback.domain.facts import with_constants
from postback.formats import FORMATS, Format, is_sayable, render
from tests.build import NOON, a_config, an_event

each_format = pytest.mark.parametrize("chosen", FORMATS.values(), ids=lambda chosen: chosen.NAME)

SECRET = SigningSecret("whsec_" + b64encode(bytes(range(32))).decode())


def a_config_of(chosen: Format) -> PostbackConfig:
    return a_config(format=chosen.NAME, signing_secrets=(SECRET,))


def an_event_for(chosen: Format) -> Event:
    """An event that this format can say, with all that the catalog shows of its type."""
    types = SAYABLE[chosen.NAME]
    name = "contact.updated" if types is None else min(types)
    return an_event(type=name, data=json.dumps(CATALOG[name].example, separators=(",", ":")).encode())


@each_format
def test_a_format_is_known_by_its_own_name(chosen: Format) -> None:
    assert FORMATS[chosen.NAME] is chosen


@each_format
def test_what_is_rendered_parses_back(chosen: Format) -> None:
    event = an_event_for(chosen)

    rendered = chosen.render(event, a_config_of(chosen), 1, NOON)

    parsed = chosen.parse(rendered.body, rendered.content_type)
    assert parsed.type == event.type
    if SAYABLE[chosen.NAME] is None:
        assert parsed.data == event.data
    else:
        sent, shown = with_constants(event.type, json.loads(event.data)), json.loads(parsed.data)
        # A time without its offset is what some receivers are used to.
        assert sent.pop("timestamp").startswith(shown.pop("timestamp"))
        both = sent.keys() & shown.keys()
        assert "to" in both
        assert {name: str(shown[name]) for name in both} == {name: str(sent[name]) for name in both}


@each_format
def test_what_a_format_can_say_it_says_in_the_same_way_each_time(chosen: Format) -> None:
    event, config = an_event_for(chosen), a_config_of(chosen)

    assert is_sayable(event, config)
    assert chosen.render(event, config, 1, NOON) == chosen.render(event, config, 1, NOON)


@each_format
def test_data_that_is_damaged_cannot_be_rendered(chosen: Format) -> None:
    event, config = an_event_for(chosen), a_config_of(chosen)
    chosen.render(event, config, 1, NOON)

    for data in (b"", b"{", b"[1]", b'"text"', b"null", b'{"a":1}{}', b'{"a":NaN}', b'{"a":"\xff"}', b"[" * 100_000):
        with pytest.raises(CannotRender):
            chosen.render(event._replace(data=data), config, 1, NOON)


@each_format
def test_a_body_of_another_kind_is_malformed(chosen: Format) -> None:
    for body, content_type in ((b"", "text/plain"), (b"\xff\xfe", chosen.NAME), (b"<a/>", "application/octet-stream")):
        with pytest.raises(Malformed):
            chosen.parse(body, content_type)


def test_a_format_that_nobody_knows_cannot_be_rendered() -> None:
    with pytest.raises(CannotRender, match="format is 'unreadable'; expected one of api-default"):
        render(an_event(), a_config(format="unreadable"), 1, NOON)
