"""Names for what lists refer to by ids: postback configs, locations; and what a filter offers to choose from."""

from collections.abc import Iterable, Mapping
from typing import Final

from postback.domain.configs import PostbackConfig
from postback.ports import Query
from postback.web.pages.locations import LOCATION
from postback.web.visit import Visit

OFFERED: Final = 100
"""Where there are more, its id is typed."""


async def configs_of(visit: Visit, ids: Iterable[int]) -> Mapping[int, PostbackConfig]:
    """Id → config, of those that are not deleted."""
    return await visit.services.configs.some(visit.account, list(dict.fromkeys(ids)))


async def locations_of(visit: Visit, ids: Iterable[str | None]) -> Mapping[str, str]:
    """Id → name."""
    wanted = list(dict.fromkeys(one for one in ids if one is not None))
    if not wanted:
        return {}
    page = await visit.services.records.list(
        visit.account, LOCATION, Query(page_size=len(wanted), sort="name", filters={"id": wanted})
    )
    return {location.id: str(location.body["name"]) for location in page.items}


async def offered_configs(visit: Visit) -> list[PostbackConfig] | None:
    """None where there are more than can be offered."""
    # To read what would not be shown takes as long as the rest of the page.
    if (await visit.services.configs.list(visit.account, Query(page_size=1, sort="location_id"))).total > OFFERED:
        return None
    return list((await visit.services.configs.list(visit.account, Query(page_size=OFFERED, sort="location_id"))).items)


async def offered_locations(visit: Visit) -> list[tuple[str, str]] | None:
    """(id, name) of each, None where there are more than can be offered."""
    page = await visit.services.records.list(visit.account, LOCATION, Query(page_size=OFFERED, sort="name"))
    return None if page.total > OFFERED else [(location.id, str(location.body["name"])) for location in page.items]
