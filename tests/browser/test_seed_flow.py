"""What the documents tell people to do, as a person does it in a browser, until the postback has arrived."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.arrivals import Arrivals
from tests.browser.conftest import EMAIL, PASSWORD, Windows
from tests.live import Live


def choose(page: Page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).select_option(value)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_postback_is_added_tested_and_delivered(
    windows: Windows, live: Live, arrivals: Arrivals, scripts: bool
) -> None:
    name = "Harbour Road" if scripts else "Station Road"
    live.made("/v2/locations", {"location": {"name": name}})
    page = windows.open(scripts=scripts).page

    page.goto(live.url + "/")
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("navigation", name="Menu").get_by_role("link", name="Locations").click()
    page.get_by_role("searchbox").fill(name)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=name).click()
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_role("link", name="Postback config").last.click()
    page.get_by_role("link", name="Add Postback").first.click()
    page.get_by_label("URL").fill(arrivals.url)
    choose(page, "Resource", "contact")
    page.get_by_label("On delete").uncheck()
    page.get_by_label("Number of attempts").fill("3")
    page.get_by_label("Attempt interval").fill("300")
    page.get_by_label("Basic auth username").fill("ann")
    page.get_by_label("Basic auth password").fill("opensesame")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The postback was added.")).to_be_visible()
    expect(page.get_by_text("contact: create, update")).to_be_visible()

    page.get_by_role("button", name="Send test").click()
    expect(page.get_by_text("The receiver acknowledged it.")).to_be_visible()
    assert [body.partition("&data=")[0] for body in arrivals.bodies] == [
        "type=CREATE&resource=contact&number_of_attempts=1"
    ]

    page.get_by_role("link", name=name).last.click()
    page.get_by_role("link", name="Add Contact").first.click()
    page.get_by_label("Last name").fill("Jones")
    page.get_by_role("button", name="Save").click()
    live.until_nothing_is_owed()

    assert "Jones" in arrivals.bodies[-1]
    assert len(arrivals.bodies) == 2


def test_the_body_is_shown_as_the_format_is_chosen(windows: Windows) -> None:
    window = windows.open()
    window.sign_in()
    window.go("/postbackconfigs/add")
    page = window.page
    preview = page.locator("#preview")
    page.get_by_label("Event types").fill("sms.received")

    choose(page, "Format", "xml")
    expect(preview).to_contain_text("<POSTBACK>")
    assert page.get_by_label("Layout").is_visible()
    assert not page.get_by_label("Payload").is_visible()

    choose(page, "Format", "sms-callback")
    expect(preview).to_contain_text('"number":"+12025550166"')
    choose(page, "Payload", "form")
    expect(preview).to_contain_text("number=")
    assert page.get_by_label("URL").input_value() == ""


def test_a_mistake_is_said_beside_its_field_and_nothing_typed_is_lost(windows: Windows) -> None:
    window = windows.open()
    window.sign_in()
    window.go("/postbackconfigs/add")
    page = window.page
    page.get_by_label("URL").fill("nonsense")
    page.get_by_label("Event types").fill("sms.*")
    page.get_by_text("Limits").click()
    page.get_by_label("Deliveries a second").fill("fast")
    page.get_by_role("button", name="Save").click()

    expect(page.locator("#problems")).to_be_focused()
    for label, typed in (("URL", "nonsense"), ("Deliveries a second", "fast")):
        field = page.get_by_label(label)
        expect(field).to_have_value(typed)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_visible()
    assert window.hindrances() == []


def test_callbacks_are_set_and_tested(windows: Windows, arrivals: Arrivals) -> None:
    window = windows.open()
    window.sign_in()
    page = window.page
    page.get_by_role("navigation", name="Menu").get_by_role("link", name="Callbacks").click()
    for label in ("Deliveries URL", "Inbounds URL", "Blacklisted numbers URL"):
        page.get_by_label(label).fill(arrivals.url)
    choose(page, "Payload", "form")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved")).to_be_visible()

    for label in ("Deliveries URL", "Inbounds URL", "Blacklisted numbers URL"):
        page.get_by_role("button", name=re.compile(f"Test {label}")).click()
        expect(page.get_by_text("The receiver acknowledged it.")).to_be_visible()

    assert len(arrivals.bodies) == 3
    expect(page.get_by_text("The last 3 kept the rule.")).to_be_visible()
