"""Keys, accounts, the audit and the reference, in every look."""

from tests.browser.conftest import Windows
from tests.browser.looks import Look
from tests.live import Live


def test_pages_of_operators_are_drawn_without_a_complaint(windows: Windows, live: Live, look: Look) -> None:
    """Into the folder screenshots, as the others are."""
    window = windows.open(width=look.width, theme=look.theme)
    page = window.page
    origins = ["https://crm.example", "https://shop.example:8443"]
    limits = {"events_per_second": 50, "configs": 200}
    acme = {"account": {"name": "Acme <b>Ltd</b> \u202e", "limits": limits, "portal_origins": origins}}
    assert live.ask("PUT", "/v2/accounts/acme", acme).status in (200, 201)
    link = live.made("/v2/accounts/acme/portal-link", {"portal_link": {"name": "Ann of Acme"}})["url"]
    key = live.made("/v2/keys", {"key": {"name": "shop back end", "scopes": ["publish", "read"]}})
    assert live.ask("DELETE", "/v2/postbackconfigs/pbc_0000000000000", key=key["secret"]).status == 403
    config = live.config("http://127.0.0.1:9/receiver", "*", headers={"X-Api-Key": "s3cret"}, name="CRM")
    live.ask("PUT", f"/v2/postbackconfigs/{config}", {"postbackconfig": {"url": "http://127.0.0.1:9/elsewhere"}})

    def draw(name: str, path: str) -> None:
        window.go(path)
        window.draw(name, look)

    draw("portal-link-opens", link.removeprefix(live.url))
    window.sign_in()
    draw("keys", "/account/keys")
    draw("key-add", "/account/keys/add")
    page.get_by_label("Name").fill(f"a key of a picture, {look.name}")
    window.follow(page.get_by_role("button", name="Add API key"))
    window.draw("key-shown", look)
    window.go("/account/keys")
    window.follow(page.get_by_role("link", name=f"Revoke a key of a picture, {look.name}"))
    window.draw("key-revoke", look)
    page.get_by_role("button", name="Revoke API key").click()
    page.get_by_text("was revoked").wait_for()
    draw("audit", "/account/audit")
    draw("audit-nothing-found", "/account/audit?who=nobody")
    window.go("/account/audit?kind=postbackconfig.change")
    page.locator("summary", has_text="field").first.click()
    window.draw("audit-changed", look)
    draw("audit-refused", "/account/audit?kind=access.refuse")
    page.get_by_text("this key lacks the scope write").first.wait_for()
    draw("accounts", "/accounts")
    draw("account-add", "/accounts/add")
    draw("account-settings", "/accounts/acme/settings")
    draw("portal-link-add", "/accounts/acme/portal-link")
    window.follow(page.get_by_role("button", name="Make a portal link"))
    window.draw("portal-link-shown", look)
    window.go("/accounts/acme/settings")
    page.get_by_label("Portal origins").fill("crm.example/path")
    window.follow(page.get_by_role("button", name="Save"))
    window.draw("account-wrong", look)
    draw("reference", "/reference")
    draw("reference-nothing-found", "/reference?search=zzz")
    draw("reference-event", "/reference/events/mms.delivered")
    draw("reference-event-of-records", "/reference/events/contact.created")
    draw("reference-signatures", "/reference/signatures")
    window.go("/reference/api")
    window.draw("reference-api", look, full_page=False)
