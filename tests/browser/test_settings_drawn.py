"""Signing in, locations, postback configs and the account, in every look."""

from tests.browser.conftest import Windows
from tests.browser.looks import Look
from tests.live import Live


def test_every_page_is_drawn_without_a_complaint(windows: Windows, live: Live, look: Look) -> None:
    """Into the folder screenshots, for whoever has changed something to look at."""
    window = windows.open(width=look.width, theme=look.theme)
    location = live.made("/v2/locations", {"location": {"name": "Main Street \u202eteertS", "city": "Springfield"}})[
        "id"
    ]
    contact = live.made(
        "/v2/contacts", {"contact": {"last_name": "Jones", "email": "jones@example.com", "location_id": location}}
    )["id"]
    empty = live.made("/v2/locations", {"location": {"name": "Closed Street"}})["id"]
    config = live.config("http://127.0.0.1:9/receiver?very=long&path=of-a-receiver", "contact.*", location_id=location)
    signed = live.config(
        "http://127.0.0.1:9/all", "*", format="json", headers={"X-Api-Key": "s3cret", "X-Customer": "17"}
    )
    urls = ("deliveries", "inbounds", "blacklisted_numbers")
    callbacks = {f"callback_url_for_{name}": f"http://127.0.0.1:9/{name}" for name in urls}
    assert live.ask("PUT", "/v2/callbacks", {"callbacks": callbacks}).status == 200

    def draw(name: str, path: str, status: int = 200) -> None:
        window.go(path, status)
        window.draw(name, look)

    draw("sign-in", "/sign-in")
    window.sign_in()
    draw("overview", "/")
    draw("locations", "/locations")
    draw("locations-nothing-found", "/locations?search=zzz")
    draw("location-add", "/locations/add")
    draw("location-contacts", f"/locations/{location}")
    draw("contact-add", f"/locations/{location}/contacts/add")
    draw("contact", f"/locations/{location}/contacts/{contact}")
    draw("contact-delete", f"/locations/{location}/contacts/{contact}/delete")
    draw("location-settings", f"/locations/{location}/settings")
    draw("location-configs", f"/locations/{location}/postbackconfigs")
    draw("location-kept", f"/locations/{location}/delete")
    draw("location-delete", f"/locations/{empty}/delete")
    draw("configs", "/postbackconfigs")
    draw("config-add", f"/postbackconfigs/add?location_id={location}")
    draw("config", f"/postbackconfigs/{config}")
    window.page.get_by_role("button", name="Send test").click()
    window.page.get_by_text("There was no answer").wait_for()
    window.draw("config-tested", look)
    draw("config-edit", f"/postbackconfigs/{config}/edit")
    draw("config-signed", f"/postbackconfigs/{signed}")
    window.page.get_by_role("button", name="Rotate the signing secret").click()
    window.page.get_by_text("it is shown this once").wait_for()
    window.draw("config-secret", look)
    draw("config-signed-edit", f"/postbackconfigs/{signed}/edit")
    window.page.get_by_label("URL").fill("http://127.0.0.1:10/elsewhere")
    window.page.get_by_label("Number of attempts").fill("99")
    window.follow(window.page.get_by_role("button", name="Save"))
    window.draw("config-wrong", look)
    draw("config-delete", f"/postbackconfigs/{config}/delete")
    draw("callbacks", "/callbacks")
    draw("postback-settings", "/postbacksettings")
    draw("account", "/account")
    draw("account-password", "/account/password")
    draw("account-users", "/account/users")
    draw("account-invite", "/account/users/invite")
    draw("accounts", "/accounts")
    window.page.get_by_text("ann@example.com").first.click()
    window.draw("menus", look, full_page=False)
    window.go("/locations/add")
    window.page.locator("#f-name").evaluate("field => field.removeAttribute('maxlength')")
    window.page.get_by_label("Name").fill("A name that is by far longer than sixty-four characters can ever be")
    window.follow(window.page.get_by_role("button", name="Save"))
    window.draw("form-wrong", look)
    draw("not-found", "/nowhere", 404)
