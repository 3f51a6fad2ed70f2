"""A config's own page and the list of all: how it is doing, and what can be done with it, with numbers and answers."""

import pytest

from postback.domain.deliveries import Verdict
from postback.domain.errors import NotFound
from postback.domain.ids import parse
from postback.domain.users import Role
from postback.domain.wire import Reason, Timings, Unreachable
from tests.build import a_settlement, answered
from tests.web.happenings import delivered, publish
from tests.web.pages import Browser, Portal

pytestmark = pytest.mark.anyio


async def test_a_test_shows_the_answer_at_once_as_text(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    portal.api.sender.outcome = answered(418, body=b"<script>alert(1)</script>\xff")
    page = await owner.get(f"/postbackconfigs/{config_id}")

    tested = await owner.submit(page.form(f"/postbackconfigs/{config_id}/test").fill(event_type="sms.received"))

    assert tested.status == 200
    assert "418" in tested.text
    assert "<script>alert(1)</script>\\xff" in tested.text
    assert "<script>alert" not in tested.html
    assert len(portal.api.sender.sent) == 1


async def test_a_test_without_an_answer_says_why(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    portal.api.sender.outcome = Unreachable(Reason.CONNECTION_REFUSED, "nobody listens on port 9000", Timings())
    page = await owner.get(f"/postbackconfigs/{config_id}")

    tested = await owner.submit(page.form(f"/postbackconfigs/{config_id}/test"))

    assert "nobody listens on port 9000" in tested.text


async def test_a_refused_certificate_is_said_on_its_page(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await publish(portal)
    expired = Unreachable(Reason.TLS_ERROR, "the certificate has expired", Timings())
    [claim] = await portal.api.store.claim(portal.api.worker, {parse("pbc", config_id): 1}, 1 << 20)
    await portal.api.store.settle(portal.api.worker, [a_settlement(claim, Verdict.FAILED, outcome=expired)])

    page = await owner.get(f"/postbackconfigs/{config_id}")

    assert "look whether the certificate has expired" in page.text
    assert "failing" in (await owner.get("/postbackconfigs")).text


async def test_a_test_of_a_type_that_the_format_cannot_say_is_wrong_beside_its_field(
    portal: Portal, owner: Browser
) -> None:
    config_id = await portal.config(format="xml")
    page = await owner.get(f"/postbackconfigs/{config_id}")
    form = page.form(f"/postbackconfigs/{config_id}/test")

    tested = await owner.submit(form.fill(event_type="contact.created"))

    assert (tested.status, tested.wrong("event_type")) == (422, True)
    assert portal.api.sender.sent == []


async def test_pausing_and_resuming_say_what_is_held(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    path = f"/postbackconfigs/{config_id}"

    paused = await owner.follow(await owner.submit((await owner.get(path)).form(f"{path}/pause")))
    assert "Nothing is owed now; what comes is held" in paused.text
    assert (await portal.stored(config_id)).state == "paused"

    await publish(portal)
    resumed = await owner.follow(await owner.submit(paused.form(f"{path}/resume")))
    assert "Resumed. 1 delivery is sent now, in order." in resumed.text
    assert (await portal.stored(config_id)).state == "active"


async def test_deleting_asks_with_the_number_that_is_cancelled(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    for _ in range(3):
        await publish(portal)
    path = f"/postbackconfigs/{config_id}/delete"

    asked = await owner.get(path)
    assert "Deliveries that are cancelled 3" in asked.text
    deleted = await owner.follow(await owner.submit(asked.form(path)))

    assert "owed: 3" in deleted.text
    with pytest.raises(NotFound):
        await portal.stored(config_id)


async def test_a_rotated_secret_is_shown_once(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(format="json", event_types=["*"])
    path = f"/postbackconfigs/{config_id}"
    before = (await portal.stored(config_id)).signing_secrets[0].text

    page = await owner.submit((await owner.get(path)).form(f"{path}/rotate-secret").fill(overlap="3600"))

    new, old = (await portal.stored(config_id)).signing_secrets
    assert new.text in page.text
    assert old.text == before
    assert old.expires_ms == portal.clock() + 3_600_000
    assert new.text not in (await owner.get(path)).html


async def test_the_list_has_those_of_the_whole_account_first(portal: Portal, owner: Browser) -> None:
    location = await portal.location(name="Harbour")
    await portal.config(location_id=location, url="http://127.0.0.1:9000/of-the-location")
    await portal.config(url="http://127.0.0.1:9000/of-the-account")

    page = await owner.get("/postbackconfigs")

    assert page.text.index("of-the-account") < page.text.index("of-the-location")
    assert page.links["Harbour"] == f"/locations/{location}/postbackconfigs"
    assert "of-the-account" not in (await owner.get("/postbackconfigs?search=of-the-location")).text
    assert "Nothing found" in (await owner.get("/postbackconfigs?search=zzz")).text


async def test_a_config_is_found_by_the_name_that_the_list_shows(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config(name="CRM of Sales")
    await portal.config(name="Billing")

    listed = await owner.get("/postbackconfigs?search=crm+OF")
    delivery = await delivered(portal, config_id)
    found = await owner.get("/deliveries?search=crm+of+sales")

    assert [said for said in listed.links if said in ("CRM of Sales", "Billing")] == ["CRM of Sales"]
    assert f"/deliveries/{delivery}" in found.links.values()
    assert found.links.get("Billing") is None


async def test_the_last_deliveries_lead_to_their_pages(portal: Portal, owner: Browser) -> None:
    config_id = await portal.config()
    await owner.submit((await owner.get(f"/postbackconfigs/{config_id}")).form(f"/postbackconfigs/{config_id}/test"))

    page = await owner.get(f"/postbackconfigs/{config_id}")

    assert [href for href in page.links.values() if href.startswith("/deliveries/dlv_")]


async def test_a_viewer_sees_and_is_offered_nothing_to_change(portal: Portal) -> None:
    config_id = await portal.config(format="json", event_types=["*"])
    viewer = await portal.signed_in(Role.VIEWER)

    page = await viewer.get(f"/postbackconfigs/{config_id}")

    assert page.status == 200
    assert not [form for form in page.read.forms if "postbackconfigs" in form.action]
    assert not {"Edit", "Delete"} & set(page.links)
    assert "Add Postback" not in (await viewer.get("/postbackconfigs")).text
