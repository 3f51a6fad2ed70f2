"""Server-sent events: what a page hears, and when its stream ends."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request

from postback.domain.errors import Unavailable
from postback.domain.jobs import JobKind
from postback.domain.users import IDLE_MS, Role
from postback.ports import LogFilter
from postback.web import live
from postback.web.visit import Visit
from postback.web.watched import SECTIONS, Section
from tests.web.happenings import attempt, publish
from tests.web.pages import OPERATOR, OTHER, Browser, Portal

pytestmark = pytest.mark.anyio


async def a_visit(portal: Portal, browser: Browser, query: str = "") -> Visit:
    token = browser.jar["__Host-session"]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/live",
        "headers": [],
        "query_string": query.encode(),
    }
    session = await portal.services.sessions.resume(token)
    return Visit(portal.services, Request(scope), session, token)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.001)


async def test_a_page_gets_the_section_that_it_follows_whenever_it_is_another(
    portal: Portal, owner: Browser, quick: None
) -> None:
    config_id = await portal.config()
    event_id = await publish(portal)
    visit = await a_visit(portal, owner, f"watch=event&id={event_id}")
    stream = live.events(visit, SECTIONS["event"])

    first = [await anext(stream) for _ in range(3)]
    portal.clock.pass_(seconds=30)
    later = await anext(stream)
    await attempt(portal, config_id)
    after = await anext(stream)
    await stream.aclose()

    assert first[1].startswith("event: section\ndata: ")
    assert "pending" in json.loads(first[1].partition("data: ")[2])
    # That time goes by is nothing new: pages keep it themselves.
    assert (first[2], later) == (": still here\n\n",) * 2
    assert "1 delivered" in json.loads(after.partition("data: ")[2])
    assert "\n" not in after.removesuffix("\n\n").partition("data: ")[2]


@pytest.mark.parametrize("name", list(SECTIONS))
async def test_each_section_is_the_one_of_its_page(portal: Portal, owner: Browser, name: str) -> None:
    config_id = await portal.config()
    event_id = await publish(portal)
    delivery_id = f"dlv_{event_id[4:]}{config_id[4:]}"
    job = await portal.services.replays.start("default", JobKind.REPLAY, LogFilter(event_type="sms.received"))
    paths = {
        "overview": "/",
        "event": f"/events/{event_id}",
        "delivery": f"/deliveries/{delivery_id}",
        "replay": f"/replays/{job.id}",
    }

    page = await owner.get(paths.get(name, f"/{name}"))
    [follows] = [known["data-follow"] for _, known in page.read.tags if "data-follow" in known]
    stream = live.events(await a_visit(portal, owner, follows.partition("?")[2]), SECTIONS[name])
    await anext(stream)
    section = json.loads((await anext(stream)).partition("data: ")[2])
    await stream.aclose()

    assert follows.startswith(f"/live?watch={name}")
    shown = page.html.partition("data-section>")[2]
    assert shown.startswith(section)


async def test_what_is_not_there_cannot_be_followed(portal: Portal, owner: Browser) -> None:
    await portal.config(OTHER)
    of_other = await publish(portal, account=OTHER)

    for query in (
        "",
        "watch=everything",
        "watch=event&id=evt_0000000000000",
        f"watch=event&id={of_other}",
        "watch=replay",
    ):
        assert (await owner.get(f"/live?{query}")).status == 404


async def test_a_stream_ends_with_the_server(portal: Portal, owner: Browser) -> None:
    stream = live.events(await a_visit(portal, owner), SECTIONS["overview"])
    await anext(stream)
    await anext(stream)

    portal.services.stopping.set()

    async with asyncio.timeout(1):
        assert [event async for event in stream] == []


async def test_a_stream_ends_with_its_session_and_keeps_none_alive(portal: Portal, owner: Browser, quick: None) -> None:
    stream = live.events(await a_visit(portal, owner), SECTIONS["overview"])
    await anext(stream)
    portal.clock.pass_(ms=IDLE_MS)

    async with asyncio.timeout(5):
        events = [event async for event in stream]

    assert len(events) < 20


async def test_there_are_so_many_streams_and_no_more(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAMS_MAX", 0)

    with pytest.raises(Unavailable):
        await live.stream(await a_visit(portal, owner, "watch=overview"))

    assert (await owner.get("/live?watch=overview")).headers["retry-after"] == "30"


async def test_nobody_keeps_all_others_from_their_streams(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "OF_ONE_MAX", 2)
    streams = [live.events(await a_visit(portal, owner), SECTIONS["overview"]) for _ in range(2)]
    for stream in streams:
        await anext(stream)

    with pytest.raises(Unavailable):
        await live.stream(await a_visit(portal, owner, "watch=overview"))
    await live.stream(await a_visit(portal, await portal.signed_in(), "watch=overview"))
    for stream in streams:
        await stream.aclose()

    await live.stream(await a_visit(portal, owner, "watch=overview"))


@pytest.mark.parametrize(
    ("took_s", "streams", "expected"),
    [(0.01, 1, live.EVERY_S), (0.01, 40, live.EVERY_S), (0.01, 400, 20.0), (1.0, 10, 50.0), (5.0, 500, live.SELDOM_S)],
)
def test_the_more_streams_there_are_and_the_longer_a_look_takes_the_more_seldom_each_looks(
    took_s: float, streams: int, expected: float
) -> None:
    """All together would keep deliveries waiting otherwise: their pages are drawn where deliveries are carried out."""
    assert live.pause_s(took_s, streams) == pytest.approx(expected)


async def test_what_happens_after_a_session_was_ended_is_not_sent_any_more(portal: Portal, quick: None) -> None:
    link = await portal.portal_link(OTHER)
    guest = portal.browser()
    path = f"/portal/{link.token}"
    await guest.submit((await guest.get(path)).form(path))
    config_id = await portal.config(OTHER)
    stream = live.events(await a_visit(portal, guest, "watch=deliveries"), SECTIONS["deliveries"])
    await anext(stream)
    await anext(stream)

    await portal.services.portal_links.revoke(OPERATOR, OTHER, link.link.id)
    await publish(portal, account=OTHER)

    async with asyncio.timeout(5):
        rest = [event async for event in stream]
    assert [event for event in rest if event.startswith("event:")] == []
    assert (await portal.stored(config_id, OTHER)).account == OTHER


async def test_whoever_may_see_less_from_now_on_gets_the_page_anew(portal: Portal, quick: None) -> None:
    """What is sensitive would go on to be shown otherwise."""
    await portal.user()
    user = await portal.user(Role.EDITOR)
    stream = live.events(
        await a_visit(portal, await portal.browser_of(user), "watch=deliveries"), SECTIONS["deliveries"]
    )
    await anext(stream)
    await anext(stream)

    await portal.users.change(replace(user, role=Role.VIEWER))
    await portal.config()
    await publish(portal)

    async with asyncio.timeout(5):
        assert [event async for event in stream if event.startswith("event:")] == []


async def test_while_the_store_cannot_be_read_nothing_is_new_and_the_stream_goes_on(
    portal: Portal, owner: Browser, quick: None
) -> None:
    is_down = False

    async def section(visit: Visit) -> str:
        if is_down:
            raise Unavailable("the store cannot be read now")
        return "<p>here</p>"

    stream = live.events(await a_visit(portal, owner), Section(section))
    first = [await anext(stream) for _ in range(2)]
    is_down = True
    down = [await anext(stream) for _ in range(2)]
    await stream.aclose()

    assert first[1].startswith("event: section")
    assert down == [": still here\n\n"] * 2
