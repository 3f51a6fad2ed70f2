"""Deliveries, events and replays, in every look."""

import re

from playwright.sync_api import expect

from tests.browser.arrivals import Arrivals
from tests.browser.conftest import Windows
from tests.browser.looks import Look
from tests.live import Live
from tests.ports import free_port


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
    [*_, retried] = live.ask("GET", f"/v2/deliveries?postbackconfig_id={waiting}").json["deliveries"]
    delivered = live.ask("GET", f"/v2/deliveries?state=delivered&event_type={kind}.paid").json["deliveries"][0]

    window.go(f"/deliveries?type={kind}.paid")
    window.draw("deliveries", look)
    window.go("/deliveries?state=failed&from=yesterday", 422)
    window.draw("deliveries-wrong", look)
    for name, one in (("delivered", delivered), ("failed", failed), ("retrying", retried)):
        window.go(f"/deliveries/{one['id']}")
        for summary in window.page.locator("main summary").all():
            summary.click()
        window.draw(f"delivery-{name}", look)
    window.go(f"/deliveries/{retried['id']}/cancel")
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
    window.go(f"/deliveries/{retried['id']}/cancel")
    window.page.get_by_role("main").get_by_role("button", name="Cancel").click()
    expect(window.page.get_by_role("status").get_by_text("Cancelled: no more attempts.")).to_be_visible()
    expect(window.page.locator(".story-state")).to_have_text("cancelled")
    window.draw("delivery-cancelled", look)
    window.go(f"/postbackconfigs/{waiting}")
    window.page.get_by_role("button", name="Pause").click()
    expect(window.page.get_by_text("What is owed is held until it is resumed")).to_be_visible()
    window.draw("config-paused", look)
    paused = live.ask("GET", f"/v2/deliveries?postbackconfig_id={waiting}&state=held").json["deliveries"]
    window.go(f"/deliveries/{paused[0]['id']}")
    expect(window.page.get_by_text("It is held: its postback config is paused.")).to_be_visible()
    # What is held is due at no time.
    expect(window.page.get_by_text(re.compile(r"\bDue\b"))).to_have_count(0)
    window.draw("delivery-held", look)
