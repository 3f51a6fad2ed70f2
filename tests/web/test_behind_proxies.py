"""The portal behind a proxy: by whose address tries to sign in are counted, and over what its cookies go."""

from pathlib import Path

import pytest

from postback.bootstrap.proxies import behind
from postback.settings.values import proxies
from tests.doubles import ClockDouble
from tests.web.pages import PASSWORD, Browser, Page, Portal, open_portal

pytestmark = pytest.mark.anyio

PROXY = "10.0.0.1"


async def sign_in(browser: Browser, email: str, password: str = PASSWORD, **headers: str) -> Page:
    page = await browser.get("/sign-in", **headers)
    return await browser.submit(page.form("/sign-in").fill(email=email, password=password), **headers)


def from_(address: str) -> dict[str, str]:
    return {"x_forwarded_for": address}


@pytest.fixture
def proxied(portal: Portal) -> Portal:
    portal.app = behind(portal.app, proxies("10.0.0.0/8"))
    return portal


async def test_the_audit_and_the_sessions_have_the_address_behind_the_proxy(proxied: Portal) -> None:
    user = await proxied.user()
    browser = proxied.browser(peer=PROXY)

    await sign_in(browser, user.email, **from_("198.51.100.7"))

    [session] = await proxied.sessions.list(user.id)
    assert session.address == "198.51.100.7"
    [entry] = (await proxied.api.client.get("/v2/audit?action=session.create")).json["audit"]
    assert entry["address"] == "198.51.100.7"


async def test_nobody_who_is_no_proxy_is_believed(proxied: Portal) -> None:
    user = await proxied.user()
    browser = proxied.browser(peer="203.0.113.9")

    await sign_in(browser, user.email, **from_("198.51.100.7"))

    [session] = await proxied.sessions.list(user.id)
    assert session.address == "203.0.113.9"


async def test_who_tries_too_often_is_stopped_and_not_all_who_come_through_the_proxy(proxied: Portal) -> None:
    user = await proxied.user()
    attacker = proxied.browser(peer=PROXY)
    tries = 0
    while (await sign_in(attacker, f"{tries}@example.com", "wrong", **from_("203.0.113.9"))).status == 422:
        tries += 1

    # Thirty at once, and some more that came again meanwhile.
    assert 30 <= tries < 60
    # What the attacker adds at the front changes nothing.
    assert (await sign_in(attacker, "x@example.com", "wrong", **from_("192.0.2.1, 203.0.113.9"))).status == 429
    assert (await sign_in(proxied.browser(peer=PROXY), user.email, **from_("198.51.100.7"))).status == 303


async def test_cookies_are_bound_to_encryption_where_the_proxy_says_that_there_is_some(
    tmp_path: Path, clock: ClockDouble
) -> None:
    portal = await open_portal(tmp_path, clock, public_url="http://postback.internal:8080")
    portal.app = behind(portal.app, proxies("10.0.0.0/8"))
    user = await portal.user()

    plain = await sign_in(portal.browser(peer=PROXY), user.email)
    encrypted = await sign_in(portal.browser(peer=PROXY), user.email, x_forwarded_proto="https")
    claimed = await sign_in(portal.browser(peer="203.0.113.9"), user.email, x_forwarded_proto="https")

    def session_of(page: Page) -> set[str]:
        [cookie] = [cookie for cookie in page.cookies if "session=" in cookie]
        return {cookie.partition("=")[0], *cookie.split("; ")[1:]}

    assert {"__Host-session", "Secure"} <= session_of(encrypted)
    assert encrypted.headers["strict-transport-security"]
    for page in (plain, claimed):
        assert "session" in session_of(page)
        assert "Secure" not in session_of(page)
        assert "strict-transport-security" not in page.headers
    assert "not encrypted" in (await portal.browser(peer=PROXY).get("/sign-in")).text
    assert "not encrypted" not in (await portal.browser(peer=PROXY).get("/sign-in", x_forwarded_proto="https")).text
    await portal.api.store.close()
