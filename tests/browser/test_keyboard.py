"""With the keyboard alone: everything can be reached, and one always sees where one is."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.arrivals import Arrivals
from tests.browser.conftest import EMAIL, PASSWORD, Windows
from tests.live import Live

TABS_MOST = 60
"""Whoever needs more of them to come to something on a page does not come to it."""

_WHERE = """() => {
  const here = document.activeElement;
  const box = here.getBoundingClientRect();
  const style = getComputedStyle(here);
  const said = here.labels?.[0]?.innerText ?? here.getAttribute("aria-label") ?? here.innerText ?? "";
  return {
    tag: here.tagName, said: said.trim(), type: here.type ?? "",
    is_marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    is_in_view: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
  };
}"""


class Hands:
    """They know Tab, Enter and Space, and type."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def come_to(self, said: str, *tags: str) -> None:
        """Tab until what has the focus says this in its first line; each stop on the way is marked and in view."""
        passed = []
        for _ in range(TABS_MOST):
            self.page.keyboard.press("Tab")
            here: dict[str, Any] = self.page.evaluate(_WHERE)
            # From the last of a page one comes to the browser itself, and then to the first.
            if here["tag"] != "BODY":
                assert here["is_marked"], f"nothing shows that the focus is at {here}"
                assert here["is_in_view"], f"the focus is out of sight: {here}"
            if here["said"].split("\n")[0] == said and (not tags or here["tag"] in tags):
                return
            passed.append(here["said"].split("\n")[0] or here["tag"])
        pytest.fail(f"{said!r} is not reached with {TABS_MOST} tabs; there are {passed}")

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def press(self, key: str) -> None:
        """Enter or Space, on what has the focus."""
        self.page.keyboard.press(key)

    def follow(self, said: str) -> None:
        address = self.page.url
        self.come_to(said, "A")
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(_other_than(address))

    def push(self, said: str) -> None:
        """A button that sends a form, with the space bar."""
        self.come_to(said, "BUTTON")
        with self.page.expect_event("load"):
            self.press("Space")


def _other_than(address: str) -> Callable[[str], bool]:
    return lambda url: url != address


def test_from_signing_in_to_a_saved_postback_with_the_keyboard_alone(
    windows: Windows, live: Live, arrivals: Arrivals
) -> None:
    window = windows.open()
    page = window.page
    hands = Hands(page)
    page.goto(live.url + "/")

    expect(page.get_by_label("Email")).to_be_focused()
    hands.type(EMAIL)
    hands.come_to("Password")
    hands.type(PASSWORD)
    hands.press("Enter")
    page.wait_for_url(live.url + "/")

    hands.follow("Skip to the content")
    hands.follow("Locations")
    hands.follow("Add Location")
    hands.come_to("Name required")
    hands.type("Keyboard Street")
    hands.push("Save")
    expect(page.get_by_role("heading", name="Keyboard Street")).to_be_visible()

    hands.follow("Settings")
    hands.follow("Postback config")
    hands.follow("Add Postback")
    hands.come_to("URL required", "INPUT")
    hands.type(arrivals.url)
    hands.come_to("On delete")
    hands.press("Space")
    hands.come_to("Number of attempts")
    hands.type("3")
    hands.come_to("Attempt interval")
    hands.type("300")
    hands.come_to("Name and headers", "SUMMARY")
    hands.press("Enter")
    hands.come_to("Name", "INPUT")
    hands.type("By keyboard")
    hands.push("Save")

    expect(page.get_by_text("The postback was added.")).to_be_visible()
    expect(page.get_by_text("contact: create, update")).to_be_visible()
    expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()
    hands.push("Send test")
    expect(page.get_by_text("The receiver acknowledged it.")).to_be_visible()


def test_menus_open_and_close_with_the_keyboard(windows: Windows) -> None:
    window = windows.open(width=390)
    window.sign_in()
    hands = Hands(window.page)

    hands.come_to("Menu", "SUMMARY")
    hands.press("Space")
    hands.follow("Callbacks")
    hands.come_to("Signed in as", "SUMMARY")
    hands.press("Enter")
    hands.push("Dark")

    expect(window.page.get_by_role("heading", name="Callbacks")).to_be_visible()
    assert window.page.evaluate("document.documentElement.dataset.theme") == "dark"
