"""Many deliveries at once: counted before it is done, then a job whose progress is a page."""

import re

import pytest

from postback.domain.deliveries import State
from postback.domain.ids import parse
from postback.domain.jobs import JobKind
from postback.domain.users import Role
from postback.domain.wire import Reason, Timings, Unreachable
from postback.ports import LogFilter
from tests.web.happenings import attempt, delivered, failed, publish
from tests.web.pages import OTHER, Browser, Page, Portal

pytestmark = pytest.mark.anyio


async def run(portal: Portal, job_id: str) -> None:
    """To its end, as the server does it."""
    while (await portal.services.replays.find("default", job_id)).ended_ms is None:
        await portal.api.store.run_job(job_id, 100)


async def test_a_filtered_list_leads_to_a_question_with_the_number(portal: Portal, owner: Browser) -> None:
    config_id, other = await portal.config(), await portal.config(event_types=["sms.received"])
    for _ in range(3):
        await failed(portal, config_id)
    await delivered(portal, config_id)
    page = await owner.get(f"/deliveries?state=failed&config={config_id}")

    asked = await owner.get(page.links["Replay all failed that match…"])

    assert "Replay 3 deliveries?" in asked.text
    assert "its attempts are counted anew" in asked.text
    assert f"Postback config {config_id}" in asked.text
    assert (await portal.services.replays.list("default", None, 10)).items == []
    assert other != config_id


