"""For users of the platform: which accounts there are, and whose things to see."""

from starlette.responses import Response

from postback.domain.errors import NotFound
from postback.web.pages.paging import pages_of, query_of
from postback.web.visit import Visit


async def show_list(visit: Visit) -> Response:
    if not visit.signed_in.is_of_the_platform:
        raise NotFound("path", visit.path)
    query = query_of(visit, "id", ("id", "name"))
    page = await visit.services.accounts.list(visit.principal, query)
    return await visit.page(
        "account/accounts.html", accounts=page.items, pages=pages_of(visit, query, page), search=visit.asked("search")
    )


async def act_for(visit: Visit) -> Response:
    if not visit.signed_in.is_of_the_platform:
        raise NotFound("path", visit.path)
    account = visit.param("account")
    await visit.services.sessions.act_for(visit.signed_in, account)
    return visit.go("/", None)
