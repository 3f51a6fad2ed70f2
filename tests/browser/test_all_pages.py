"""Every page of the table of routes in a real browser, and what each form says of a mistake."""

import re
from typing import NamedTuple

import pytest
from playwright.sync_api import expect

from postback.web.door import Route
from postback.web.routes import ROUTES
from tests.browser.conftest import Windows
from tests.live import Live
from tests.ports import free_port

NO_PAGES = ("/live",)
"""What a page asks for by itself."""

PAGES = [
    route
    for route in ROUTES
    if route.method == "GET" and route.needs is not None and not route.path.startswith(NO_PAGES)
]
NAME = "\u202e<b>Harbour</b> Road"


@pytest.fixture(scope="module")
def ids(live: Live) -> dict[str, str]:
    """One of each thing that pages are about, with a name from outside; its delivery has failed."""
    location = live.made("/v2/locations", {"location": {"name": NAME}})["id"]
    contact = {"location_id": location, "last_name": NAME, "first_name": NAME}
    config = live.config(
        f"http://127.0.0.1:{free_port()}/in", "all.pages", location_id=location, name=NAME, number_of_attempts=1
    )
    event = live.made(
        "/v2/events", {"event": {"type": "all.pages", "location_id": location, "data": {"name": NAME, "n": "x" * 400}}}
    )["id"]
    live.until_nothing_is_owed()
    [delivery] = live.deliveries()
    return {
        "location_id": location,
        "contact_id": live.made("/v2/contacts", {"contact": contact})["id"],
        "config_id": config,
        "event_id": event,
        "delivery_id": delivery["id"],
        "replay_id": live.made(
            "/v2/deliveries/replay", {"filter": {"state": "failed", "since": "2999-01-01T00:00:00Z"}}
        )["id"],
        "key_id": live.made("/v2/keys", {"key": {"name": "all pages", "scopes": ["read"]}})["id"],
        "event_type": "sms.delivered",
        "account": "default",
    }


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)], ids=["light wide", "dark narrow"])
def test_no_page_of_the_table_has_a_hindrance_or_scrolls_sideways(
    windows: Windows, ids: dict[str, str], theme: str, width: int
) -> None:
    """And none says anything to the console, or breaks the policy: `windows` sees to that."""
    window = windows.open(width=width, theme=theme)
    window.sign_in()
    wrong = []

    for route in PAGES:
        window.go(path_of(route, ids))
        overflow = window.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        wrong += [f"{route.path}: {overflow} pixels too wide"] if overflow > 0 else []
        # What depends on theme and width is looked at where each page is drawn.
        wrong += [f"{route.path}: {one}" for one in (window.hindrances() if theme == "light" else ())]

    assert wrong == []
    assert len(PAGES) > 35


def path_of(route: Route, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], route.path)


class Mistake(NamedTuple):
    """What is typed into which fields of which form, by their labels, and the field that is then said to be wrong."""

    path: str
    typed: dict[str, str]
    wrong: str
    button: str = "Save"


MISTAKES = [
    Mistake("/locations/add", {"Name": "n" * 65}, "name"),
    Mistake("/locations/{location_id}/contacts/add", {"Last name": "n" * 65}, "last_name"),
    Mistake("/locations/{location_id}/contacts/{contact_id}", {"Last name": ""}, "last_name"),
    Mistake("/locations/{location_id}/settings", {"Name": ""}, "name"),
    Mistake("/postbackconfigs/add", {"URL": "ftp://example.com"}, "url"),
    Mistake("/postbackconfigs/{config_id}/edit", {"Number of attempts": "99"}, "number_of_attempts"),
    Mistake("/callbacks", {"Deliveries URL": "nonsense"}, "callback_url_for_deliveries"),
    Mistake("/postbacksettings", {"Pass Postback URL": "nonsense"}, "pass_postback_url"),
    Mistake("/events/new", {"Data": "{"}, "data", "Publish"),
    Mistake("/account/users/invite", {"Email": "nobody"}, "email", "Make the link"),
    Mistake("/account/keys/add", {"Name": ""}, "name", "Add API key"),
    Mistake("/accounts/add", {"Id": "not an id"}, "id", "Add account"),
    Mistake("/accounts/{account}/settings", {"Portal origins": "nonsense"}, "portal_origins"),
    Mistake("/accounts/{account}/portal-link", {"For": "n" * 101}, "name", "Make a portal link"),
]


def test_every_form_says_what_is_wrong_beside_its_field_and_keeps_what_was_typed(
    windows: Windows, ids: dict[str, str]
) -> None:
    window = windows.open()
    window.sign_in()
    page = window.page

    for mistake in MISTAKES:
        window.go(mistake.path.format(**ids))
        for label, text in mistake.typed.items():
            field = page.get_by_role("main").get_by_label(label).first
            # What the browser would not even send has to be answered as well.
            field.evaluate("field => { field.removeAttribute('maxlength'); field.form.noValidate = true; }")
            field.fill(text)
        page.get_by_role("main").get_by_role("button", name=mistake.button, exact=True).click()

        field = page.locator(f"#f-{mistake.wrong}")
        expect(field, mistake.path).to_have_attribute("aria-invalid", "true")
        expect(page.locator(f"#f-{mistake.wrong}-wrong"), mistake.path).to_be_visible()
        for label, text in mistake.typed.items():
            expect(page.get_by_role("main").get_by_label(label).first, mistake.path).to_have_value(text)
        window.watch()
