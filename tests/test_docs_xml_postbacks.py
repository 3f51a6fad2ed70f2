"""The guide to XML postbacks shows what is sent: its bodies, codes and rules are those of the code."""

import json
import re
from typing import Final

import pytest

from postback.actions.postback_settings import PostbackSettings
from postback.domain.catalog import CATALOG, can_say
from postback.domain.configs import FormatOptions
from postback.domain.event_types import Layout
from postback.domain.policy import POLICIES, SuccessRule
from postback.formats import render
from postback.formats.xml_layouts import elements, frame
from postback.formats.xml_postback import NAME
from postback.receiver import parse
from tests import manual
from tests.build import NOON, a_config, an_event

PAGE: Final = (manual.ROOT / "docs" / "guide" / "xml-postbacks.md").read_text("utf-8")

# The line above a body: which event it is, in which layout, as a form or not.
SHOWN: Final = re.findall(r"`([\w.]+)` in the layout `([\d-]+)`(, as a form)?:\n\n```\w+\n(.*?)\n```", PAGE, re.DOTALL)
SAVED: Final = ("N003", "N013", "E002", "E003", "E011", "E012", "E013")
ROWS: Final = [(known, row) for known in CATALOG.values() for row in known.rows]


def body_of(event_type: str, layout: str, *, as_form: bool) -> tuple[str, str]:
    """What is sent of the catalog's example, and its content type."""
    options = FormatOptions(xml_layout=Layout(layout), xml_content_type="form" if as_form else "raw")
    event = an_event(type=event_type, data=json.dumps(dict(CATALOG[event_type].example)).encode())
    rendered = render(event, a_config(format=NAME, options=options), 1, NOON)
    return rendered.body.decode(), rendered.content_type


@pytest.mark.parametrize(("event_type", "layout", "form", "shown"), SHOWN, ids=[f"{one[0]} {one[1]}" for one in SHOWN])
def test_a_body_on_the_page_is_the_one_that_is_sent(event_type: str, layout: str, form: str, shown: str) -> None:
    body, content_type = body_of(event_type, layout, as_form=bool(form))

    assert re.sub(r"(?<!\?)>\s+<", "><", shown) == body
    assert parse(shown.encode(), content_type).type == event_type, "the printed lines must be readable as well"


def test_every_body_on_the_page_was_compared() -> None:
    bodies = [block for block in manual.blocks(PAGE) if block.language in ("xml", "text")]

    assert len(SHOWN) == len(bodies) == 8
    assert {layout for _, layout, _, _ in SHOWN} == set(Layout)


def test_the_groups_on_the_page_hold_every_code_of_the_catalog_once() -> None:
    rows = [row[1:] for row in manual.table(PAGE, "group")]

    expected = []
    for known, row in ROWS:
        told_by = "" if row.told_by is None else f" with {row.told_by[0]} {row.told_by[1] or ''}".rstrip()
        old = "" if row.code_2014_03 == row.code else row.code_2014_03
        expected.append([known.sentence, row.code, old, known.origin, f"{known.name}{told_by}"])
    assert sorted(rows) == sorted(expected)


def test_a_group_holds_what_its_name_says() -> None:
    of_group: dict[str, set[str]] = {}
    for group, *_, name in manual.table(PAGE, "group"):
        of_group.setdefault(group, set()).add(name.partition(" ")[0])

    received = {"sms.received", "mms.received"}
    sent = {name for name in CATALOG if name.startswith(("sms.", "mms.", "discovery.", "queue."))} - received
    assert of_group == {
        "Subscribers": {name for name in CATALOG if name.startswith(("subscriber.", "email."))},
        "MO: received": received,
        "MT: sent": sent,
        "Passes": {name for name in CATALOG if name.startswith("pass.")},
    }


def test_the_rules_on_the_page_are_those_of_the_format() -> None:
    policy = POLICIES[NAME]

    assert policy.success is SuccessRule.EXACTLY_200
    assert (policy.retry.attempts, policy.retry.waits_s, policy.retry.jitter) == (6, (300,), False)
    assert (policy.deadlines.connect_s, policy.deadlines.response_s, policy.deadlines.total_s) == (10, 10, 20)
    assert "after 0, 5, 10, 15, 20 and 25 minutes" in PAGE


def test_every_setting_of_the_settings_page_is_explained() -> None:
    assert sorted(manual.column(PAGE, "setting")) == sorted(PostbackSettings.READERS)


def test_what_the_page_says_of_the_two_layouts_is_so() -> None:
    def all_of(layout: Layout) -> dict[str, set[str]]:
        shown: dict[str, set[str]] = {}
        for known, row in ROWS:
            sent_as = row.told_by[1] if row.told_by is not None else "MMS"
            shown.setdefault(known.name, set()).update(elements(layout, row, sent_as))
        return shown

    new, old = all_of(Layout.L2015), all_of(Layout.L2014_03)
    for name, known in CATALOG.items():
        if known.origin in ("SMS_MT", "MMS_MT"):
            assert not {"FROM", "FROM_MASK"} & old[name], name
    assert {"FROM", "FROM_MASK"} <= new["sms.sent"]
    assert "FROM" in new["mms.sent"]
    assert (new["sms.received"] - old["sms.received"], new["mms.received"] - old["mms.received"]) == (
        {"TRANSACTIONID"},
        {"SUBJECT"},
    )
    subscriber = {"TIMESTAMP", "SHORTCODE", "CAMPAIGNTITLE", "BRANDNAME", "SOURCE"}
    assert new["subscriber.subscribed"] - old["subscriber.subscribed"] == subscriber
    for name in ("subscriber.subscribed", "email.subscribed"):
        assert old[name] - new[name] == {"SUBID"}
    for known, row in ROWS:
        old_frame = frame(Layout.L2014_03, known.origin or "", row)
        is_plain = known.origin in ("SMS_MO", "MMS_MO") or row.code in SAVED
        assert (old_frame.schema is None) == is_plain, row.code
        assert old_frame.is_wrapped == (known.origin == "MMS_MO")
        assert frame(Layout.L2015, known.origin or "", row).schema is None


def test_every_messaging_event_can_be_said() -> None:
    assert [known.name for known, _ in ROWS if not can_say(NAME, known.name)] == []
