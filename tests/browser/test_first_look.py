"""The portal in a real browser: signing in, and how every page looks."""

import signal
import time

from tests.browser.conftest import Windows
from tests.live import Live


def test_whoever_signs_in_sees_the_overview(windows: Windows) -> None:
    window = windows.open()

    window.sign_in()

    assert window.page.title() == "Overview · postback"
    assert window.page.get_by_role("heading", name="Four steps to a delivered postback").is_visible()


def test_it_works_without_scripts(windows: Windows) -> None:
    window = windows.open(scripts=False)
    page = window.page
    page.goto(window.url + "/locations/add")
    page.get_by_label("Email").fill("ann@example.com")
    page.get_by_label("Password").fill("five quiet otters juggle")
    window.follow(page.get_by_role("button", name="Sign in"))

    page.get_by_label("Name").fill("No Scripts Street")
    window.follow(page.get_by_role("button", name="Save"))

    assert page.get_by_role("heading", name="No Scripts Street").is_visible()
    assert page.get_by_role("button", name="Copy").count() == 0


def test_a_switch_of_the_theme_holds(windows: Windows) -> None:
    window = windows.open()
    window.sign_in()
    light = window.page.evaluate("getComputedStyle(document.body).backgroundColor")

    window.page.locator("summary", has_text="ann@example.com").click()
    window.follow(window.page.get_by_role("button", name="Dark"))
    window.go("/locations")

    assert window.page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_an_open_page_does_not_keep_the_server_from_ending(windows: Windows, live: Live) -> None:
    """A stream of events that nobody ends makes a server wait out its whole grace."""
    window = windows.open()
    window.sign_in()
    window.page.wait_for_timeout(300)

    began = time.monotonic()
    live.end(signal.SIGTERM)
    took_s = time.monotonic() - began
    live.start()

    assert took_s < 1.9
    window.page.close()
    window.complaints.clear()
