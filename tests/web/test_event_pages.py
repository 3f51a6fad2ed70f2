"""Events: the list, an event's page, and publishing one by hand."""

import json
from typing import Any

import pytest

from postback.domain.catalog import CATALOG
from postback.domain.deliveries import Verdict
from postback.domain.ids import event_text
from postback.domain.users import Role
from postback.ports import DeliveryView, LogFilter
from postback.storage.log import _view
from postback.web.pages.event import pretty
from tests.build import answered
from tests.web.happenings import attempt, failed, publish
from tests.web.pages import OTHER, Browser, Form, Page, Portal

pytestmark = pytest.mark.anyio


def shown(page: Page) -> list[str]:
    return [href.removeprefix("/events/") for href, _ in page.read.links if href.startswith("/events/evt_")]


async def a_form(owner: Browser, event_type: str = "order.paid", data: str = '{"id": "1"}') -> Form:
    return (await owner.get("/events/new")).form("/events/new").fill(type=event_type, data=data)


async def events_of(portal: Portal) -> list[tuple[str, bytes]]:
    found = (await portal.services.log.events("default", LogFilter(), None, 50)).items
    return [(event.type, event.data) for event, _ in found]


async def test_an_empty_list_says_what_to_do_next(owner: Browser) -> None:
    page = await owner.get("/events")

    assert "No events yet" in page.text
    assert page.links["Publish an event"] == "/events/new"


async def test_events_are_narrowed_by_their_address(portal: Portal, owner: Browser) -> None:
    location = await portal.location(name="Harbour")
    sms = await publish(portal)
    portal.clock.pass_(seconds=3600)
    owner = await portal.signed_in()
    order = await publish(portal, "order.paid", {"id": "ord_7"}, location_id=location)
    await publish(portal, account=OTHER)

    for query, expected in (
        ("", [order, sms]),
        ("type=order.paid", [order]),
        (f"location={location}", [order]),
        ("from=2026-09-21T15:00", [order]),
        ("to=2026-09-21T15:00", [sms]),
        ("search=ord_7", [order]),
        (f"search={sms}", [sms]),
        (f"search={sms[:14]}", [order, sms] if order[:14] == sms[:14] else [sms]),
        ("search=nothing", []),
    ):
        assert shown(await owner.get(f"/events?{query}")) == expected, query
    assert "Harbour" in (await owner.get("/events")).links


async def test_a_host_says_nothing_of_events(portal: Portal, owner: Browser) -> None:
    await portal.config(url="https://crm.example/in")
    await publish(portal)

    assert shown(await owner.get("/events?search=crm.example")) == []


async def test_an_event_shows_its_data_its_deliveries_and_who_wanted_it(portal: Portal, owner: Browser) -> None:
    wanting = await portal.config(name="CRM")
    await portal.config(name="Orders", event_types=["order.*"])
    event_id = await publish(portal)
    await attempt(portal, wanting)

    page = await owner.get(f"/events/{event_id}")

    assert '"text": "INFO"' in page.text
    assert "1 delivered" in page.text
    assert "wants it CRM event_types names sms.*; the event is sms.received" in page.text
    assert "does not Orders event_types names order.*; the event is sms.received" in page.text
    assert page.links["Replay 1 delivered…"] == f"/replays/new?state=delivered&search={event_id}"


async def test_what_became_of_an_event_is_counted_in_the_words_of_its_list(portal: Portal, owner: Browser) -> None:
    """It once counted as pending what the row below called retrying."""
    await portal.config(name="Waits")
    retried = await portal.config(name="Tries again")
    event_id = await publish(portal)
    await attempt(portal, retried, answered(503), Verdict.RETRY, wait_ms=60_000)

    page = await owner.get(f"/events/{event_id}")

    assert "1 retrying, 1 pending" in page.text


