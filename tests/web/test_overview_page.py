"""The start page: figures that are those of what happened, failures by cause, what needs attention, the first steps."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from postback.domain.deliveries import Verdict
from postback.domain.ids import parse
from postback.domain.users import Role
from postback.domain.wire import Reason, Timings, Unreachable
from postback.storage.stats import SqlStats
from postback.web import live
from postback.web.visit import Visit
from postback.web.watched import SECTIONS
from tests.build import a_settlement
from tests.web.at_work import claims_of, later, rows, settled
from tests.web.pages import OTHER, Browser, Page, Portal
from tests.web.test_texts_from_outside import CORPUS, nothing_came_alive

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000
EXPIRED = Unreachable(Reason.TLS_ERROR, "the certificate is not accepted: certificate has expired", Timings())
REFUSED = Unreachable(Reason.CONNECTION_REFUSED, "127.0.0.1:9000: ECONNREFUSED (connection refused)", Timings())


def figure(page: Page, key: str) -> str:
    found = re.search(rf'data-figure="{key}">([^<]*)<', page.html)
    assert found is not None, key
    return found[1]


def heights(page: Page) -> dict[str, int]:
    """How many bars the chart for wide windows has of each series."""
    [chart] = re.findall(r'<svg class="chart wide-only".*?</svg>', page.html, re.DOTALL)
    [bars] = re.findall(r'<g class="bars">(.*?)</g>', chart, re.DOTALL)
    return {
        "delivered": bars.count('class="ink good"'),
        "tried again": bars.count("url(#wide-1)"),
        "failed": bars.count("url(#wide-2)"),
    }


# --- figures and the chart ------------------------------------------------------------------------------------------


async def test_the_figures_are_those_of_what_happened(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED, 1200)
    await settled(portal, config_id, Verdict.RETRY, 2)
    portal.clock.pass_(seconds=60)
    await settled(portal, config_id, Verdict.FAILED, 3)
    await claims_of(portal, config_id, 1)
    await portal.services.log.cancel("default", (await portal.api.deliveries())[0]["id"])

    page = await owner.get("/")

    assert figure(page, "delivered") == "1,200"
    assert figure(page, "failed") == "3"
    assert figure(page, "retrying") == "2"
    assert figure(page, "waiting") == "2"
    assert figure(page, "p50") == figure(page, "p99") == "7 ms"
    assert "99.7% of what ended" in page.text
    minutes = rows(page, "The last hour by the minute")
    assert [row[1:] for row in minutes] == [
        ["0", "0", "3", "–", "–", "2"],
        ["1,200", "2", "0", "7 ms", "7 ms", "2"],
    ]


async def test_the_last_hour_is_sixty_minutes_and_no_more(portal: Portal) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED, 5)
    portal.clock.pass_(seconds=3_600)

    assert figure(await later(portal, "/"), "delivered") == "0"
    assert "5 delivered" in (await later(portal, "/?span=day")).html


async def test_the_chart_has_what_happened_in_its_span_with_the_same_numbers_in_a_table(portal: Portal) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED, 2)
    portal.clock.pass_(seconds=86_400)
    await settled(portal, config_id, Verdict.DELIVERED, 1)
    portal.clock.pass_(seconds=7_200)
    await settled(portal, config_id, Verdict.FAILED, 4)

    hour, day, week = [await later(portal, path) for path in ("/", "/?span=day", "/?span=week")]

    assert heights(hour) == {"delivered": 0, "tried again": 0, "failed": 1}
    assert heights(day) == {"delivered": 1, "tried again": 0, "failed": 1}
    assert heights(week) == {"delivered": 2, "tried again": 0, "failed": 1}
    assert "Deliveries per 2 hours, 7 days: 3 delivered, 0 tried again, 4 failed." in week.html
    assert [row[1:] for row in rows(day, "Deliveries per 15 minutes, as a table")] == [["0", "0", "4"], ["1", "0", "0"]]
    assert [row[1:] for row in rows(week, "Deliveries per 2 hours, as a table")] == [
        ["0", "0", "4"],
        ["1", "0", "0"],
        ["2", "0", "0"],
    ]


async def test_what_is_over_is_added_up_once_and_what_is_not_each_time(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED, 2)
    portal.clock.pass_(seconds=86_400)
    asked: list[tuple[int, int]] = []
    steps = SqlStats.steps

    async def watched(self: SqlStats, account: str, since_ms: int, until_ms: int, *rest: Any) -> Any:
        asked.append((since_ms, until_ms))
        return await steps(self, account, since_ms, until_ms, *rest)

    monkeypatch.setattr(SqlStats, "steps", watched)
    first = await later(portal, "/?span=week")
    long_ms = sum(until_ms - since_ms for since_ms, until_ms in asked)
    asked.clear()
    await settled(portal, config_id, Verdict.DELIVERED, 1)
    again = await later(portal, "/?span=week")

    assert long_ms >= 7 * 86_400_000
    # Not of two hours, but of the minutes that are not over.
    assert 0 < sum(until_ms - since_ms for since_ms, until_ms in asked) <= 4 * 60_000
    assert "2 delivered" in first.html
    assert "3 delivered" in again.html
    assert len(rows(again, "Deliveries per 2 hours, as a table")) == 2


async def test_the_span_is_chosen_by_links_and_what_is_none_is_the_hour(portal: Portal, owner: Browser) -> None:
    await settled(portal, await portal.config(), Verdict.DELIVERED)
    page = await owner.get("/?span=%3Cscript%3E")

    assert page.links["Last hour"] == "/"
    assert page.links["24 hours"] == "/?span=day"
    assert page.links["7 days"] == "/?span=week"
    for path in ("/", "/?span=day", "/?span=week", "/?span=%3Cscript%3E"):
        shown = await owner.get(path)
        [current] = [one["href"] for tag, one in shown.read.tags if tag == "a" and one.get("aria-current") == "true"]
        assert current == (path if "%" not in path else "/")


async def test_what_is_overdue_is_said(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.RETRY)
    assert "nothing is overdue" in (await owner.get("/")).text
    portal.clock.pass_(seconds=420)

    assert "oldest due 2 min ago" in (await owner.get("/")).text


async def test_nothing_of_another_account_is_shown(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(OTHER, url="https://secret.example/theirs")
    await portal.services.configs.pause(OTHER, config_id)
    page = await owner.get("/")

    assert "secret.example" not in page.html
    assert "Needs attention" not in page.text


# --- the first steps ------------------------------------------------------------------------------------------------


def ticks(page: Page) -> list[bool]:
    return ["is-done" in one for one in re.findall(r'<li class="([^"]*)"><div><strong>', page.html)]


async def test_the_first_steps_are_ticked_as_they_are_done_and_go_when_all_are(portal: Portal, owner: Browser) -> None:
    told = [ticks(await owner.get("/"))]
    location = await portal.location()
    told.append(ticks(await owner.get("/")))
    config_id = await portal.config(location_id=location, event_types=["contact.*"])
    told.append(ticks(await owner.get("/")))
    contact = {"location_id": location, "last_name": "Jones"}
    assert (await portal.api.client.post("/v2/contacts", {"contact": contact})).status == 201
    told.append(ticks(await owner.get("/")))
    [claim] = await portal.api.store.claim(portal.api.worker, {parse("pbc", config_id): 1}, 1 << 20)
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim)])
    told.append(ticks(await owner.get("/")))

    assert told == [
        [False, False, False, False],
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [],
    ]


async def test_the_next_step_leads_to_where_it_is_done(portal: Portal, owner: Browser) -> None:
    empty = await owner.get("/")
    location = await portal.location()
    begun = await owner.get("/")

    assert empty.links["Add Location"] == "/locations/add"
    assert begun.links["Add Postback"] == f"/postbackconfigs/add?location_id={location}"
    assert begun.links["Add Contact"] == f"/locations/{location}/contacts/add"
    for path in (begun.links["Add Postback"], begun.links["Add Contact"]):
        assert (await owner.get(path)).status == 200


async def test_a_viewer_is_not_sent_where_they_may_not_go(portal: Portal) -> None:
    viewer = await portal.signed_in(Role.VIEWER)
    await portal.location()

    page = await viewer.get("/")

    assert "Four steps" in page.text
    assert not {"Add Location", "Add Postback", "Add Contact"} & set(page.links)


# --- texts from outside, and the stream -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", CORPUS)
async def test_names_reasons_and_details_stay_text(portal: Portal, owner: Browser, text: str) -> None:
    config_id = await portal.config(name=text)
    await settled(portal, config_id, Verdict.FAILED, outcome=Unreachable(Reason.TLS_ERROR, text, Timings()))
    [claim] = await claims_of(portal, config_id)
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim, disables=text)])

    page = await owner.get("/")

    assert "disabled" in page.text
    nothing_came_alive(page)


async def test_the_stream_brings_the_parts_anew_when_something_has_happened(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "EVERY_S", 0.001)
    config_id = await portal.config()
    await settled(portal, config_id, Verdict.DELIVERED)
    stream = live.events(await _visit(portal, owner, b"watch=overview&span=day"), SECTIONS["overview"])

    first = [await anext(stream) for _ in range(3)]
    await settled(portal, config_id, Verdict.DELIVERED, 41)
    after = await anext(stream)
    portal.clock.pass_(seconds=60)
    later = await anext(stream)
    await stream.aclose()

    assert [event.partition("\n")[0] for event in first] == ["retry: 3000", "event: section", ": still here"]
    html = json.loads(after.partition("data: ")[2])
    assert 'data-figure="delivered">42<' in html
    assert 'href="/?span=day" aria-current="true"' in html
    assert "<html" not in html
    assert later.startswith("event: section")


async def _visit(portal: Portal, browser: Browser, query: bytes) -> Visit:
    token = browser.jar["__Host-session"]
    scope = {"type": "http", "method": "GET", "path": "/live", "headers": [], "query_string": query}
    return Visit(portal.services, Request(scope), await portal.services.sessions.resume(token), token)


async def test_times_of_charts_are_in_utc(portal: Portal, owner: Browser) -> None:
    await settled(portal, await portal.config(), Verdict.DELIVERED)

    [[minute, *_]] = rows(await owner.get("/"), "The last hour by the minute")

    assert minute == datetime.fromtimestamp(portal.clock() / 1000, UTC).strftime("%Y-%m-%d %H:%M")
