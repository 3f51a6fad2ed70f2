"""Server-sent events: what a page hears, and when its stream ends."""

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request

from postback.domain.errors import Unavailable
from postback.domain.jobs import JobKind
from postback.domain.users import IDLE_MS
from postback.ports import LogFilter
from postback.web import live
from postback.web.visit import Visit
from postback.web.watched import SECTIONS
from tests.web.happenings import attempt, publish
from tests.web.pages import OTHER, Browser, Portal

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


async def unavailable(*_: object) -> None:
    raise Unavailable("the store does not answer")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.001)
    monkeypatch.setattr(live, "RESTS", 0)


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


async def test_a_stream_outlasts_a_store_that_does_not_answer(
    portal: Portal, owner: Browser, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended in a traceback for every page that was open, and browsers that were turned away did not come back."""
    await portal.config()
    stream = live.events(await a_visit(portal, owner), SECTIONS["overview"])
    [_, before] = [await anext(stream) for _ in range(2)]

    with monkeypatch.context() as outage:
        outage.setattr(portal.services.stats.stats, "steps", unavailable)
        meanwhile = {await anext(stream) for _ in range(20)}
    await publish(portal)
    after = await anext(stream)
    await stream.aclose()

    assert meanwhile == {": still here\n\n"}
    assert before.startswith("event: section")
    assert after.startswith("event: section")
    assert after != before


def test_what_is_dear_to_show_is_looked_at_less_often() -> None:
    """So that no page, however many look at it in an outage, takes from deliveries what they need."""
    assert live.pause_s(0.01) == live.EVERY_S
    assert live.pause_s(1.5) == 7.5


async def test_there_are_so_many_streams_and_no_more(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "STREAMS_MAX", 0)

    with pytest.raises(Unavailable):
        await live.stream(await a_visit(portal, owner, "watch=overview"))

    assert (await owner.get("/live?watch=overview")).headers["retry-after"] == "30"
