"""Locations: the list with its search, and adding one."""

from typing import Final

from starlette.responses import Response

from postback.domain.errors import InvalidValue
from postback.resources import RESOURCES
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit

LOCATION: Final = RESOURCES["location"]

SEARCHED: Final = ("name", "id", "account_number", "location_api_id", "city")
FIELDS: Final = ("name", "account_number", "location_api_id", "address1", "city", "state", "zip_code", "tz")


async def show_list(visit: Visit) -> Response:
    query = query_of(visit, "name", SEARCHED)
    page = await visit.services.records.list(visit.account, LOCATION, query)
    return await visit.page(
        "locations/list.html", locations=page.items, pages=pages_of(visit, query, page), search=visit.asked("search")
    )


async def show_add(visit: Visit) -> Response:
    return await visit.page("locations/add.html")


async def add(visit: Visit) -> Response:
    form = await visit.form()
    try:
        location, _ = await visit.services.records.create(visit.account, LOCATION, form.filled(*FIELDS), by=visit.actor)
    except InvalidValue as error:
        return await visit.page("locations/add.html", 422, form=form.wrong(error))
    return visit.go(f"/locations/{location.id}", f"Location {form.text('name')} was added.")
