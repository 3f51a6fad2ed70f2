"""From the link that the first start prints to a delivered postback, with only what the screen says: docs/start.md.

    PICTURES=1 python3 run.py test tests/browser/test_start.py

draws the pictures of that page anew into docs/images/; those of the README are of test_pictures.py.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from postback.domain import trial
from tests.browser.arrivals import Arrivals
from tests.browser.conftest import EMAIL, PASSWORD, Windows
from tests.live import Live

ROOT = Path(__file__).parents[2]
START = ROOT / "docs" / "start.md"
IMAGES = ROOT / "docs" / "images"
BYTES_MOST = 150_000
WIDTH, HEIGHT = 1100, 720

_SAY_INSTEAD = """(there) => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) walk.currentNode.data = walk.currentNode.data.replaceAll(there[0], there[1]);
  for (const field of document.querySelectorAll("input")) field.value = field.value.replaceAll(there[0], there[1]);
}"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that nobody has used yet."""
    with Live(tmp_path_factory.mktemp("start")) as live:
        yield live


class Reader:
    """Goes by what docs/start.md says, step by step: all that is in bold type there is pressed, in this order, and nothing else."""

    def __init__(self, page: Page, arrivals: Arrivals) -> None:
        self.page = page
        self._arrivals = arrivals
        text = START.read_text("utf-8")
        self._pressed = iter(re.findall(r"\*\*(.+?)\*\*", text))
        self._seen = iter(re.findall(r"\(images/(.+?)\.png\)", text))

    def press(self, role: str, name: str) -> None:
        said = next(self._pressed, None)
        assert said == name, f"docs/start.md says to press {said} here"
        self.page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]
        self.page.wait_for_load_state()

    def see(self, name: str) -> None:
        """The page as a picture, which the text shows here."""
        shown = next(self._seen, None)
        assert shown == name, f"docs/start.md shows {shown} here"
        assert (IMAGES / f"{name}.png").exists() or os.environ.get("PICTURES"), "draw it: PICTURES=1"
        draw(self.page, name, self._arrivals)


def draw(page: Page, name: str, arrivals: Arrivals, height: int = HEIGHT) -> None:
    """Into docs/images, where PICTURES says so; the receiver is the one that the guides have, at a port that all know."""
    if not os.environ.get("PICTURES"):
        return
    page.evaluate(_SAY_INSTEAD, [arrivals.url, trial.RECEIVER_URL])
    page.set_viewport_size({"width": WIDTH, "height": height})
    page.evaluate("document.activeElement?.blur()")
    page.screenshot(path=IMAGES / f"{name}.png")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.evaluate(_SAY_INSTEAD, [trial.RECEIVER_URL, arrivals.url])


def test_a_stranger_comes_from_the_printed_link_to_a_delivered_postback(
    windows: Windows, live: Live, arrivals: Arrivals
) -> None:
    link = re.search(r"Become the first user of the portal: open this in a browser[^\n]*\n +(http://\S+)", live.said)
    assert link is not None
    window = windows.open(width=WIDTH, height=HEIGHT)
    page = window.page
    reader = Reader(page, arrivals)

    window.go(link[1].removeprefix(live.url))
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill("password1234")
    page.get_by_role("button", name="Make this user").click()
    expect(page.locator("#f-password-wrong")).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    reader.see("start-first-user")
    reader.press("button", "Make this user")
    page.wait_for_url(live.url + "/")
    reader.see("start-overview")

    reader.press("link", "Add Postback")
    page.get_by_label("URL").fill(arrivals.url)
    expect(page.locator("#preview")).to_contain_text("type=CREATE")
    reader.see("start-add-postback")
    reader.press("button", "Save")
    expect(page.get_by_text("The postback was added.")).to_be_visible()
    reader.press("button", "Send test")
    expect(page.get_by_text("The receiver acknowledged it.")).to_be_visible()
    reader.see("start-tested")

    reader.press("link", "add a contact")
    page.get_by_label("Last name").fill("Jones")
    reader.press("button", "Save")
    live.until(lambda: len(arrivals.bodies) == 2)
    live.until_nothing_is_owed()
    expect(page.get_by_text("and Deliveries shows how")).to_be_visible()
    reader.press("link", "Deliveries")
    page.locator("tbody").get_by_role("link", name="contact.created").first.click()
    expect(page.get_by_role("main").get_by_text("delivered", exact=True).first).to_be_visible()
    reader.see("start-delivered")
    reader.press("link", "Overview")
    expect(page.get_by_text("Four steps to a delivered postback")).to_be_hidden()
    assert "Jones" in arrivals.bodies[-1]


def test_the_first_link_is_good_once(windows: Windows, live: Live) -> None:
    """After the story above: what it printed leads nowhere any more, and says what to do."""
    link = re.search(r"/join/\S+", live.said)
    assert link is not None
    window = windows.open()

    window.go(link[0], 404)
    window.complaints.clear()
    window.go("/sign-in")

    expect(window.page.get_by_text("There is no user yet")).to_be_hidden()


def test_no_picture_is_too_large() -> None:
    sizes = {path.name: path.stat().st_size for path in IMAGES.glob("*.png")}

    assert {name: size for name, size in sizes.items() if size > BYTES_MOST} == {}
