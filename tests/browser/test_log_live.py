"""Deliveries and events in a real browser: published by hand, seen as they happen, replayed one by one and by the hundred."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.arrivals import Arrivals
from tests.browser.conftest import EMAIL, PASSWORD, Windows
from tests.browser.looks import Look
from tests.live import Live
from tests.ports import free_port

RECEIVED = {"from": "12025550166", "to": "24687", "text": "INFO", "received": "2026-03-02T08:44:57-05:00"}


def rows(page: Page) -> list[str]:
    return [row.inner_text() for row in page.locator("tbody tr").all()]


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_an_event_is_published_by_hand_and_seen_delivered(
    windows: Windows, live: Live, arrivals: Arrivals, scripts: bool
) -> None:
    event_type = "order.paid" if scripts else "order.sent"
    live.config(arrivals.url, event_type, name="Orders")
    page = windows.open(scripts=scripts).page
    page.goto(live.url + "/events")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    page.get_by_role("link", name="Publish an event").first.click()
    page.get_by_label("Example of").select_option("contact.created")
    page.get_by_role("button", name="Fill in the example").click()
    expect(page.get_by_label("Data")).to_have_value(re.compile('"last_name": "Jones"'))
    page.get_by_label("Event type", exact=False).last.fill(event_type)
    page.get_by_role("button", name="Publish", exact=True).click()

    expect(page.get_by_text("Published, with 1 delivery.")).to_be_visible()
    if not scripts:
        live.until_nothing_is_owed()
        page.reload()
    expect(page.get_by_text("1 delivered", exact=True)).to_be_visible()
    expect(page.locator("tbody tr")).to_contain_text("200")
    assert "Jones" in arrivals.bodies[-1]


def test_a_list_shows_what_happens_without_being_loaded_again(windows: Windows, live: Live, arrivals: Arrivals) -> None:
    config = live.config(arrivals.url, "list.lives", name="Lives")
    window = windows.open()
    window.sign_in()
    window.go(f"/deliveries?config={config}")
    page = window.page
    expect(page.get_by_text("None for this filter")).to_be_visible()
    page.evaluate("window.mark = 'the same page'")

    live.publish("list.lives")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr").first).to_contain_text("delivered")
    page.locator("tbody tr").first.evaluate("row => { row.mark = 'the same row'; }")
    live.publish("list.lives")
    expect(page.locator("tbody tr")).to_have_count(2)

    assert page.evaluate("window.mark") == "the same page"
    assert page.locator("tbody tr").last.evaluate("row => row.mark") == "the same row"


def test_new_rows_do_not_move_what_somebody_reads(windows: Windows, live: Live, arrivals: Arrivals) -> None:
    config = live.config(arrivals.url, "list.is-read", name="Read")
    live.publish("list.is-read")
    live.until_nothing_is_owed()
    window = windows.open()
    window.sign_in()
    window.go(f"/deliveries?config={config}")
    page = window.page
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody tr").first.hover()

    live.publish("list.is-read")

    expect(page.get_by_role("button", name="1 new: show")).to_be_visible()
    assert page.locator("tbody tr").count() == 1
    page.mouse.move(2, 2)
    expect(page.locator("tbody tr")).to_have_count(2)

    page.get_by_role("link", name="list.is-read").last.focus()
    live.publish("list.is-read")
    page.get_by_role("button", name="1 new: show").click()
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.get_by_role("button", name="1 new: show")).to_be_hidden()


def test_a_failed_delivery_is_replayed_and_its_story_goes_on(windows: Windows, live: Live) -> None:
    config = live.config(f"http://127.0.0.1:{free_port()}/in", "story.told", number_of_attempts=1, name="Story")
    live.publish("story.told", {"id": "7"})
    live.until_nothing_is_owed()
    [delivery] = live.ask("GET", f"/v2/deliveries?postbackconfig_id={config}").json["deliveries"]
    window = windows.open()
    window.sign_in()
    window.go(f"/deliveries/{delivery['id']}")
    page = window.page
    expect(page.get_by_text("Given up: connection refused")).to_be_visible()
    page.get_by_text("Request", exact=True).click()

    page.get_by_role("button", name="Replay").click()

    expect(page.get_by_text("Owed again, from now on")).to_be_visible()
    expect(page.get_by_role("region", name="Attempt 2")).to_contain_text("manual")
    expect(page.get_by_role("button", name="Replay")).to_be_visible()
    assert window.hindrances() == []


def test_a_request_is_copied_as_a_command_line_without_secrets(
    windows: Windows, live: Live, arrivals: Arrivals
) -> None:
    config = live.config(arrivals.url, "copy.me", headers={"X-Api-Key": "s3cret-of-theirs"}, format="json")
    live.publish("copy.me", {"id": "it's"})
    live.until_nothing_is_owed()
    [delivery] = live.ask("GET", f"/v2/deliveries?postbackconfig_id={config}").json["deliveries"]
    window = windows.open()
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.sign_in()
    window.go(f"/deliveries/{delivery['id']}")

    window.page.get_by_text("Request", exact=True).click()
    window.page.get_by_role("button", name="Copy as curl").click()
    copied = window.page.evaluate("navigator.clipboard.readText()")

    assert copied.startswith(f"curl --request POST {arrivals.url}")
    assert "X-Api-Key: ***" in copied
    assert "s3cret-of-theirs" not in copied


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_all_that_failed_is_replayed_with_progress(
    windows: Windows, live: Live, arrivals: Arrivals, scripts: bool
) -> None:
    event_type = "bulk.one" if scripts else "bulk.two"
    config = live.config(f"http://127.0.0.1:{free_port()}/in", event_type, number_of_attempts=1, name="Bulk")
    for number in range(40):
        live.publish(event_type, {"id": str(number)})
    live.until_nothing_is_owed()
    moved = live.ask("PUT", f"/v2/postbackconfigs/{config}", {"postbackconfig": {"url": arrivals.url}})
    assert moved.status == 200
    page = windows.open(scripts=scripts).page
    page.goto(f"{live.url}/deliveries?state=failed&type={event_type}")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    page.get_by_role("link", name="Replay all failed that match…").click()
    expect(page.get_by_role("heading", name="Replay 40 deliveries?")).to_be_visible()
    page.get_by_role("button", name="Replay 40 deliveries").click()

    expect(page.get_by_text("The replay has begun")).to_be_visible()
    # Without scripts the page loads itself again.
    expect(page.get_by_text("40 of 40")).to_be_visible()
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    live.until(lambda: len(arrivals.bodies) == 40)
    page.get_by_role("link", name="Deliveries, as they are now").click()
    expect(page.locator("tbody tr")).to_have_count(40)
    assert all("delivered" in row for row in rows(page))


def test_the_pages_of_the_log_are_used_by_the_keyboard_alone(windows: Windows, live: Live, arrivals: Arrivals) -> None:
    live.config(arrivals.url, "keys.pressed", name="Keys")
    live.publish("keys.pressed")
    live.until_nothing_is_owed()
    window = windows.open()
    window.sign_in()
    window.go("/deliveries?type=keys.pressed")
    page = window.page

    page.get_by_role("searchbox").focus()
    page.keyboard.type("127.0.0.1")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("search=127.0.0.1"))
    page.get_by_role("link", name="keys.pressed").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Request", exact=True).focus()
    page.locator("summary", has_text="Request").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_label("Headers of the request")).to_be_visible()


def test_every_page_of_the_log_is_drawn_without_a_complaint(
    windows: Windows, live: Live, arrivals: Arrivals, look: Look
) -> None:
    window = windows.open(width=look.width, theme=look.theme)
    kind = f"look-{look.name}"
    location = live.made("/v2/locations", {"location": {"name": "Main Street"}})["id"]
    window.sign_in()
    window.go(f"/deliveries?type={kind}.none")
    window.draw("deliveries-none", look)
    live.config(arrivals.url, f"{kind}.*", "sms.*", name="CRM of the shop", format="json", location_id=location)
    refused = live.config(
        f"http://127.0.0.1:{free_port()}/a/very/long/path/of/a/receiver", f"{kind}.*", number_of_attempts=1
    )
    waiting = live.config(f"http://127.0.0.1:{free_port()}/in", f"{kind}.*", number_of_attempts=3, name="Waiting")
    for number in range(5):
        event = {"type": f"{kind}.paid", "data": {"id": f"ord_{number}", "said": "<b>\u202e"}, "location_id": location}
        live.made("/v2/events", {"event": event})
    live.until(lambda: live.rows("SELECT count(*) FROM owed WHERE claim IS NOT NULL OR attempts = 0") == [(0,)])
    [*_, failed] = live.ask("GET", f"/v2/deliveries?state=failed&postbackconfig_id={refused}").json["deliveries"]
    [*_, held] = live.ask("GET", f"/v2/deliveries?postbackconfig_id={waiting}").json["deliveries"]
    delivered = live.ask("GET", f"/v2/deliveries?state=delivered&event_type={kind}.paid").json["deliveries"][0]

    window.go(f"/deliveries?type={kind}.paid")
    window.draw("deliveries", look)
    window.go("/deliveries?state=failed&from=yesterday", 422)
    window.draw("deliveries-wrong", look)
    for name, one in (("delivered", delivered), ("failed", failed), ("retrying", held)):
        window.go(f"/deliveries/{one['id']}")
        for summary in window.page.locator("main summary").all():
            summary.click()
        window.draw(f"delivery-{name}", look)
    window.go(f"/deliveries/{held['id']}/cancel")
    window.draw("delivery-cancel", look)
    window.go("/events")
    window.draw("events", look)
    window.go(f"/events/{delivered['event_id']}")
    window.draw("event", look)
    window.go("/events/new")
    window.draw("event-new", look)
    window.page.get_by_label("Data").fill('{"from": ')
    window.page.get_by_role("button", name="Publish", exact=True).click()
    window.page.locator("#problems").wait_for()
    window.draw("event-wrong", look)
    window.go(f"/deliveries?state=pending&type={kind}.paid")
    window.draw("deliveries-pending", look)
    window.page.get_by_role("link", name="Cancel all pending that match…").click()
    window.page.get_by_role("heading", name="Cancel").wait_for()
    window.draw("cancel-new", look)
    window.go(f"/replays/new?state=failed&type={kind}.paid")
    window.draw("replay-new", look)
    window.page.get_by_role("button", name="Replay 5 deliveries").click()
    expect(window.page.get_by_role("heading", name="Done")).to_be_visible()
    window.draw("replay", look)
    window.go(f"/replays/new?state=failed&type={kind}.none")
    window.draw("replay-nothing", look)
    window.go("/replays")
    window.draw("replays", look)
