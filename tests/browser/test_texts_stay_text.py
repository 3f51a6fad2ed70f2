"""What others typed, sent and answered, in a real browser: nothing of it comes alive on any page, also where scripts put it."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from postback.web import shown
from tests.browser.conftest import Window, Windows
from tests.browser.test_all_pages import PAGES, path_of
from tests.live import Live
from tests.web.test_texts_from_outside import CORPUS

ALL = " ".join(CORPUS)
TYPE = "corpus.sent"

_ALIVE = """() => [
  ...document.querySelectorAll("script:not([src]), style, img[src='x'], svg[onload], b, [href^='javascript:' i]"),
  ...[...document.querySelectorAll("*")].filter((one) => one.getAttributeNames().some((name) => name.startsWith("on"))),
].map((one) => one.outerHTML.slice(0, 200))"""
"""What none of our pages has, and the corpus would make."""


class _Answer(BaseHTTPRequestHandler):
    """A receiver that says all of it, in the body and in a header."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(500)
        self.send_header("x-said", ALL.encode().decode("latin-1"))
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(ALL.encode())))
        self.end_headers()
        self.wfile.write(ALL.encode())

    def log_message(self, *_: object) -> None:
        """Nothing is said of a request."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answer) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/in"
        server.shutdown()


def happens(live: Live, location: str, text: str) -> str:
    event = {"type": TYPE, "subject": text, "location_id": location, "data": {"said": ALL, text: [text]}}
    return str(live.made("/v2/events", {"event": event})["id"])


@pytest.fixture(scope="module")
def ids(live: Live, receiver: str) -> dict[str, str]:
    """One of each kind for each of the texts; those of the last are shown on pages of their own."""
    found: dict[str, str] = {"event_type": "sms.delivered", "account": "acme"}
    headers = {"X-Said": '"><img src=x onerror=alert(1)> <script>alert(1)</script>'}
    for text in CORPUS:
        name = text[:64]
        location = live.made("/v2/locations", {"location": {"name": name, "city": text}})["id"]
        contact = {"location_id": location, "last_name": name, "first_name": name}
        found |= {
            "location_id": location,
            "contact_id": live.made("/v2/contacts", {"contact": contact})["id"],
            "config_id": live.config(
                receiver, TYPE, location_id=location, name=text, format="json", number_of_attempts=1, headers=headers
            ),
            "event_id": happens(live, location, text),
            "key_id": live.made("/v2/keys", {"key": {"name": name, "scopes": ["read"]}})["id"],
        }
        assert live.ask("PUT", "/v2/accounts/acme", {"account": {"name": name}}).status in (200, 201)
        live.made("/v2/accounts/acme/portal-link", {"portal_link": {"name": name}})
        live.made("/v2/accounts/default/portal-link", {"portal_link": {"name": name}})
    live.until_nothing_is_owed()
    replayed = live.made("/v2/deliveries/replay", {"filter": {"state": "failed", "since": "2999-01-01T00:00:00Z"}})
    return found | {
        "delivery_id": f"dlv_{found['event_id'][4:]}{found['config_id'][4:]}",
        "replay_id": replayed["id"],
    }


def nothing_came_alive(window: Window) -> None:
    assert window.page.evaluate(_ALIVE) == [], window.page.url
    window.watch()


def says(page: Page, texts: list[str]) -> list[str]:
    """Those that do not stand in the page as whoever sees it would read them."""
    read = re.sub(r"\s+", " ", page.locator("main").evaluate("main => main.textContent"))
    return [text for text in texts if re.sub(r"\s+", " ", shown.visible(text)) not in read]


def test_nothing_of_it_comes_alive_on_any_page(windows: Windows, ids: dict[str, str]) -> None:
    window = windows.open()
    page = window.page
    window.go("/sign-in")
    page.get_by_label("Email").evaluate("(field, text) => { field.type = 'text'; field.value = text; }", ALL[:200])
    page.get_by_label("Password").fill(ALL)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    nothing_came_alive(window)
    window.sign_in()
    last = CORPUS[-1]
    said = {
        "/locations": CORPUS,
        "/locations/{location_id}": [last],
        "/locations/{location_id}/settings": [last],
        "/postbackconfigs": CORPUS,
        "/postbackconfigs/{config_id}": [last],
        "/account/keys": CORPUS,
        "/account/audit": [last],
        "/events/{event_id}": [last, "<img src=x onerror=alert(1)>"],
        "/deliveries/{delivery_id}": CORPUS,
    }
    seen = set()

    for route in PAGES:
        window.go(path_of(route, ids))
        nothing_came_alive(window)
        page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")
        missing = says(page, said.get(route.path, []))
        assert missing == [], route.path
        seen.add(route.path)
    assert set(said) <= seen
    for path in ("/locations", "/postbackconfigs", "/deliveries", "/events", "/reference", "/account/audit"):
        window.go(f"{path}?search={quote(ALL)}")
        nothing_came_alive(window)
    window.go(f"/events/new?type={quote(ALL)}")
    nothing_came_alive(window)


def test_nor_where_scripts_put_it_into_a_page(windows: Windows, live: Live, ids: dict[str, str]) -> None:
    """What happens while one looks, previews, answers to a test, and what was typed into a form that is not right."""
    window = windows.open()
    window.sign_in()
    page = window.page
    for path in ("/deliveries", "/events", f"/deliveries?config={ids['config_id']}"):
        window.go(path)
        before = page.locator("tbody tr").count()
        happens(live, ids["location_id"], CORPUS[0])
        expect(page.locator("tbody tr")).to_have_count(before + 1)
        nothing_came_alive(window)
    live.until_nothing_is_owed()

    window.go(f"/postbackconfigs/{ids['config_id']}")
    page.get_by_role("button", name="Send test").click()
    page.get_by_text("alert(1)").first.wait_for()
    nothing_came_alive(window)

    window.go("/postbackconfigs/add")
    preview = page.locator("#preview")
    page.get_by_label("URL").fill(ALL)
    page.get_by_label("Event types").fill("\n".join(CORPUS))
    page.get_by_label("Format").select_option("xml")
    expect(preview).to_contain_text(re.compile(r"\S"))
    nothing_came_alive(window)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#problems")).to_be_visible()
    nothing_came_alive(window)
    expect(page.get_by_label("Event types")).to_have_value("\n".join(CORPUS))
