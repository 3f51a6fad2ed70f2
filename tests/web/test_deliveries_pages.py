"""Deliveries: lists that are narrowed by their address, a delivery's story, replaying and cancelling one."""

import re
from urllib.parse import quote

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.ids import config_text, delivery_text, event_text, parse
from postback.domain.users import Role
from postback.domain.wire import Answered, Note, Reason, Timings, Unreachable
from postback.ports import LogFilter
from postback.web.forms import time_ms
from postback.web.pages import named
from postback.web.pages.delivery import attempts_shown
from postback.web.story import BODY_SHOWN
from tests.build import an_event
from tests.web.happenings import TIMINGS, attempt, delivered, failed, publish
from tests.web.pages import OTHER, Browser, Page, Portal

pytestmark = pytest.mark.anyio


def shown(page: Page) -> list[str]:
    """The deliveries of a list, in its order."""
    found = [href for href, _ in page.read.links if href.startswith("/deliveries/dlv_")]
    return [href.removeprefix("/deliveries/") for href in found]


async def test_an_empty_list_says_what_to_do_next(portal: Portal, owner: Browser) -> None:
    page = await owner.get("/deliveries")

    assert "No deliveries yet" in page.text
    assert page.links["Publish an event"] == "/events/new"
    viewer = await portal.signed_in(Role.VIEWER)
    assert "Publish an event" not in (await viewer.get("/deliveries")).links


