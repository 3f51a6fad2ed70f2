"""The page of event types is the catalog's."""

from tests import event_page
from tests.manual import anchors, headings, links


def test_the_page_of_event_types_is_what_the_catalog_gives() -> None:
    written = event_page.PATH.read_text("utf-8")

    assert written == event_page.page(), "write it anew: .venv/bin/python -m tests.event_page"


def test_every_messaging_event_has_its_section_and_a_link_to_it() -> None:
    text = event_page.PATH.read_text("utf-8")
    within = [link for link in links(text) if link.startswith("#")]

    assert len(within) == len([title for title in headings(text) if "." in title]) == 28
    assert {link.removeprefix("#") for link in within} <= anchors(text)
