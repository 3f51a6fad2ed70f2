"""Patterns of event types."""

import pytest

from postback.domain.events import TYPE_MAX
from postback.domain.patterns import is_pattern, names


@pytest.mark.parametrize("text", ["*", "sms.*", "sms.link.*", "a.b", "mms.save_failed", "a-b.*", "a.b.c.d.e.f.g.h.i.*"])
def test_what_can_name_a_type_is_a_pattern(text: str) -> None:
    assert is_pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sms",
        "**",
        "*.*",
        ".*",
        "*.sent",
        "sms.*.sent",
        "sms*",
        "sms.s*",
        "SMS.*",
        "sms. *",
        "sms.*\n",
        "sms.sent ",
        "a.b.c.d.e.f.g.h.i.j.*",
        "x." + "y" * TYPE_MAX,
    ],
)
def test_what_can_name_nothing_is_none(text: str) -> None:
    assert not is_pattern(text)


def test_a_pattern_names_types_by_their_whole_parts() -> None:
    assert names("*", "a.b")
    assert names("sms.*", "sms.sent")
    assert names("sms.*", "sms.link.clicked")
    assert not names("sms.*", "smsx.sent")
    assert not names("sms.*", "sms")
    assert names("sms.sent", "sms.sent")
    assert not names("sms.sent", "sms.sent.twice")