async def test_a_replay_shows_how_far_it_is_and_what_came_of_it(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    for _ in range(2):
        await failed(portal, config_id)
    asked = await owner.get(f"/replays/new?state=failed&config={config_id}&from=2026-09-21")

    started = await owner.submit(asked.form("/replays/new"))
    running = await owner.follow(started)
    await run(portal, started.to.removeprefix("/replays/"))
    done = await owner.get(started.to)

    assert "The replay has begun" in running.text
    assert "0 of 2" in running.text
    assert "refresh" in running.html
    assert "2 of 2" in done.text
    assert "Replayed 2" in done.text
    assert "refresh" not in done.html
    assert "Accepted from 2026-09-21 00:00:00.000 UTC" in done.text
    assert "retrying" in (await owner.get(done.links["Deliveries, as they are now"])).text
    listed = await owner.get("/replays")
    assert listed.links["Replay"] == started.to
    assert "2 of 2" in listed.text


async def test_what_was_replayed_by_its_reason_is_found_again(portal: Portal, owner: Browser) -> None:
    """The reason is that of the last attempt: with it in the link the list was empty as soon as the replay had gone well."""
    config_id = await portal.config()
    delivery = await failed(portal, config_id)
    asked = await owner.get("/replays/new?state=failed&reason=bad_status.500&from=2026-09-21")
    started = await owner.submit(asked.form("/replays/new"))
    await run(portal, started.to.removeprefix("/replays/"))
    await attempt(portal, config_id)

    done = await owner.get(started.to)

    found = await owner.get(done.links["Deliveries, as they are now"])
    assert f"/deliveries/{delivery}" in found.links.values()


async def test_nothing_that_fits_is_no_job(portal: Portal, owner: Browser) -> None:
    await delivered(portal, await portal.config())

    page = await owner.get("/replays/new?state=failed&type=sms.received")

    assert "Nothing to replay" in page.text
    assert not [form for form in page.read.forms if form.action == "/replays/new"]


async def test_all_that_failed_in_the_account_has_to_be_meant(portal: Portal, owner: Browser) -> None:
    """A form without a filter, and without the word that all is meant, must never become all of them."""
    config_id = await portal.config()
    await failed(portal, config_id)
    asked = await owner.get("/replays/new")
    form = asked.form("/replays/new")

    assert "Nothing narrows this: it is every failed delivery of the account." in asked.text
    assert (await owner.submit(form.without("all"))).status == 422
    assert (await owner.submit(form.without("all").without("state"))).status == 422
    assert (await portal.services.replays.list("default", None, 10)).items == []
    assert (await owner.submit(form)).to.startswith("/replays/rpl_")


async def test_more_than_anybody_would_count_is_said_so(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.web.pages.replays.COUNTED", 2)
    config_id = await portal.config()
    for _ in range(4):
        await failed(portal, config_id)

    asked = await owner.get(f"/replays/new?config={config_id}")
    started = await owner.submit(asked.form("/replays/new"))

    assert "Replay more than 2 deliveries?" in asked.text
    assert (await portal.services.replays.find("default", started.to[9:])).selected == 4


async def test_what_is_not_counted_to_the_end_is_said_so_and_can_be_left_out(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two fit among the newest rows that are looked at, and one is older."""
    monkeypatch.setattr("postback.web.pages.replays.COUNTED_OF", 3)
    config_id = await portal.config()
    await delivered(portal, config_id)
    portal.clock.pass_(ms=1_000)
    for _ in range(4):
        await delivered(portal, config_id)
        portal.clock.pass_(ms=1_000)
    asked = await owner.get("/replays/new?state=delivered&type=sms.received")

    fewer = await owner.get(asked.links["Only the 2 deliveries since then"])
    some = await owner.submit(fewer.form("/replays/new"))
    everything = await owner.submit(asked.form("/replays/new"))

    assert "Replay 2 deliveries and older ones that fit?" in asked.text
    assert re.search(r"Deliveries 2 accepted since [-\d]+ [:.\d]+ UTC; older ones are not counted", asked.text)
    assert "Replay 2 deliveries?" in fewer.text
    assert [
        (await portal.services.replays.find("default", started.to[9:])).selected for started in (some, everything)
    ] == [2, 5]


async def test_where_none_of_the_newest_fits_older_ones_may(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.web.pages.replays.COUNTED_OF", 2)
    config_id = await portal.config()
    for _ in range(3):
        await delivered(portal, config_id)
        portal.clock.pass_(ms=1_000)

    asked = await owner.get("/replays/new?state=delivered&type=never.published")

    assert "Replay older deliveries that fit?" in asked.text
    assert re.search(r"Deliveries none accepted since [-\d]+ [:.\d]+ UTC; older ones are not counted", asked.text)
    assert asked.form("/replays/new")


@pytest.mark.parametrize("query", ["state=pending", "state=lost", "config=crm", "from=yesterday"])
async def test_what_cannot_be_replayed_is_refused(owner: Browser, query: str) -> None:
    assert (await owner.get(f"/replays/new?{query}")).status == 422


async def test_a_search_narrows_a_replay_as_it_narrows_the_list(portal: Portal, owner: Browser) -> None:
    crm = await portal.config(url="https://crm.example/in")
    await portal.config(url="https://other.example/in", event_types=["sms.received"])
    delivery_id = await failed(portal, crm)

    asked = await owner.get("/replays/new?search=crm.example")
    started = await owner.submit(asked.form("/replays/new"))
    await run(portal, started.to[9:])

    assert "Replay 1 delivery?" in asked.text
    view, _ = await portal.services.log.delivery("default", delivery_id, sees_all=True)
    assert view.state == "pending"
    assert "Search crm.example" in (await owner.get(started.to)).text


async def test_what_failed_for_one_reason_is_replayed_alone(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await failed(portal, config_id)
    await failed(portal, config_id, Unreachable(Reason.CONNECTION_REFUSED, "nobody listens", Timings()))

    asked = await owner.get("/replays/new?state=failed&reason=connection_refused")
    started = await owner.submit(asked.form("/replays/new"))

    assert "Reason connection refused" in asked.text
    assert (await portal.services.replays.find("default", started.to[9:])).selected == 1


async def test_what_is_owed_is_cancelled_at_once_as_it_was_filtered(portal: Portal, owner: Browser) -> None:
    """After a mistake thousands are owed to a receiver that must not get them, and each had to be cancelled by itself."""
    config_id, other = await portal.config(), await portal.config(event_types=["order.paid"], format="json")
    for _ in range(3):
        await publish(portal)
    await publish(portal, "order.paid")
    page = await owner.get(f"/deliveries?state=pending&config={config_id}")

    asked = await owner.get(page.links["Cancel all pending that match…"])
    started = await owner.submit(asked.form("/replays/cancel"))
    begun = await owner.follow(started)
    await run(portal, started.to.removeprefix("/replays/"))

    assert "Cancel 3 deliveries?" in asked.text
    assert "can be replayed later" in asked.text
    assert f"Postback config {config_id}" in asked.text
    assert "The cancellation has begun" in begun.text
    assert "Cancelled 3" in (await owner.get(started.to)).text
    assert "None for this filter" in (await owner.get(page.path)).text
    [kept] = (await portal.services.log.deliveries("default", LogFilter(state=State.PENDING), None, 9)).items
    assert kept.config_id == parse("pbc", other)


async def test_what_is_owed_is_counted_however_much_has_ended_since(
    portal: Portal, owner: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("postback.web.pages.replays.COUNTED_OF", 8)
    await portal.config(event_types=["order.paid"], format="json")
    config_id = await portal.config()
    await publish(portal, "order.paid")
    portal.clock.pass_(ms=1_000)
    for _ in range(12):
        await delivered(portal, config_id)

    asked = await owner.get("/replays/cancel?type=order.paid")

    assert "Cancel 1 delivery?" in asked.text


async def test_cancelling_is_offered_for_what_is_owed_alone(portal: Portal, owner: Browser) -> None:
    await failed(portal, await portal.config())
    await publish(portal)

    def offered(page: Page) -> list[str]:
        return [said for said in page.links if said.startswith(("Replay all", "Cancel all"))]

    assert offered(await owner.get("/deliveries?state=pending")) == ["Cancel all pending…"]
    assert offered(await owner.get("/deliveries?state=failed")) == ["Replay all failed…"]
    assert offered(await owner.get("/deliveries")) == ["Replay all failed…"]
    assert offered(await (await portal.signed_in(Role.VIEWER)).get("/deliveries?state=pending")) == []


async def test_all_that_is_owed_in_the_account_has_to_be_meant(portal: Portal, owner: Browser) -> None:
    await portal.config()
    await publish(portal)
    asked = await owner.get("/replays/cancel")
    form = asked.form("/replays/cancel")

    assert "Nothing narrows this: it is every open delivery of the account." in asked.text
    assert (await owner.submit(form.without("all"))).status == 422
    assert (await portal.services.replays.list("default", None, 10)).items == []
    assert (await owner.submit(form)).to.startswith("/replays/rpl_")


async def test_nothing_that_is_owed_is_no_cancellation(owner: Browser) -> None:
    page = await owner.get("/replays/cancel?state=held")

    assert "Nothing to cancel" in page.text
    assert not [form for form in page.read.forms if form.action == "/replays/cancel"]
    assert (await owner.get("/replays/cancel?state=failed")).status == 422


async def test_jobs_of_many_cancellations_are_shown_too(portal: Portal, owner: Browser) -> None:
    job = await portal.services.replays.start("default", JobKind.CANCEL, LogFilter(event_type="sms.received"))

    page = await owner.get(f"/replays/{job.id}")

    assert "Cancel of many deliveries" in page.text
    assert "Cancelled 0" in page.text


async def test_jobs_are_of_an_account(portal: Portal, owner: Browser) -> None:
    await portal.services.replays.start(OTHER, JobKind.REPLAY, LogFilter(event_type="sms.received"))

    assert "No replays yet" in (await owner.get("/replays")).text


async def test_who_may_not_replay_sees_and_is_offered_nothing(portal: Portal) -> None:
    config_id = await portal.config()
    await failed(portal, config_id)
    job = await portal.services.replays.start("default", JobKind.REPLAY, LogFilter(event_type="sms.received"))
    viewer = await portal.signed_in(Role.VIEWER)

    assert (await viewer.get(f"/replays/{job.id}")).status == 200
    assert "Replay all failed…" not in (await viewer.get("/replays")).links
    assert (await viewer.get("/replays/new")).status == 403
