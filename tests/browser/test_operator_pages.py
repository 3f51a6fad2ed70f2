"""Keys, accounts, the audit and the reference in a real browser, and the portal in the frames of others."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM
from threading import Thread

from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, Window, Windows
from tests.browser.looks import LOOKS
from tests.live import Live
from tests.patience import PATIENCE_S


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """The origin of a site that has the files of this folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def framing(folder: Path, address: str) -> str:
    """The name of a page that shows this address in a frame."""
    page = f'<!doctype html><title>CRM</title><link rel="icon" href="data:,"><iframe src="{address}" width=900 height=700></iframe>'
    (folder / "crm.html").write_text(page)
    return "/crm.html"


def portal_link(live: Live, **fields: object) -> str:
    return str(live.made("/v2/accounts/default/portal-link", {"portal_link": {"name": "Ann of Acme", **fields}})["url"])


def test_a_key_is_shown_once_and_works(windows: Windows, live: Live) -> None:
    window = windows.open()
    window.sign_in()
    page = window.page
    window.go("/account/keys/add")
    page.get_by_label("Name").fill("shop back end")
    page.get_by_label("read:").check()
    window.follow(page.get_by_role("button", name="Add API key"))
    secret = page.get_by_role("region", name="The API key").inner_text().strip()
    window.follow(page.get_by_role("link", name="To the API keys"))

    assert re.fullmatch(r"pbk_[0-9a-z]{39}", secret)
    assert live.ask("GET", "/v2/events", key=secret).status == 200
    assert page.get_by_role("row", name="shop back end").is_visible()
    assert secret not in page.content()
    page.get_by_role("link", name="Revoke shop back end").click()
    page.get_by_role("button", name="Revoke API key").click()
    page.get_by_text("The API key shop back end was revoked.").wait_for()
    live.until(lambda: live.ask("GET", "/v2/events", key=secret).status == 401)
    window.watch()


def test_the_portal_opens_in_a_frame_of_an_origin_that_is_named_and_in_no_other(
    windows: Windows, live: Live, tmp_path: Path
) -> None:
    live.made("/v2/locations", {"location": {"name": "Acme Street"}})
    with site(tmp_path) as named, site(tmp_path) as other:
        account = {"account": {"portal_origins": [named]}}
        assert live.ask("PUT", "/v2/accounts/default", account).status == 200

        allowed = windows.open()
        allowed.page.goto(named + framing(tmp_path, portal_link(live)))
        frame = allowed.page.frame_locator("iframe")
        frame.get_by_role("button", name="Open the portal").click()
        frame.get_by_role("link", name="Locations").first.click()
        frame.get_by_role("link", name="Acme Street").first.wait_for()
        assert allowed.page.url.startswith(named)
        frame.locator("summary", has_text="Ann of Acme").click()
        frame.get_by_role("button", name="Sign out").click()
        frame.get_by_role("heading", name="You are signed out").wait_for()

        refused = windows.open()
        refused.page.goto(other + framing(tmp_path, portal_link(live)))
        until_refused(refused)
        assert refused.page.frame_locator("iframe").get_by_role("button", name="Open the portal").count() == 0
        # That the browser says so is what is wanted.
        refused.complaints.clear()


def test_the_portal_of_a_user_is_in_no_frame(windows: Windows, live: Live, tmp_path: Path) -> None:
    with site(tmp_path) as named:
        assert live.ask("PUT", "/v2/accounts/default", {"account": {"portal_origins": [named]}}).status == 200
        window = windows.open()
        window.sign_in()

        window.page.goto(named + framing(tmp_path, f"{live.url}/locations"))

        until_refused(window)
        window.complaints.clear()


def until_refused(window: Window) -> None:
    """The browser says why it shows nothing there."""
    end = time.monotonic() + PATIENCE_S
    while not any("frame-ancestors" in said for said in window.complaints):
        assert time.monotonic() < end, window.complaints
        window.page.wait_for_timeout(20)


def test_the_password_is_asked_for_again_after_a_while(windows: Windows, live: Live) -> None:
    """And what was typed before is done at once."""
    window = windows.open()
    window.sign_in()
    page = window.page
    window.go("/account/keys/add")
    page.get_by_label("Name").fill("after a while")
    sessions_are_old(live)
    page.get_by_role("button", name="Add API key").click()
    page.get_by_role("heading", name="Your password, please").wait_for()
    page.get_by_label("Password of").fill("not what it is")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#f-proof-wrong")).to_contain_text("Is not your password")
    expect(page.get_by_label("Password of")).to_have_value("")
    page.get_by_label("Password of").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()

    page.get_by_text("it is shown this once").wait_for()
    window.go("/account/keys")
    expect(page.get_by_role("row", name="after a while")).to_have_count(1)
    window.watch()


def test_asking_for_the_password_again_is_drawn_in_every_look(windows: Windows, live: Live) -> None:
    window = windows.open()
    window.sign_in()
    # The overview would ask for its stream while the server is away.
    window.go("/account")
    sessions_are_old(live)

    for look in LOOKS:
        asked = windows.open(width=look.width, theme=look.theme, like=window)
        asked.go("/account/users/invite")
        asked.page.get_by_label("Email").fill("eve@example.com")
        asked.page.get_by_role("button", name="Make the link").click()
        asked.page.get_by_role("heading", name="Your password, please").wait_for()
        asked.draw("password-again", look)
        asked.watch()


def sessions_are_old(live: Live) -> None:
    """As if everybody had signed in eleven minutes ago."""
    live.end(SIGTERM)
    with closing(sqlite3.connect(live.folder / "postback.db")) as connection, connection:
        connection.execute("UPDATE sessions SET created_ms = created_ms - 660000")
    live.start()