async def test_the_newest_stands_first_with_its_last_answer_in_words(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(name="CRM")
    older = await failed(portal, config_id, Unreachable(Reason.CONNECTION_REFUSED, "nobody listens", Timings()))
    portal.clock.pass_(seconds=60)
    newer = await delivered(portal, config_id)

    page = await owner.get("/deliveries")

    assert shown(page) == [newer, older]
    assert "connection refused" in page.text
    assert "1 min ago" in page.text
    assert page.links["CRM"] == f"/postbackconfigs/{config_id}"


async def test_what_waits_after_a_failed_attempt_is_called_retrying(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await publish(portal)
    await attempt(portal, config_id, Answered(503, [], b"", TIMINGS), Verdict.RETRY, wait_ms=60_000)

    page = await owner.get("/deliveries?state=pending")

    assert "retrying" in page.text
    assert "503" in page.text


async def test_a_test_is_marked_wherever_deliveries_are_listed(portal: Portal, owner: Browser) -> None:
    """Its failure is in no figure and in no replay of many, so nobody is to take it for one that is missing there."""
    config_id = await portal.config()
    portal.api.sender.outcome = Unreachable(Reason.RESPONSE_TIMEOUT, "no answer within 10 s", Timings())
    page = await owner.get(f"/postbackconfigs/{config_id}")
    tested = await owner.submit(page.form(f"/postbackconfigs/{config_id}/test"))
    [event] = (await portal.services.log.events("default", LogFilter(), None, 2)).items

    for where in ("/deliveries", f"/postbackconfigs/{config_id}", f"/events/{event_text(event[0].id)}"):
        assert "failed test no answer in time" in (await owner.get(where)).text, where
    assert "Replay 1 failed…" not in (await owner.get(f"/events/{event_text(event[0].id)}")).links
    assert "response timeout" not in tested.text


async def test_where_there_are_too_many_to_choose_from_an_id_is_typed(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "OFFERED", 1)
    await portal.config(name="the first")
    chosen = (await owner.get("/deliveries")).html
    await portal.config(name="the second")
    typed = (await owner.get("/deliveries")).html

    assert re.search(r'<select[^>]* name="config"', chosen)
    assert "the first" in chosen
    assert re.search(r'<input[^>]* name="config"', typed)
    assert "the first" not in typed


async def test_further_filters_leave_the_room_to_the_list_and_say_which_are_in_use(owner: Browser) -> None:
    unused, used, wrong = [
        (await owner.get(f"/deliveries?{query}")).html
        for query in ("", "type=a.b&from=2026-09-21T15:00", "to=yesterday")
    ]

    assert '<details class="more">' in unused
    assert "Event type, Accepted from</span></summary>" not in unused
    assert '<details class="more">' in used
    assert "Event type, Accepted from</span></summary>" in used
    assert '<details class="more" open>' in wrong


async def test_filters_stand_in_the_address_and_are_shown_in_their_fields(portal: Portal, owner: Browser) -> None:
    location = await portal.location(name="Harbour")
    sms = await portal.config(url="https://crm.example/in", event_types=["sms.*"])
    mine = await portal.config(url="http://127.0.0.1:9000/x", event_types=["order.paid"], location_id=location)
    of_sms = await failed(portal, sms)
    portal.clock.pass_(seconds=3600)
    owner = await portal.signed_in()
    await publish(portal, "order.paid", {"id": "ord_7"}, location_id=location)
    claim = await attempt(portal, mine)
    of_order = f"dlv_{event_text(claim.event.id)[4:]}{config_text(claim.config_id)[4:]}"

    for query, expected in (
        ("state=failed", [of_sms]),
        ("state=delivered", [of_order]),
        ("reason=bad_status", [of_sms]),
        ("reason=bad_status.500", [of_sms]),
        ("reason=bad_status.503", []),
        ("state=failed&reason=bad_status&search=crm.example", [of_sms]),
        ("type=order.paid", [of_order]),
        (f"config={sms}", [of_sms]),
        (f"location={location}", [of_order]),
        ("from=2026-09-21T15:00", [of_order]),
        ("to=2026-09-21T15:00:00Z", [of_sms]),
        (f"from={quote('2026-09-21T17:00:00+02:00')}", [of_order]),
        ("search=CRM.example", [of_sms]),
        (f"search={quote('https://crm.example/elsewhere')}", [of_sms]),
        ("search=127.0.0.1:9000", [of_order]),
        ("search=ord_7", [of_order]),
        ("search=12025550166", [of_sms]),
        (f"search={of_sms[:22]}", [of_sms]),
        (f"search={of_order}", [of_order]),
        (f"search={event_text(claim.event.id)}", [of_order]),
        (f"search={mine}", [of_order]),
        ("search=pbc_zz", []),
        ("state=failed&type=order.paid", []),
    ):
        page = await owner.get(f"/deliveries?{query}")
        assert page.status == 200
        assert shown(page) == expected, query
    forms = (await owner.get(f"/deliveries?state=failed&config={sms}&from=2026-09-21")).read.forms
    values = next(form.values for form in forms if "state" in form.values)
    assert (values["state"], values["config"], values["from"]) == (["failed"], [sms], ["2026-09-21T00:00:00"])


async def test_nothing_found_leads_back_to_all(portal: Portal, owner: Browser) -> None:
    await delivered(portal, await portal.config())

    page = await owner.get("/deliveries?state=failed")

    assert "None for this filter" in page.text
    assert page.links["Clear the filter"] == "/deliveries"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state"),
        ("reason=bad_luck", "reason"),
        ("config=crm", "config"),
        ("from=yesterday", "from"),
        ("to=x", "to"),
    ],
)
async def test_a_filter_that_cannot_be_is_said_beside_its_field(owner: Browser, query: str, field: str) -> None:
    page = await owner.get(f"/deliveries?{query}&search=kept")

    assert (page.status, page.wrong(field)) == (422, True)
    assert 'value="kept"' in page.html


