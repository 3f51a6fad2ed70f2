"""What holds for every format: add a format to FORMATS and make these pass."""

import pytest

from postback.domain.errors import CannotRender, Malformed
from postback.formats import FORMATS, Format, render
from tests.build import NOON, a_config, an_event

each_format = pytest.mark.parametrize("chosen", FORMATS.values(), ids=lambda chosen: chosen.NAME)


@each_format
def test_a_format_is_known_by_its_own_name(chosen: Format) -> None:
    assert FORMATS[chosen.NAME] is chosen


@each_format
def test_what_is_rendered_parses_back(chosen: Format) -> None:
    event = an_event(type="contact.updated")

    rendered = chosen.render(event, a_config(format=chosen.NAME), 1, NOON)

    parsed = chosen.parse(rendered.body, rendered.content_type)
    assert (parsed.type, parsed.data) == (event.type, event.data)


@each_format
def test_data_that_is_damaged_cannot_be_rendered(chosen: Format) -> None:
    config = a_config(format=chosen.NAME)

    for data in (b"", b"{", b"[1]", b'"text"', b"null", b'{"a":1}{}', b'{"a":NaN}', b'{"a":"\xff"}', b"[" * 100_000):
        with pytest.raises(CannotRender):
            chosen.render(an_event(data=data), config, 1, NOON)


@each_format
def test_a_body_of_another_kind_is_malformed(chosen: Format) -> None:
    for body, content_type in ((b"", "text/plain"), (b"\xff\xfe", chosen.NAME), (b"<a/>", "application/octet-stream")):
        with pytest.raises(Malformed):
            chosen.parse(body, content_type)


def test_a_format_that_nobody_knows_cannot_be_rendered() -> None:
    with pytest.raises(CannotRender, match="format is 'unreadable'; expected one of api-default"):
        render(an_event(), a_config(format="unreadable"), 1, NOON)
