"""Callbacks of the SMS system and postbacks of the XML system, from an empty store to what arrived, with and without scripts."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, expect

from postback.domain.catalog import CATALOG
from tests.browser.arrivals import Arrivals
from tests.browser.conftest import EMAIL, PASSWORD, Windows
from tests.live import Live

both = pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """A server that has nothing but its owner, for each test anew."""
    with Live(tmp_path, POSTBACK_OWNER_EMAIL=EMAIL, POSTBACK_OWNER_PASSWORD=PASSWORD) as live:
        yield live


def signed_in(windows: Windows, *, scripts: bool) -> Page:
    page = windows.open(scripts=scripts).page
    page.goto(windows.url + "/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def by_menu(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Menu").get_by_role("link", name=name, exact=True).click()


def publish_by_hand(page: Page, event_type: str) -> None:
    """The example of its type, as it stands."""
    by_menu(page, "Events")
    page.get_by_role("link", name="Publish an event").first.click()
    page.get_by_label("Example of").select_option(event_type)
    page.get_by_role("button", name="Fill in the example").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("Published, with 1 delivery.")).to_be_visible()


def publish_by_api(live: Live, event_type: str) -> None:
    live.publish(event_type, dict(CATALOG[event_type].example))


def sees_delivered(page: Page, event_types: list[str], body: str) -> None:
    """In Deliveries, and the newest of them with the body that arrived."""
    by_menu(page, "Deliveries")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(len(event_types))
    for row, event_type in zip(rows.all(), reversed(event_types), strict=True):
        expect(row).to_contain_text(event_type)
        expect(row).to_contain_text("delivered")
        expect(row).to_contain_text("200")
    rows.first.get_by_role("link", name=event_types[-1], exact=True).click()
    expect(page.get_by_role("main").get_by_text("delivered", exact=True).first).to_be_visible()
    page.locator("summary", has_text="Request").first.click()
    expect(page.get_by_role("main")).to_contain_text(body)


@both
def test_callbacks_are_set_and_what_happens_arrives_at_the_url_of_its_kind(
    windows: Windows, live: Live, arrivals: Arrivals, scripts: bool
) -> None:
    page = signed_in(windows, scripts=scripts)
    by_menu(page, "Callbacks")
    kinds = {"Deliveries URL": "/receipts", "Inbounds URL": "/replies", "Blacklisted numbers URL": "/opt-outs"}
    for label, path in kinds.items():
        page.get_by_label(label).fill(arrivals.url + path)
    page.get_by_label("Payload").select_option("json" if scripts else "form")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved")).to_be_visible()
    expect(page.get_by_text("No answers yet")).to_be_visible()

    happened = ["sms.delivered", "sms.received", "subscriber.unsubscribed"]
    publish_by_hand(page, happened[0])
    live.until_nothing_is_owed()
    for event_type in happened[1:]:
        publish_by_api(live, event_type)
        live.until_nothing_is_owed()

    assert arrivals.paths == [f"/receiver{path}" for path in kinds.values()]
    read = json.loads if scripts else lambda body: dict(parse_qsl(body, keep_blank_values=True))
    receipt, reply, opt_out = (read(body) for body in arrivals.bodies)
    assert receipt == {
        "message_id": "U01TXzMxNDE1OQ==",
        "number": "+12025550143",
        "status": "DELIVERED",
        "DELIVERY_DATE": "2026-04-09 10:15:09",
    }
    assert (reply["text"], reply["answer_date"]) == ("INFO opening hours & prices", "2026-03-02 08:44:57")
    assert (opt_out["text"], opt_out["stop_date"]) == ("STOP", "2026-02-11 16:05:48")
    by_menu(page, "Callbacks")
    expect(page.get_by_text("The last 3 kept the rule.")).to_be_visible()
    sees_delivered(page, happened, "2026-02-11 16:05:48" if scripts else "stop_date=")


@both
def test_postback_settings_are_set_and_what_happens_arrives_as_xml(
    windows: Windows, live: Live, arrivals: Arrivals, scripts: bool
) -> None:
    page = signed_in(windows, scripts=scripts)
    by_menu(page, "Postback settings")
    page.get_by_label("Postback URL", exact=True).fill(f"{arrivals.url}/all")
    page.get_by_label("MO Postback URL", exact=True).fill(f"{arrivals.url}/mo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved: from the next postback on.")).to_be_visible()
    expect(page.get_by_label("MO Postback URL", exact=True)).to_have_value(f"{arrivals.url}/mo")

    happened = ["mms.delivered", "mms.received", "sms.received"]
    publish_by_hand(page, happened[0])
    live.until_nothing_is_owed()
    for event_type in happened[1:]:
        publish_by_api(live, event_type)
        live.until_nothing_is_owed()

    assert arrivals.paths == ["/receiver/all", "/receiver/mo", "/receiver/mo"]
    delivered, picture, message = arrivals.bodies
    assert delivered.startswith("<?xml version='1.0'?>\n<POSTBACK><ORIGIN>MMS_MT</ORIGIN><CODE>N102</CODE>")
    assert "<FILE>https://media.example.net/mo/7h2k/photo-01.jpg</FILE>" in picture
    assert message == (
        "<POSTBACK><ORIGIN>SMS_MO</ORIGIN><CODE>N211</CODE><FROM>12025550166</FROM><TO>24687</TO>"
        "<TEXT>INFO opening hours &amp; prices</TEXT><RECEIVED>2026-03-02T08:44:57-05:00</RECEIVED>"
        "<TRANSACTIONID>704QK-51830-66LWD-290Z5</TRANSACTIONID></POSTBACK>"
    )
    sees_delivered(page, happened, "<ORIGIN>SMS_MO</ORIGIN>")
