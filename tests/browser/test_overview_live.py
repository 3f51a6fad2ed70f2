"""The overview in a real browser: it goes on by itself, and takes nothing away from whoever looks at it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.arrivals import Arrivals, taking
from tests.browser.conftest import Window, Windows
from tests.browser.looks import Look
from tests.live import Live

ONCE = {"format": "json", "number_of_attempts": 1}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Arrivals]:
    with taking() as arrivals:
        yield arrivals


@pytest.fixture(scope="module")
def busy(live: Live, receiver: Arrivals) -> Live:
    """With a receiver that takes everything, and one that nobody answers at."""
    live.config(receiver.url, "taken.*", name="Takes everything", **ONCE)
    live.config("http://127.0.0.1:9/nobody", "refused.*", name="Nobody at home", **ONCE)
    live.publish("taken.first")
    live.publish("refused.first")
    live.until_nothing_is_owed()
    return live


def opened(windows: Windows, **how: object) -> Window:
    window = windows.open(**how)  # type: ignore[arg-type]
    window.sign_in()
    return window


def figure(page: Page, key: str) -> Locator:
    return page.locator(f'[data-figure="{key}"]')


def count(page: Page, key: str) -> int:
    return int(figure(page, key).inner_text().replace(",", ""))


def test_figures_and_the_chart_go_on_while_they_are_looked_at(windows: Windows, busy: Live) -> None:
    page = opened(windows).page
    before = count(page, "delivered")

    for number in range(3):
        busy.publish(f"taken.{number}")

    expect(figure(page, "delivered")).to_have_text(str(before + 3), timeout=8_000)
    label = page.locator("svg.chart:visible").get_attribute("aria-label") or ""
    assert f"{before + 3} delivered" in label


def test_nothing_is_taken_away_by_it(windows: Windows, busy: Live) -> None:
    """What is open stays open, what has the focus keeps it, and what is the same stays the same node."""
    page = opened(windows).page
    page.get_by_text("The chart as a table").click()
    page.get_by_role("link", name="Show deliveries: Connection refused").focus()
    page.evaluate("window.mine = document.querySelector('[data-figure=failed]')")
    before = count(page, "failed")

    busy.publish("refused.again")

    expect(figure(page, "failed")).to_have_text(str(before + 1), timeout=8_000)
    expect(page.get_by_role("region", name="Deliveries per minute, as a table")).to_be_visible()
    expect(page.get_by_role("link", name="Show deliveries: Connection refused")).to_be_focused()
    assert page.evaluate("window.mine === document.querySelector('[data-figure=failed]')")


def test_a_new_cause_comes_by_itself(windows: Windows, busy: Live, receiver: Arrivals) -> None:
    page = opened(windows).page
    assert page.get_by_role("rowheader", name="TLS failed").count() == 0
    busy.config(receiver.url.replace("http:", "https:"), "sealed.*", **ONCE)

    busy.publish("sealed.first")

    expect(page.get_by_role("rowheader", name="TLS failed")).to_be_visible(timeout=15_000)


def test_the_tables_behind_are_reached_with_the_keyboard(windows: Windows, busy: Live) -> None:
    window = opened(windows)
    page = window.page
    summary = page.locator("summary", has_text="The chart as a table")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")

    expect(page.get_by_role("region", name="Deliveries per minute, as a table")).to_be_focused()
    assert window.hindrances() == []


def test_spans_are_chosen_without_scripts(windows: Windows, busy: Live) -> None:
    page = windows.open(scripts=False, like=opened(windows)).page
    page.goto(busy.url + "/")

    page.get_by_role("link", name="7 days").click()

    expect(page.get_by_role("heading", name="Deliveries per 2 hours")).to_be_visible()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    assert page.locator("svg.chart:visible").count() == 1


def test_it_is_drawn_in_every_theme_and_width(windows: Windows, busy: Live, look: Look) -> None:
    window = opened(windows, width=look.width, theme=look.theme)
    page = window.page
    for span in ("hour", "day", "week"):
        window.go(f"/?span={span}")
        assert page.locator("svg.chart:visible").count() == 1
        window.draw(f"overview-{span}", look)
    for summary in page.locator(".numbers > summary").all():
        summary.click()
    window.draw("overview-tables", look)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colours_of_the_chart_stand_out_from_the_sheet(windows: Windows, busy: Live, theme: str) -> None:
    """By 3 to 1 at least, as drawings have to."""
    page = opened(windows, theme=theme).page
    sheet = luminance(page.locator("section.card").first.evaluate("one => getComputedStyle(one).backgroundColor"))

    for kind in ("good", "warn", "bad"):
        fill = page.locator(f"svg .ink.{kind}").first.evaluate("one => getComputedStyle(one).fill")
        lighter, darker = sorted((luminance(fill), sheet), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, (kind, fill)


def luminance(colour: str) -> float:
    """As WCAG reckons it, of `rgb(…)`."""
    red, green, blue = (int(one) / 255 for one in re.findall(r"\d+", colour)[:3])
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