async def test_pages_keep_the_filter_and_show_each_delivery_once(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.web.pages.deliveries.PAGE_SIZE", 2)
    config_id = await portal.config()
    expected = [await failed(portal, config_id) for _ in range(5)]
    await delivered(portal, config_id)

    seen, path = [], "/deliveries?state=failed"
    for _ in range(3):
        page = await owner.get(path)
        seen += shown(page)
        path = "/deliveries" + page.links.get("Older", "?")

    assert seen == expected[::-1]
    assert "Older" not in page.links
    assert page.links["Newest"] == "?state=failed"


async def test_a_cursor_of_another_list_is_refused(portal: Portal, owner: Browser) -> None:
    assert (await owner.get("/deliveries?cursor=made-up")).status == 422


async def test_a_page_looks_at_so_many_and_says_where_it_goes_on(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rare would otherwise be looked for through all there is, while somebody waits."""
    monkeypatch.setattr("postback.web.pages.deliveries.LOOKED_AT", 3)
    config_id = await portal.config(event_types=["*"])
    await publish(portal, "order.paid", {"id": "1"})
    claim = await attempt(portal, config_id)
    for _ in range(7):
        await delivered(portal, config_id)

    page = await owner.get("/deliveries?type=order.paid")
    pages = 1
    while "Older" in page.links and not shown(page):
        assert "There are none back to" in page.text
        page = await owner.get("/deliveries" + page.links["Older"])
        pages += 1

    assert pages == 3
    assert [one[4:17] for one in shown(page)] == [event_text(claim.event.id)[4:]]


async def test_the_story_of_a_delivery_is_told_attempt_by_attempt(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(
        url="http://127.0.0.1:9000/in",
        format="json",
        name="CRM",
        number_of_attempts=3,
        attempt_interval=60,
        headers={"X-Api-Key": "s3cret-of-theirs", "X-Customer": "17"},
    )
    event_id = await publish(portal)
    refused = Answered(503, [(b"Retry-After", b"9"), (b"X-Odd", b"\xff")], b"<b>busy</b>", TIMINGS, truncated=True)
    await attempt(portal, config_id, refused, Verdict.RETRY, wait_ms=60_000)
    portal.clock.pass_(seconds=61)
    noted = Answered(200, [], b"", TIMINGS, notes=[Note.SENT_AGAIN])
    await attempt(portal, config_id, noted)

    page = await owner.get(f"/deliveries/dlv_{event_id[4:]}{config_id[4:]}")

    assert page.status == 200
    for said in (
        "event_types names sms.*; the event is sms.received",
        "Another attempt after 1 min: answered 503 Service Unavailable.",
        "Delivered: the receiver acknowledged it.",
        "it was sent anew on a fresh one",
        "POST http://127.0.0.1:9000/in",
        "X-Customer: 17",
        "X-Api-Key: ***",
        "Retry-After: 9",
        "X-Odd: \\xff",
        "<b>busy</b>",
        "Cut at 11 bytes",
        '"text":"INFO"',
        "Until the first byte of the answer",
        "by its postback config",
    ):
        assert said in page.text, said
    assert "s3cret-of-theirs" not in page.html
    assert page.links["CRM"] == f"/postbackconfigs/{config_id}"
    assert page.links["sms.received"] == f"/events/{event_id}"


async def test_a_delivery_of_a_config_that_is_gone_keeps_its_story(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    delivery_id = await delivered(portal, config_id)
    await portal.services.configs.delete("default", config_id)

    page = await owner.get(f"/deliveries/{delivery_id}")

    assert page.status == 200
    assert "what it wanted is not known any more" in page.text
    assert "(deleted)" in (await owner.get("/deliveries")).text


async def test_an_ended_delivery_is_replayed_and_marked_so(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    delivery_id = await failed(portal, config_id)
    path = f"/deliveries/{delivery_id}"
    page = await owner.get(path)
    assert "Cancel" not in page.links

    replayed = await owner.follow(await owner.submit(page.form(f"{path}/replay")))
    assert "Owed again" in replayed.text
    assert portal.api.woken == ["due"]
    again = await owner.follow(await owner.submit(page.form(f"{path}/replay")))
    assert "It was not replayed" in again.text
    await attempt(portal, config_id)

    assert "by a person: a replay" in (await owner.get(path)).text


async def test_an_open_delivery_is_cancelled_after_a_question(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    event_id = await publish(portal)
    path = f"/deliveries/dlv_{event_id[4:]}{config_id[4:]}"

    asked = await owner.get((await owner.get(path)).links["Cancel"])
    cancelled = await owner.follow(await owner.submit(asked.form(f"{path}/cancel")))

    assert "Cancelled: no more attempts." in cancelled.text
    assert (await portal.services.log.delivery("default", path[12:], sees_all=True))[0].state == "cancelled"
    assert "nothing to cancel" in (await owner.follow(await owner.get(f"{path}/cancel"))).text
    late = await owner.follow(await owner.submit(asked.form(f"{path}/cancel")))
    assert "It was not cancelled" in late.text


async def test_what_is_held_leads_to_the_config_that_holds_it(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    event_id = await publish(portal)
    await portal.services.configs.pause("default", config_id)

    page = await owner.get(f"/deliveries/dlv_{event_id[4:]}{config_id[4:]}")

    assert "its postback config is paused" in page.text
    assert page.links["Resume it there."] == f"/postbackconfigs/{config_id}"


async def test_a_viewer_sees_no_sensitive_fields_and_no_buttons(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    config_id = await portal.config(resource="accountvault", on_create="1", location_id=location, event_types=None)
    vault = {"title": "Jones", "location_id": location, "ssn4": "6789"}
    assert (await portal.api.client.post("/v2/accountvaults", {"accountvault": vault})).status == 201
    claim = await attempt(portal, config_id, Answered(200, [], b"got 6789", TIMINGS))
    path = f"/deliveries/dlv_{event_text(claim.event.id)[4:]}{config_id[4:]}"
    viewer = await portal.signed_in(Role.VIEWER)

    seen = await viewer.get(path)

    assert "6789" in (await owner.get(path)).html
    assert "6789" not in seen.html
    assert "Jones" in seen.text
    assert not [form for form in seen.read.forms if form.action.startswith("/deliveries")]
    assert "Replay all" not in (await viewer.get("/deliveries")).text


async def test_nobody_sees_what_is_of_another_account(portal: Portal, owner: Browser) -> None:
    await portal.config(OTHER)
    event_id = await publish(portal, account=OTHER)

    assert shown(await owner.get("/deliveries")) == []
    assert shown(await owner.get(f"/deliveries?search={event_id}")) == []
    assert shown(await owner.get("/deliveries?search=127.0.0.1")) == []


def test_times_are_of_utc_where_they_do_not_say_otherwise() -> None:
    assert time_ms("1970-01-01") == 0
    assert time_ms("1970-01-01T00:01") == 60_000
    assert time_ms("1970-01-01T00:00:01") == 1000
    assert time_ms("1970-01-01T01:00:00 01:00") == 0
    assert time_ms("soon") is None


async def test_a_config_leads_to_all_of_its_deliveries(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    delivery_id = await delivered(portal, config_id)

    page = await owner.get((await owner.get(f"/postbackconfigs/{config_id}")).links["All of its deliveries"])

    assert shown(page) == [delivery_id]
    assert parse("pbc", config_id) == parse("pbc", f"pbc_{delivery_id[17:]}")


async def test_a_body_without_an_end_is_cut_and_is_no_command_line(portal: Portal, owner: Browser) -> None:
    """A page has as many bodies as attempts, and is drawn where deliveries are carried out."""
    config_id = await portal.config(event_types=["order.paid"])
    await publish(portal, "order.paid", {"id": "ord_1", "notes": "n" * 900_000})
    claim = await attempt(portal, config_id)

    page = await owner.get(f"/deliveries/{delivery_text(claim.event.id, claim.config_id)}")

    assert len(page.body) < 10 * BODY_SHOWN
    assert "It is longer; the API shows all of it." in page.text
    assert "curl" not in page.html


async def test_of_many_attempts_the_newest_are_shown(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.web.pages.delivery.ATTEMPTS_SHOWN", 2)
    monkeypatch.setattr("postback.web.pages.delivery.LEAST_SHOWN", 1)
    config_id = await portal.config()
    delivery_id = await failed(portal, config_id)
    before = (await owner.get(f"/deliveries/{delivery_id}")).html
    for _ in range(2):
        page = await owner.get(f"/deliveries/{delivery_id}")
        await owner.submit(page.form(f"/deliveries/{delivery_id}/replay"))
        await attempt(portal, config_id)

    page = await owner.get(f"/deliveries/{delivery_id}")

    assert "There were attempts before these" not in before
    assert re.findall(r'data-key="attempt-(\d+)"', page.html) == ["3", "2"]
    assert "There were attempts before these; the API shows all of them." in page.text


@pytest.mark.parametrize(("size", "expected"), [(2, 50), (10_000, 50), (200_000, 20), (1 << 20, 5), (16 << 20, 5)])
def test_of_a_long_event_fewer_attempts_are_shown(size: int, expected: int) -> None:
    """Fifty requests of a megabyte took a third of a second to make again, in which nothing was delivered."""
    assert attempts_shown(an_event(data=b"x" * size)) == expected
