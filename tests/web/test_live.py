"""Server-sent events: what a page hears, and when its stream ends."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from postback.domain.errors import Unavailable
from postback.domain.users import IDLE_MS
from postback.web import live
from postback.web.visit import Visit
from tests.web.pages import Browser, Portal

pytestmark = pytest.mark.anyio


async def a_visit(portal: Portal, browser: Browser) -> Visit:
    token = browser.jar["__Host-session"]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/live", "headers": [], "query_string": b""}
    session = await portal.services.sessions.resume(token)
    return Visit(portal.services, Request(scope), session, token)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.001)


async def test_a_page_hears_of_figures_when_they_change(portal: Portal, owner: Browser, quick: None) -> None:
    stream = live.events(await a_visit(portal, owner))

    first = [await anext(stream) for _ in range(3)]
    location = await portal.api.location()
    await portal.api.config(location)
    await portal.api.client.post("/v2/contacts", {"contact": {"last_name": "Jones", "location_id": location}})
    after = await anext(stream)
    await stream.aclose()

    assert first == [
        "retry: 3000\n\n",
        'event: figures\ndata: {"accepted": 0, "delivered": 0, "failed": 0, "retried": 0}\n\n',
        ": still here\n\n",
    ]
    assert '"accepted": 1' in after


async def test_a_stream_ends_with_the_server(portal: Portal, owner: Browser) -> None:
    stream = live.events(await a_visit(portal, owner))
    await anext(stream)
    await anext(stream)

    portal.services.stopping.set()

    async with asyncio.timeout(1):
        assert [event async for event in stream] == []


async def test_a_stream_ends_with_its_session_and_keeps_none_alive(portal: Portal, owner: Browser, quick: None) -> None:
    stream = live.events(await a_visit(portal, owner))
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
        await live.stream(await a_visit(portal, owner))

    assert (await owner.get("/live")).headers["retry-after"] == "30"
