"""The reference: what it shows of events is what is sent, and its lines for receivers work as they stand."""

import time
from typing import Any
from urllib.parse import quote

import pytest

from postback.domain.catalog import CATALOG, SAYABLE
from postback.domain.event_types import Layout
from postback.domain.users import Role
from postback.formats import FORMATS
from postback.formats.signing import new_secret, sign
from postback.web.reference_shown import VERIFYING, VERIFYING_WITH_TOOLKIT, WAYS, examples
from tests.web.pages import Browser, Portal
from tests.web.test_texts_from_outside import CORPUS, nothing_came_alive

pytestmark = pytest.mark.anyio

NOW_MS = 1_790_000_000_000
BODY = b'{"type":"sms.delivered","data":{"to":"12025550143"}}'


def signed(secret: str, *, at: int | None = None, body: bytes = BODY) -> dict[str, str]:
    sent_at = int(time.time()) if at is None else at
    return {
        "webhook-id": "evt_38fwet5n40000",
        "webhook-timestamp": str(sent_at),
        "webhook-signature": sign([secret], "evt_38fwet5n40000", sent_at, body),
    }


@pytest.fixture(scope="module")
def is_from_us() -> Any:
    """The function that the page shows, run as it stands there."""
    names: dict[str, Any] = {}
    exec(VERIFYING, names)
    return names["is_from_us"]


async def test_the_catalog_is_listed_and_narrowed(owner: Browser) -> None:
    every = await owner.get("/reference")
    callbacks = await owner.get("/reference?format=sms-callback")
    passes = await owner.get("/reference?search=PASS.")

    assert set(CATALOG) <= set(every.links)
    assert set(CATALOG) & set(callbacks.links) == SAYABLE["sms-callback"]
    assert set(CATALOG) & set(passes.links) == {name for name in CATALOG if name.startswith("pass.")}
    assert "Nothing found" in (await owner.get("/reference?search=zzz")).text
    assert (await owner.get("/reference?format=nonsense")).status == 200


@pytest.mark.parametrize("name", CATALOG)
async def test_every_event_has_a_page_with_its_body_in_every_format_that_can_say_it(owner: Browser, name: str) -> None:
    page = await owner.get(f"/reference/events/{name}")

    assert page.status == 200
    for example in examples("default", name, NOW_MS):
        assert example.way.name in page.text
        assert example.body.content_type in page.text
    nothing_came_alive(page)


@pytest.mark.parametrize("name", CATALOG)
def test_every_body_is_read_back_as_the_event_that_it_is_of(name: str) -> None:
    """The bodies are those of the formats themselves."""
    for example in examples("default", name, NOW_MS):
        parsed = FORMATS[example.way.format].parse(example.body.body.encode(), example.body.content_type)
        assert parsed.type == name, example.way.name


def test_no_format_and_no_layout_is_left_out() -> None:
    assert {way.format for way in WAYS} == set(FORMATS)
    assert {way.options["xml_layout"] for way in WAYS if "xml_layout" in way.options} == set(Layout)
    every = {example.body.body for example in examples("default", "sms.delivered", NOW_MS)}
    assert len(every) == len(WAYS)


async def test_the_page_shows_what_a_test_sends(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(format="xml", xml_content_type="form", event_types=["sms.delivered"])
    form = (await owner.get(f"/postbackconfigs/{config_id}")).form(f"/postbackconfigs/{config_id}/test")

    await owner.submit(form.press("event_type", "sms.delivered"))

    [sent] = portal.api.sender.sent
    page = await owner.get("/reference/events/sms.delivered")
    assert sent.body.decode().replace("&", "&amp;") in page.html


async def test_what_is_no_event_of_the_catalog_has_no_page(owner: Browser) -> None:
    assert (await owner.get("/reference/events/a.b")).status == 404


@pytest.mark.parametrize("text", CORPUS)
async def test_what_is_searched_for_stays_text(owner: Browser, text: str) -> None:
    page = await owner.get(f"/reference?search={quote(text)}&format={quote(text)}")

    assert page.status == 200
    nothing_came_alive(page)


async def test_the_lines_for_receivers_stand_on_the_page(portal: Portal) -> None:
    viewer = await portal.signed_in(Role.VIEWER)

    page = await viewer.get("/reference/signatures")

    for line in (*VERIFYING.splitlines(), *VERIFYING_WITH_TOOLKIT.splitlines()):
        assert " ".join(line.split()) in page.text


def test_they_take_what_we_signed(is_from_us: Any) -> None:
    secret, other = new_secret(), new_secret()

    assert is_from_us(BODY, signed(secret), secret)
    both = signed(secret) | {
        "webhook-signature": f"{signed(other)['webhook-signature']} {signed(secret)['webhook-signature']}"
    }
    assert is_from_us(BODY, both, secret)


def test_they_refuse_all_else(is_from_us: Any) -> None:
    secret, now = new_secret(), int(time.time())

    assert not is_from_us(BODY + b" ", signed(secret), secret)
    assert not is_from_us(BODY, signed(secret), new_secret())
    assert not is_from_us(BODY, signed(secret, at=now - 310), secret)
    assert not is_from_us(BODY, signed(secret, at=now + 310), secret)
    assert not is_from_us(BODY, signed(secret) | {"webhook-timestamp": "soon"}, secret)
    assert not is_from_us(BODY, signed(secret) | {"webhook-id": "evt_other"}, secret)
    for signature in ("", "v1,", "v1,é", "v2," + signed(secret)["webhook-signature"][3:]):
        assert not is_from_us(BODY, signed(secret) | {"webhook-signature": signature}, secret)


def test_so_do_the_lines_with_the_toolkit(capsys: pytest.CaptureFixture[str]) -> None:
    secret = new_secret()
    names: dict[str, Any] = {"body": BODY, "headers": signed(secret), "secret": secret}
    exec(VERIFYING_WITH_TOOLKIT, names)
    assert names["event_id"] == "evt_38fwet5n40000"

    exec(VERIFYING_WITH_TOOLKIT, names | {"body": BODY + b" "})
    assert capsys.readouterr().out


async def test_the_reference_of_the_api_is_there_for_whoever_is_signed_in(portal: Portal, owner: Browser) -> None:
    page = await owner.get("/reference/api")

    stylesheets = [known["href"] for tag, known in page.read.tags if tag == "link"]
    assert "/v2/postbackconfigs" in page.text
    assert "Make a link that opens the account's portal once" in page.text
    [stylesheet] = stylesheets
    style = await portal.browser().get(stylesheet)
    other = await portal.browser().get("/reference/api/0000/api.css")
    assert ("immutable" in style.headers["cache-control"], other.headers["cache-control"]) == (True, "no-store")
    assert style.headers["content-type"].startswith("text/css")
    assert b"{" in style.body


async def test_the_reference_of_the_api_leads_back_to_the_portal(portal: Portal, owner: Browser) -> None:
    """Only as a page of the portal: at /docs there may be none."""
    page = await owner.get("/reference/api")
    docs = await portal.api.client.get("/docs")

    assert page.links["← Back to the portal"] == "/reference"
    assert (await owner.get("/reference")).status == 200
    assert docs.status == 200
    assert "Back to the portal" not in docs.body.decode()
