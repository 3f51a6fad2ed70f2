"""What goes wrong is a page in the same look, which tells what to do and nothing that is nobody's business."""

import re
from pathlib import Path
from typing import Any

import pytest

from postback.domain.errors import Unavailable
from tests.doubles import ClockDouble
from tests.web.pages import PASSWORD, Browser, Page, Portal, open_portal

pytestmark = pytest.mark.anyio


def is_a_page(page: Page) -> None:
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>" in page.html
    assert "Traceback" not in page.html
    assert "To the start page" in page.text


def failing(error: Exception) -> Any:
    async def fail(*_: object, **__: object) -> None:
        raise error

    return fail


async def test_a_bug_tells_an_id_and_the_log_tells_the_rest(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(portal.api.services.records, "list", failing(RuntimeError("a secret of the inside")))

    page = await owner.get("/locations")

    is_a_page(page)
    assert page.status == 500
    assert "a secret of the inside" not in page.html
    found = re.search(r"<code>([0-9a-f]{16})</code>", page.html)
    assert found
    assert found[1] in caplog.text


@pytest.mark.parametrize("kind", ["join", "new-password", "portal"])
async def test_what_lets_somebody_in_is_not_in_the_log(
    portal: Portal, stranger: Browser, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The address of a link is its secret."""
    monkeypatch.setattr(type(portal.services.users), "open_link", failing(RuntimeError("a bug")))

    page = await stranger.get(f"/{kind}/a-token-that-lets-in")

    assert page.status == 500
    assert f"GET /{kind}/***" in caplog.text
    assert "a-token-that-lets-in" not in caplog.text


async def test_a_store_that_cannot_be_read_is_a_503_and_lets_nobody_in(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portal.sessions, "by_token", failing(Unavailable("the disk is full", 7)))
    monkeypatch.setattr(portal.services.sessions.sessions, "by_token", failing(Unavailable("the disk is full", 7)))

    page = await owner.get("/locations")

    is_a_page(page)
    assert (page.status, page.headers["retry-after"]) == (503, "7")
    assert "Add Location" not in page.text


async def test_a_form_that_is_too_long_is_a_413(owner: Browser) -> None:
    page = await owner.send("POST", "/locations/add", b"name=" + b"x" * (300 << 10))

    is_a_page(page)
    assert (page.status, page.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"name=%ff", b"&".join(b"a=1" for _ in range(600))])
async def test_a_form_that_cannot_be_read_is_a_400(owner: Browser, body: bytes) -> None:
    page = await owner.send("POST", "/locations/add", body)

    is_a_page(page)
    assert page.status == 400


@pytest.mark.parametrize(
    "path", ["/nowhere", "/locations/", "/locations/loc_x/", "/%00", "/static", "/v3", "/locations/%2e%2e/account"]
)
async def test_what_is_not_there_is_a_404_with_the_menu(owner: Browser, path: str) -> None:
    page = await owner.get(path)

    is_a_page(page)
    assert page.status == 404
    assert "Locations" in page.links


async def test_strange_numbers_of_pages_are_the_first_or_an_empty_one(portal: Portal, owner: Browser) -> None:
    await portal.location()

    for number in ("0", "-1", "x", "²", "9" * 40, ""):
        assert "Main Street" in (await owner.get(f"/locations?page={number}")).text
    assert (await owner.get("/locations?page=99999")).status == 200


async def test_without_encryption_cookies_are_plain_and_the_entrance_says_so(
    tmp_path: Path, clock: ClockDouble
) -> None:
    portal = await open_portal(tmp_path, clock, public_url="http://127.0.0.1:8080")
    user, browser = await portal.user(), portal.browser()
    entrance = await browser.get("/sign-in")

    page = await browser.submit(entrance.form().fill(email=user.email, password=PASSWORD))

    assert "not encrypted" in entrance.text
    assert "strict-transport-security" not in page.headers
    [cookie] = [cookie for cookie in page.cookies if cookie.startswith("session=")]
    assert "Secure" not in cookie
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert (await browser.get("/")).status == 200
    await portal.api.store.close()


async def test_with_encryption_the_entrance_warns_of_nothing(stranger: Browser) -> None:
    assert "not encrypted" not in (await stranger.get("/sign-in")).text
