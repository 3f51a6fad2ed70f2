"""The postback configs of an account, those of the whole account first."""

from starlette.responses import Response

from postback.web.pages.named import locations_of
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit

SEARCHED = ("name", "url")


async def show_list(visit: Visit) -> Response:
    query = query_of(visit, "location_id", SEARCHED)
    page = await visit.services.configs.list(visit.account, query)
    health = await visit.services.stats.health(visit.account, [config.id for config in page.items])
    return await visit.page(
        "configs/list.html",
        configs=page.items,
        health=health,
        names=await locations_of(visit, [config.location_id for config in page.items]),
        pages=pages_of(visit, query, page),
        search=visit.asked("search"),
    )
