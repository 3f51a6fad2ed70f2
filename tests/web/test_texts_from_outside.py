"""Whatever others typed is text: in every place of every page that shows it."""

import re
from urllib.parse import quote

import pytest

from postback.actions.callbacks import Callbacks
from postback.domain.deliveries import Verdict
from postback.domain.users import Role
from postback.domain.wire import Answered, Reason, Timings, Unreachable
from postback.web import shown
from tests.build import answered
from tests.web.happenings import attempt, publish
from tests.web.pages import Browser, Page, Portal

pytestmark = pytest.mark.anyio

CORPUS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title><svg onload=alert(1)>",
    "{{ 7*7 }}{% print 1 %}${7*7}",
    "javascript:alert(1)",
    "]]><!--<x>-->",
    "&lt;b&gt;&amp;",
    "abc\u202etxt.exe\u2066\u200b\ufeff",
]

DELIVERIES = "callback_url_for_deliveries"
CHOSEN = frozenset(
    {
        *("location_id", "resource", "format", "success_status", "preview_type", "payload", "naming"),
        *("xml_layout", "xml_content_type", "callback_payload", "callback_naming"),
    }
)


def nothing_came_alive(page: Page) -> None:
    assert "<script>alert" not in page.html
    assert "<img src=x" not in page.html
    assert "<svg onload" not in page.html
    for tag, attributes in page.read.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert not attributes.get("href", "").lower().startswith("javascript:"), tag
    # What would turn the text around it stands only where it is sent back: in the values of fields.
    outside_of_fields = re.sub(r'(value|data-copy)="[^"]*"|<textarea[^>]*>[^<]*</textarea>', "", page.html)
    assert not {"\u202e", "\u2066", "\u200b", "\ufeff"} & set(outside_of_fields)


@pytest.mark.parametrize("text", CORPUS)
async def test_names_and_searches_stay_text(portal: Portal, owner: Browser, text: str) -> None:
    location = await portal.location(name=text[:64], city=text)
    add = (await owner.get(f"/locations/{location}/contacts/add")).form(f"/locations/{location}/contacts/add")
    await owner.submit(add.fill(last_name=text[:64], first_name=text[:64]))
    other = await portal.location(name=text[:64])
    contact = f"/locations/{other}/contacts/{await portal.contact(other, last_name=text[:64])}"

    for path in (
        "/locations",
        f"/locations/{location}",
        f"/locations/{location}/settings",
        f"/locations/{location}/contacts/add",
        f"/locations/{location}/postbackconfigs",
        f"/locations/{location}/delete",
        *(contact, f"{contact}/delete"),
    ):
        page = await owner.get(path)
        assert page.status == 200
        nothing_came_alive(page)
        assert " ".join(shown.visible(text[:64]).split()) in page.text, path


@pytest.mark.parametrize("text", CORPUS)
async def test_a_form_that_is_shown_again_holds_exactly_what_was_typed(owner: Browser, text: str) -> None:
    form = (await owner.get("/locations/add")).form("/locations/add")

    page = await owner.submit(form.fill(name=text * 20, zip_code=text, city=text))

    assert page.status == 422
    nothing_came_alive(page)
    values = page.form("/locations/add").values
    assert (values["name"], values["zip_code"], values["city"]) == ([text * 20], [text], [text])


@pytest.mark.parametrize("text", CORPUS)
@pytest.mark.parametrize(
    "path", ["/postbackconfigs/add", "/postbackconfigs/{}/edit", "/callbacks", "/postbacksettings"]
)
async def test_every_field_of_a_postback_shows_what_was_typed_as_text(
    portal: Portal, owner: Browser, path: str, text: str
) -> None:
    config_id = await portal.config()
    path = path.format(config_id)
    form = (await owner.get(path)).form(path)
    typed = {name: text for name in form.values if name != "form_token"}

    for page in (await owner.submit(form.fill(**typed)), await owner.submit(form.fill(**typed).press("preview", "1"))):
        assert page.status in (200, 422)
        nothing_came_alive(page)
        for name, values in page.form(path).values.items():
            # What is chosen from a list cannot be anything else, and passwords are never shown again.
            assert name == "form_token" or values[-1:] in ([text], ["0"], [""], []) or name in CHOSEN, name


@pytest.mark.parametrize("text", CORPUS)
async def test_what_a_config_and_its_receiver_say_stays_text(portal: Portal, owner: Browser, text: str) -> None:
    location = await portal.location(name=text[:64])
    named = await portal.config(name=text, location_id=location, headers={"X-Customer": "<b>&\"'"})
    await portal.services.account_wide.change("default", Callbacks, {DELIVERIES: "http://127.0.0.1:9000/<b>%22"})
    config = f"/postbackconfigs/{named}"
    portal.api.sender.outcome = answered(500, body=text.encode())
    answer = await owner.submit((await owner.get(config)).form(f"{config}/test"))
    form = (await owner.get("/callbacks")).form("/callbacks")
    callback = await owner.submit(form.press("which", DELIVERIES).at("/callbacks/test"))

    for page in (answer, callback):
        assert page.status == 200
        assert " ".join(shown.visible(text).split()) in page.text
        nothing_came_alive(page)
    for path in (
        *(config, f"{config}/edit", f"{config}/delete", "/postbackconfigs", "/callbacks", "/postbacksettings"),
        f"/locations/{location}/postbackconfigs",
        f"/postbackconfigs/add?location_id={quote(text)}",
        f"/postbackconfigs?search={quote(text)}",
    ):
        page = await owner.get(path)
        assert page.status == 200
        nothing_came_alive(page)