async def test_of_an_event_with_many_deliveries_the_first_are_read_and_shown(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once read all of them, however many, to show two hundred."""
    monkeypatch.setattr("postback.web.pages.event.DELIVERIES_SHOWN", 3)
    configs = [await portal.config(name=f"Receiver {number}") for number in range(5)]
    event_id = await publish(portal)
    await attempt(portal, configs[1], answered(400), Verdict.FAILED)
    read: list[int] = []

    def counted(*values: Any) -> DeliveryView:
        read.append(values[1])
        return _view(*values)

    monkeypatch.setattr("postback.storage.log._view", counted)

    page = await owner.get(f"/events/{event_id}")

    assert len(read) == 3
    assert "The first 3 of 5 deliveries : 2 pending, 1 failed" in page.text
    everything = f"/deliveries?search={event_id}"
    assert page.links["5 deliveries"] == everything
    assert page.html.count('<tr data-key="dlv_') == 3
    assert (await owner.get(everything)).html.count('<tr data-key="dlv_') == 5
    for state in ("failed", "delivered", "cancelled"):
        assert page.links[f"Replay all {state}…"] == f"/replays/new?state={state}&search={event_id}"


async def test_an_event_that_nobody_wanted_says_so(portal: Portal, owner: Browser) -> None:
    page = await owner.get(f"/events/{await publish(portal)}")

    assert "No postback config wanted this event" in page.text
    assert "There is no postback config in this account" in page.text


async def test_a_viewer_sees_no_sensitive_fields_of_an_event(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    vault = {"title": "Jones", "location_id": location, "ssn4": "6789"}
    assert (await portal.api.client.post("/v2/accountvaults", {"accountvault": vault})).status == 201
    [event_id] = shown(await owner.get("/events"))
    viewer = await portal.signed_in(Role.VIEWER)

    assert '"ssn4": "6789"' in (await owner.get(f"/events/{event_id}")).text
    seen = await viewer.get(f"/events/{event_id}")
    assert '"ssn4": "***"' in seen.text
    assert "6789" not in seen.html


async def test_all_that_failed_of_an_event_is_replayed_from_its_page(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    delivery_id = await failed(portal, config_id)
    await failed(portal, config_id)
    event = await owner.get(f"/events/evt_{delivery_id[4:17]}")

    asked = await owner.get(event.links["Replay 1 failed…"])
    job = await owner.follow(await owner.submit(asked.form("/replays/new")))

    assert "Replay 1 delivery?" in asked.text
    assert "0 of 1" in job.text


@pytest.mark.parametrize("event_type", list(CATALOG))
async def test_each_example_of_the_catalog_is_published_as_it_is_filled_in(
    portal: Portal, owner: Browser, event_type: str
) -> None:
    page = await owner.get(f"/events/new?type={event_type}")

    form = page.form("/events/new")
    published = await owner.submit(form)

    assert json.loads(form.values["data"][0]) == dict(CATALOG[event_type].example)
    assert published.to.startswith("/events/evt_"), published.text
    assert [name for name, _ in await events_of(portal)] == [event_type]


async def test_what_is_published_is_the_data_as_it_was_typed(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(event_types=["order.*"])
    location = await portal.location()
    form = (await a_form(owner, data='{ "id": 1.0e2,\n "é": "\\u00e9" }')).fill(location_id=location, subject="7")

    page = await owner.follow(await owner.submit(form))

    assert "Published, with 1 delivery." in page.text
    assert await events_of(portal) == [("order.paid", '{ "id": 1.0e2,\n "é": "\\u00e9" }'.encode())]
    [(event, _)] = (await portal.services.log.events("default", LogFilter(), None, 1)).items
    assert (event.location_id, event.subject) == (location, "7")
    assert f"/deliveries/dlv_{event_text(event.id)[4:]}{config_id[4:]}" in page.html


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "Data cannot be blank."),
        ("{", "Is not JSON"),
        ('{"a": 1,\n"b" 2}', "in line 2, column 5"),
        ("[1]", "Is not an object"),
        ('{"a": NaN}', "Cannot be taken"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"a": ' + "9" * 5000 + "}", "number"),
        ("[" * 20_000, "ested too deeply"),
        ('{"a": 1}, "account": "other", "x": {"b": 2}', "Is not JSON"),
    ],
)
async def test_data_that_cannot_be_is_said_beside_its_field_and_kept(
    portal: Portal, owner: Browser, data: str, said: str
) -> None:
    page = await owner.submit(await a_form(owner, data=data))

    assert (page.status, page.wrong("data")) == (422, True)
    assert said in page.text
    assert page.form("/events/new").values["data"] == [data]
    assert await events_of(portal) == []


async def test_what_the_catalog_forbids_is_said_beside_the_data(portal: Portal, owner: Browser) -> None:
    page = await owner.submit(await a_form(owner, "sms.received", '{"to": 7}'))

    assert (page.status, page.wrong("data")) == (422, True)
    assert "From cannot be blank." in page.text
    assert await events_of(portal) == []


@pytest.mark.parametrize(("field", "text"), [("type", "Order Paid"), ("location_id", "loc_nobodys")])
async def test_each_other_mistake_is_said_beside_its_field(owner: Browser, field: str, text: str) -> None:
    form = await a_form(owner)

    page = await owner.submit(Form(form.action, form.method, form.values | {field: [text]}))

    assert (page.status, page.wrong(field)) == (422, True)


async def test_a_form_that_is_sent_twice_publishes_once_unless_it_was_changed(portal: Portal, owner: Browser) -> None:
    form = await a_form(owner)

    first, second = await owner.submit(form), await owner.submit(form)
    other = await owner.submit(form.fill(data='{"id": "2"}'))

    assert first.to == second.to != other.to
    assert len(await events_of(portal)) == 2


async def test_whoever_may_not_publish_is_not_offered_it(portal: Portal) -> None:
    viewer = await portal.signed_in(Role.VIEWER)

    assert "Publish an event" not in (await viewer.get("/events")).links
    assert (await viewer.get("/events/new")).status == 403


def test_json_is_shown_on_lines_with_its_numbers_as_they_came() -> None:
    assert pretty(b'{"a":1.0e2,"b":"\\u00e9"}') == '{\n  "a": 1.0e2,\n  "b": "\\u00e9"\n}'
    assert pretty(b"not json \xff") == "not json \\xff"
