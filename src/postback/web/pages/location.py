"""A location: its contacts, its settings, and under them its postback configs."""

from typing import Any, Final

from starlette.responses import Response

from postback.domain.errors import Conflict, InvalidValue
from postback.domain.records import Record
from postback.ports import Query
from postback.resources import RESOURCES, Resource
from postback.web.forms import Form
from postback.web.pages.locations import FIELDS, LOCATION
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit

CONTACT: Final = RESOURCES["contact"]
CONTACTS: Final = "Contacts"
KEPT_BY: Final = {
    CONTACTS: CONTACT,
    "Transactions": RESOURCES["transaction"],
    "Batches of transactions": RESOURCES["transactionbatch"],
    "Account vaults": RESOURCES["accountvault"],
}
"""What belongs to a location, and keeps it from being deleted."""

CONTACTS_SEARCHED: Final = ("last_name", "first_name", "company_name", "email", "contact_api_id", "id")


async def show_contacts(visit: Visit) -> Response:
    location = await location_of(visit)
    query = query_of(visit, "-created_ts", CONTACTS_SEARCHED, location_id=location.id)
    page = await visit.services.records.list(visit.account, CONTACT, query)
    return await _page(
        visit,
        "contacts",
        location,
        contacts=page.items,
        pages=pages_of(visit, query, page),
        search=visit.asked("search"),
    )


async def show_settings(visit: Visit) -> Response:
    location = await location_of(visit)
    return await _settings(visit, location, Form.of(location.body))


async def change(visit: Visit) -> Response:
    location, form = await location_of(visit), await visit.form()
    try:
        await visit.services.records.change(visit.account, LOCATION, location.id, form.fields(*FIELDS), by=visit.actor)
    except InvalidValue as error:
        return await _settings(visit, location, form.wrong(error), 422)
    return visit.go(f"/locations/{location.id}/settings", "The settings were saved.")


async def _settings(visit: Visit, location: Record, form: Form, status: int = 200) -> Response:
    configs = await visit.services.configs.list(visit.account, Query(page_size=1, filters=_of(location)))
    return await _page(visit, "settings", location, status, form=form, config_count=configs.total)


async def show_configs(visit: Visit) -> Response:
    location = await location_of(visit)
    query = query_of(visit, "-created_ts", location_id=location.id)
    page = await visit.services.configs.list(visit.account, query)
    health = await visit.services.stats.health(visit.account, [config.id for config in page.items])
    return await _page(
        visit, "configs", location, configs=page.items, health=health, pages=pages_of(visit, query, page)
    )


async def show_delete(visit: Visit) -> Response:
    """What is to be done first where it cannot be deleted yet."""
    location = await location_of(visit)
    configs = await visit.services.configs.list(visit.account, Query(page_size=1, filters=_of(location)))
    counts = {name: await _count(visit, resource, location) for name, resource in KEPT_BY.items()}
    if configs.total or any(counts.values()):
        contacts = counts.pop(CONTACTS)
        return await _page(
            visit, "kept", location, config_count=configs.total, contact_count=contacts, other_counts=counts
        )
    return await visit.confirm(
        title=f"Delete {location.body['name']}?",
        sentences=["It has no records and no postback configs.", "This cannot be taken back."],
        facts={"Records": 0, "Postback configs": 0},
        action=f"/locations/{location.id}/delete",
        button="Delete location",
        back=f"/locations/{location.id}/settings",
    )


async def delete(visit: Visit) -> Response:
    location = await location_of(visit)
    try:
        await visit.services.records.delete(visit.account, LOCATION, location.id, by=visit.actor)
    except Conflict as error:
        return visit.go(f"/locations/{location.id}/delete", f"It was not deleted: {error}.", "problem")
    return visit.go("/locations", f"Location {location.body['name']} was deleted.")


async def location_of(visit: Visit) -> Record:
    return await visit.services.records.find(visit.account, LOCATION, visit.param("location_id"))


async def _page(visit: Visit, name: str, location: Record, status: int = 200, **context: Any) -> Response:
    return await visit.page(f"locations/{name}.html", status, location=location, **context)


async def _count(visit: Visit, resource: Resource, location: Record) -> int:
    page = await visit.services.records.list(visit.account, resource, Query(page_size=1, filters=_of(location)))
    return page.total


def _of(location: Record) -> dict[str, list[str]]:
    return {"location_id": [location.id]}
