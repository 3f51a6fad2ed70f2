"""A real browser on a real server: Debian's chromium, through Playwright. Without one these tests are skipped."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, sync_playwright

from tests.browser.arrivals import Arrivals, taking
from tests.browser.looks import LOOKS, Look
from tests.live import Live

EMAIL = "ann@example.com"
PASSWORD = "five quiet otters juggle"
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_WATCH = """
window.reports = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.reports.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""

_TABLES_SCROLL = "[...document.querySelectorAll('.table')].some((one) => one.scrollWidth > one.clientWidth)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is not None:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason="there is no chromium here: apt-get install chromium"))


@dataclass
class Window:
    """A page in a browser, and everything that it complained of. `meant` are answers that a test is after."""

    page: Page
    url: str
    meant: set[int] = field(default_factory=lambda: {404, 422})
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str, status: int = 200) -> None:
        answer = self.page.goto(self.url + path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        self.watch()

    def follow(self, link: Locator) -> None:
        """To where a link or a button leads. Until that page has loaded, what is asked of the window meets the old one or none."""
        with self.page.expect_event("load"):
            link.click()

    def watch(self) -> None:
        """What the browser refused on this page, by our policy, is a complaint too."""
        self.complaints += self.page.evaluate("window.reports")

    def hindrances(self) -> list[str]:
        """What axe finds that keeps people from using the page as it stands, serious or worse."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['html'][:160]}: {node['failureSummary']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def draw(self, name: str, look: Look, *, full_page: bool = True) -> None:
        """The page as it stands, which must have no hindrance, into the folder screenshots, for whoever changes something to look at."""
        overflow = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert overflow <= 0, f"{name} is {overflow} pixels wider than the window"
        # Where there is little room they scroll within themselves.
        assert look.is_narrow or not self.page.evaluate(_TABLES_SCROLL), f"a table of {name} does not fit"
        if look.is_inspected and full_page:
            assert self.hindrances() == [], name
        # What stays in sight while one scrolls stands where a page begins.
        self.page.evaluate("window.scrollTo(0, 0)")
        self.page.screenshot(path=SCREENSHOTS / f"{name}-{look.name}.png", full_page=full_page)

    def sign_in(self) -> None:
        self.go("/sign-in")
        self.page.get_by_label("Email").fill(EMAIL)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.url + "/")
        self.watch()


@dataclass
class Windows:
    """Opens windows; all of them must stay without complaints."""

    browser: Browser
    url: str
    opened: list[Window] = field(default_factory=list)

    def open(
        self,
        *,
        width: int = 1280,
        height: int = 900,
        theme: str = "light",
        scripts: bool = True,
        like: Window | None = None,
    ) -> Window:
        """With the cookies of another window, where one is named."""
        context: BrowserContext = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            java_script_enabled=scripts,
            storage_state=None if like is None else like.page.context.storage_state(),
        )
        if scripts:
            context.add_init_script(_WATCH)
        window = Window(context.new_page(), self.url)
        window.page.on("console", lambda message: _note(window, message))
        window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
        window.page.on("dialog", lambda dialog: _refuse(window, dialog))
        self.opened.append(window)
        return window


def _refuse(window: Window, dialog: Dialog) -> None:
    """No page of ours asks in one."""
    window.complaints.append(f"a dialog: {dialog.message}")
    dialog.dismiss()


def _note(window: Window, message: ConsoleMessage) -> None:
    # It says so, too, of answers that are meant to be errors: a form that is not right yet, a page that is not there.
    refused = re.search(r"Failed to load resource.*status of (\d+)", message.text)
    is_meant = refused is not None and int(refused[1]) in window.meant
    if message.type == "error" and not is_meant:
        window.complaints.append(message.text)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root there is no sandbox to be had.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with one user, ann, an owner of the platform."""
    folder = tmp_path_factory.mktemp("portal")
    with Live(folder, POSTBACK_OWNER_EMAIL=EMAIL, POSTBACK_OWNER_PASSWORD=PASSWORD) as live:
        yield live


@pytest.fixture
def windows(chromium: Browser, live: Live) -> Iterator[Windows]:
    windows = Windows(chromium, live.url)
    yield windows
    complaints = [complaint for window in windows.opened for complaint in window.complaints]
    for window in windows.opened:
        window.page.context.close()
    assert complaints == []


@pytest.fixture
def arrivals() -> Iterator[Arrivals]:
    with taking() as arrivals:
        yield arrivals


@pytest.fixture(params=LOOKS, ids=lambda look: look.name)
def look(request: pytest.FixtureRequest) -> Look:
    """The test is made in every look of the portal."""
    assert isinstance(request.param, Look)
    return request.param
