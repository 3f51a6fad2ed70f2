"""A contact of a location: adding, changing and deleting one. Each is an event, of which postback configs are told."""

from typing import Any, Final

from starlette.responses import Response

from postback.domain.errors import InvalidValue, NotFound
from postback.domain.records import Record
from postback.web.forms import Form
from postback.web.pages.location import CONTACT, location_of
from postback.web.shown import contact_name
from postback.web.visit import Visit

FIELDS: Final = ("last_name", "first_name", "company_name", "email", "contact_api_id", "cell_phone", "city")

_TOLD: Final = "postback configs that want it hear of it now, and Deliveries shows how."


async def show_add(visit: Visit) -> Response:
    return await _page(visit, "add", await location_of(visit))


async def add(visit: Visit) -> Response:
    location, form = await location_of(visit), await visit.form()
    fields = {**form.filled(*FIELDS), "location_id": location.id}
    try:
        await visit.services.records.create(visit.account, CONTACT, fields, by=visit.actor)
    except InvalidValue as error:
        return await _page(visit, "add", location, 422, form=form.wrong(error))
    return visit.go(f"/locations/{location.id}", f"The contact was added; {_TOLD}")


async def show(visit: Visit) -> Response:
    location, contact = await _both(visit)
    return await _page(visit, "show", location, contact=contact, form=Form.of(contact.body))


async def change(visit: Visit) -> Response:
    (location, contact), form = await _both(visit), await visit.form()
    try:
        await visit.services.records.change(visit.account, CONTACT, contact.id, form.fields(*FIELDS), by=visit.actor)
    except InvalidValue as error:
        return await _page(visit, "show", location, 422, contact=contact, form=form.wrong(error))
    return visit.go(_path(contact), f"The contact was saved; {_TOLD}")


async def show_delete(visit: Visit) -> Response:
    _, contact = await _both(visit)
    return await visit.confirm(
        title=f"Delete {contact_name(contact)}?",
        sentences=["Postback configs that want to hear of deleted contacts are told.", "This cannot be taken back."],
        facts={
            "Email": contact.body["email"] or "–",
            "Your own id": contact.body["contact_api_id"] or "–",
            "Id": contact.id,
        },
        action=f"{_path(contact)}/delete",
        button="Delete contact",
        back=_path(contact),
    )


async def delete(visit: Visit) -> Response:
    location, contact = await _both(visit)
    await visit.services.records.delete(visit.account, CONTACT, contact.id, by=visit.actor)
    return visit.go(f"/locations/{location.id}", f"The contact {contact_name(contact)} was deleted; {_TOLD}")


async def _both(visit: Visit) -> tuple[Record, Record]:
    """The location, and its contact; one of another location is not there."""
    location = await location_of(visit)
    contact = await visit.services.records.find(visit.account, CONTACT, visit.param("contact_id"))
    if contact.location_id != location.id:
        raise NotFound(CONTACT.name, contact.id)
    return location, contact


def _path(contact: Record) -> str:
    return f"/locations/{contact.location_id}/contacts/{contact.id}"


async def _page(visit: Visit, name: str, location: Record, status: int = 200, **context: Any) -> Response:
    return await visit.page(f"contacts/{name}.html", status, location=location, **context)
