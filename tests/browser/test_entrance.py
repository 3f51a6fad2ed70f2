"""The forms that let people in: what each says of a mistake, and that the right answer then goes through."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import EMAIL, PASSWORD, Window, Windows

NEXT_PASSWORD = "seven slow badgers argue"
WEAK = "password1234"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def link_shown(page: Page) -> str:
    """The path of the link that stands in the page this once."""
    found = re.search(r"https?://[^/\s]+(/\S+)", page.get_by_role("region", name="The link").inner_text())
    assert found is not None
    return found[1]


def says_wrong(page: Page, name: str) -> None:
    """Beside the field, which is empty again: no page ever shows a password."""
    expect(page.locator(f"#f-{name}")).to_have_attribute("aria-invalid", "true")
    expect(page.locator(f"#f-{name}-wrong")).to_be_visible()
    expect(page.locator(f"#f-{name}")).to_have_value("")


def invited(owner: Window, email: str) -> str:
    owner.go("/account/users/invite")
    owner.page.get_by_label("Email").fill(email)
    press(owner.page, "Make the link")
    return link_shown(owner.page)


@pytest.fixture
def owner(windows: Windows) -> Window:
    window = windows.open()
    window.sign_in()
    return window


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_wrong_password_is_said_and_the_email_and_the_way_are_kept(windows: Windows, scripts: bool) -> None:
    page = windows.open(scripts=scripts).page
    page.goto(f"{windows.url}/callbacks")
    for email in (EMAIL, "nobody@example.com"):
        page.get_by_label("Email").fill(email)
        page.get_by_label("Password").fill("not what it is")
        press(page, "Sign in")
        expect(page.get_by_role("alert")).to_have_text("The email or the password is not right.")
        expect(page.get_by_label("Email")).to_have_value(email)
        expect(page.get_by_label("Password")).to_have_value("")

    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Sign in")

    expect(page.get_by_role("heading", name="Callbacks")).to_be_visible()


def test_whoever_is_invited_is_told_of_a_weak_password_and_joins_with_a_better_one(
    windows: Windows, owner: Window
) -> None:
    path = invited(owner, "bea@example.com")
    guest = windows.open()
    page = guest.page
    guest.go(path)
    page.get_by_label("Password").fill(WEAK)
    press(page, "Join")

    says_wrong(page, "password")
    expect(page.get_by_label("Email")).to_have_value("bea@example.com")
    assert guest.hindrances() == []
    page.get_by_label("Password").fill(NEXT_PASSWORD)
    press(page, "Join")

    page.wait_for_url(f"{windows.url}/")
    expect(page.get_by_text("bea@example.com").first).to_be_visible()
    guest.go(path, 404)
    expect(page.get_by_role("heading", name="This link does not open anything")).to_be_visible()


def test_a_new_password_is_set_by_a_link_once_it_is_good_enough(windows: Windows, owner: Window) -> None:
    guest = windows.open()
    guest.go(invited(owner, "cat@example.com"))
    guest.page.get_by_label("Password").fill(PASSWORD)
    press(guest.page, "Join")
    guest.page.wait_for_url(f"{windows.url}/")
    owner.go("/account/users")
    owner.page.get_by_role("row", name="cat@example.com").get_by_role("button", name="Link to a new password").click()
    path = link_shown(owner.page)

    page = windows.open().page
    page.goto(windows.url + path)
    page.get_by_label("Password").fill(WEAK)
    press(page, "Set password")
    says_wrong(page, "password")
    page.get_by_label("Password").fill(NEXT_PASSWORD)
    press(page, "Set password")

    page.wait_for_url(f"{windows.url}/")
    # And all that the old one had opened is over.
    guest.go("/account")
    expect(guest.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_ones_own_password_is_changed_by_whoever_knows_the_current_one(windows: Windows, owner: Window) -> None:
    guest = windows.open()
    guest.go(invited(owner, "dot@example.com"))
    page = guest.page
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Join")
    page.wait_for_url(f"{windows.url}/")
    guest.go("/account/password")
    for current, following, wrong in (("nonsense", NEXT_PASSWORD, "old_password"), (PASSWORD, WEAK, "new_password")):
        page.get_by_label("Current password").fill(current)
        page.get_by_label("New password").fill(following)
        press(page, "Change password")
        says_wrong(page, wrong)
        # In the words that stand at the field.
        label = page.locator(f"label[for=f-{wrong}]").inner_text().removesuffix(" required")
        expect(page.locator("#problems").get_by_role("link", name=label, exact=True)).to_be_visible()
    assert guest.hindrances() == []
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill(NEXT_PASSWORD)
    press(page, "Change password")

    expect(page.get_by_text("The password was changed; all other sessions have ended.")).to_be_visible()
