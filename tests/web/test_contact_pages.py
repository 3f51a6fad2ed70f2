"""Contacts in the portal: changed and deleted as by the API, so that a location can be deleted as well."""

import pytest

from postback.domain.errors import NotFound
from postback.domain.records import Record
from postback.domain.users import Role
from postback.resources import RESOURCES
from postback.web.pages.location import KEPT_BY
from tests.web.pages import Browser, Portal

pytestmark = pytest.mark.anyio


async def stored(portal: Portal, contact_id: str) -> Record:
    return await portal.services.records.find("default", RESOURCES["contact"], contact_id)


async def event_types(portal: Portal, owner: Browser) -> list[str]:
    page = await owner.get("/events")
    return [said for said in page.links if said.startswith("contact.")]


async def test_the_list_of_contacts_leads_to_each(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    contact = await portal.contact(location, first_name="Ann")

    page = await owner.get(f"/locations/{location}")

    assert page.links["Jones, Ann"] == f"/locations/{location}/contacts/{contact}"
    assert "Jones, Ann" in (await owner.get(page.links["Jones, Ann"])).text


async def test_a_contact_is_changed_and_what_the_form_does_not_show_stays(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    contact = await portal.contact(location, email="ann@example.com", contact_c1="kept")
    path = f"/locations/{location}/contacts/{contact}"
    form = (await owner.get(path)).form(path)
    assert form.values["email"] == ["ann@example.com"]

    saved = await owner.submit(form.fill(first_name="Ann", email=""))

    assert saved.to == path
    assert "The contact was saved" in (await owner.follow(saved)).text
    body = (await stored(portal, contact)).body
    assert (body["first_name"], body["email"], body["contact_c1"]) == ("Ann", None, "kept")
    assert await event_types(portal, owner) == ["contact.updated", "contact.created"]


async def test_what_is_wrong_with_a_contact_stands_beside_its_field(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    await portal.contact(location, contact_api_id="taken")
    contact = await portal.contact(location)
    path = f"/locations/{location}/contacts/{contact}"
    form = (await owner.get(path)).form(path)

    wrong = await owner.submit(form.fill(last_name="", cell_phone="12", email="x"))
    taken = await owner.submit(form.fill(contact_api_id="taken"))

    assert wrong.status == 422
    assert [wrong.wrong(name) for name in ("last_name", "cell_phone", "email", "city")] == [True, True, True, False]
    assert wrong.form(path).values["cell_phone"] == ["12"]
    assert (taken.status, taken.wrong("contact_api_id")) == (422, True)
    assert (await stored(portal, contact)).revision == 1


async def test_a_contact_is_deleted_once_it_was_meant(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    contact = await portal.contact(location, first_name="Ann", email="ann@example.com")
    page = await owner.get(f"/locations/{location}/contacts/{contact}")

    asked = await owner.get(page.links["Delete this contact"])
    assert "Delete Jones, Ann?" in asked.text
    assert "ann@example.com" in asked.text
    assert (await stored(portal, contact)).id == contact
    done = await owner.submit(asked.form())

    assert done.to == f"/locations/{location}"
    assert "The contact Jones, Ann was deleted" in (await owner.follow(done)).text
    with pytest.raises(NotFound):
        await stored(portal, contact)
    assert await event_types(portal, owner) == ["contact.deleted", "contact.created"]


async def test_a_contact_is_not_there_in_another_location(portal: Portal, owner: Browser) -> None:
    mine, other = await portal.location(), await portal.location(name="Harbour")
    contact = await portal.contact(mine)

    for path in (f"/locations/{other}/contacts/{contact}", f"/locations/{other}/contacts/{contact}/delete"):
        assert (await owner.get(path)).status == 404
    assert (await owner.get(f"/locations/{mine}/contacts/{contact}")).status == 200


async def test_who_may_not_change_records_sees_a_contact_and_no_form(portal: Portal) -> None:
    location = await portal.location()
    contact = await portal.contact(location, email="ann@example.com")
    viewer = await portal.signed_in(Role.VIEWER)
    path = f"/locations/{location}/contacts/{contact}"

    page = await viewer.get(path)

    assert "ann@example.com" in page.text
    assert [form for form in page.read.forms if form.action == path] == []
    assert "Delete this contact" not in page.links


async def test_what_keeps_a_location_is_said_and_leads_there(portal: Portal, owner: Browser) -> None:
    """A location with contacts could be deleted by the API alone."""
    location = await portal.location()
    contact = await portal.contact(location)
    config = await portal.config(location_id=location)
    path = f"/locations/{location}/delete"

    kept = await owner.get(path)

    assert "Main Street cannot be deleted yet" in kept.text
    assert "Contacts 1" in kept.text
    assert "Postback configs 1" in kept.text
    assert [form for form in kept.read.forms if form.action == path] == []
    assert kept.links["To its contacts"] == f"/locations/{location}"
    assert f"/postbackconfigs/{config}" in (await owner.get(kept.links["To its postback configs"])).links.values()
    for what in (f"/locations/{location}/contacts/{contact}", f"/postbackconfigs/{config}"):
        await owner.submit((await owner.get(f"{what}/delete")).form(f"{what}/delete"))
    done = await owner.submit((await owner.get(path)).form(path))
    assert done.to == "/locations"
    assert "Location Main Street was deleted." in (await owner.follow(done)).text


async def test_records_that_the_portal_does_not_show_keep_a_location_too(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    fields = {"location_id": location, "title": "Card"}
    await portal.services.records.create("default", RESOURCES["accountvault"], fields)

    page = await owner.get(f"/locations/{location}/delete")

    assert "Account vaults 1" in page.text
    assert "through the API" in page.text
    assert "To its contacts" not in page.links
    assert {resource.name for resource in KEPT_BY.values()} == set(RESOURCES) - {"location"}


async def test_a_location_that_got_a_contact_meanwhile_is_not_deleted(portal: Portal, owner: Browser) -> None:
    location = await portal.location()
    path = f"/locations/{location}/delete"
    form = (await owner.get(path)).form(path)
    await portal.contact(location)

    refused = await owner.follow(await owner.submit(form))

    assert "It was not deleted: the location still has records" in refused.text
    assert "cannot be deleted yet" in refused.text