@pytest.mark.parametrize("text", CORPUS)
async def test_what_is_sent_and_answered_stays_text(portal: Portal, owner: Browser, text: str) -> None:
    """Payloads, subjects, receivers' answers with their headers, and what is wrong with an attempt."""
    config_id = await portal.config(name=text, event_types=["*"], format="json")
    event_id = await publish(portal, "order.paid", {"said": text, text: 1}, subject=text)
    header = text.encode().replace(b"\n", b" ")
    refused = Answered(500, [(b"X-Said", header), (header, b"1")], text.encode(), Timings(total_ms=9))
    await attempt(portal, config_id, refused, Verdict.RETRY)
    portal.clock.pass_(seconds=1)
    await attempt(portal, config_id, Unreachable(Reason.TLS_ERROR, text, Timings(total_ms=9)), Verdict.FAILED)
    visible = " ".join(shown.visible(text).split())
    delivery = f"/deliveries/dlv_{event_id[4:]}{config_id[4:]}"

    for path in (delivery, f"/events/{event_id}", "/deliveries", "/events"):
        page = await owner.get(path)
        assert page.status == 200
        nothing_came_alive(page)
    assert (await owner.get(delivery)).text.count(visible) >= 4
    for path in (
        *(f"/deliveries?search={quote(text)}", f"/events?search={quote(text)}&type={quote(text)}"),
        *(f"/deliveries?location={quote(text)}&state={quote(text)}", f"/events?from={quote(text)}"),
        *(f"/events/new?type={quote(text)}", f"/replays/new?search={quote(text)}", f"/replays/new?type={quote(text)}"),
        *(f"/deliveries?cursor={quote(text)}", f"/live?watch={quote(text)}"),
    ):
        page = await owner.get(path)
        assert page.status in (200, 404, 422)
        nothing_came_alive(page)


@pytest.mark.parametrize("text", CORPUS)
async def test_what_is_published_by_hand_is_shown_again_as_it_was_typed(owner: Browser, text: str) -> None:
    form = (await owner.get("/events/new")).form("/events/new")

    page = await owner.submit(form.fill(type=text, subject=text, data=text))

    assert page.status == 422
    nothing_came_alive(page)
    values = page.form("/events/new").values
    assert (values["type"], values["subject"], values["data"]) == ([text], [text], [text])


@pytest.mark.parametrize("text", CORPUS)
async def test_what_is_said_of_names_and_browsers_stays_text(portal: Portal, owner: Browser, text: str) -> None:
    added = await owner.submit((await owner.get("/locations/add")).form("/locations/add").fill(name=text[:64]))
    said = await owner.follow(added)
    user = await portal.user(Role.VIEWER, email=f"{text}@example.com")
    agent = portal.browser()
    form = (await agent.get("/sign-in")).form("/sign-in").fill(email=text, password=text)

    nothing_came_alive(said)
    nothing_came_alive(await owner.get("/account/users"))
    nothing_came_alive(await (await portal.browser_of(user)).get("/account"))
    nothing_came_alive(await agent.submit(form))


def test_characters_that_cannot_be_seen_are_named() -> None:
    assert shown.visible("a\u202eb\x00c\x1b[0m") == "a⟨U+202E⟩b⟨U+0000⟩c⟨U+001B⟩[0m"
    assert shown.visible("Zoë 🙂 日本\nline") == "Zoë 🙂 日本\nline"


def test_long_texts_are_cut_in_the_middle() -> None:
    assert shown.middle_cut("https://example.com/a/very/long/path?with=query", 21) == "https://ex…with=query"
    assert shown.middle_cut("short") == "short"


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "now"),
        (-5_000, "in 5 s"),
        (59_000, "59 s ago"),
        (60_000, "1 min ago"),
        (7_200_000, "2 h ago"),
        (-3_599_000, "in 60 min"),
    ],
)
def test_times_are_told_from_now(ms: int, said: str) -> None:
    assert shown.ago(1_790_000_000_000 - ms, 1_790_000_000_000) == said


async def test_a_search_finds_parts_of_names_and_nothing_of_others(portal: Portal, owner: Browser) -> None:
    await portal.location(name="Main Street")
    await portal.location(name="Harbour 100%_\\")
    await portal.location("other", name="Main Street elsewhere")

    async def found(text: str) -> list[str]:
        page = await owner.get(f"/locations?search={text}")
        return [name for name in ("Main Street", "Harbour", "elsewhere") if name in page.text]

    assert await found("mAIN") == ["Main Street"]
    assert await found("100%25_") == ["Harbour"]
    assert await found("%25") == ["Harbour"]
    assert await found("nothing") == []
