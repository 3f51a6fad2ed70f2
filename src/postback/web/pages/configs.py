"""The postback configs of an account, those of the whole account first."""

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from postback.domain.configs import PostbackConfig
from postback.ports import Query
from postback.web.pages.locations import LOCATION
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit

SEARCHED = ("url",)


async def show_list(visit: Visit) -> Response:
    query = query_of(visit, "location_id", SEARCHED)
    page = await visit.services.configs.list(visit.account, query)
    health = await visit.services.stats.health(visit.account, [config.id for config in page.items])
    return await visit.page(
        "configs/list.html",
        configs=page.items,
        health=health,
        names=await location_names(visit, page.items),
        pages=pages_of(visit, query, page),
        search=visit.asked("search"),
    )


async def location_names(visit: Visit, configs: Sequence[PostbackConfig]) -> Mapping[str, str]:
    """Id → name, of the locations that the configs belong to."""
    ids = list(dict.fromkeys(config.location_id for config in configs if config.location_id is not None))
    if not ids:
        return {}
    query = Query(page_size=len(ids), sort="name", filters={"id": ids})
    page = await visit.services.records.list(visit.account, LOCATION, query)
    return {location.id: str(location.body["name"]) for location in page.items}
