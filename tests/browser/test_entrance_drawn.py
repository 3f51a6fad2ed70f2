"""The entrance and its links, what a role may not see, and pages of errors, in every look."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.looks import Look
from tests.browser.test_entrance import NEXT_PASSWORD, WEAK, link_shown, press
from tests.live import Live


def test_pages_of_links_are_drawn_without_a_complaint(windows: Windows, live: Live, look: Look) -> None:
    """By an owner who invites, and by the one who is invited."""
    owner, guest = (windows.open(width=look.width, theme=look.theme) for _ in range(2))
    email = f"{look.name}@example.com"
    guest.go("/sign-in")
    guest.page.get_by_label("Email").fill(email)
    guest.page.get_by_label("Password").fill(WEAK)
    press(guest.page, "Sign in")
    guest.page.get_by_role("alert").wait_for()
    guest.draw("sign-in-wrong", look)
    owner.sign_in()
    owner.go("/account/users/invite")
    owner.page.get_by_label("Email").fill("nobody")
    owner.page.get_by_label("Email").evaluate("field => { field.form.noValidate = true; }")
    press(owner.page, "Make the link")
    owner.page.locator("#f-email-wrong").wait_for()
    owner.draw("invitation-wrong", look)
    owner.page.get_by_label("Email").fill(email)
    press(owner.page, "Make the link")
    owner.draw("invitation", look)
    path = link_shown(owner.page)
    owner.go("/account/users")
    owner.draw("account-users-invited", look)

    guest.go(path)
    guest.draw("join", look)
    guest.page.get_by_label("Password").fill(WEAK)
    press(guest.page, "Join")
    guest.page.locator("#f-password-wrong").wait_for()
    guest.draw("join-wrong", look)
    guest.page.get_by_label("Password").fill(NEXT_PASSWORD)
    press(guest.page, "Join")
    guest.page.wait_for_url(f"{windows.url}/")
    guest.draw("overview-of-a-viewer", look)
    guest.meant |= {403}
    guest.go("/account/users", 403)
    guest.draw("forbidden", look)
    guest.go("/account/password")
    guest.page.get_by_label("Current password").fill("nonsense")
    guest.page.get_by_label("New password").fill(WEAK)
    press(guest.page, "Change password")
    guest.page.locator("#f-old_password-wrong").wait_for()
    guest.draw("account-password-wrong", look)
    guest.go(path, 404)
    guest.draw("link-used-up", look)

    owner.go("/account/users")
    owner.draw("account-users-joined", look)
    owner.follow(owner.page.get_by_role("row", name=email).get_by_role("button", name="Link to a new password"))
    owner.draw("password-link", look)
    path = link_shown(owner.page)
    guest.go(path)
    guest.draw("new-password", look)
    guest.page.get_by_label("Password").fill(WEAK)
    press(guest.page, "Set password")
    guest.page.locator("#f-password-wrong").wait_for()
    guest.draw("new-password-wrong", look)
    owner.go("/account/users")
    owner.page.get_by_role("row", name=email).get_by_role("button", name="Disable").click()
    expect(owner.page.get_by_text(f"{email} may not sign in any more.")).to_be_visible()
    owner.draw("account-users-disabled", look)


def test_what_a_portal_link_opens_is_drawn_without_a_complaint(windows: Windows, live: Live, look: Look) -> None:
    window = windows.open(width=look.width, theme=look.theme)
    link = live.made("/v2/accounts/default/portal-link", {"portal_link": {"name": "Ann of Acme", "role": "viewer"}})
    config = live.config("http://127.0.0.1:9/receiver", "sms.*", headers={"X-Api-Key": "s3cret"}, name="CRM")
    window.go(link["url"].removeprefix(live.url))
    press(window.page, "Open the portal")
    window.page.wait_for_url(f"{windows.url}/")
    window.draw("by-portal-link-overview", look)
    for name, path in {
        "config": f"/postbackconfigs/{config}",
        "callbacks": "/callbacks",
        "postback-settings": "/postbacksettings",
        "account": "/account",
    }.items():
        window.go(path)
        window.draw(f"by-portal-link-{name}", look)
    window.meant |= {403}
    window.go("/account/keys", 403)
    window.draw("by-portal-link-keys", look)
    window.go("/account")
    window.page.get_by_role("main").get_by_role("button", name="Sign out").click()
    window.page.get_by_role("heading", name="You are signed out").wait_for()
    window.draw("signed-out", look)


def test_pages_of_errors_are_drawn_without_a_complaint(windows: Windows, live: Live, look: Look) -> None:
    window = windows.open(width=look.width, theme=look.theme)
    window.meant |= {403, 405, 500}
    window.sign_in()
    window.go("/account/sessions/ses_1/end", 405)
    window.draw("wrong-method", look)
    window.go("/locations/add")
    window.page.get_by_label("Name").fill("Main Street")
    window.page.locator("main input[name=form_token]").evaluate("field => { field.value = 'of another session'; }")
    press(window.page, "Save")
    window.page.get_by_role("heading", name="This form is not from this page").wait_for()
    window.draw("foreign-form", look)
    with without_table(live, "replays"):
        window.go("/replays", 500)
        window.draw("broken", look)
    window.go("/replays")


@contextmanager
def without_table(live: Live, name: str) -> Iterator[None]:
    """As if somebody had been at the database: nothing that the product expects."""

    def rename(old: str, new: str) -> None:
        with closing(sqlite3.connect(live.folder / "postback.db")) as connection, connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename(name, f"{name}_away")
    try:
        yield
    finally:
        rename(f"{name}_away", name)


def test_the_page_of_the_first_user_is_drawn_without_a_complaint(windows: Windows, tmp_path: Path, look: Look) -> None:
    with Live(tmp_path) as empty:
        windows.url = empty.url
        window = windows.open(width=look.width, theme=look.theme)
        window.go("/sign-in")
        window.draw("sign-in-nobody-yet", look)
        window.go(empty.said[empty.said.index("/join/") :].split()[0])
        window.draw("first-user", look)
